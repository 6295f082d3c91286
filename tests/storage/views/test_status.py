"""The status of a lake: what is done, what waits, what failed, what is missing, how long it will take."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from needledrop.cli.inspect.status import as_screen
from storage.coordination.budgets import Budget
from storage.errors import ItemError, Retry
from storage.records import outcomes
from storage.records.flow_runs import record_flow_run
from storage.records.outcomes import Stage, Status
from storage.tables import tables
from storage.tables.schemas import FILMS, THUMBNAILS, TRACKS
from storage.views.lake_views import define_lake_views
from storage.views.run_changes import run_counts
from storage.views.status import read_status, seconds_left


@pytest.fixture
def lake(tmp_path):
    """Ten films: the first is whole, the second failed for now, the third for good, seven were never tried."""
    lake = tables.open_tables(str(tmp_path / "lake"))
    films = [{"film_id": f"w-{n}", "title": f"Film {n}", "year": 2020, "plot": ["x"]} for n in range(10)]
    tables.append(lake, FILMS, films, "run")
    tables.append(lake, THUMBNAILS, [{"film_id": "w-0", "width": 224, "sha256": "x"}], "run")
    tables.append(lake, TRACKS, [{"film_id": "w-0", "track_id": "a", "decision": "taken", "segments": 3}], "run")
    later = ItemError("no_match", "nothing matched", Retry.LATER)
    never = ItemError("taken_down", "its owner asked", Retry.NEVER)
    done = [
        outcomes.ok(Stage.SOUNDTRACK, "w-0", seconds=4.0, audio_seconds=400.0),
        outcomes.from_error(Stage.SOUNDTRACK, "w-1", later, Status.SKIPPED),
        outcomes.from_error(Stage.SOUNDTRACK, "w-2", never),
    ]
    outcomes.record(lake, done, "run")
    return lake


def waiting(lake) -> dict[tuple[str, str], int]:
    return {(row["stage"], row["state"]): row["items"] for row in read_status(lake).waiting}


def test_what_was_tried_is_counted_by_how_it_ended(lake):
    [row] = read_status(lake).progress
    assert (row["stage"], row["items"], row["ok"], row["skipped"], row["failed"]) == ("soundtrack", 3, 1, 1, 1)


def test_what_waits_is_told_apart_from_what_was_given_up(lake):
    assert waiting(lake) == {
        ("thumbnail", "never_tried"): 10,
        ("soundtrack", "never_tried"): 7,
        ("soundtrack", "later"): 1,
    }


def test_what_failed_is_due_when_its_time_has_come(lake):
    failed = outcomes.from_error(Stage.SOUNDTRACK, "w-1", ItemError("no_match", "nothing", Retry.SOON))
    outcomes.record(lake, [failed], "run")
    assert waiting(lake)["soundtrack", "due"] == 1


def test_failures_are_counted_by_reason_with_an_example(lake):
    by_reason = {row["reason"]: row for row in read_status(lake).failures}
    assert by_reason["taken_down"]["items"] == 1
    assert by_reason["no_match"]["message"] == "nothing matched"
    assert by_reason["no_match"]["next_retry"] > datetime.now(UTC)


def test_the_estimate_is_the_pace_times_what_is_due(lake):
    status = read_status(lake)
    assert seconds_left(status) == 7 * 4.0
    assert seconds_left(status, datetime.now(UTC) + timedelta(days=2)) == 8 * 4.0


def test_a_film_that_lacks_something_says_what_and_why(lake):
    with tables.connect(lake) as connection:
        define_lake_views(connection, lake, temporary=True)
        rows = connection.execute(
            "SELECT film_id, has_thumbnail, recordings, soundtrack_reason FROM missing"
        ).fetchall()
    assert ("w-1", False, 0, "no_match") in rows
    assert "w-0" not in {row[0] for row in rows}


def test_what_is_left_of_a_daily_budget_is_known(lake):
    record_flow_run(lake, "1", "collect-soundtracks", "completed", {"daily_requests": 100})
    Budget(lake, "youtube", {"requests": 100}).reserve(requests=30)
    status = read_status(lake)
    assert status.spent_today == {"youtube": {"requests": 30}}
    assert status.daily_limits == {"requests": 100}


def test_the_disk_that_is_used_is_added_up_by_folder(lake):
    sizes = read_status(lake).folder_bytes
    assert sizes["films"] == sum(lake.size_bytes(name) for name in lake.list("films"))
    assert sizes["lake.json"] == lake.size_bytes("lake.json")
    assert "" not in sizes


@pytest.mark.parametrize("width", [80, 160])
def test_the_screen_shows_all_of_it_within_its_width(lake, width):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(as_screen("lake", read_status(lake), datetime.now(UTC), width))
    text = console.export_text()
    for said in (
        "soundtrack",
        "never tried",
        "no_match",
        "Films 10, 9 of them incomplete",
        "0:00:28 of work is due",
    ):
        assert said in text
    assert max(map(len, text.splitlines())) <= width


def test_what_two_runs_counted_stands_side_by_side(lake):
    assert run_counts(lake, "none") == []
    record_flow_run(lake, "1", "refresh", "completed", {}, {"films": {"new": 3, "way": "sweep"}})
    record_flow_run(lake, "2", "refresh", "running", {})
    record_flow_run(lake, "2", "refresh", "completed", {}, {"films": {"new": 1}, "dataset": {"hours": 1.5}})
    assert run_counts(lake, "1") == [{"name": "films.new", "this_run": 3, "run_before": None, "more": None}]
    assert run_counts(lake, "2") == [
        {"name": "dataset.hours", "this_run": 1.5, "run_before": 0, "more": 1.5},
        {"name": "films.new", "this_run": 1, "run_before": 3, "more": -2},
    ]


def test_an_empty_lake_has_a_status_too(tmp_path):
    status = read_status(tables.open_tables(str(tmp_path / "lake")))
    assert (status.progress, status.version, seconds_left(status)) == ([], None, None)
