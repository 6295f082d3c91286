"""Outcomes: every attempt is a row, attempts are counted, and what is due is known."""

from datetime import UTC, datetime, timedelta

import pytest

from storage.errors import ItemError, NeedledropError, Retry
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage, Status
from storage.tables import tables


@pytest.fixture
def lake(tmp_path):
    return tables.open_tables(str(tmp_path / "lake"))


def failed(item: str, retry: Retry) -> Outcome:
    return outcomes.from_error(Stage.TRACK, item, ItemError("timeout", "took too long", retry))


def test_attempts_at_one_item_are_counted(lake):
    for _ in range(3):
        outcomes.record(lake, [failed("a", Retry.SOON), failed("b", Retry.SOON)], "run")
    outcomes.record(lake, [failed("a", Retry.SOON), failed("a", Retry.SOON)], "run")
    assert outcomes.attempts(lake, [Stage.TRACK]) == {("track", "a"): 5, ("track", "b"): 3}


def test_one_item_of_two_stages_is_two_things(lake):
    outcomes.record(lake, [outcomes.ok(Stage.FILM, "a"), outcomes.ok(Stage.THUMBNAIL, "a")], "run")
    assert outcomes.attempts(lake, [Stage.FILM]) == {("film", "a"): 1}


@pytest.mark.parametrize(("retry", "is_settled"), [(Retry.NEVER, True), (Retry.LATER, True), (Retry.SOON, False)])
def test_what_is_settled_needs_no_work_now(lake, retry, is_settled):
    outcomes.record(lake, [failed("a", retry)], "run")
    assert ("a" in outcomes.not_due(lake, Stage.TRACK)) == is_settled


def test_what_failed_for_now_is_due_when_its_time_has_come(lake):
    outcomes.record(lake, [failed("a", Retry.LATER)], "run")
    assert outcomes.not_due(lake, Stage.TRACK, datetime.now(UTC) + timedelta(days=1)) == set()


def test_a_success_after_a_failure_counts(lake):
    outcomes.record(lake, [failed("a", Retry.SOON)], "run")
    outcomes.record(lake, [outcomes.ok(Stage.TRACK, "a")], "run")
    assert outcomes.not_due(lake, Stage.TRACK) == {"a"}


def test_a_reason_that_is_not_on_the_list_is_refused():
    with pytest.raises(NeedledropError, match="add it to REASONS"):
        Outcome(Stage.TRACK, "a", Status.FAILED, "timout")


def test_nothing_to_record_writes_nothing(lake):
    before = lake.list()
    outcomes.record(lake, [], "run")
    assert lake.list() == before


def test_the_items_of_films_that_are_done_are_not_asked_about(lake):
    outcomes.record(lake, [failed("f-1/a", Retry.NEVER), failed("f-2/b", Retry.NEVER), failed("c", Retry.NEVER)], "run")
    assert outcomes.not_due(lake, Stage.TRACK, done_films=["f-1"]) == {"f-2/b", "c"}
    assert outcomes.not_due(lake, Stage.TRACK, among=["f-1/a", "new"]) == {"f-1/a"}
    assert outcomes.attempts(lake, [Stage.TRACK], ["f-1"]) == {("track", "f-2/b"): 1, ("track", "c"): 1}
