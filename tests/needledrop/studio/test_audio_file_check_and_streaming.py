"""The sound of a track: in ranges, as a browser can play it, and only from the file that was indexed."""

from __future__ import annotations

import io
import shutil
import wave
from collections.abc import Mapping
from pathlib import Path

import av
import numpy as np
import pytest
from starlette.testclient import TestClient

from needledrop.studio.api_responses import Refusal
from needledrop.studio.audio_file_check_and_streaming import read_range
from tests.needledrop.studio.conftest import FORMATS, SECONDS, Own, write_tone

Ids = Mapping[str, str]


def sound(client: TestClient, track_id: str, **headers: str) -> tuple[int, bytes, Mapping[str, str]]:
    answer = client.get(
        f"/api/tracks/{track_id}/audio", headers={name.replace("_", "-"): v for name, v in headers.items()}
    )
    return answer.status_code, answer.content, answer.headers


@pytest.mark.parametrize("name", ["plain.wav", "lossless.flac", "lossy.mp3", "free.opus"])
def test_what_browsers_play_is_sent_as_it_is(client: TestClient, track_ids: Ids, indexed: Path, name: str) -> None:
    status, body, headers = sound(client, track_ids[name])
    assert (status, body) == (200, (indexed / "Music" / name).read_bytes())
    assert headers["Content-Type"].startswith("audio/")
    assert headers["Accept-Ranges"] == "bytes"


@pytest.mark.parametrize("name", ["deep.wav", "apple.m4a", "big-endian.aiff"])
def test_what_browsers_do_not_play_is_sent_as_wav(client: TestClient, track_ids: Ids, indexed: Path, name: str) -> None:
    status, body, headers = sound(client, track_ids[name])
    assert (status, headers["Content-Type"], len(body)) == (200, "audio/wav", int(headers["Content-Length"]))
    with wave.open(io.BytesIO(body)) as made:
        assert (made.getsampwidth(), made.getnchannels(), made.getframerate()) == (2, 2, FORMATS[name][1])
        assert made.getnframes() / made.getframerate() == pytest.approx(SECONDS, abs=0.01)
        heard = np.frombuffer(made.readframes(made.getnframes()), "<i2")[::2] / 32_768
    with av.open(str(indexed / "Music" / name)) as source:
        fitting = av.AudioResampler("fltp", "stereo", FORMATS[name][1])
        frames = [one for frame in source.decode(audio=0) for one in fitting.resample(frame)]
    meant = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    assert np.abs(heard[: len(meant)] - meant[: len(heard)]).max() < 1e-3


@pytest.mark.parametrize("name", ["deep.wav", "apple.m4a", "big-endian.aiff"])
@pytest.mark.parametrize("share", [0.0, 0.31, 0.77])
def test_a_range_of_a_transcoded_track_is_that_of_the_whole(
    client: TestClient, track_ids: Ids, name: str, share: float
) -> None:
    _, whole, _ = sound(client, track_ids[name])
    first = int(len(whole) * share) + 3
    status, part, headers = sound(client, track_ids[name], Range=f"bytes={first}-{first + 99_999}")
    assert (status, headers["Content-Range"]) == (206, f"bytes {first}-{first + 99_999}/{len(whole)}")
    assert part == whole[first : first + 100_000]


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes=0-", (0, 1000)), ("bytes=0-0", (0, 1)), ("bytes=999-", (999, 1000)), ("bytes=-1", (999, 1000)),
        ("bytes=-5000", (0, 1000)), ("bytes=500-5000", (500, 1000)), ("BYTES=1-2", (1, 3)), ("bytes= 1 - 2", (1, 3)),
        ("bytes=5-" + "9" * 5_000, (5, 1000)), (f"bytes=-{9 * 10**30}", (0, 1000)),
        (None, None), ("", None), ("bytes", None), ("bytes=", None), ("bytes=-", None), ("bytes=5-2", None),
        ("bytes=a-b", None), ("items=0-5", None), ("bytes=0-1,5-6", None), ("bytes=--5", None), ("bytes=1.5-2", None),
    ],
)  # fmt: skip
def test_a_range_is_read_as_the_standard_says(header: str | None, expected: tuple[int, int] | None) -> None:
    assert read_range(header, 1000) == expected


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=5000-6000", "bytes=-0", f"bytes={9 * 10**30}-"])
def test_a_range_after_the_end_is_refused(client: TestClient, track_ids: Ids, header: str) -> None:
    with pytest.raises(Refusal):
        read_range(header, 1000)
    if header in ("bytes=-0", f"bytes={9 * 10**30}-"):
        status, _, headers = sound(client, track_ids["plain.wav"], Range=header)
        assert status == 416
        assert headers["Content-Range"].startswith("bytes */")


def test_the_headers_alone_and_conditions_are_answered(client: TestClient, track_ids: Ids) -> None:
    path = f"/api/tracks/{track_ids['plain.wav']}/audio"
    head = client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    tag, size = head.headers["ETag"], int(head.headers["Content-Length"])
    assert client.head(path.removesuffix("/audio")).status_code == 200
    assert client.head("/api/tracks/absent/audio").status_code == 404
    part = client.head(path, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.headers["Content-Length"]) == (206, "10")
    assert client.get(path, headers={"If-None-Match": tag}).status_code == 304
    assert client.get(path, headers={"Range": "bytes=0-9", "If-Range": tag}).status_code == 206
    changed = client.get(path, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert (changed.status_code, len(changed.content)) == (200, size)


@pytest.mark.parametrize(
    "track_id",
    ["../../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e", "/etc/passwd", "plain.wav", "a%00b", "x" * 3000,
     "' OR 1=1 --", "dataset:x"],
)  # fmt: skip
def test_an_id_that_is_no_track_finds_nothing(client: TestClient, track_id: str) -> None:
    for ending in ("/audio", "/energy", ""):
        answer = client.get(f"/api/tracks/{track_id}{ending}")
        assert answer.status_code == 404
        assert "root:" not in answer.text


def test_a_file_with_new_tags_is_played_and_another_recording_is_not(own: Own, track_ids: Ids, tmp_path: Path) -> None:
    path = own.music / "lossless.flac"
    retagged = tmp_path / "retagged.flac"
    with av.open(str(path)) as source, av.open(str(retagged), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        target.metadata["title"] = "Renamed"
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    shutil.copyfile(retagged, path)
    assert sound(own.client, track_ids["lossless.flac"])[0] == 200
    write_tone(path, "flac", 44_100, "s16", 3_000)
    status, body, _ = sound(own.client, track_ids["lossless.flac"])
    assert status == 409
    assert b"has changed since it was indexed" in body


def test_a_link_that_was_turned_elsewhere_is_not_followed(own: Own, track_ids: Ids, tmp_path: Path) -> None:
    outside = tmp_path / "outside.wav"
    shutil.move(own.music / "plain.wav", outside)
    (own.music / "plain.wav").symlink_to(outside)
    status, body, _ = sound(own.client, track_ids["plain.wav"])
    assert (status, b"leads out of the library" in body) == (403, True)
    inside = own.music / "moved.wav"
    shutil.move(outside, inside)
    (own.music / "plain.wav").unlink()
    (own.music / "plain.wav").symlink_to(inside)
    assert sound(own.client, track_ids["plain.wav"])[0] == 200


def test_a_folder_of_a_path_that_was_replaced_by_a_link_is_not_followed(
    own: Own, track_ids: Ids, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    shutil.move(own.music, elsewhere)
    own.music.mkdir()
    (own.music / "plain.wav").mkdir()
    assert sound(own.client, track_ids["plain.wav"])[0] == 404
    (own.music / "plain.wav").rmdir()
    (own.music / "plain.wav").symlink_to(elsewhere / "plain.wav")
    assert sound(own.client, track_ids["plain.wav"])[0] == 403


def test_what_is_gone_is_a_sentence_with_its_status(own: Own, track_ids: Ids) -> None:
    (own.music / "plain.wav").unlink()
    status, body, _ = sound(own.client, track_ids["plain.wav"])
    assert (status, b"is not in the folder Music any more" in body) == (404, True)
    shutil.rmtree(own.music)
    status, body, _ = sound(own.client, track_ids["deep.wav"])
    assert (status, b"is not mounted on this machine" in body) == (503, True)
    assert str(own.music).encode() not in body
    music = own.client.get("/api/about").json()["music"]
    assert "not mounted" in music[0]["note"]


def test_energy_is_a_value_per_second(client: TestClient, track_ids: Ids) -> None:
    found = client.get(f"/api/tracks/{track_ids['plain.wav']}/energy").json()
    assert found["seconds"] == pytest.approx(SECONDS, abs=0.1)
    assert len(found["decibels"]) == pytest.approx(SECONDS, abs=1)
    assert max(found["decibels"]) == pytest.approx(max(found["decibels"][10:20]))
