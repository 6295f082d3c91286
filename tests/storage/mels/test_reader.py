"""A shard gives back what was written, to any reader; a damaged or incompatible one is refused by name."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest

from storage.errors import InputError, LakeError, NeedledropError
from storage.lake.lake import Lake
from storage.mels.reader import MelReader, TrackMels, decibels, read_tracks
from storage.mels.settings_and_shard_format import (
    MelSettings,
    film_id_of,
    lake_settings,
    list_shards,
    shard_path,
    year_of,
)
from storage.mels.verify_shards import recorded_tracks, shard_damage
from storage.mels.writer import write_shard
from storage.tables import tables
from storage.tables.schemas import TRACKS

SETTINGS = MelSettings()


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tables.open_tables(str(tmp_path / "lake"))


def random_mels(count: int, settings: MelSettings = SETTINGS, seed: int = 0) -> TrackMels:
    rng = np.random.default_rng(seed)
    stored = rng.integers(0, 256, (count, *settings.shape)).astype(settings.dtype)
    level, zeros = rng.uniform(-20, 30, count).astype(np.float32), np.zeros(count, np.float32)
    return TrackMels(stored, level, zeros + 0.5, zeros > 1, zeros, zeros)


def write(
    lake: Lake,
    film_id: str = "enwiki-1",
    tracks: tuple[int, ...] = (3, 2),
    settings: MelSettings = SETTINGS,
    seed: int = 0,
) -> tuple[str, list[TrackMels]]:
    """Write one shard; return its path and its mels."""
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
def test_a_reader_gathers_what_was_written(lake: Lake, settings: MelSettings) -> None:
    one, mels_one = write(lake, "enwiki-1", (3, 2), settings)
    two, mels_two = write(lake, "enwiki-2", (300,), settings, seed=5)
    reader = MelReader(lake, [one, two], settings)
    positions = reader.locate([two, one, two, one], [299, 4, 0, 0])
    out = np.empty((4, *settings.shape), settings.dtype)
    reader.gather(positions, out)
    expected = [mels_two[0].stored[299], mels_one[1].stored[1], mels_two[0].stored[0], mels_one[0].stored[0]]
    assert np.array_equal(out, np.stack(expected))
    assert reader.ref_db[positions[0]] == mels_two[0].ref_db[299]


def test_float16_values_are_decibels_and_uint8_values_are_steps_below_the_maximum() -> None:
    steps = np.array([0, 255], np.uint8).reshape(1, 1, 2)
    assert decibels(steps, np.float32([10]), SETTINGS).ravel().tolist() == [-70, 10]
    halves = np.array([-3.5], np.float16).reshape(1, 1, 1)
    assert decibels(halves, np.float32([10]), MelSettings(encoding="float16")).item() == -3.5


def test_duckdb_reads_the_same_bytes(lake: Lake) -> None:
    _, written = write(lake)
    query = (
        "SELECT year, film_id, track_id, segment, file_row_number, mel "
        "FROM read_parquet(?, hive_partitioning = true, file_row_number = true) WHERE track_id = 'm:1' AND segment = 1"
    )
    [row] = duckdb.connect().execute(query, [lake.uri("mels") + "/*/*.parquet"]).fetchall()
    assert row[:5] == (2020, "enwiki-1", "m:1", 1, 4)
    assert row[5] == written[1].stored[1].tobytes()


def test_a_segment_takes_little_more_than_its_bytes(lake: Lake) -> None:
    shard, _ = write(lake, tracks=(18,) * 8)
    assert lake.size_bytes(shard) / (18 * 8) < 127_900


def test_a_shard_carries_its_tracks_rows(lake: Lake) -> None:
    shard, _ = write(lake)
    assert [row["first_row"] for row in read_tracks(lake, shard)] == [0, 3]


def test_nothing_is_committed_when_writing_fails(lake: Lake) -> None:
    with pytest.raises(RuntimeError), write_shard(lake, "enwiki-1", 2020, SETTINGS) as writer:
        writer.append("m:0", random_mels(2))
        raise RuntimeError
    assert lake.list("mels") == []


def test_a_shard_without_finish_is_refused_and_not_committed(lake: Lake) -> None:
    with (
        pytest.raises(NeedledropError, match="call `finish`"),
        write_shard(lake, "enwiki-1", 2020, SETTINGS) as writer,
    ):
        writer.append("m:0", random_mels(2))
    assert lake.list("mels") == []


def test_a_shard_of_other_parameters_is_refused(lake: Lake) -> None:
    shard, _ = write(lake)
    with pytest.raises(LakeError, match="encoding='uint8'"):
        MelReader(lake, [shard], MelSettings(encoding="float16"))
    other = MelSettings()
    object.__setattr__(other, "hop_samples", 221)
    with pytest.raises(LakeError, match="hop_samples=220"):
        MelReader(lake, [shard], other)


def test_a_shard_with_another_treatment_of_short_tracks_is_compatible(lake: Lake) -> None:
    shard, _ = write(lake, settings=MelSettings(short_tracks="pad"))
    assert len(MelReader(lake, [shard], SETTINGS)) == 5


def test_a_shard_that_another_program_rewrote_is_refused(lake: Lake) -> None:
    shard, _ = write(lake)
    path = lake.local_path(shard)
    pq.write_table(pq.read_table(path), path)
    with pytest.raises(LakeError, match="rewrote it"):
        MelReader(lake, [shard], SETTINGS)


def test_a_missing_shard_or_row_is_named(lake: Lake) -> None:
    shard, _ = write(lake)
    with pytest.raises(LakeError, match=r"page=enwiki-9\.parquet is not in the lake"):
        MelReader(lake, [shard_path("enwiki-9", 2020)], SETTINGS)
    reader = MelReader(lake, [shard], SETTINGS)
    with pytest.raises(LakeError, match="has no row 5"):
        reader.locate([shard], [5])
    with pytest.raises(LakeError, match="was not opened"):
        reader.locate(["mels/year=2020/page=x.parquet"], [0])


@pytest.mark.parametrize("kept_bytes", [0, 3, 4000, 500_000, -1, -9, -2000])
def test_a_truncated_shard_is_refused(lake: Lake, kept_bytes: int) -> None:
    shard, _ = write(lake)
    path = lake.local_path(shard)
    path.write_bytes(path.read_bytes()[:kept_bytes])
    with pytest.raises(LakeError, match="cut short"):
        MelReader(lake, [shard], SETTINGS)


def test_any_flipped_bit_is_found(lake: Lake) -> None:
    shard, _ = write(lake, tracks=(2, 1))
    path = lake.local_path(shard)
    intact = path.read_bytes()
    recorded = recorded_tracks(lake)[shard]
    assert list(shard_damage(lake, shard, recorded, deep=True)) == []
    rng = np.random.default_rng(0)
    offsets = [*range(8), *rng.integers(0, len(intact), 150), *rng.integers(len(intact) - 3000, len(intact), 100)]
    for offset in offsets:
        damaged = bytearray(intact)
        damaged[offset] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        assert list(shard_damage(lake, shard, recorded, deep=True)), offset


def test_disagreement_with_the_tracks_table_is_found_and_nothing_is_repaired(lake: Lake) -> None:
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


def test_an_unknown_encoding_is_refused() -> None:
    with pytest.raises(InputError, match="uint8 or float16"):
        MelSettings(encoding="int4")  # type: ignore[arg-type]


def test_a_reader_raises_the_limit_of_open_files(lake: Lake) -> None:
    shards = [write(lake, f"enwiki-{number}", tracks=(1,))[0] for number in range(1, 4)]
    program = (
        "from resource import *; setrlimit(RLIMIT_NOFILE, (64, getrlimit(RLIMIT_NOFILE)[1]))\n"
        "from storage.lake.lake import Lake; from storage.mels.settings_and_shard_format import MelSettings\n"
        "from storage.mels.reader import MelReader\n"
        f"print(len(MelReader(Lake({lake.root!r}), {shards!r} * 40, MelSettings())))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "120", done.stderr


def test_the_path_of_a_shard_names_its_film_and_year(lake: Lake) -> None:
    shard, _ = write(lake, "dewiki-7")
    lake.write_bytes(b"not a shard", "mels", "notes.parquet")
    assert list_shards(lake) == [shard]
    assert (film_id_of(shard), year_of(shard)) == ("dewiki-7", 2020)
    with pytest.raises(LakeError, match="not the path of a mel shard"):
        film_id_of("mels/notes.parquet")


def test_the_settings_of_a_lake_are_those_of_its_first_readable_shard(lake: Lake) -> None:
    assert lake_settings(lake) is None
    chosen = MelSettings(encoding="float16", mel_scale="htk")
    first, _ = write(lake, "enwiki-1", settings=chosen)
    write(lake, "enwiki-2", settings=chosen)
    lake.local_path(first).write_bytes(b"damaged")
    assert lake_settings(lake) == chosen


def test_shards_of_two_mel_scales_are_not_read_together(lake: Lake) -> None:
    slaney, _ = write(lake, "enwiki-1")
    htk, _ = write(lake, "enwiki-2", settings=MelSettings(mel_scale="htk"))
    assert len(MelReader(lake, [htk], MelSettings(mel_scale="htk"))) == 5
    with pytest.raises(LakeError, match="mel_scale='htk', mel_norm='none'; use the same settings"):
        MelReader(lake, [slaney, htk], MelSettings())


def test_shards_state_the_parameters_that_earlier_versions_stated() -> None:
    assert hashlib.sha256(MelSettings().to_json()).hexdigest()[:12] == "eedd68ad14bd"


def test_short_tracks_are_refused_unless_padding_is_chosen() -> None:
    assert MelSettings().short_tracks == "refuse"
