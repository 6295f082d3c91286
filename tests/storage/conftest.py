"""A lake with two versions of its data set, for tests of what compares, deletes or lists versions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from storage.lake.lake import Lake
from tasks.curation.curate import curate
from tasks.curation.exclusions_and_splits import CurationSettings

if TYPE_CHECKING:
    from tests.lakes import SmallLake


@pytest.fixture
def two_versions(small_lake: SmallLake) -> tuple[Lake, str, str]:
    """A lake and its two versions: in the second, one film is renamed, one added, one lacks a recording."""
    lake = small_lake.committed()
    old = curate(lake, CurationSettings(), "old", charts=False).version
    small_lake.films["wiki-03"]["title"] = "Renamed"
    small_lake.add_film("wiki-99", 2019)
    small_lake.tracks["wiki-05", "folder:5-1"]["decision"] = "rejected"
    small_lake.films["wiki-06"]["state"] = "gone"
    return small_lake.committed("second"), old, curate(lake, CurationSettings(), "new", charts=False).version
