"""A version of the data set: its files, and that the same lake gives the same bytes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from storage.datasets import versions as datasets
from storage.errors import InputError
from storage.tables import tables
from storage.tables.schemas import FILMS, VERSIONS
from tasks.curation.curate import curate
from tasks.curation.exclusions_and_splits import CurationSettings

if TYPE_CHECKING:
    from storage.lake.lake import Lake
    from tests.lakes import SmallLake
    from tests.tasks.curation.conftest import Selection

Column = Callable[["Lake", str, str, str], list[Any]]
DEFAULT = CurationSettings()


def folder_hashes(lake: Lake, version: str) -> dict[str, str]:
    folder = Path(lake.root, "datasets", version)
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_files_of_a_version_hold_what_was_selected(
    small_lake: SmallLake, select: Callable[..., Selection], column: Column
) -> None:
    small_lake.films["wiki-03"]["plot"] = []
    del small_lake.images["wiki-04"]
    lake = small_lake.committed()
    version = curate(lake, CurationSettings(require_thumbnail=False), "run", charts=False).version
    selected = select(lake, require_thumbnail=False)
    assert column(lake, version, "films", "film_id") == list(selected.films)
    assert column(lake, version, "films", "thumbnail").count(None) == 1
    assert column(lake, version, "tracks", "film_id || '/' || track_id") == list(selected.tracks)
    assert column(lake, version, "segments", "row")[:6] == [0, 1, 2, 3, 4, 5]
    assert column(lake, version, "segments", "segment")[:6] == [0, 1, 2, 0, 1, 2]
    assert column(lake, version, "segments", "start_seconds")[:3] == pytest.approx([0, 9.92, 19.84])
    assert column(lake, version, "segments", "shard")[0] == "mels/year=2015/page=wiki-00.parquet"
    excluded = column(lake, version, "exclusions", "[kind, item, rule, value]")
    assert {(kind, item): (rule, value) for kind, item, rule, value in excluded} == selected.exclusions


def test_two_lakes_of_the_same_content_give_the_same_bytes(
    small_lake: SmallLake, copy_of_empty_lake: Callable[[], Lake]
) -> None:
    first = small_lake.committed("monday")
    small_lake.lake = copy_of_empty_lake()
    second = small_lake.committed("tuesday")
    version = curate(first, DEFAULT, "a", charts=False).version
    assert curate(second, DEFAULT, "b", charts=False).version == version
    assert folder_hashes(first, version) == folder_hashes(second, version)


def test_a_second_run_changes_no_file_and_reports_no_new_version(small_lake: SmallLake) -> None:
    lake = small_lake.committed()
    first = curate(lake, DEFAULT, "a", charts=False)
    before = {path: path.stat().st_mtime_ns for path in Path(lake.root).rglob("*")}
    second = curate(lake, DEFAULT, "b", charts=False)
    assert (first.is_new, second.is_new) == (True, False)
    assert {path: path.stat().st_mtime_ns for path in Path(lake.root).rglob("*")} == before


def test_an_incomplete_version_is_ignored_and_written_again_with_the_same_bytes(small_lake: SmallLake) -> None:
    lake = small_lake.committed()
    version = curate(lake, DEFAULT, "a", charts=False).version
    before = folder_hashes(lake, version)
    lake.remove("datasets", version, "manifest.json")
    lake.write_bytes(b"half", "datasets", version, "segments.parquet")
    assert datasets.names(lake) == []
    assert datasets.current(lake) is None
    again = curate(lake, DEFAULT, "b", charts=False)
    assert (again.is_new, again.version, folder_hashes(lake, version)) == (True, version, before)


def test_a_version_is_named_by_its_content_and_becomes_current_again_with_it(small_lake: SmallLake) -> None:
    lake = small_lake.committed()
    first = curate(lake, DEFAULT, "a", charts=False)
    tables.append(lake, FILMS, [{**small_lake.films["wiki-03"], "revision_id": 99}], "second")
    assert curate(lake, DEFAULT, "b", charts=False).version == first.version
    other = curate(lake, CurationSettings(require_tag=False), "c", charts=False)
    again = curate(lake, DEFAULT, "d", charts=False)
    assert (again.version, again.is_new, again.previous) == (first.version, False, other.version)
    assert datasets.current(lake) == first.version
    assert tables.latest(lake, VERSIONS).num_rows == 2


def test_a_refused_curation_writes_no_version(small_lake: SmallLake) -> None:
    lake = small_lake.committed()
    with pytest.raises(InputError, match="The train split is empty"):
        curate(lake, CurationSettings(train_until=2010), "run", charts=False)
    assert datasets.names(lake) == []


def test_spill_folders_of_dead_processes_are_removed_and_those_of_living_ones_are_not(
    copy_of_empty_lake: Callable[[], Lake], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, alive = tmp_path / "needledrop-spill-999999999-x", tmp_path / f"needledrop-spill-{os.getpid()}-x"
    dead.mkdir()
    alive.mkdir()
    with pytest.raises(InputError, match="collect films first"):
        curate(copy_of_empty_lake(), DEFAULT, "run", charts=False)
    assert (dead.exists(), alive.exists()) == (False, True)
