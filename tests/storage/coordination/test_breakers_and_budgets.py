"""A source that asks for a pause is not called until it ends, and all workers share what it may see in a day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from storage.coordination.breakers_and_budgets import (
    FAILURES_TO_OPEN,
    Budget,
    Pause,
    note_failure,
    note_success,
    open_breaker,
    read_breaker,
)
from storage.errors import SourcePaused
from storage.lake.lake import Lake
from storage.tables import tables

HOUR = timedelta(hours=1)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tables.open_tables(str(tmp_path / "lake"))


def opened(lake: Lake, asked_for: timedelta | None = None) -> timedelta:
    start = datetime.now(UTC)
    breaker = open_breaker(lake, "youtube", Pause("bot", "x", 6 * HOUR, 20 * HOUR, asked_for), "1", "run")
    return breaker.until - start


def test_a_source_that_never_paused_is_closed(lake: Lake) -> None:
    assert not read_breaker(lake, "youtube").is_open("1")


def test_each_consecutive_pause_is_twice_as_long_up_to_a_limit(lake: Lake) -> None:
    hours = [round(opened(lake) / HOUR) for _ in range(4)]
    assert hours == [6, 12, 20, 20]


def test_a_wait_that_the_source_asks_for_is_used(lake: Lake) -> None:
    assert round(opened(lake, timedelta(minutes=7)) / timedelta(minutes=1)) == 7


def test_a_success_closes_the_breaker_and_resets_the_pause(lake: Lake) -> None:
    opened(lake)
    opened(lake)
    note_success(lake, "youtube", "run")
    assert not read_breaker(lake, "youtube").is_open("1")
    assert round(opened(lake) / HOUR) == 6


def test_a_pause_that_was_written_by_a_clock_that_was_wrong_has_ended(lake: Lake) -> None:
    with time_machine.travel(datetime.now(UTC) + timedelta(days=400)):
        opened(lake, timedelta(days=30))
        assert read_breaker(lake, "youtube").is_open("1")
    assert not read_breaker(lake, "youtube").is_open("1")


def test_a_pause_concerns_one_source_only(lake: Lake) -> None:
    opened(lake)
    assert not read_breaker(lake, "url_list").is_open("1")


def test_failures_of_different_media_are_counted_across_runs(lake: Lake) -> None:
    is_enough = [note_failure(lake, "youtube", name, f"run-{name}") for name in "aabcde"]
    assert is_enough == [False] * FAILURES_TO_OPEN + [True]


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
