"""Availability checks of listed addresses on a loopback server: available, deleted, busy, or on an unreachable host."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from storage.lake.lake import Lake
from storage.records.outcomes import Outcome, Stage, Status, record
from storage.tables import tables
from storage.tables.schemas import OUTCOMES, TRACKS
from tasks.run_report import RunReport
from tasks.soundtracks.download.downloader_and_staging import Downloader
from tasks.soundtracks.download.throttle_and_breaker import Pace, SourceThrottle
from tasks.soundtracks.download.ytdlp import YtDlpClient
from tasks.soundtracks.matching.track_selection import read_matcher
from tasks.soundtracks.runs.availability import AvailabilityChecker
from tasks.soundtracks.runs.open_sources import RunContext
from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings
from tasks.soundtracks.sources.music_folders_and_url_lists import UrlSource, media_id

pytestmark = pytest.mark.integration
LONG_AGO = datetime.now(UTC) - timedelta(days=100)


@pytest.fixture
def source(lake: Lake, tmp_path: Path) -> Iterator[UrlSource]:
    throttle = SourceThrottle(lake, "url_list", "test", "1", {"requests": 1000, "downloads": 100})
    client = YtDlpClient(tmp_path / "cache", Pace(0.0), throttle.count_request, 3.0, socket_timeout_seconds=1.0)
    yield UrlSource([], read_matcher(lake), Downloader(throttle, client))
    client.close()


def collected(lake: Lake, *urls: str) -> None:
    """Recordings of these addresses, collected long ago in this order."""
    rows = [
        {
            "film_id": "enwiki-1",
            "track_id": f"url_list:{media_id(url)}",
            "source": "url_list",
            "media_id": media_id(url),
            "url": url,
            "segments": 3,
            "recorded_at": LONG_AGO + timedelta(minutes=number),
        }
        for number, url in enumerate(urls)
    ]
    tables.append(lake, TRACKS, rows, "test")


def recheck(lake: Lake, source: UrlSource) -> RunReport:
    settings = SoundtrackSettings(urls=("list.txt",), i_have_the_right_to_collect=True)
    return AvailabilityChecker(RunContext(lake, settings, "test", read_matcher(lake), sources=[source])).check()


def status_of(lake: Lake, url: str) -> tuple[str, str] | None:
    rows = tables.latest(lake, OUTCOMES).to_pylist()
    return next(((r["status"], r["reason"]) for r in rows if r["item"] == f"url_list:{media_id(url)}"), None)


ANSWERS = {
    "one.mp3": ("ok", "ok"),
    "page.html": ("ok", "ok"),
    "status-404/one.mp3": ("skipped", "http_gone"),
    "status-410/one.mp3": ("skipped", "http_gone"),
    "status-403/one.mp3": ("skipped", "http_403"),
    "status-503/one.mp3": ("skipped", "http_5xx"),
}


@pytest.mark.parametrize("path", ANSWERS)
def test_an_address_is_available_or_dead_or_unknown(lake: Lake, source: UrlSource, server: Any, path: str) -> None:
    collected(lake, f"{server.url}/{path}")
    recheck(lake, source)
    assert status_of(lake, f"{server.url}/{path}") == ANSWERS[path]
    assert not list(Path(lake.cache_folder).rglob("*.mp3"))


def test_a_second_run_requests_nothing(lake: Lake, source: UrlSource, server: Any) -> None:
    collected(lake, f"{server.url}/one.mp3", f"{server.url}/status-404/one.mp3")
    assert recheck(lake, source).counts["tracks_checked"] == 2
    before = len(server.log)
    assert recheck(lake, source).counts["tracks_checked"] == 0
    assert len(server.log) == before


def test_too_many_requests_pause_and_mark_nothing(lake: Lake, source: UrlSource, server: Any) -> None:
    busy, after = f"{server.url}/status-429/one.mp3", f"{server.url}/status-404/one.mp3"
    collected(lake, busy, after)
    report = recheck(lake, source)
    assert report.paused is not None
    assert report.paused.reason == "rate_limit"
    assert (status_of(lake, busy), status_of(lake, after)) == (None, None)


def test_an_unreachable_host_is_contacted_once_for_all_its_tracks(lake: Lake, source: UrlSource, server: Any) -> None:
    urls = [f"http://no-such-host.invalid/{name}.mp3" for name in ("one", "two")]
    collected(lake, urls[0], f"{server.url}/one.mp3", urls[1])
    report = recheck(lake, source)
    assert report.paused is not None
    assert [status_of(lake, url) for url in urls] == [("skipped", "unreachable")] * 2
    assert status_of(lake, f"{server.url}/one.mp3") is None


def test_an_address_in_doubt_for_the_third_time_is_dead(lake: Lake, source: UrlSource, server: Any) -> None:
    url = f"{server.url}/status-403/one.mp3"
    collected(lake, url)
    doubt = Outcome(Stage.AVAILABILITY, f"url_list:{media_id(url)}", Status.SKIPPED, "http_403", retry_at=LONG_AGO)
    for _day in range(2):
        record(lake, [doubt], "test")
    recheck(lake, source)
    assert status_of(lake, url) == ("failed", "http_403")
