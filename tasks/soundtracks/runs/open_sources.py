"""Open the sources that the settings of a run name, and hold what all of its steps share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

from storage.errors import SourcePaused
from storage.lake.lake import Lake
from storage.records.outcomes import Outcome, Stage, from_error, record_new
from storage.takedown_list_and_erasure import Takedowns
from tasks.progress import ReportProgress, no_progress
from tasks.soundtracks.download.downloader_and_staging import Downloader
from tasks.soundtracks.download.throttle_and_breaker import Pace, SourceThrottle
from tasks.soundtracks.download.ytdlp import YtDlpClient, check_readiness
from tasks.soundtracks.extraction.embed_audio import Encoders
from tasks.soundtracks.matching.track_selection import Matcher, read_matcher
from tasks.soundtracks.matching.verdict import RULE_VERSION
from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings
from tasks.soundtracks.sources.music_folders_and_url_lists import (
    MusicSource,
    PreassignedSource,
    UrlSource,
    open_listed,
    read_music,
    read_url_lists,
)
from tasks.soundtracks.sources.source_protocol import NetworkedSource, Source
from tasks.soundtracks.sources.youtube_albums_and_search import YouTubeSource
from tasks.soundtracks.sources.youtube_music import YouTubeMusic


@dataclass
class RunContext:
    """One run: its lake and settings, the open sources, and what all of its steps share."""

    lake: Lake
    settings: SoundtrackSettings
    run_id: str
    matcher: Matcher
    progress: ReportProgress = no_progress
    sources: list[Source] = field(default_factory=list)
    """In the configured order; a film's music comes from the first that has any."""
    throttles: list[SourceThrottle] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    tool_version: str | None = None
    """The version of yt-dlp, if a source on the network is asked."""
    music_version: str | None = None
    """The version of ytmusicapi, if YouTube is searched."""
    encoders: Encoders | None = None
    """The process that embeds the audio of what is collected, if encoders are named."""
    takedowns: Takedowns = field(init=False)
    paused: SourcePaused | None = None
    """Set when a source paused before any film was begun."""

    def __post_init__(self) -> None:
        """Begin to follow the takedown list, which may grow during the run."""
        self.takedowns = Takedowns(self.lake)

    @property
    def assigned(self) -> list[PreassignedSource]:
        """The sources whose recordings are all known beforehand."""
        return [source for source in self.sources if isinstance(source, PreassignedSource)]

    @property
    def is_searching(self) -> bool:
        """Whether a source is to be searched for each film, because its recordings are not known beforehand."""
        return len(self.assigned) < len(self.sources)

    @property
    def searched(self) -> list[str]:
        """The names of the sources that are searched for each film."""
        return [source.name for source in self.sources if not isinstance(source, PreassignedSource)]

    @property
    def search_version(self) -> str | None:
        """Return the versions of what searches for a film's music, of which an upgrade may find more."""
        return ", ytmusicapi ".join(filter(None, (self.tool_version, self.music_version))) or None

    def decided(self, outcomes: Iterable[Outcome]) -> list[Outcome]:
        """Return outcomes with what decided them: the sources of this run, and the versions of its tools and the rule.

        A recording's fate is yt-dlp's alone; of a film's search ytmusicapi decides too.
        """
        names = tuple(source.name for source in self.sources)
        versions = {Stage.SOUNDTRACK: self.search_version}
        return [
            replace(
                one,
                tool_version=versions.get(one.stage, self.tool_version),
                rule_version=RULE_VERSION,
                sources=names,
            )
            for one in outcomes
        ]

    def spent_today(self) -> Counter[str]:
        """Return the requests and downloads of today by all workers, over the sources on the network."""
        return sum((throttle.spent_today() for throttle in self.throttles), Counter())

    def charge_retries(self, *, is_retry: bool) -> None:
        """Count the requests from now on as spent on a film that was tried before, or not."""
        for throttle in self.throttles:
            throttle.is_retry = is_retry

    @property
    def networked(self) -> list[NetworkedSource]:
        """The sources whose recordings may vanish."""
        return [source for source in self.sources if isinstance(source, NetworkedSource)]

    @property
    def requests(self) -> int:
        """Requests made to the network so far in this run."""
        return sum(throttle.requests for throttle in self.throttles)


@contextmanager
def open_context(
    lake: Lake, settings: SoundtrackSettings, run_id: str, progress: ReportProgress = no_progress
) -> Iterator[RunContext]:
    """Open the configured sources; on leaving, close connections and give back reserved requests.

    Raises `InputError` when this machine lacks what a source needs.
    """
    context = RunContext(lake, settings, run_id, read_matcher(lake), progress)
    is_configured = {"music": bool(settings.music), "urls": bool(settings.urls), "youtube": settings.youtube}
    with ExitStack() as stack:
        openers: dict[str, Callable[[], Source]] = {
            "music": lambda: _open_music(context),
            "urls": lambda: _open_urls(context, stack),
            "youtube": lambda: _open_youtube(context, stack),
        }
        for name in dict.fromkeys(settings.order):
            if is_configured[name]:
                context.sources.append(openers[name]())
        yield context


def _open_music(context: RunContext) -> Source:
    candidates = read_music(list(context.settings.music), lambda count: context.progress("Reading tags", count, 0))
    return MusicSource(candidates, context.matcher)


def _open_urls(context: RunContext, stack: ExitStack) -> Source:
    downloader = _open_downloader(context, stack, "url_list")
    listed = read_url_lists(context.settings.urls)
    try:
        candidates, failed = open_listed(listed, downloader)
    except SourcePaused as pause:
        context.paused, candidates, failed = pause, [], []
    outcomes = [from_error(Stage.TRACK, item, error) for item, error in failed]
    record_new(context.lake, context.decided(outcomes), context.run_id)
    cc_only = context.settings.creative_commons_only
    return UrlSource(candidates, context.matcher, downloader, creative_commons_only=cc_only)


def _open_youtube(context: RunContext, stack: ExitStack) -> Source:
    downloader = _open_downloader(context, stack, "youtube")
    context.music_version = version("ytmusicapi")
    music = YouTubeMusic(downloader.throttle, downloader.client.pace)
    stack.callback(music.close)
    cc_only = context.settings.creative_commons_only
    return YouTubeSource(downloader, music, context.matcher, creative_commons_only=cc_only)


def _open_downloader(context: RunContext, stack: ExitStack, source: str) -> Downloader:
    """Open the throttled client of one source."""
    settings = context.settings
    readiness = check_readiness()
    if readiness.warning and readiness.warning not in context.warnings:
        context.warnings.append(readiness.warning)
    context.tool_version = readiness.yt_dlp_version
    limits = {"requests": settings.daily_requests, "downloads": settings.daily_downloads}
    throttle = SourceThrottle(context.lake, source, context.run_id, readiness.yt_dlp_version, limits)
    context.throttles.append(throttle)
    stack.callback(throttle.close)
    client = YtDlpClient(Path(context.lake.cache_folder), Pace(settings.pace), throttle.count_request)
    stack.callback(client.close)
    return Downloader(throttle, client)
