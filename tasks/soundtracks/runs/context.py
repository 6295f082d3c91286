"""The sources of one run, opened in the order that a person configured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern

from storage.errors import SourcePaused
from storage.lake.lake import Lake
from storage.records.outcomes import Stage, from_error, record_new
from storage.records.reviews import read_reviews
from storage.records.takedown_list import read_takedowns
from storage.tables import tables
from storage.tables.schemas import TRACKS
from tasks.soundtracks.download.downloader import Downloader
from tasks.soundtracks.download.preflight import check_readiness
from tasks.soundtracks.download.throttle import SourceThrottle
from tasks.soundtracks.download.ytdlp import Pace, YtDlpClient
from tasks.soundtracks.matching.film_index import read_film_index
from tasks.soundtracks.matching.matcher import Matcher
from tasks.soundtracks.runs.settings import SoundtrackSettings
from tasks.soundtracks.sources.base import PreassignedSource, Source
from tasks.soundtracks.sources.music_folder import MusicSource, read_music
from tasks.soundtracks.sources.url_list import UrlSource, open_listed, read_url_lists
from tasks.soundtracks.sources.youtube import YouTubeSource

Progress = Callable[[str, int, int], None]


@dataclass
class Supply:
    """A run's sources, and what they share."""

    lake: Lake
    settings: SoundtrackSettings
    matcher: Matcher
    sources: list[Source] = field(default_factory=list)
    throttles: list[SourceThrottle] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    paused: SourcePaused | None = None
    """Set when a source had to stop before any film was begun."""

    @property
    def assigned(self) -> list[PreassignedSource]:
        """The sources whose recordings are all known beforehand."""
        return [source for source in self.sources if isinstance(source, PreassignedSource)]

    @property
    def requests(self) -> int:
        """Requests made so far in this run."""
        return sum(throttle.requests for throttle in self.throttles)


@contextmanager
def open_supply(lake: Lake, settings: SoundtrackSettings, run_id: str, progress: Progress) -> Iterator[Supply]:
    """Open the configured sources; connections are let go and unused budget is given back at the end.

    Raises `InputError` when this machine lacks what a source needs.
    """
    supply = Supply(lake, settings, read_matcher(lake))
    with ExitStack() as stack:
        makers = {
            "music": lambda: _open_music(supply, progress),
            "urls": lambda: _open_urls(supply, stack, run_id),
            "youtube": lambda: _open_youtube(supply, stack, run_id),
        }
        wanted = {"music": bool(settings.music), "urls": bool(settings.urls), "youtube": settings.youtube}
        for name in settings.order:
            if wanted.pop(name, False):
                supply.sources.append(makers[name]())
        yield supply


def read_matcher(lake: Lake) -> Matcher:
    """Judging with what the lake knows now."""
    owners: dict[str, str] = {}
    with tables.connect(lake, tables.SMALL_MEMORY_LIMIT) as connection:
        kept = f"FROM {tables.latest_sql(lake, TRACKS)} WHERE segments > 0 ORDER BY film_id, track_id"
        for batch in connection.sql(f"SELECT track_id, film_id {kept}").to_arrow_reader():
            films = map(intern, batch["film_id"].to_pylist())  # a film's name once, however many tracks it has
            owners.update(zip(batch["track_id"].to_pylist(), films, strict=True))
    return Matcher(read_film_index(lake), read_reviews(lake), read_takedowns(lake), owners)


def _open_music(supply: Supply, progress: Progress) -> Source:
    candidates = read_music(list(supply.settings.music), lambda count: progress("Reading tags", count, 0))
    return MusicSource(candidates, supply.matcher)


def _open_urls(supply: Supply, stack: ExitStack, run_id: str) -> Source:
    downloader = _remote(supply, stack, "url_list", run_id)
    listed = read_url_lists(supply.settings.urls)
    try:
        candidates, failed = open_listed(listed, downloader)
    except SourcePaused as pause:
        supply.paused, candidates, failed = pause, [], []
    outcomes = [from_error(Stage.TRACK, item, error) for item, error in failed]
    record_new(supply.lake, outcomes, run_id)
    cc_only = supply.settings.creative_commons_only
    return UrlSource(candidates, supply.matcher, downloader, creative_commons_only=cc_only)


def _open_youtube(supply: Supply, stack: ExitStack, run_id: str) -> Source:
    downloader = _remote(supply, stack, "youtube", run_id)
    return YouTubeSource(downloader, supply.matcher, creative_commons_only=supply.settings.creative_commons_only)


def _remote(supply: Supply, stack: ExitStack, source: str, run_id: str) -> Downloader:
    """A door and a client for one source."""
    settings = supply.settings
    readiness = check_readiness()
    if readiness.warning and readiness.warning not in supply.warnings:
        supply.warnings.append(readiness.warning)
    limits = {"requests": settings.daily_requests, "downloads": settings.daily_downloads}
    throttle = SourceThrottle(supply.lake, source, run_id, readiness.yt_dlp_version, limits)
    supply.throttles.append(throttle)
    stack.callback(throttle.close)
    client = YtDlpClient(Path(supply.lake.cache_folder), Pace(settings.pace), throttle.count_request)
    stack.callback(client.close)
    return Downloader(throttle, client)
