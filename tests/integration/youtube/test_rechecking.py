"""Availability checks of collected videos through the real yt-dlp: available, dead, or not known yet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from storage.lake.lake import Lake
from storage.records.outcomes import Outcome, Stage, Status, record
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import OUTCOMES, TRACKS
from storage.views.lake_views import define_lake_views
from tasks.run_report import RunReport
from tasks.soundtracks.runs.availability import AvailabilityChecker, due_tracks
from tasks.soundtracks.runs.open_sources import open_context
from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings
from tasks.soundtracks.runs.takedown import take_down

pytestmark = pytest.mark.integration


@pytest.fixture
def ids(lake: Lake, world: Any, add_films: Any, collect: Any) -> list[str]:
    """A film's three tracks, collected a hundred days ago."""
    made: list[str] = world.add_film("Night Ferry", 2015, 3)
    world.save()
    add_films(lake, [("Night Ferry (2015 film)", 2015)])
    collect()
    age(lake, TRACKS, 100)
    world.log.write_text("")
    return made


def age(lake: Lake, table: Any, days: int) -> None:
    """Make every row of a table so many days older."""
    for part in tables.parts(lake, table):
        rows = pq.read_table(lake.uri(part), partitioning=None)
        for number, column in enumerate(rows.schema):
            if column.name in ("recorded_at", "retry_at"):
                earlier = pc.subtract(rows[column.name], pa.scalar(timedelta(days=days), pa.duration("us")))
                rows = rows.set_column(number, column, earlier)
        lake.write_table(rows, part)


def recheck(lake: Lake, **options: Any) -> RunReport:
    settings = SoundtrackSettings(**{"youtube": True, "i_have_the_right_to_collect": True, "pace": 0.0, **options})
    settings.check()
    with open_context(lake, settings, "test") as context:
        return AvailabilityChecker(context).check()


def statuses(lake: Lake) -> dict[str, tuple[str, str]]:
    """Status and reason of each recording's newest check, by its media id."""
    rows = [row for row in tables.latest(lake, OUTCOMES).to_pylist() if row["stage"] == Stage.AVAILABILITY]
    return {row["item"].split(":")[1]: (row["status"], row["reason"]) for row in rows}


def dead(lake: Lake) -> dict[str, str]:
    with duckdb_connection.connect(lake) as connection:
        define_lake_views(connection, lake, temporary=True)
        return dict(connection.execute("SELECT track_id, reason FROM dead_tracks").fetchall())


def close(world: Any, video: str, status: str, reason: str) -> None:
    world.videos[video] |= {"status": status, "reason": reason}
    world.save()


def test_an_available_video_is_ok_and_no_media_is_requested(lake: Lake, world: Any, ids: list[str]) -> None:
    assert recheck(lake).counts["tracks_checked"] == 3
    assert statuses(lake) == dict.fromkeys(ids, ("ok", "ok"))
    assert {request["video"] for request in world.requests if request["video"]} == set(ids)
    assert not world.media_requests()


CLOSED = {
    "private": ("LOGIN_REQUIRED", "Private video"),
    "removed": ("ERROR", "This video has been removed by the uploader"),
    "copyright": ("ERROR", "This video is no longer available due to a copyright claim by A Label"),
}


@pytest.mark.parametrize("reason", CLOSED)
def test_a_video_that_was_closed_is_dead_and_its_mels_stay(lake: Lake, world: Any, ids: list[str], reason: str) -> None:
    kept = tables.latest(lake, TRACKS)
    close(world, ids[1], *CLOSED[reason])
    counts = recheck(lake).counts
    assert (counts["tracks_checked"], counts["tracks_dead"]) == (3, 1)
    assert dead(lake) == {f"youtube:{ids[1]}": reason}
    assert tables.latest(lake, TRACKS) == kept
    assert lake.list("mels")


def test_the_video_of_a_terminated_account_is_dead(lake: Lake, world: Any, ids: list[str]) -> None:
    ended = "This video is no longer available because the YouTube account associated with it has been terminated."
    close(world, ids[0], "ERROR", ended)
    recheck(lake)
    assert statuses(lake)[ids[0]] == ("failed", "removed")


def test_a_second_run_requests_nothing_before_the_next_check_is_due(lake: Lake, world: Any, ids: list[str]) -> None:
    close(world, ids[1], *CLOSED["private"])
    recheck(lake)
    before = len(world.requests)
    assert recheck(lake).counts["tracks_checked"] == 0
    assert len(world.requests) == before
    age(lake, OUTCOMES, 89)
    assert due_tracks(lake, "youtube", 90, 10) == []
    age(lake, OUTCOMES, 1)
    assert len(due_tracks(lake, "youtube", 90, 10)) == 3


def test_too_many_requests_pause_and_mark_nothing(lake: Lake, world: Any, ids: list[str]) -> None:
    world.faults.append({"path": "/player", "video": ids[1], "status": 429, "headers": {"Retry-After": "120"}})
    world.save()
    report = recheck(lake)
    assert report.paused is not None
    assert report.paused.reason == "rate_limit"
    assert statuses(lake) == {ids[0]: ("ok", "ok")}
    before = len(world.requests)
    assert recheck(lake).paused is not None
    assert len(world.requests) == before


def test_a_bot_check_pauses_and_marks_nothing(lake: Lake, world: Any, ids: list[str]) -> None:
    close(world, ids[0], "LOGIN_REQUIRED", "Sign in to confirm you’re not a bot")
    report = recheck(lake)
    assert report.paused is not None
    assert (report.paused.reason, statuses(lake)) == ("bot", {})


@pytest.mark.parametrize("fault", [{"status": 400}, {"status": 404}, {"status": 500}, {"kind": "reset"}])
def test_a_temporary_fault_marks_nothing_and_is_checked_again_tomorrow(
    lake: Lake, world: Any, ids: list[str], fault: dict[str, Any]
) -> None:
    world.faults.append({"path": "/player", "video": ids[0], **fault})
    world.save()
    for _day in range(4):
        recheck(lake)
        assert statuses(lake)[ids[0]][0] == "skipped"
        age(lake, OUTCOMES, 1)
    assert not dead(lake)
    world.faults.clear()
    world.save()
    recheck(lake)
    assert statuses(lake)[ids[0]] == ("ok", "ok")


def test_unavailable_is_dead_on_the_third_day_only(lake: Lake, world: Any, ids: list[str]) -> None:
    del world.videos[ids[2]]  # "Video unavailable": the answer to a blocked client too
    world.save()
    for day in range(3):
        assert not dead(lake)
        recheck(lake)
        assert recheck(lake).counts["tracks_checked"] == 0, day
        age(lake, OUTCOMES, 1)
    assert dead(lake) == {f"youtube:{ids[2]}": "unavailable"}


def test_a_good_answer_between_doubtful_ones_restarts_the_count(lake: Lake, ids: list[str]) -> None:
    answers = [(Status.SKIPPED, "unavailable")] * 2 + [(Status.OK, "ok")] + [(Status.SKIPPED, "unavailable")] * 2
    for status, reason in answers:
        record(lake, [Outcome(Stage.AVAILABILITY, f"youtube:{ids[0]}", status, reason)], "test")
    [track] = [one for one in due_tracks(lake, "youtube", 0, 10) if one.media_id == ids[0]]
    assert track.doubts == 2


def test_a_dead_track_stays_dead_in_doubt_and_comes_back_when_available(lake: Lake, world: Any, ids: list[str]) -> None:
    close(world, ids[1], *CLOSED["private"])
    recheck(lake)
    age(lake, OUTCOMES, 90)
    world.faults.append({"path": "/player", "video": ids[1], "status": 500})
    close(world, ids[1], "OK", "")
    recheck(lake)
    assert dead(lake) == {f"youtube:{ids[1]}": "private"}
    world.faults.clear()
    world.save()
    age(lake, OUTCOMES, 90)
    assert recheck(lake).counts["tracks_back"] == 1
    assert not dead(lake)


def test_a_run_checks_at_most_so_many_tracks_the_longest_unchecked_first(
    lake: Lake, world: Any, ids: list[str]
) -> None:
    recheck(lake, most_rechecks=2)
    assert set(statuses(lake)) == set(ids[:2])
    age(lake, OUTCOMES, 90)
    recheck(lake, most_rechecks=1)
    assert set(statuses(lake)) == set(ids)


def test_the_daily_budget_of_requests_holds_for_checks_too(lake: Lake, world: Any, ids: list[str]) -> None:
    report = recheck(lake, daily_requests=1)
    assert report.paused is not None
    assert report.paused.reason == "daily_budget"
    assert statuses(lake) == {}


def test_what_was_taken_down_is_not_checked(lake: Lake, world: Any, ids: list[str]) -> None:
    take_down(lake, f"youtube:{ids[1]}", "requested by the label", "test")
    assert {track.media_id for track in due_tracks(lake, "youtube", 90, 10, datetime.now(UTC) + timedelta(200))} == {
        ids[0],
        ids[2],
    }
    recheck(lake)
    assert ids[1] not in {request["video"] for request in world.requests}


def test_a_dead_track_changes_no_plan(lake: Lake, world: Any, ids: list[str], collect: Any) -> None:
    close(world, ids[1], *CLOSED["private"])
    recheck(lake)
    before = len(world.requests)
    assert collect().counts["films"] == 0
    assert collect(retry_reasons=("private",)).counts["films_reopened"] == 0
    assert len(world.requests) == before


def test_the_flow_checks_after_collecting_and_counts_dead_tracks(
    lake: Lake, world: Any, ids: list[str], prefect_server: None
) -> None:
    from flows.collect_soundtracks import collect_soundtracks

    close(world, ids[1], *CLOSED["private"])
    parameters = {"lake": lake.root, "youtube": True, "i_have_the_right_to_collect": True, "pace": 0.0}
    assert "tracks_checked" not in collect_soundtracks(**parameters, recheck_days=0)
    summary = collect_soundtracks(**parameters)
    assert (summary["tracks_checked"], summary["tracks_dead"]) == (3, 1)
    with duckdb_connection.connect(lake) as connection:
        define_lake_views(connection, lake, temporary=True)
        named = "SELECT this_run FROM run_counts WHERE name = 'tracks_dead' AND flow = 'collect-soundtracks'"
        assert connection.execute(named).fetchall()[0] == (1,)
