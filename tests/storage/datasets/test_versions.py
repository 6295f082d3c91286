"""The next curation removes what a killed one left, and never what another process is writing.

Two versions are compared by their content. A version is deleted only if nothing needs it.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from storage.coordination.leases import leased
from storage.coordination.list_and_free_leases import list_leases
from storage.datasets import versions as datasets
from storage.datasets.versions import Change
from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from storage.metrics.database import count_runs
from storage.metrics.record_measurements import Run, record_run
from tasks.curation.curate import curate
from tasks.curation.exclusions_and_splits import CurationSettings
from tests.lakes import SmallLake

DEFAULT = CurationSettings()
CURATE_AND_DIE = """
import os, sys
from storage.datasets import versions as datasets
from storage.lake.lake import Lake
from tasks.curation.curate import curate
from tasks.curation.exclusions_and_splits import CurationSettings
write = Lake.write_json
def write_or_die(lake, value, *parts):
    os._exit(9) if parts[-1] == "manifest.json" else write(lake, value, *parts)
Lake.write_json = write_or_die
curate(Lake(sys.argv[1]), CurationSettings(), "killed", charts=False)
"""


@pytest.fixture
def half_written(small_lake: SmallLake, repository: Path) -> Lake:
    """A lake in which a curation was killed just before its manifest, and whose content has changed since."""
    lake = small_lake.committed()
    command = [sys.executable, "-c", CURATE_AND_DIE, lake.root]
    assert subprocess.run(command, cwd=repository, check=False).returncode == 9
    small_lake.films["wiki-03"]["title"] = "Renamed"
    return small_lake.committed("second")


def test_an_unfinished_version_is_removed_by_the_next_curation(half_written: Lake) -> None:
    [unfinished] = datasets.unfinished(half_written)
    assert len(half_written.list("datasets", unfinished)) > 3
    version = curate(half_written, DEFAULT, "run", charts=False).version
    assert version != unfinished
    assert {path.split("/")[1] for path in half_written.list("datasets")} == {version}
    assert list_leases(half_written) == []


def test_a_version_that_a_living_process_writes_is_not_removed(half_written: Lake) -> None:
    [unfinished] = datasets.unfinished(half_written)
    with leased(half_written, f"dataset-{unfinished}"):
        curate(half_written, DEFAULT, "run", charts=False)
        assert half_written.list("datasets", unfinished)
    assert datasets.sweep_unfinished(half_written) == [unfinished]


def test_a_version_is_written_by_one_curation_at_a_time(small_lake: SmallLake) -> None:
    lake = small_lake.committed()
    version = curate(lake, DEFAULT, "run", charts=False).version
    lake.remove("datasets", version)
    with (
        datasets.exclusive_access(lake, version),
        pytest.raises(LakeError, match="wait until it ends"),
    ):
        curate(lake, DEFAULT, "other", charts=False)
    assert curate(lake, DEFAULT, "run", charts=False).is_new


def test_a_partly_deleted_version_is_removed_by_the_next_curation(small_lake: SmallLake) -> None:
    lake = small_lake.committed()
    old = curate(lake, DEFAULT, "run", charts=False).version
    small_lake.films["wiki-03"]["title"] = "Renamed"
    small_lake.committed("second")
    lake.remove("datasets", old, datasets.MANIFEST)
    version = curate(lake, DEFAULT, "run", charts=False).version
    assert lake.list("datasets", old) == []
    assert datasets.names(lake) == [version]


def test_additions_removals_and_changes_are_named(two_versions: tuple[Lake, str, str]) -> None:
    lake, old, new = two_versions
    changes = datasets.compare(lake, old, new)
    assert Change("film", "wiki-03", "Renamed", "changed", "title") in changes
    assert Change("film", "wiki-99", "Film 99", "came", "") in changes
    assert Change("film", "wiki-06", "Film 6", "went", "") in changes
    assert Change("track", "wiki-05/folder:5-1", "folder:5-1", "went", "") in changes
    assert datasets.counted(changes)["track", "came"] == 2


def test_a_version_equals_itself(two_versions: tuple[Lake, str, str]) -> None:
    lake, old, _ = two_versions
    assert datasets.compare(lake, old, old) == []


def test_the_opposite_comparison_has_the_opposite_changes(two_versions: tuple[Lake, str, str]) -> None:
    lake, old, new = two_versions
    forward = datasets.counted(datasets.compare(lake, old, new))
    backward = datasets.counted(datasets.compare(lake, new, old))
    assert backward["film", "came"] == forward["film", "went"]
    assert backward["film", "changed"] == forward["film", "changed"]


def test_an_unknown_version_is_refused_with_the_known_ones(two_versions: tuple[Lake, str, str]) -> None:
    lake, old, _ = two_versions
    with pytest.raises(InputError, match=f"there are: {old}"):
        datasets.compare(lake, old, "v000000000000")


def test_a_version_that_nothing_needs_is_deleted_completely(two_versions: tuple[Lake, str, str]) -> None:
    lake, old, new = two_versions
    datasets.delete(lake, old, count_runs(lake))
    assert datasets.names(lake) == [new]
    assert lake.list("datasets", old) == []


def test_the_current_version_stays(two_versions: tuple[Lake, str, str]) -> None:
    lake, _, new = two_versions
    with pytest.raises(InputError, match="it is the current version"):
        datasets.delete(lake, new, count_runs(lake))


def test_a_version_that_a_run_was_trained_on_stays(two_versions: tuple[Lake, str, str]) -> None:
    lake, old, _ = two_versions
    record_run(lake, Run("run", "All", "small", 0, old, "trained"))
    with pytest.raises(InputError, match="1 training run"):
        datasets.delete(lake, old, count_runs(lake))
