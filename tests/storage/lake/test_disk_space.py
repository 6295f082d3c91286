"""Space is called low well before the disk of a lake is full."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from storage.lake.disk_space import FreeSpace
from storage.lake.lake import Lake


@pytest.mark.parametrize(
    ("free_gb", "total_gb", "is_low"), [(6, 100, False), (4, 100, True), (49, 1000, True), (51, 1000, False)]
)
def test_space_is_low_below_five_gigabytes_or_a_twentieth(free_gb: int, total_gb: int, is_low: bool) -> None:
    assert FreeSpace("/srv/lake", free_gb * 10**9, total_gb * 10**9).is_low == is_low


def test_of_a_lake_on_an_object_store_the_disk_of_the_cache_counts(small_disk: Callable[[str], Path]) -> None:
    cache = small_disk("size=1m")
    space = Lake("memory://bucket/lake", str(cache)).free_space()
    assert (space.folder, space.total_bytes) == (str(cache), 1 << 20)
