"""How every flow is recorded: names, rows of `flow_runs`, crashes; and when too large a share of its items failed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import State, flow, get_client, task
from prefect.runtime import flow_run
from prefect.states import Pending, Running

from flows.runs.start_and_end import names_its_leases, recorded, run_name
from storage.coordination.holders_and_heartbeats import current_flow_run
from storage.lake.lake import Lake
from storage.records.flow_runs import is_alive, record_crashes, record_flow_run, shown_alive
from storage.tables import tables
from storage.tables.schemas import FLOW_RUNS
from storage.views.status import read_status


def states(lake: Lake) -> dict[str, str]:
    rows = tables.latest(lake, FLOW_RUNS, ["flow_run_id", "state"]).to_pylist()
    return {row["flow_run_id"]: row["state"] for row in rows}


@pytest.mark.parametrize(
    ("summary", "state"),
    [
        ({}, "completed"),
        ({"paused": "a"}, "paused"),
        ({"error": "b"}, "failed"),
        ({"nothing_yet": "c"}, "nothing_yet"),
    ],
)
def test_a_run_is_recorded_from_start_to_end(lake: Lake, summary: dict[str, Any], state: str) -> None:
    with recorded(lake, "collect-films", "now", {}) as record:
        assert states(lake) == {"now": "running"}
        record.update(summary)
    assert states(lake) == {"now": state}


def test_a_run_warns_of_a_disk_that_is_nearly_full(
    small_disk: Callable[[str], Path], caplog: pytest.LogCaptureFixture
) -> None:
    lake = tables.open_tables(str(small_disk("size=20m") / "lake"))
    with recorded(lake, "collect-films", "now", {}):
        pass
    assert "free some before the lake cannot grow" in caplog.text


def test_a_run_is_never_recorded_as_running_without_its_lease(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded_alive = []

    def record(lake: Lake, run_id: str, *values: Any) -> None:
        recorded_alive.append(is_alive(lake, run_id))
        record_flow_run(lake, run_id, *values)

    monkeypatch.setattr("flows.runs.start_and_end.record_flow_run", record)
    with recorded(lake, "collect-films", "now", {}):
        pass
    assert recorded_alive == [True, True]


def test_a_run_that_was_killed_is_recorded_as_crashed_by_the_next(lake: Lake) -> None:
    record_flow_run(lake, "killed", "refresh", "running", {})
    with shown_alive(lake, "at-work"):
        record_flow_run(lake, "at-work", "collect-soundtracks", "running", {})
        assert [run["state"] for run in read_status(lake).last_runs] == ["running", "crashed"]
        assert record_crashes(lake) == ["killed"]
    assert states(lake) == {"killed": "crashed", "at-work": "running"}


@pytest.mark.parametrize("state", [Pending(), Running()], ids=lambda state: state.name)
def test_a_part_of_a_killed_run_is_shown_as_crashed_whether_it_had_begun_or_not(
    state: State[Any], prefect_server: None, lake: Lake
) -> None:
    @flow
    def dead() -> None: ...

    @task
    def part() -> None: ...

    @flow
    def following() -> None:
        with recorded(lake, "refresh", "next", {}):
            pass

    with get_client(sync_client=True) as client:
        killed = client.create_flow_run(dead, state=Running())
        left = client.create_task_run(part, killed.id, dynamic_key="0", state=state)
        record_flow_run(lake, str(killed.id), "refresh", "running", {})
        following()
        ends = client.read_flow_run(killed.id).state, client.read_task_run(left.id).state
    assert [end and end.name for end in ends] == ["Crashed", "Crashed"]


def test_a_run_is_named_by_flow_lake_and_time(prefect_server: None) -> None:
    @flow(name="refresh", flow_run_name=lambda: names.append(run_name()) or names[0])
    def refresh(lake: str) -> None:
        return None

    names: list[str] = []
    refresh(lake="s3://bucket/some/lake/")
    assert names[0].startswith("refresh lake 20")
    assert "/" not in names[0]


@flow
@names_its_leases
def outer() -> tuple[str, str, str]:
    return str(flow_run.id), current_flow_run().id, inner()


@flow
@names_its_leases
def inner() -> str:
    return current_flow_run().id


def test_leases_name_the_flow_run_that_was_started(prefect_server: None) -> None:
    run_id, in_outer, in_inner = outer()
    assert run_id == in_outer == in_inner
