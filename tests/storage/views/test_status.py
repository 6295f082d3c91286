"""The status of a lake: progress, failures, what waits, what is missing, and the estimated work."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console

from needledrop.cli.inspect.status import as_screen
from storage.coordination.budgets import Budget
from storage.errors import ItemError, Retry
from storage.lake.lake import Lake
from storage.records import outcomes
from storage.records.flow_runs import record_flow_run, shown_alive
from storage.records.outcomes import Stage, Status
from storage.records.review_answers_and_agreement import record_review
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import FILMS, FLOW_RUNS, THUMBNAILS, TRACKS
from storage.views.lake_views import define_lake_views
from storage.views.run_changes import run_counts
from storage.views.status import read_status, seconds_left


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Ten films: one complete, one failed temporarily, one permanently, and seven never tried."""
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


def waiting(lake: Lake) -> dict[tuple[str, str], int]:
    return {(row["stage"], row["state"]): row["items"] for row in read_status(lake).waiting}


def test_attempted_items_are_counted_by_status(lake: Lake) -> None:
    [row] = read_status(lake).progress
    assert (row["stage"], row["items"], row["ok"], row["skipped"], row["failed"]) == ("soundtrack", 3, 1, 1, 1)


def test_waiting_items_do_not_include_permanent_failures(lake: Lake) -> None:
    assert waiting(lake) == {
        ("thumbnail", "never_tried"): 10,
        ("soundtrack", "never_tried"): 7,
        ("soundtrack", "later"): 1,
    }


def test_a_failure_to_retry_soon_is_due(lake: Lake) -> None:
    failed = outcomes.from_error(Stage.SOUNDTRACK, "w-1", ItemError("no_match", "nothing", Retry.SOON))
    outcomes.record(lake, [failed], "run")
    assert waiting(lake)["soundtrack", "due"] == 1


def test_failures_are_counted_by_reason_with_an_example(lake: Lake) -> None:
    by_reason = {row["reason"]: row for row in read_status(lake).failures}
    assert by_reason["taken_down"]["items"] == 1
    assert by_reason["no_match"]["message"] == "nothing matched"
    assert by_reason["no_match"]["next_retry"] > datetime.now(UTC)


def test_the_estimate_is_the_pace_times_what_is_due(lake: Lake) -> None:
    status = read_status(lake)
    assert seconds_left(status) == 7 * 4.0
    assert seconds_left(status, datetime.now(UTC) + timedelta(days=2)) == 8 * 4.0


def test_a_film_with_something_missing_is_listed_with_the_reason(lake: Lake) -> None:
    with duckdb_connection.connect(lake) as connection:
        define_lake_views(connection, lake, temporary=True)
        rows = connection.execute(
            "SELECT film_id, has_thumbnail, recordings, soundtrack_reason FROM missing"
        ).fetchall()
    assert ("w-1", False, 0, "no_match") in rows
    assert "w-0" not in {row[0] for row in rows}


def test_the_daily_budget_and_its_limits_are_shown(lake: Lake) -> None:
    record_flow_run(lake, "1", "collect-soundtracks", "completed", {"daily_requests": 100})
    Budget(lake, "youtube", {"requests": 100}).reserve(requests=30)
    status = read_status(lake)
    assert status.spent_today == {"youtube": {"requests": 30}}
    assert status.daily_limits == {"requests": 100}


def test_answered_reviews_are_not_counted(lake: Lake) -> None:
    doubtful = [{"film_id": "w-1", "track_id": name, "decision": "review"} for name in ("b", "c")]
    tables.append(lake, TRACKS, doubtful, "run")
    assert read_status(lake).reviews == 2
    record_review(lake, "w-1", "b", is_match=False, note="", run_id="run")
    assert read_status(lake).reviews == 1


def test_disk_usage_is_summed_by_folder(lake: Lake) -> None:
    sizes = read_status(lake).folder_bytes
    assert sizes["films"] == sum(lake.size_bytes(name) for name in lake.list("films"))
    assert sizes["lake.json"] == lake.size_bytes("lake.json")
    assert "" not in sizes


@pytest.mark.parametrize("width", [80, 160])
def test_the_screen_shows_all_of_it_within_its_width(lake: Lake, width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(as_screen("lake", read_status(lake), datetime.now(UTC)))
    text = console.export_text()
    for expected in (
        "soundtrack",
        "never tried",
        "no_match",
        "Films 10, 9 of them incomplete",
        "0:00:28 of work is due",
    ):
        assert expected in text
    assert max(map(len, text.splitlines())) <= width


def test_the_counts_of_a_run_are_shown_next_to_those_of_the_run_before(lake: Lake) -> None:
    assert run_counts(lake, "none") == []
    record_flow_run(lake, "1", "refresh", "completed", {}, {"films": {"new": 3, "way": "sweep"}})
    record_flow_run(lake, "2", "refresh", "running", {})
    record_flow_run(lake, "2", "refresh", "completed", {}, {"films": {"new": 1}, "dataset": {"hours": 1.5}})
    assert run_counts(lake, "1") == [{"name": "films.new", "this_run": 3, "run_before": None, "more": None}]
    assert run_counts(lake, "2") == [
        {"name": "dataset.hours", "this_run": 1.5, "run_before": 0, "more": 1.5},
        {"name": "films.new", "this_run": 1, "run_before": 3, "more": -2},
    ]


def test_an_empty_lake_has_a_status_too(tmp_path: Path) -> None:
    status = read_status(tables.open_tables(str(tmp_path / "lake")))
    assert (status.progress, status.version, seconds_left(status)) == ([], None, None)


def test_the_screen_of_an_empty_lake_names_the_first_command_and_shows_a_run_at_work(tmp_path: Path) -> None:
    lake = tables.open_tables(str(tmp_path / "lake"))
    console = Console(width=80, record=True, file=io.StringIO())
    with shown_alive(lake, "1"):
        record_flow_run(lake, "1", "refresh", "running", {})
        console.print(as_screen("lake", read_status(lake), datetime.now(UTC)))
    text = console.export_text()
    for expected in ("nothing yet: run `needledrop refresh`", "it needs films and music first", "a run is at work"):
        assert expected in text
    assert "()" not in text and "…" not in text


def test_due_work_whose_pace_is_not_known_is_not_called_nothing(tmp_path: Path) -> None:
    lake = tables.open_tables(str(tmp_path / "lake"))
    tables.append(lake, FILMS, [{"film_id": "w-0", "title": "Film", "year": 2020, "plot": ["x"]}], "run")
    subtitle = as_screen("lake", read_status(lake), datetime.now(UTC)).subtitle
    assert subtitle == "work is due; how long it takes is not known yet"


def test_a_crashed_run_is_not_the_run_before(lake: Lake) -> None:
    record_flow_run(lake, "1", "refresh", "completed", {}, {"films": {"new": 3}})
    record_flow_run(lake, "2", "refresh", "crashed", {}, {"error": "killed"})
    record_flow_run(lake, "3", "refresh", "completed", {}, {"films": {"new": 5}})
    assert [row["run_before"] for row in run_counts(lake, "3")] == [3.0]


def test_the_newest_run_is_the_one_that_was_recorded_last_whatever_the_clocks_say(lake: Lake) -> None:
    now = datetime.now(UTC)
    for run_id, state, minutes in (("before", "failed", 10), ("now", "completed", 0)):
        row = {"flow_run_id": run_id, "flow": "refresh", "state": state, "parameters": "{}", "summary": "{}"}
        tables.append(lake, FLOW_RUNS, [{**row, "recorded_at": now + timedelta(minutes=minutes)}], run_id)
    assert [(run["flow_run_id"], run["state"]) for run in read_status(lake).last_runs] == [("now", "completed")]
