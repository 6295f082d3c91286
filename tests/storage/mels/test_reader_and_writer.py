"""A shard gives back what was written, to any reader; a damaged or foreign one is refused by name."""

import subprocess
import sys

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from storage.errors import InputError, LakeError
from storage.mels.layout import shard_path
from storage.mels.reader import MelReader
from storage.mels.settings import MelSettings, decibels
from storage.mels.verify import recorded_tracks, shard_damage
from storage.mels.writer import TrackMels, read_tracks, write_shard
from storage.tables import tables
from storage.tables.schemas import TRACKS

SETTINGS = MelSettings()


@pytest.fixture
def lake(tmp_path):
    return tables.open_tables(str(tmp_path / "lake"))


def random_mels(count, settings=SETTINGS, seed=0):
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, 256, (count, *settings.shape)).astype(settings.dtype)
    level, zeros = rng.uniform(-20, 30, count).astype(np.float32), np.zeros(count, np.float32)
    return TrackMels(stored, level, zeros + 0.5, zeros > 1, zeros, zeros)


def write(lake, film_id="enwiki-1", tracks=(3, 2), settings=SETTINGS, seed=0):
    """Writes one shard; returns its path and all its mels."""
    shard, rows, written = shard_path(film_id, 2020), [], []
    with write_shard(lake, film_id, 2020, settings) as writer:
        for number, count in enumerate(tracks):
            track = random_mels(count, settings, seed + number)
            row = {"film_id": film_id, "track_id": f"m:{number}", "shard": shard, "segments": count}
            rows.append({**row, "audio_sha256": "ab", "first_row": writer.append(f"m:{number}", track)})
            written.append(track)
        writer.finish(rows)
    tables.append(lake, TRACKS, rows, "run")
    return shard, written


@pytest.mark.parametrize("settings", [SETTINGS, MelSettings(encoding="float16")])
def test_a_batch_holds_what_was_written(lake, settings):
    one, mels_one = write(lake, "enwiki-1", (3, 2), settings)
    two, mels_two = write(lake, "enwiki-2", (300,), settings, seed=5)
    reader = MelReader(lake, [one, two], settings)
    positions = reader.locate([two, one, two, one], [299, 4, 0, 0])
    out = np.empty((4, *settings.shape), settings.dtype)
    reader.gather(positions, out)
    expected = [mels_two[0].stored[299], mels_one[1].stored[1], mels_two[0].stored[0], mels_one[0].stored[0]]
    assert np.array_equal(out, np.stack(expected))
    assert reader.ref_db[positions[0]] == mels_two[0].ref_db[299]


def test_a_float16_shard_holds_decibels_and_a_uint8_shard_steps_below_the_maximum():
    steps = np.array([0, 255], np.uint8).reshape(1, 1, 2)
    assert decibels(steps, np.float32([10]), SETTINGS).ravel().tolist() == [-70, 10]
    halves = np.array([-3.5], np.float16).reshape(1, 1, 1)
    assert decibels(halves, np.float32([10]), MelSettings(encoding="float16")).item() == -3.5


def test_duckdb_reads_the_same_bytes(lake):
    _, written = write(lake)
    query = (
        "SELECT year, film_id, track_id, segment, file_row_number, mel "
        "FROM read_parquet(?, hive_partitioning = true, file_row_number = true) WHERE track_id = 'm:1' AND segment = 1"
    )
    [row] = duckdb.connect().execute(query, [lake.uri("mels") + "/*/*.parquet"]).fetchall()
    assert row[:5] == (2020, "enwiki-1", "m:1", 1, 4)
    assert row[5] == written[1].stored[1].tobytes()


def test_a_segment_takes_little_more_than_its_bytes(lake):
    shard, _ = write(lake, tracks=(18,) * 8)
    assert lake.size_bytes(shard) / (18 * 8) < 127_900


def test_the_tracks_rows_travel_with_the_shard(lake):
    shard, _ = write(lake)
    assert [row["first_row"] for row in read_tracks(lake, shard)] == [0, 3]


def test_nothing_is_committed_when_writing_fails(lake):
    with pytest.raises(RuntimeError), write_shard(lake, "enwiki-1", 2020, SETTINGS) as writer:
        writer.append("m:0", random_mels(2))
        raise RuntimeError
    assert lake.list("mels") == []


def test_a_shard_of_other_parameters_is_refused(lake, monkeypatch):
    shard, _ = write(lake)
    with pytest.raises(LakeError, match="encoding='uint8'"):
        MelReader(lake, [shard], MelSettings(encoding="float16"))
    other = MelSettings()
    object.__setattr__(other, "hop_samples", 221)
    with pytest.raises(LakeError, match="hop_samples=220"):
        MelReader(lake, [shard], other)


def test_a_padding_policy_does_not_make_a_shard_foreign(lake):
    shard, _ = write(lake, settings=MelSettings(short_tracks="refuse"))
    assert len(MelReader(lake, [shard], SETTINGS)) == 5


def test_a_shard_that_another_program_rewrote_is_refused(lake):
    shard, _ = write(lake)
    path = lake.local_path(shard)
    pq.write_table(pq.read_table(path), path)
    with pytest.raises(LakeError, match="rewrote it"):
        MelReader(lake, [shard], SETTINGS)


def test_a_shard_or_a_row_that_is_not_there_is_named(lake):
    shard, _ = write(lake)
    with pytest.raises(LakeError, match=r"page=enwiki-9\.parquet is not in the lake"):
        MelReader(lake, [shard_path("enwiki-9", 2020)], SETTINGS)
    reader = MelReader(lake, [shard], SETTINGS)
    with pytest.raises(LakeError, match="has no row 5"):
        reader.locate([shard], [5])
    with pytest.raises(LakeError, match="was not opened"):
        reader.locate(["mels/year=2020/page=x.parquet"], [0])


@pytest.mark.parametrize("kept_bytes", [0, 3, 4000, 500_000, -1, -9, -2000])
def test_a_truncated_shard_is_refused(lake, kept_bytes):
    shard, _ = write(lake)
    path = lake.local_path(shard)
    path.write_bytes(path.read_bytes()[:kept_bytes])
    with pytest.raises(LakeError, match="cut short"):
        MelReader(lake, [shard], SETTINGS)


def test_any_flipped_bit_is_found(lake):
    shard, _ = write(lake, tracks=(2, 1))
    path = lake.local_path(shard)
    whole = path.read_bytes()
    recorded = recorded_tracks(lake)[shard]
    assert list(shard_damage(lake, shard, recorded, deep=True)) == []
    rng = np.random.default_rng(0)
    places = [*range(8), *rng.integers(0, len(whole), 150), *rng.integers(len(whole) - 3000, len(whole), 100)]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        assert list(shard_damage(lake, shard, recorded, deep=True)), place


def test_disagreement_with_the_tracks_table_is_found_and_nothing_is_repaired(lake):
    shard, _ = write(lake)
    row = {"film_id": "enwiki-1", "track_id": "m:1", "shard": shard, "first_row": 3, "segments": 1}
    tables.append(lake, TRACKS, [row], "later")
    before = lake.read_bytes(shard)
    [(what, _)] = shard_damage(lake, shard, recorded_tracks(lake)[shard], deep=False)
    assert what == "disagrees with the table tracks about track m:1"
    assert [what for what, _ in shard_damage(lake, shard, [], deep=False)] == [
        f"holds track m:{number}, which the table tracks lacks" for number in (0, 1)
    ]
    assert lake.read_bytes(shard) == before


def test_an_unknown_encoding_is_refused():
    with pytest.raises(InputError, match="uint8 or float16"):
        MelSettings(encoding="int4")


def test_more_shards_than_a_process_may_open_at_first(lake):
    shards = [write(lake, f"enwiki-{number}", tracks=(1,))[0] for number in range(1, 4)]
    program = (
        "from resource import *; setrlimit(RLIMIT_NOFILE, (64, getrlimit(RLIMIT_NOFILE)[1]))\n"
        "from storage.lake.lake import Lake; from storage.mels.settings import MelSettings\n"
        "from storage.mels.reader import MelReader\n"
        f"print(len(MelReader(Lake({lake.root!r}), {shards!r} * 40, MelSettings())))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "120", done.stderr
