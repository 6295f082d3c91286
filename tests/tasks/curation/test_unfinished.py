"""What a curation that was killed left is removed by the next one, and nothing that another is writing."""

import subprocess
import sys
from pathlib import Path

import pytest

from storage.coordination.leases import acquire_lease
from storage.datasets import versions as datasets
from storage.errors import LakeError
from storage.tables import tables
from tasks.curation.curate import curate
from tasks.curation.settings import CurationSettings

DEFAULT = CurationSettings()
CURATE_AND_DIE = """
import os, sys
from storage.datasets import versions as datasets
from storage.lake.lake import Lake
from tasks.curation.curate import curate
from tasks.curation.settings import CurationSettings
write = Lake.write_json
def write_or_die(lake, value, *parts):
    os._exit(9) if parts[-1] == "manifest.json" else write(lake, value, *parts)
Lake.write_json = write_or_die
curate(Lake(sys.argv[1]), CurationSettings(), "killed", charts=False)
"""


@pytest.fixture
def half_written(small_lake):
    """A lake in which a curation was killed just before its manifest, and whose content is another now."""
    lake = small_lake.committed()
    command = [sys.executable, "-c", CURATE_AND_DIE, lake.root]
    assert subprocess.run(command, cwd=Path(__file__).parents[3], check=False).returncode == 9
    small_lake.films["wiki-03"]["title"] = "Renamed"
    return small_lake.committed("second")


def test_a_version_that_was_never_finished_is_removed_by_the_next_curation(half_written):
    [left] = datasets.unfinished(half_written)
    assert len(half_written.list("datasets", left)) > 3
    version = curate(half_written, DEFAULT, "run", charts=False).version
    assert version != left
    assert {path.split("/")[1] for path in half_written.list("datasets")} == {version}
    assert half_written.list("claims") == []


def test_a_version_that_a_living_process_writes_is_left_alone(half_written):
    [left] = datasets.unfinished(half_written)
    writing = acquire_lease(half_written, f"dataset-{left}")
    curate(half_written, DEFAULT, "run", charts=False)
    assert half_written.list("datasets", left)
    writing.release()
    assert datasets.sweep_unfinished(half_written) == [left]


def test_two_curations_of_one_version_do_not_write_it_at_once(small_lake):
    lake = small_lake.committed()
    version = curate(lake, DEFAULT, "run", charts=False).version
    lake.remove("datasets", version)
    with (
        datasets.exclusive_access(lake, version),
        pytest.raises(LakeError, match="wait until it ends"),
    ):
        curate(lake, DEFAULT, "other", charts=False)
    assert curate(lake, DEFAULT, "run", charts=False).is_new


def test_a_version_half_deleted_is_removed_by_the_next_curation(small_lake):
    lake = small_lake.committed()
    old = curate(lake, DEFAULT, "run", charts=False).version
    small_lake.films["wiki-03"]["title"] = "Renamed"
    small_lake.committed("second")
    lake.remove("datasets", old, datasets.MANIFEST)
    version = curate(lake, DEFAULT, "run", charts=False).version
    assert lake.list("datasets", old) == []
    assert datasets.names(lake) == [version]


def test_what_a_killed_process_spilled_is_swept(tmp_path, monkeypatch):
    monkeypatch.setattr(tables.tempfile, "tempdir", str(tmp_path))
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    folders = [tmp_path / f"{tables.SPILL_PREFIX}{pid}-x" for pid in (dead.pid, 1)]
    for folder in folders:
        folder.mkdir()
    tables.sweep_spills()
    assert [folder.exists() for folder in folders] == [False, True]
