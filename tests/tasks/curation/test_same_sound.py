"""Words are looked up without their place, in ranges that fit in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from tasks.curation import same_sound
from tasks.curation.same_sound import SortedRuns, find_same_sound
from tasks.soundtracks.audio.fingerprint import CONTOUR_BANDS, CONTOUR_STEP, HEADER, MAGIC, TIME_BITS, VERSION

MOMENTS, BANDS = 100, len(CONTOUR_BANDS) - 1
"""Of contours, half a minute."""


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
    monkeypatch.setattr(same_sound, "ENTRIES_PER_RANGE", request.param)
    monkeypatch.setattr(same_sound, "TRACKS_PER_READ", 3)
    monkeypatch.setattr(same_sound, "TRACKS_PER_RUN", 5)


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
    monkeypatch.setattr(same_sound, "ENTRIES_PER_RANGE", 100)
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
