"""The real yt-dlp against a fake YouTube: downloads are complete, and every failure has its reason."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tasks.soundtracks.download.downloader_and_staging import verify_audio
from tasks.soundtracks.download.throttle_and_breaker import Pace
from tasks.soundtracks.download.ytdlp import CallFailed, FilteredOut, YtDlpClient

pytestmark = pytest.mark.integration
WATCH = "https://www.youtube.com/watch?v="
LONG = os.environ.get("NEEDLEDROP_LONG") == "1"
VIDEOS = 300 if LONG else 40
"""Three hundred take minutes and run with `NEEDLEDROP_LONG=1`; forty also show a leak of more than 100 kB per video."""


@pytest.fixture
def client(tmp_path: Path, world: Any) -> Iterator[YtDlpClient]:
    ytdlp_client = YtDlpClient(tmp_path / "cache", Pace(0.0), max_download_seconds=1.0)
    yield ytdlp_client
    ytdlp_client.close()


@pytest.fixture
def video(world: Any) -> str:
    ids: list[str] = world.add_film("Night Ferry", 2015, 1)
    world.save()
    return ids[0]


def accept_all(_info: dict[str, Any]) -> None:
    return None


def failure(client: YtDlpClient, video: str, folder: Path) -> tuple[str, str]:
    with pytest.raises(CallFailed) as caught:
        info, path = client.download(WATCH + video, folder, accept_all)
        verify_audio(path, info.get("duration"))
    return caught.value.failure.reason, str(caught.value.failure.action)


def test_video_is_downloaded_completely_with_its_metadata(
    client: YtDlpClient, world: Any, video: str, tmp_path: Path
) -> None:
    info, path = client.download(WATCH + video, tmp_path / "staging", accept_all)
    assert path.read_bytes() == Path(world.videos[video]["audio"]).read_bytes()
    assert path.name == f"{video}.251.webm"
    assert (info["album"], info["track"]) == ("Night Ferry (Original Motion Picture Soundtrack)", "Cue 1")
    assert verify_audio(path, info["duration"]) == pytest.approx(31, abs=0.1)


def test_interrupted_download_is_resumed_where_it_ended(
    client: YtDlpClient, world: Any, video: str, tmp_path: Path
) -> None:
    world.faults.append({"path": "/videoplayback", "kind": "cut", "after_bytes": 20_000, "times": 2})
    world.save()
    _info, path = client.download(WATCH + video, tmp_path / "staging", accept_all)
    assert path.read_bytes() == Path(world.videos[video]["audio"]).read_bytes()
    ranges = [request["range"] for request in world.requests if request["path"] == "/videoplayback"]
    assert len(ranges) == 3
    assert ranges[1].startswith("bytes=") and not ranges[1].startswith("bytes=0-")


def test_partial_download_of_another_process_is_resumed(
    client: YtDlpClient, world: Any, video: str, tmp_path: Path
) -> None:
    data = Path(world.videos[video]["audio"]).read_bytes()
    staging = tmp_path / "staging"
    staging.mkdir()
    (staging / f"{video}.251.webm.part").write_bytes(data[:30_000])
    _info, path = client.download(WATCH + video, staging, accept_all)
    assert path.read_bytes() == data
    assert [r["range"] for r in world.requests if r["path"] == "/videoplayback"][-1].startswith("bytes=30000-")


def test_rejected_video_is_not_downloaded(client: YtDlpClient, world: Any, video: str, tmp_path: Path) -> None:
    with pytest.raises(FilteredOut) as caught:
        client.download(WATCH + video, tmp_path / "staging", lambda info: "no_match")
    assert (caught.value.reason, caught.value.info["id"]) == ("no_match", video)
    assert not world.media_requests()


FAULTS = {
    "stall": ({"kind": "stall"}, ("timeout", "soon")),
    "trickle": ({"kind": "trickle"}, ("deadline", "soon")),
    "reset": ({"kind": "reset"}, ("transport", "soon")),
    "403": ({"status": 403}, ("http_403", "soon")),
    "404": ({"status": 404}, ("media_gone", "later")),
    "429": ({"status": 429}, ("rate_limit", "pause")),
    "500": ({"status": 500}, ("http_5xx", "soon")),
    "503": ({"status": 503}, ("http_5xx", "soon")),
}


@pytest.mark.parametrize("name", FAULTS)
def test_media_fault_is_classified(client: YtDlpClient, world: Any, video: str, tmp_path: Path, name: str) -> None:
    fault, expected = FAULTS[name]
    world.faults.append({"path": "/videoplayback", **fault})
    world.save()
    assert failure(client, video, tmp_path / "staging") == expected


BLOCKED_IN_COUNTRY = "The uploader has not made this video available in your country"
BLOCKED_BY_COPYRIGHT = "This video contains content from X, who has blocked it on copyright grounds"
PLAYER_ERRORS = {
    "private": ("LOGIN_REQUIRED", "Private video", None, "never"),
    "removed": ("ERROR", "Video unavailable", "This video has been removed by the uploader", "never"),
    "geo": ("UNPLAYABLE", "Video unavailable", BLOCKED_IN_COUNTRY, "never"),
    "copyright": ("ERROR", "Video unavailable", BLOCKED_BY_COPYRIGHT, "never"),
    "inappropriate": (
        "UNPLAYABLE",
        "This video has been identified by the YouTube community as inappropriate or offensive to some audiences.",
        None,
        "never",
    ),
    "age": (
        "LOGIN_REQUIRED",
        "Sign in to confirm your age",
        "This video may be inappropriate for some users.",
        "never",
    ),
    "members": ("UNPLAYABLE", "Join this channel to get access to members-only content like this video", None, "never"),
    "paid": ("UNPLAYABLE", "This video requires payment to watch", None, "never"),
    "bot": ("LOGIN_REQUIRED", "Sign in to confirm you’re not a bot", None, "pause"),
    "rate_limit": ("UNPLAYABLE", "This content isn’t available, try again later.", None, "pause"),
    "live": ("LIVE_STREAM_OFFLINE", "Premieres in 3 hours", None, "later"),
    "unavailable": ("ERROR", "Video unavailable", None, "later"),
}


@pytest.mark.parametrize("reason", PLAYER_ERRORS)
def test_error_of_the_player_is_classified(
    client: YtDlpClient, world: Any, video: str, tmp_path: Path, reason: str
) -> None:
    status, message, details, action = PLAYER_ERRORS[reason]
    world.videos[video] |= {"status": status, "reason": message, "subreason": details}
    world.save()
    assert failure(client, video, tmp_path / "staging") == ("age" if reason == "inappropriate" else reason, action)


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ({"path": "/player", "status": 429, "headers": {"Retry-After": "90"}}, "rate_limit"),
        ({"path": "/player", "status": 403}, "blocked"),
        ({"path": "/player", "status": 500}, "http_5xx"),
        ({"path": "/player", "status": 400}, "youtube_4xx"),
        ({"path": "/player", "status": 404}, "youtube_4xx"),
    ],
)
def test_status_that_yt_dlp_does_not_raise_is_classified(
    client: YtDlpClient, world: Any, video: str, tmp_path: Path, fault: dict[str, Any], expected: str
) -> None:
    world.faults.append(fault)
    world.save()
    with pytest.raises(CallFailed) as caught:
        client.download(WATCH + video, tmp_path / "staging", accept_all)
    assert caught.value.failure.reason == expected
    assert caught.value.failure.retry_after_seconds == (90.0 if expected == "rate_limit" else None)


def test_page_without_formats_is_an_extractor_failure(
    client: YtDlpClient, world: Any, video: str, tmp_path: Path
) -> None:
    world.videos[video]["no_formats"] = True
    world.save()
    assert failure(client, video, tmp_path / "staging") == ("extractor", "soon")


@pytest.mark.parametrize("content", [b"<html>Please accept cookies</html>" * 400, b"\x89PNG\r\n\x1a\n" + b"0" * 9000])
def test_page_or_image_served_as_audio_is_bad_audio(
    client: YtDlpClient, world: Any, video: str, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "wrong.webm").write_bytes(content)
    world.videos[video]["audio"] = str(tmp_path / "wrong.webm")
    world.save()
    assert failure(client, video, tmp_path / "staging") == ("bad_audio", "soon")


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_truncated_file_is_bad_audio(client: YtDlpClient, world: Any, video: str, tmp_path: Path, share: float) -> None:
    data = Path(world.videos[video]["audio"]).read_bytes()
    (tmp_path / "half.webm").write_bytes(data[: int(len(data) * share)])
    world.videos[video]["audio"] = str(tmp_path / "half.webm")
    world.save()
    assert failure(client, video, tmp_path / "staging") == ("bad_audio", "soon")


def test_file_beyond_the_size_limit_is_not_downloaded(world: Any, video: str, tmp_path: Path) -> None:
    client = YtDlpClient(tmp_path / "cache", Pace(0.0), max_bytes=10_000)
    assert failure(client, video, tmp_path / "staging") == ("too_large", "never")
    client.close()


def test_live_video_is_rejected_by_its_page(client: YtDlpClient, world: Any, video: str, tmp_path: Path) -> None:
    world.videos[video]["live"] = "is_live"
    world.save()
    with pytest.raises(FilteredOut) as caught:
        client.download(WATCH + video, tmp_path / "staging", lambda info: info.get("live_status"))
    assert caught.value.reason == "is_live"


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.timeout(1200)
def test_memory_stays_constant_over_many_videos(client: YtDlpClient, world: Any, tmp_path: Path) -> None:
    ids = [world.add_video(f"{n:011d}", f"Cue {n}", channel="Ann - Topic", tone=0) for n in range(VIDEOS)]
    for video_id in random.Random(1).sample(ids, VIDEOS // 5):
        world.videos[video_id] |= {"status": "LOGIN_REQUIRED", "reason": "Private video"}
    world.save()
    memory_bytes, downloaded = [], 0
    for video_id in ids:
        try:
            client.download(WATCH + video_id, tmp_path / "staging" / video_id, accept_all)
            downloaded += 1
        except CallFailed as error:
            assert error.failure.reason == "private"
        memory_bytes.append(resident_bytes())
    assert downloaded == VIDEOS - VIDEOS // 5
    # What a video leaves behind shows in every quarter; a page of the allocator or a late import in one of them.
    quarters = [memory_bytes[(quarter + 1) * VIDEOS // 4 - 1] for quarter in range(4)]
    assert min(after - before for before, after in pairwise(quarters)) < 100 * 1024 * VIDEOS // 4
