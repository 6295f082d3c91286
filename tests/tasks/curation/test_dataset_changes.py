"""Two versions compared, and versions deleted when nothing needs them."""

import pytest

from storage import retention
from storage.datasets import diff as dataset_changes
from storage.datasets import versions as datasets
from storage.datasets.diff import Change
from storage.errors import InputError
from storage.metrics import records as metrics
from storage.metrics.database import connect_metrics, refresh_views
from storage.metrics.records import Run
from storage.tables import tables
from storage.tables.schemas import FILMS
from tasks.curation.curate import curate
from tasks.curation.settings import CurationSettings

DEFAULT = CurationSettings()


@pytest.fixture
def two_versions(small_lake):
    """A lake with two versions: in the second a film was renamed, one came, and one lost a recording."""
    lake = small_lake.committed()
    old = curate(lake, DEFAULT, "old", charts=False).version
    small_lake.films["wiki-03"]["title"] = "Renamed"
    small_lake.add_film("wiki-99", 2019)
    small_lake.tracks["wiki-05", "folder:5-1"]["decision"] = "rejected"
    small_lake.films["wiki-06"]["state"] = "gone"
    return small_lake.committed("second"), old, curate(lake, DEFAULT, "new", charts=False).version


def test_what_came_went_and_changed_is_named(two_versions):
    lake, old, new = two_versions
    changes = dataset_changes.compare(lake, old, new)
    assert Change("film", "wiki-03", "Renamed", "changed", "title") in changes
    assert Change("film", "wiki-99", "Film 99", "came", "") in changes
    assert Change("film", "wiki-06", "Film 6", "went", "") in changes
    assert Change("track", "wiki-05/folder:5-1", "folder:5-1", "went", "") in changes
    assert dataset_changes.counted(changes)["track", "came"] == 2


def test_a_version_equals_itself(two_versions):
    lake, old, _ = two_versions
    assert dataset_changes.compare(lake, old, old) == []


def test_the_way_back_is_the_opposite(two_versions):
    lake, old, new = two_versions
    there = dataset_changes.counted(dataset_changes.compare(lake, old, new))
    back = dataset_changes.counted(dataset_changes.compare(lake, new, old))
    assert back["film", "came"] == there["film", "went"]
    assert back["film", "changed"] == there["film", "changed"]


def test_a_version_that_nothing_needs_is_deleted_whole(two_versions):
    lake, old, new = two_versions
    retention.delete(lake, old)
    assert datasets.names(lake) == [new]
    assert lake.list("datasets", old) == []


def test_the_current_version_stays(two_versions):
    lake, _, new = two_versions
    with pytest.raises(InputError, match="it is the current version"):
        retention.delete(lake, new)


def test_a_version_that_a_run_was_trained_on_stays(two_versions):
    lake, old, _ = two_versions
    metrics.record_run(lake, Run("run", "All", "small", 0, old, "trained"))
    with pytest.raises(InputError, match="1 training run"):
        retention.delete(lake, old)


def test_a_version_that_is_not_there_is_refused_with_those_that_are(two_versions):
    lake, old, _ = two_versions
    with pytest.raises(InputError, match=f"there are: {old}"):
        dataset_changes.compare(lake, old, "v000000000000")


def test_the_history_of_versions_is_a_view(two_versions):
    lake, old, new = two_versions
    refresh_views(lake)
    with connect_metrics(lake) as connection:
        rows = connection.execute("SELECT version, previous, films_more FROM version_history").fetchall()
    assert rows == [(old, None, None), (new, old, 0)]
    assert tables.latest(lake, FILMS).num_rows == 13
