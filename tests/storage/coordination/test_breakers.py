"""A source that asks for a pause is not called until it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from storage.coordination.breakers import (
    FAILURES_TO_OPEN,
    Pause,
    note_failure,
    note_success,
    open_breaker,
    read_breaker,
)
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
