"""A recording is kept under one film only: the earliest of those whose tracks have the same bytes, upload or sound.

Words are looked up without their place, in ranges that fit in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from storage.mels.settings_and_shard_format import MelSettings
from tasks.curation import duplicates
from tasks.curation.candidate_snapshot import Snapshot
from tasks.curation.duplicates import SortedRuns, find_recordings, find_same_sound
from tasks.soundtracks.audio.decode import Samples
from tasks.soundtracks.audio.fingerprint import (
    CONTOUR_BANDS,
    CONTOUR_STEP,
    HEADER,
    MAGIC,
    TIME_BITS,
    VERSION,
    fingerprint,
)
from tasks.soundtracks.audio.melspectrogram import segment_mels

if TYPE_CHECKING:
    from tests.lakes import SmallLake
    from tests.tasks.curation.conftest import Selection

Select = Callable[..., "Selection"]
MOMENTS, BANDS = 100, len(CONTOUR_BANDS) - 1
"""Of contours, half a minute."""


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


def made_up(recording: int, shift: int = 0, *, words: int = 200, common: Sequence[int] = ()) -> bytes:
    """Return a fingerprint of an invented recording, which begins so many moments later than the original."""
    rng = np.random.default_rng(recording)
    places = np.sort(rng.integers(0, MOMENTS * CONTOUR_STEP, words)).astype(np.uint64)
    hashes = rng.integers(0, 1 << 40, words, dtype=np.uint64)
    hashes[: len(common)] = common
    contour = rng.integers(100, 160, (MOMENTS, BANDS), dtype=np.uint8)
    before = np.zeros((shift, BANDS), np.uint8)
    stored = hashes << np.uint64(TIME_BITS) | (places + np.uint64(shift * CONTOUR_STEP))
    return HEADER.pack(MAGIC, VERSION, words) + stored.astype("<u8").tobytes() + before.tobytes() + contour.tobytes()


def found(*fingerprints: bytes) -> list[tuple[int, int]]:
    rows = pa.table({"item": pa.array(range(1, len(fingerprints) + 1), pa.int32()), "fingerprint": list(fingerprints)})
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        pairs = find_same_sound(connection, "SELECT item, fingerprint FROM rows").to_pylist()
    return [(pair["one"], pair["other"]) for pair in pairs]


@pytest.fixture(params=[4_000_000, 500], ids=["one range", "many ranges"])
def _ranges(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "ENTRIES_PER_RANGE", request.param)
    monkeypatch.setattr(duplicates, "TRACKS_PER_READ", 3)
    monkeypatch.setattr(duplicates, "TRACKS_PER_RUN", 5)


@pytest.mark.usefixtures("_ranges")
def test_copies_at_any_offset_are_found_among_others() -> None:
    assert found(*(made_up(n) for n in range(8)), made_up(3, 40), made_up(5, 2)) == [(4, 9), (6, 10)]


@pytest.mark.usefixtures("_ranges")
def test_all_of_many_copies_are_joined_through_each_other() -> None:
    copies = [made_up(1, shift) for shift in range(30)]
    pairs = found(*copies, made_up(2))
    reached = {1}
    for _ in range(30):
        reached |= {item for pair in pairs if reached & set(pair) for item in pair}
    assert reached == set(range(1, 31))


def test_words_that_all_tracks_have_join_none_and_cost_a_pair_each() -> None:
    common = range(1, 60)
    assert found(*(made_up(n, common=common) for n in range(40))) == []


def test_equal_words_with_another_contour_make_no_pair() -> None:
    contour = MOMENTS * BANDS
    assert found(made_up(1), made_up(1)[:-contour] + made_up(2)[-contour:]) == []


def test_ranges_give_every_entry_once_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "ENTRIES_PER_RANGE", 100)
    runs, rng = SortedRuns(tmp_path, "test"), np.random.default_rng(0)
    keys = [rng.integers(0, 1 << 62, 333, dtype=np.uint64) for _ in range(3)]
    for number, some in enumerate(keys):
        runs.add(some, np.full(333, number, np.int32))
    ranges = list(runs.ranges())
    assert len(ranges) > 5
    assert max(len(some) for some, _values in ranges) < 200
    assert np.array_equal(np.concatenate([some for some, _values in ranges]), np.sort(np.concatenate(keys)))


def test_no_recordings_make_no_pairs() -> None:
    assert found() == []
    assert found(b"", made_up(1)) == []
