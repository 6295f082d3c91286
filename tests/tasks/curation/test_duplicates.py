"""A recording is kept under one film only: the earliest of those whose tracks have the same bytes, upload or sound."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from needledrop.demo.films import invent_films
from needledrop.demo.music.score import compose
from needledrop.demo.music.synthesis import perform
from storage.mels.settings import MelSettings
from tasks.curation.candidates import Snapshot
from tasks.curation.duplicates import find_recordings
from tasks.soundtracks.audio.decode import Samples
from tasks.soundtracks.audio.fingerprint import CONTOUR_BANDS, HEADER, MAGIC, TIME_BITS, VERSION, fingerprint
from tasks.soundtracks.audio.melspectrogram import segment_mels

if TYPE_CHECKING:
    from tests.lakes import SmallLake
    from tests.tasks.curation.conftest import Selection

Select = Callable[..., "Selection"]


def test_a_recording_of_two_films_is_kept_under_the_earlier_one(small_lake: SmallLake, select: Select) -> None:
    small_lake.tracks["wiki-09", "folder:9-0"]["audio_sha256"] = "the same"
    small_lake.tracks["wiki-02", "folder:2-1"]["audio_sha256"] = "the same"
    exclusions = select(small_lake.committed()).exclusions
    assert exclusions["track", "wiki-09/folder:9-0"] == ("same_audio", "wiki-02/folder:2-1")
    assert ("track", "wiki-02/folder:2-1") not in exclusions


def test_an_upload_taken_for_two_films_is_kept_under_one(small_lake: SmallLake, select: Select) -> None:
    small_lake.add_track("wiki-09", "folder:2-0", 6)
    track_ids = [track.split("/")[1] for track in select(small_lake.committed()).tracks]
    assert len(track_ids) == len(set(track_ids))


def test_a_film_whose_recordings_are_all_duplicates_is_excluded(small_lake: SmallLake, select: Select) -> None:
    for index in range(2):
        sound = small_lake.tracks["wiki-02", f"folder:2-{index}"]["audio_sha256"]
        small_lake.tracks["wiki-09", f"folder:9-{index}"]["audio_sha256"] = sound
    exclusions = select(small_lake.committed()).exclusions
    assert exclusions["film", "wiki-09"][0] == "only_duplicates"
    assert exclusions["track", "wiki-09/folder:9-0"][0] in ("same_audio", "film_excluded")


def test_a_recording_is_kept_under_the_later_film_if_the_earlier_is_excluded(
    small_lake: SmallLake, select: Select
) -> None:
    small_lake.films["wiki-02"]["tags"] = ["Lone films"]
    small_lake.tracks["wiki-02", "folder:2-1"]["audio_sha256"] = "the same"
    small_lake.tracks["wiki-09", "folder:9-0"]["audio_sha256"] = "the same"
    assert "wiki-09/folder:9-0" in select(small_lake.committed()).tracks


RATE = 22_050


@cache
def theme(film: int, number: int = 1) -> Samples:
    """Return half a minute of a film's music, mono."""
    return perform(compose(invent_films(5, 1)[film], number, 30.0), RATE).mean(axis=0)


def printed(samples: Samples) -> bytes:
    """Return a recording's fingerprint."""
    return fingerprint(segment_mels([samples], MelSettings(), "a"), MelSettings())


def with_lead_in(samples: Samples, seconds: float) -> Samples:
    hiss = np.random.default_rng(1).normal(0, 0.01, round(seconds * RATE))
    return np.concatenate([hiss, samples]).astype(np.float32)


RuleOf = Callable[..., str | None]


@pytest.fixture
def rule_of(small_lake: SmallLake, select: Select) -> RuleOf:
    """Return a function that fingerprints each film's first recording and returns the rule that excludes the last."""

    def find(*fingerprints: bytes) -> str | None:
        for number, stored in enumerate(fingerprints):
            small_lake.tracks[f"wiki-{number:02d}", f"folder:{number}-0"]["fingerprint"] = stored
        last = len(fingerprints) - 1
        exclusions = select(small_lake.committed()).exclusions
        return exclusions.get(("track", f"wiki-{last:02d}/folder:{last}-0"), (None,))[0]

    return find


@pytest.mark.parametrize("seconds", [0.0, 0.05, 0.7777, 10.0])
def test_a_copy_with_another_lead_in_and_level_is_a_duplicate(rule_of: RuleOf, seconds: float) -> None:
    assert rule_of(printed(theme(0)), printed(0.7 * with_lead_in(theme(0), seconds))) == "same_sound"


def test_a_recording_cut_at_both_ends_is_a_duplicate(rule_of: RuleOf) -> None:
    assert rule_of(printed(theme(1)), printed(theme(1)[3 * RATE : 25 * RATE])) == "same_sound"


def test_other_music_is_no_duplicate(rule_of: RuleOf) -> None:
    assert rule_of(printed(theme(0)), printed(theme(0, 2)), printed(theme(3)), printed(theme(0, 3))) is None


def test_silence_makes_no_duplicate(rule_of: RuleOf) -> None:
    silence = np.zeros(20 * RATE, np.float32)
    beginnings = [np.concatenate([theme(film)[: 2 * RATE], silence]) for film in (0, 1)]
    assert rule_of(b"", b"", *map(printed, beginnings)) is None


def test_a_recording_whose_fingerprint_is_of_an_older_version_is_compared_by_bytes_only(rule_of: RuleOf) -> None:
    older = np.arange(1, 200, dtype="<u4").tobytes()
    assert rule_of(older, older) is None


def test_fingerprints_of_two_versions_are_never_compared(rule_of: RuleOf) -> None:
    made = printed(theme(0))
    before = HEADER.pack(MAGIC, VERSION - 1, HEADER.unpack_from(made)[2]) + made[HEADER.size :]
    assert rule_of(before, made) is None
    assert rule_of(made, made) == "same_sound"


def test_being_a_duplicate_is_transitive(rule_of: RuleOf, small_lake: SmallLake) -> None:
    # Film 2 has the bytes of film 1, and film 1 the sound of film 0.
    small_lake.tracks["wiki-01", "folder:1-0"]["audio_sha256"] = "the same"
    small_lake.tracks["wiki-02", "folder:2-0"]["audio_sha256"] = "the same"
    assert rule_of(printed(theme(0)), printed(with_lead_in(theme(0), 1.0)), printed(theme(7))) == "same_sound"


def test_fingerprints_of_many_times_the_memory_limit_are_compared(tmp_path: Path) -> None:
    count, contour = 2_000, bytes(len(CONTOUR_BANDS) - 1) * 2_000
    names = [str(number) for number in range(count)]
    hashes = np.random.default_rng(1).integers(0, 1 << 40, (count, 4), dtype=np.uint64) << np.uint64(TIME_BITS)
    prints = [HEADER.pack(MAGIC, VERSION, 4) + row.astype("<u8").tobytes() + contour for row in hashes]
    tracks = pa.table({"film_id": names, "track_id": names, "audio_sha256": names, "fingerprint": prints})
    pq.write_table(tracks, tmp_path / "tracks.parquet", row_group_size=100)
    snapshot = Snapshot("", "", f"read_parquet('{tmp_path / 'tracks.parquet'}')", "", (), frozenset(), frozenset())
    assert tracks.nbytes > 50 << 20
    with duckdb.connect(config={"memory_limit": "24MB", "temp_directory": "", "threads": 1}) as connection:
        connection.register("usable_tracks", tracks.drop(["fingerprint"]))
        find_recordings(connection, snapshot)
        assert connection.execute("SELECT count(DISTINCT recording) FROM recordings").fetchone() == (count,)
