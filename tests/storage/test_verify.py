"""`verify` finds all damage and names the file, the damage and the remedy."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pytest

from storage.datasets import versions as datasets
from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import shard_path
from storage.metrics.database import FILE, connect_metrics
from storage.metrics.record_measurements import record_ranks
from storage.tables import tables
from storage.tables.schemas import REVIEWS, TRACKS
from storage.tables.tables import MERGE_AT, replaced_by
from storage.takedown_list_and_erasure import blank_track
from storage.verify import file_count, verify
from tasks.curation.curate import curate
from tasks.curation.exclusions_and_splits import CurationSettings
from tests.lakes import LakeWithMels

DEFAULT = CurationSettings()


@pytest.fixture
def lake(lake_with_mels: LakeWithMels) -> Lake:
    lake = lake_with_mels.committed()
    curate(lake, DEFAULT, "run", charts=False)
    return lake


def damage(lake: Lake, path: str, at: float) -> None:
    """Change one byte at a fraction of the file's length."""
    file = Path(lake.root, path)
    content = bytearray(file.read_bytes())
    content[int(len(content) * at)] ^= 0xFF
    file.write_bytes(content)


def damaged_paths(lake: Lake, *, deep: bool = True) -> list[str]:
    return [damage.path for damage in verify(lake, deep=deep)]


def test_an_intact_lake_has_no_damage_and_every_file_is_checked(lake: Lake) -> None:
    checked: list[str] = []
    assert list(verify(lake, deep=True, on_file=checked.append)) == []
    assert len(checked) == file_count(lake)


def test_each_damaged_file_is_named_with_its_remedy(lake: Lake) -> None:
    version = datasets.current(lake)
    part, shard = tables.parts(lake, TRACKS)[-1], lake.list("mels")[2]
    Path(lake.root, part).write_bytes(b"PAR1 cut short")
    Path(lake.root, shard).write_bytes(b"")
    damage(lake, f"datasets/{version}/films.parquet", 0.5)
    damages = {damage.path: damage for damage in verify(lake)}
    assert set(damages) == {part, shard, f"datasets/{version}/films.parquet"}
    assert "collect" in damages[part].remedy
    assert "needledrop curate" in damages[f"datasets/{version}/films.parquet"].remedy


def test_one_changed_byte_in_a_shard_is_found(lake: Lake) -> None:
    damage(lake, lake.list("mels")[0], 0.5)
    assert damaged_paths(lake) == [lake.list("mels")[0]]


def test_a_missing_shard_that_a_version_needs_is_named(lake: Lake) -> None:
    shard = lake.list("mels")[0]
    lake.remove(shard)
    assert damaged_paths(lake) == [shard]


def test_a_missing_shard_that_only_the_tracks_table_lists_is_named(lake_with_mels: LakeWithMels) -> None:
    lake = lake_with_mels.committed()
    shard = lake.list("mels")[0]
    lake.remove(shard)
    assert damaged_paths(lake) == [shard]


def test_a_damaged_merged_part_is_named_and_the_rest_is_checked(lake: Lake) -> None:
    for number in range(MERGE_AT):
        tables.append(lake, REVIEWS, [{"film_id": f"wiki-{number}", "track_id": "a"}], "run")
    [merged] = [part for part in tables.parts(lake, REVIEWS) if "-from-" in part]
    Path(lake.root, merged).write_bytes(b"PAR1 cut short")
    replaced_by.cache_clear()
    with pytest.raises(LakeError, match=merged):
        tables.latest(lake, REVIEWS)
    shard = lake.list("mels")[0]
    lake.remove(shard)
    assert damaged_paths(lake) == [merged, shard]


def test_a_damaged_part_stops_its_compaction_and_no_row_is_lost(lake: Lake) -> None:
    first = str(tables.append(lake, REVIEWS, [{"film_id": "wiki-0", "track_id": "a"}], "run"))
    Path(lake.root, first).write_bytes(b"PAR1 cut short")
    with pytest.raises(LakeError, match=first):
        for _ in range(MERGE_AT):
            tables.append(lake, REVIEWS, [{"film_id": "wiki-1", "track_id": "b"}], "run")
    lake.remove(first)
    assert tables.latest(lake, REVIEWS)["film_id"].to_pylist() == ["wiki-1"]


def test_a_file_that_is_not_duckdb_is_named(lake: Lake) -> None:
    lake.write_bytes(b"hello" * 1000, FILE)
    assert damaged_paths(lake, deep=False) == [FILE]


def test_damage_deep_in_the_duckdb_file_is_named(lake: Lake) -> None:
    count = 100_000
    row = {"film_id": "wiki-0", "policy": "p", "rank_lo": 1, "rank_hi": 1, "score": 1.0, "candidates": 2}
    table = pa.table({name: [value] * count for name, value in row.items()})
    record_ranks(lake, "run", table.append_column("track_id", pa.array([os.urandom(8).hex() for _ in range(count)])))
    assert damaged_paths(lake) == []
    for percent in range(30, 90, 5):
        damage(lake, FILE, percent / 100)
    assert damaged_paths(lake) == [FILE]
    with pytest.raises(LakeError, match="damaged"), connect_metrics(lake) as connection:
        connection.execute("SELECT max(track_id) FROM ranks").fetchall()


def test_a_changed_manifest_is_found(lake: Lake) -> None:
    path = f"datasets/{datasets.current(lake)}/manifest.json"
    text = lake.read_bytes(path).decode()
    lake.write_bytes(text.replace('"films": 12', '"films": 13').encode(), path)
    assert damaged_paths(lake) == [path]


def test_any_damage_of_a_manifest_is_named_and_the_rest_is_checked(lake: Lake) -> None:
    path, shard = f"datasets/{datasets.current(lake)}/manifest.json", lake.list("mels")[0]
    intact = lake.read_bytes(path)
    lake.remove(shard)
    for old, new in ((b'"sha256"', b'"sha257"'), (b"tracks.parquet", b"trac{s.parquet"), (b"}", b""), (b"{", b"\xff")):
        lake.write_bytes(intact.replace(old, new), path)
        assert damaged_paths(lake) == [path, shard]
    with pytest.raises(LakeError, match="needledrop verify"):
        datasets.read_manifest(lake, path.split("/")[1])


def test_a_missing_file_of_a_version_is_named(lake: Lake) -> None:
    path = f"datasets/{datasets.current(lake)}/segments.parquet"
    lake.remove(path)
    assert damaged_paths(lake) == [path]


def test_curation_names_a_damaged_part_and_loses_nothing(lake_with_mels: LakeWithMels) -> None:
    lake = lake_with_mels.committed()
    part = tables.parts(lake, TRACKS)[-1]
    intact = Path(lake.root, part).read_bytes()
    Path(lake.root, part).write_bytes(intact[: len(intact) // 2])
    with pytest.raises(LakeError, match=part):
        curate(lake, DEFAULT, "run")
    assert datasets.names(lake) == []
    Path(lake.root, part).write_bytes(intact)
    assert curate(lake, DEFAULT, "run", charts=False).is_new


def extract_again(lake_with_mels: LakeWithMels, film: str, *, first: str) -> str:
    """Replace a film's shard and rows by new ones, with another track before the others."""
    shard = shard_path(film, lake_with_mels.films[film]["year"])
    rows = {key: row for key, row in lake_with_mels.tracks.items() if key[0] == film}
    for key, row in rows.items():
        lake_with_mels.tracks[key] = lake_with_mels.tracks.pop(key) | {"first_row": row["first_row"] + 3}
    later = {key: lake_with_mels.tracks.pop(key) for key in rows}
    lake_with_mels.add_track(film, first)
    lake_with_mels.tracks |= later
    lake_with_mels.lake.remove(shard)
    return shard


def test_a_shard_that_was_extracted_again_since_a_version_is_named(lake_with_mels: LakeWithMels) -> None:
    lake = lake_with_mels.committed()
    old = curate(lake, DEFAULT, "run", charts=False).version
    shard = extract_again(lake_with_mels, "wiki-03", first="folder:new")
    lake_with_mels.committed("second")
    new = curate(lake, DEFAULT, "run", charts=False).version
    [damaged] = verify(lake)
    assert damaged.path == shard
    assert f"2 tracks where version {old}" in damaged.what
    assert "folder:3-0" in damaged.what
    assert new != old and "needledrop curate" in damaged.remedy


def test_a_takedown_leaves_every_version_intact(lake_with_mels: LakeWithMels) -> None:
    lake = lake_with_mels.committed()
    curate(lake, DEFAULT, "run", charts=False)
    shard = lake_with_mels.tracks["wiki-03", "folder:3-0"]["shard"]
    blank_track(lake, shard, "folder:3-0")
    lake_with_mels.tracks["wiki-03", "folder:3-0"] |= {"decision": "rejected", "segments": None}
    lake_with_mels.committed("second")
    assert damaged_paths(lake) == []
