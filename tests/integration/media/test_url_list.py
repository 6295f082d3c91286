"""Listed addresses through yt-dlp's generic extractor, from a loopback server with faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from storage.errors import InputError, ItemError, SourcePaused
from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import FILMS
from tasks.soundtracks.candidate_recordings import Decision, Film
from tasks.soundtracks.download import ytdlp
from tasks.soundtracks.download.downloader_and_staging import Downloader
from tasks.soundtracks.download.throttle_and_breaker import Pace, SourceThrottle
from tasks.soundtracks.download.ytdlp import YtDlpClient
from tasks.soundtracks.matching.track_selection import read_matcher
from tasks.soundtracks.sources.music_folders_and_url_lists import UrlSource, open_listed, read_url_lists

pytestmark = pytest.mark.integration
FILM = Film("enwiki-1", "Slow Water", 2016)


@pytest.fixture
def lake(lake: Lake) -> Lake:
    tables.append(lake, FILMS, [{"film_id": "enwiki-1", "title": "Slow Water", "year": 2016, "state": "present"}], "t")
    return lake


@pytest.fixture
def downloader(lake: Lake, tmp_path: Path) -> Iterator[Downloader]:
    throttle = SourceThrottle(lake, "url_list", "test", "1", {"requests": 1000, "downloads": 100})
    client = YtDlpClient(tmp_path / "cache", Pace(0.0), throttle.count_request, 3.0, socket_timeout_seconds=1.0)
    yield Downloader(throttle, client)
    client.close()


def everything(_info: dict[str, Any]) -> None:
    return None


def reason(downloader: Downloader, url: str) -> str:
    with pytest.raises(ItemError) as caught:
        downloader.download("enwiki-1", "media", url, everything)
    return caught.value.reason


@pytest.mark.parametrize(
    "path", ["one.mp3", "two.m4a", "three.webm", "four.opus", "octet/three.webm", "norange/one.mp3", "page.html"]
)
def test_whatever_holds_audio_is_fetched_completely(downloader: Downloader, server: Any, path: str) -> None:
    info, file = downloader.download("enwiki-1", "media", f"{server.url}/{path}", everything)
    name = "one.mp3" if path == "page.html" else path.rpartition("/")[2]
    assert file.read_bytes() == (server.folder / name).read_bytes()
    assert info["decoded_seconds"] == pytest.approx(24, abs=0.2)


def test_a_finished_download_is_not_asked_for_again(downloader: Downloader, server: Any) -> None:
    downloader.download("enwiki-1", "media", f"{server.url}/one.mp3", everything)
    before = len(server.log)
    downloader.download("enwiki-1", "media", f"{server.url}/one.mp3", everything)
    assert len(server.log) == before


def test_a_body_that_breaks_off_is_resumed(downloader: Downloader, server: Any) -> None:
    _info, file = downloader.download("enwiki-1", "media", f"{server.url}/cut/three.webm", everything)
    assert file.read_bytes() == (server.folder / "three.webm").read_bytes()
    ranges = [byte_range for _method, _path, byte_range in server.log if byte_range]
    assert any(not byte_range.startswith("bytes=0-") for byte_range in ranges)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("html/x.webm", "bad_audio"),
        ("stall/three.webm", "timeout"),
        ("gap.m3u8", "http_gone"),
        ("status-404/x.webm", "http_gone"),
        ("status-403/x.webm", "http_403"),
        ("status-500/x.webm", "http_5xx"),
    ],
)
def test_a_fault_of_the_server_has_its_name(downloader: Downloader, server: Any, path: str, expected: str) -> None:
    assert reason(downloader, f"{server.url}/{path}") == expected


def test_an_empty_file_is_no_recording(downloader: Downloader, server: Any) -> None:
    assert reason(downloader, f"{server.url}/empty/x.webm") in ("truncated", "bad_audio", "unsupported")


def test_a_huge_file_is_refused(
    lake: Lake, server: Any, downloader: Downloader, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ytdlp.MAX_BYTES < 5 << 30
    assert reason(downloader, f"{server.url}/huge/x.webm") == "too_large"


def test_too_many_requests_pause_for_as_long_as_the_server_says(downloader: Downloader, server: Any) -> None:
    with pytest.raises(SourcePaused) as caught:
        downloader.download("enwiki-1", "media", f"{server.url}/status-429/x.webm", everything)
    assert caught.value.reason == "rate_limit"


def test_two_bad_answers_and_then_a_good_one_is_a_success(downloader: Downloader, server: Any) -> None:
    _info, file = downloader.download("enwiki-1", "media", f"{server.url}/status-503-2/one.mp3", everything)
    assert file.stat().st_size == (server.folder / "one.mp3").stat().st_size


def test_a_feed_becomes_its_items_matched_by_its_title(
    lake: Lake, downloader: Downloader, server: Any, tmp_path: Path
) -> None:
    listing = tmp_path / "feeds.txt"
    listing.write_text(f"# our own feed\n{server.url}/feed.xml\n")
    candidates, failed = open_listed(read_url_lists([str(listing)]), downloader)
    source = UrlSource(candidates, read_matcher(lake), downloader)
    judged = source.find(FILM)
    assert not failed
    assert [one.candidate.url.rpartition("/")[2] for one in judged] == ["one.mp3", "two.m4a", "three.webm"]
    assert judged[0].candidate.album == "Slow Water (Original Motion Picture Soundtrack)"
    assert all(one.verdict.parts["names_film"] == 1.0 for one in judged)


def test_a_list_pairs_addresses_with_films(lake: Lake, downloader: Downloader, server: Any, tmp_path: Path) -> None:
    listing = tmp_path / "urls.csv"
    listing.write_text(f"film,url,title,licence\nSlow Water,{server.url}/one.mp3,Theme,CC0\nNo Film,http://x/y.mp3,,\n")
    source = UrlSource(read_url_lists([str(listing)]), read_matcher(lake), downloader)
    (judged,) = source.find(FILM)
    assert (judged.verdict.decision, judged.verdict.reason) == (Decision.TAKEN, "listed")
    fetched = source.fetch(judged, FILM)
    assert fetched.recording is not None
    assert (fetched.judged.candidate.title, fetched.judged.candidate.licence) == ("Theme", "CC0")
    assert source.unmatched[0][1].reason == "unknown_film"


@pytest.mark.parametrize(("licence", "is_taken"), [("", False), ("All rights reserved", False), ("CC BY 4.0", True)])
def test_what_lies_staged_is_judged_by_todays_switch_for_licences(
    lake: Lake, downloader: Downloader, server: Any, tmp_path: Path, licence: str, is_taken: bool
) -> None:
    listing = tmp_path / "urls.csv"
    listing.write_text(f"film,url,title,licence\nSlow Water,{server.url}/one.mp3,Theme,{licence}\n")
    candidates, matcher = read_url_lists([str(listing)]), read_matcher(lake)
    free_for_all = UrlSource(candidates, matcher, downloader)
    assert free_for_all.fetch(free_for_all.find(FILM)[0], FILM).recording is not None
    before = len(server.log)
    narrowed = UrlSource(candidates, matcher, downloader, creative_commons_only=True)
    fetched = narrowed.fetch(narrowed.find(FILM)[0], FILM)
    assert (fetched.recording is not None) is is_taken
    assert (fetched.judged.verdict.reason == "not_creative_commons") is not is_taken
    assert len(server.log) == before


def test_a_list_with_something_else_than_addresses_is_refused(tmp_path: Path) -> None:
    (tmp_path / "urls.txt").write_text("file:///etc/passwd\n")
    with pytest.raises(InputError, match="no http URL"):
        read_url_lists([str(tmp_path / "urls.txt")])
