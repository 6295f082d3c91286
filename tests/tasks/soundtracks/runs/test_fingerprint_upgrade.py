"""Fingerprints that an earlier version made are made again from the mels, once, and interrupted runs go on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from needledrop.cli.main import app
from storage.coordination.leases import LeaseKeeper
from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import MelSettings, shard_path
from storage.mels.writer import write_shard
from storage.tables import tables
from storage.tables.schemas import TRACKS
from tasks.progress import no_progress
from tasks.soundtracks.audio.fingerprint import HEADER, MAGIC, VERSION, decode, fingerprint
from tasks.soundtracks.audio.melspectrogram import segment_mels
from tasks.soundtracks.runs import fingerprint_upgrade
from tasks.soundtracks.runs.fingerprint_upgrade import bring_up_to_date, make_fingerprints

SETTINGS = MelSettings()
OLD = np.arange(1, 60, dtype="<u4").tobytes()
"""Of the version that compared words of half a second at equal positions."""
LAST = HEADER.pack(MAGIC, VERSION - 1, 2) + bytes(2 * 8 + 19 * 60)
"""Of the version before this one."""


def noise(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 0.1, 22_050 * 21) * np.repeat(rng.random(42), 11_025)).astype(np.float32)


@pytest.fixture
def old_lake(lake: Lake) -> Lake:
    """Two films with two recordings each, whose fingerprints are old, missing, or of silence."""
    for film, stored in ((1, (OLD, None)), (2, (b"", LAST))):
        shard = shard_path(f"enwiki-{film}", 2015)
        rows = [
            {"film_id": f"enwiki-{film}", "track_id": f"folder:{n}", "shard": shard, "segments": 2, "decision": "taken",
             "score_parts": {"title": 1.0}, "fingerprint": one}
            for n, one in enumerate(stored)
        ]  # fmt: skip
        with write_shard(lake, f"enwiki-{film}", 2015, SETTINGS) as writer:
            for n, row in enumerate(rows):
                writer.append(row["track_id"], segment_mels([noise(10 * film + n)], SETTINGS, "a"))
            writer.finish(rows)
        tables.append(lake, TRACKS, rows, "old")
    return lake


def stored(lake: Lake) -> Sequence[bytes]:
    return tables.latest(lake, TRACKS, ["fingerprint"])["fingerprint"].to_pylist()


def test_a_collection_run_makes_them_once_and_then_reads_only_the_marker(old_lake: Lake) -> None:
    assert bring_up_to_date(old_lake, "first", no_progress) == 3
    [row] = [row for row in tables.latest(old_lake, TRACKS).to_pylist() if row["track_id"] == "folder:0"][:1]
    tables.append(old_lake, TRACKS, [{**row, "fingerprint": OLD, "run_id": None, "recorded_at": None}], "later")
    assert bring_up_to_date(old_lake, "second", no_progress) == 0


def test_a_film_that_another_holds_is_made_by_a_later_run(old_lake: Lake) -> None:
    with LeaseKeeper(old_lake) as other:
        assert other.acquire("enwiki-2", on_wait=lambda _: None)
        assert bring_up_to_date(old_lake, "first", no_progress) == 2
    assert bring_up_to_date(old_lake, "second", no_progress) == 1


def test_what_is_missing_is_made_from_the_mels_and_a_second_run_changes_nothing(old_lake: Lake) -> None:
    assert make_fingerprints(old_lake, "new", no_progress).tracks == 3
    expected = [fingerprint(segment_mels([noise(n)], SETTINGS, "a"), SETTINGS) for n in (10, 11, 21)]
    assert stored(old_lake) == [*expected[:2], b"", expected[2]]
    before = tables.parts(old_lake, TRACKS)
    assert make_fingerprints(old_lake, "again", no_progress).tracks == 0
    assert tables.parts(old_lake, TRACKS) == before


def test_other_columns_of_a_row_stay(old_lake: Lake) -> None:
    columns = ["film_id", "track_id", "shard", "segments", "decision", "score_parts"]
    before = tables.latest(old_lake, TRACKS, columns)
    make_fingerprints(old_lake, "new", no_progress)
    assert tables.latest(old_lake, TRACKS, columns) == before


def test_an_interrupted_run_goes_on_where_it_was(old_lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprint_upgrade, "FILMS_PER_BATCH", 1)

    def interrupt(_description: str, completed: int, _total: int) -> None:
        if completed == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_fingerprints(old_lake, "first", interrupt)
    assert [decode(one or b"") is not None for one in stored(old_lake)] == [True, True, False, False]
    assert make_fingerprints(old_lake, "second", no_progress).tracks == 1


def test_a_film_that_another_holds_and_a_damaged_shard_are_named_and_the_rest_is_done(old_lake: Lake) -> None:
    Path(old_lake.root, shard_path("enwiki-2", 2015)).write_bytes(b"damaged")
    with LeaseKeeper(old_lake) as other:
        assert other.acquire("enwiki-1")
        done = make_fingerprints(old_lake, "new", no_progress)
    assert (done.tracks, done.held) == (0, ["enwiki-1"])
    assert "enwiki-2" in done.unreadable[0]
    assert make_fingerprints(old_lake, "new", no_progress).tracks == 2


def test_the_command_says_what_it_did_and_what_is_left(old_lake: Lake) -> None:
    result = CliRunner().invoke(app, ["fingerprint", "--lake", old_lake.root])
    assert result.output.splitlines()[-1] == "Made the fingerprints of 3 tracks"
    assert result.exit_code == 0
