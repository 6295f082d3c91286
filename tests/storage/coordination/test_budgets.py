"""A day's requests and downloads are shared by all workers, and never exceeded."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.coordination.breakers_and_budgets import Budget
from storage.errors import SourcePaused
from storage.lake.lake import Lake
from storage.tables import tables


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tables.open_tables(str(tmp_path / "lake"))


def budget(lake: Lake, worker: str) -> Budget:
    return Budget(lake, "youtube", {"requests": 10, "downloads": 2}, worker)


def test_two_workers_share_it(lake: Lake) -> None:
    budget(lake, "a").reserve(requests=6)
    with pytest.raises(SourcePaused) as caught:
        budget(lake, "b").reserve(requests=5)
    assert caught.value.reason == "daily_budget"
    budget(lake, "b").reserve(requests=4)
    assert budget(lake, "c").spent_today() == {"requests": 10}


def test_what_was_not_used_is_given_back(lake: Lake) -> None:
    one = budget(lake, "a")
    one.reserve(requests=10)
    one.give_back(requests=7)
    budget(lake, "b").reserve(requests=7)


def test_a_restarted_worker_still_counts_what_it_spent(lake: Lake) -> None:
    budget(lake, "a").reserve(downloads=2)
    with pytest.raises(SourcePaused, match="downloads"):
        budget(lake, "a").reserve(downloads=1)


def test_sources_have_budgets_of_their_own(lake: Lake) -> None:
    budget(lake, "a").reserve(downloads=2)
    Budget(lake, "url_list", {"requests": 1, "downloads": 1}, "a").reserve(downloads=1)
