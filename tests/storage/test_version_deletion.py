"""A version is deleted only if nothing needs it."""

from __future__ import annotations

import pytest

from storage import version_deletion
from storage.datasets import versions as datasets
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.metrics.record_measurements import Run, record_run


def test_a_version_that_nothing_needs_is_deleted_completely(two_versions: tuple[Lake, str, str]) -> None:
    lake, old, new = two_versions
    version_deletion.delete(lake, old)
    assert datasets.names(lake) == [new]
    assert lake.list("datasets", old) == []


def test_the_current_version_stays(two_versions: tuple[Lake, str, str]) -> None:
    lake, _, new = two_versions
    with pytest.raises(InputError, match="it is the current version"):
        version_deletion.delete(lake, new)


def test_a_version_that_a_run_was_trained_on_stays(two_versions: tuple[Lake, str, str]) -> None:
    lake, old, _ = two_versions
    record_run(lake, Run("run", "All", "small", 0, old, "trained"))
    with pytest.raises(InputError, match="1 training run"):
        version_deletion.delete(lake, old)
