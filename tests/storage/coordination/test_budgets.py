"""All workers share what a source may see in a day."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.coordination.budgets import Budget
from storage.errors import SourcePaused
from storage.lake.lake import Lake
from storage.tables import tables


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tables.open_tables(str(tmp_path / "lake"))


def budget(lake: Lake, worker: str) -> Budget:
    return Budget(lake, "youtube", {"requests": 10, "downloads": 2}, worker)


def test_two_workers_share_a_budget(lake: Lake) -> None:
    budget(lake, "a").reserve(requests=6)
    with pytest.raises(SourcePaused) as caught:
        budget(lake, "b").reserve(requests=5)
    assert caught.value.reason == "daily_budget"
    budget(lake, "b").reserve(requests=4)
    assert budget(lake, "c").spent_today() == {"requests": 10}


def test_what_was_not_used_of_a_budget_is_given_back(lake: Lake) -> None:
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


@pytest.mark.parametrize("content", [b"", b"[]", b'{"requests": "many"}'])
def test_a_damaged_budget_file_is_named_and_stops_nothing(
    lake: Lake, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    budget = Budget(lake, "youtube", {"requests": 2})
    budget.reserve(requests=1)
    [path] = lake.list("budgets")
    lake.write_bytes(content, path.replace(budget.worker, "another"))
    budget.reserve(requests=1)
    assert budget.spent_today() == {"requests": 2}
    assert "another.json is damaged" in caplog.text
    with pytest.raises(SourcePaused):
        budget.reserve(requests=1)
