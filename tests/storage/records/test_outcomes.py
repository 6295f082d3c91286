"""Every attempt is a row, attempts are counted, and the items that are due are known."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.errors import ItemError, NeedledropError, Retry
from storage.lake.lake import Lake
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage, Status
from storage.tables import tables


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tables.open_tables(str(tmp_path / "lake"))


def failed(item: str, retry: Retry) -> Outcome:
    return outcomes.from_error(Stage.TRACK, item, ItemError("timeout", "took too long", retry))


def test_attempts_at_one_item_are_counted(lake: Lake) -> None:
    for _ in range(3):
        outcomes.record(lake, [failed("a", Retry.SOON), failed("b", Retry.SOON)], "run")
    outcomes.record(lake, [failed("a", Retry.SOON), failed("a", Retry.SOON)], "run")
    assert outcomes.attempts(lake, [Stage.TRACK]) == {("track", "a"): 5, ("track", "b"): 3}


def test_attempts_are_counted_per_stage(lake: Lake) -> None:
    outcomes.record(lake, [outcomes.ok(Stage.FILM, "a"), outcomes.ok(Stage.THUMBNAIL, "a")], "run")
    assert outcomes.attempts(lake, [Stage.FILM]) == {("film", "a"): 1}


@pytest.mark.parametrize(("retry", "is_not_due"), [(Retry.NEVER, True), (Retry.LATER, True), (Retry.SOON, False)])
def test_an_item_to_retry_later_or_never_is_not_due(lake: Lake, retry: Retry, is_not_due: bool) -> None:
    outcomes.record(lake, [failed("a", retry)], "run")
    assert ("a" in outcomes.not_due(lake, Stage.TRACK)) == is_not_due


def test_a_temporary_failure_is_due_at_its_retry_time(lake: Lake) -> None:
    outcomes.record(lake, [failed("a", Retry.LATER)], "run")
    assert outcomes.not_due(lake, Stage.TRACK, datetime.now(UTC) + timedelta(days=1)) == set()


def test_a_success_after_a_failure_replaces_it(lake: Lake) -> None:
    outcomes.record(lake, [failed("a", Retry.SOON)], "run")
    outcomes.record(lake, [outcomes.ok(Stage.TRACK, "a")], "run")
    assert outcomes.not_due(lake, Stage.TRACK) == {"a"}


def test_a_reason_that_is_not_on_the_list_is_refused() -> None:
    with pytest.raises(NeedledropError, match="add it to REASONS"):
        Outcome(Stage.TRACK, "a", Status.FAILED, "timout")


def test_nothing_to_record_writes_nothing(lake: Lake) -> None:
    before = lake.list()
    outcomes.record(lake, [], "run")
    assert lake.list() == before


def test_items_of_done_films_are_left_out(lake: Lake) -> None:
    outcomes.record(lake, [failed("f-1/a", Retry.NEVER), failed("f-2/b", Retry.NEVER), failed("c", Retry.NEVER)], "run")
    assert outcomes.not_due(lake, Stage.TRACK, done_films=["f-1"]) == {"f-2/b", "c"}
    assert outcomes.not_due(lake, Stage.TRACK, among=["f-1/a", "new"]) == {"f-1/a"}
    assert outcomes.attempts(lake, [Stage.TRACK], ["f-1"]) == {("track", "f-2/b"): 1, ("track", "c"): 1}


def test_failures_in_a_row_are_those_since_the_last_other_outcome(lake: Lake) -> None:
    for _ in range(3):
        outcomes.record(lake, [failed("a", Retry.SOON), failed("b", Retry.SOON)], "run")
    assert outcomes.times_in_a_row(lake, Stage.TRACK, "timeout", ["a", "b", "c"]) == {"a": 3, "b": 3}
    outcomes.record(lake, [outcomes.ok(Stage.TRACK, "a")], "run")
    assert outcomes.times_in_a_row(lake, Stage.TRACK, "timeout", ["a", "b"]) == {"b": 3}
    outcomes.record(lake, [failed("a", Retry.SOON)], "run")
    assert outcomes.times_in_a_row(lake, Stage.TRACK, "timeout", ["a"]) == {"a": 1}


def test_an_outcome_is_recorded_again_only_if_its_reason_is_new(lake: Lake) -> None:
    outcomes.record_new(lake, [failed("a", Retry.SOON)], "first")
    outcomes.record_new(lake, [failed("a", Retry.SOON), failed("b", Retry.SOON)], "second")
    assert outcomes.attempts(lake, [Stage.TRACK]) == {("track", "a"): 1, ("track", "b"): 1}
    other = outcomes.from_error(Stage.TRACK, "a", ItemError("too_short", "4 s", Retry.NEVER))
    outcomes.record_new(lake, [other], "third")
    assert outcomes.attempts(lake, [Stage.TRACK])["track", "a"] == 2
