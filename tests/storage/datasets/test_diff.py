"""Two versions are compared by their content."""

from __future__ import annotations

import pytest

from storage.datasets import diff
from storage.datasets.diff import Change
from storage.errors import InputError
from storage.lake.lake import Lake


def test_additions_removals_and_changes_are_named(two_versions: tuple[Lake, str, str]) -> None:
    lake, old, new = two_versions
    changes = diff.compare(lake, old, new)
    assert Change("film", "wiki-03", "Renamed", "changed", "title") in changes
    assert Change("film", "wiki-99", "Film 99", "came", "") in changes
    assert Change("film", "wiki-06", "Film 6", "went", "") in changes
    assert Change("track", "wiki-05/folder:5-1", "folder:5-1", "went", "") in changes
    assert diff.counted(changes)["track", "came"] == 2


def test_a_version_equals_itself(two_versions: tuple[Lake, str, str]) -> None:
    lake, old, _ = two_versions
    assert diff.compare(lake, old, old) == []


def test_the_opposite_comparison_has_the_opposite_changes(two_versions: tuple[Lake, str, str]) -> None:
    lake, old, new = two_versions
    forward = diff.counted(diff.compare(lake, old, new))
    backward = diff.counted(diff.compare(lake, new, old))
    assert backward["film", "came"] == forward["film", "went"]
    assert backward["film", "changed"] == forward["film", "changed"]


def test_an_unknown_version_is_refused_with_the_known_ones(two_versions: tuple[Lake, str, str]) -> None:
    lake, old, _ = two_versions
    with pytest.raises(InputError, match=f"there are: {old}"):
        diff.compare(lake, old, "v000000000000")
