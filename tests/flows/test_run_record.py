"""How every flow is recorded and how it ends: names, rows of `flow_runs`, too many failures, retries."""

from __future__ import annotations

import inspect
import logging
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from prefect import flow, flow_engine

from flows.refresh import refresh
from flows.run_record import EachErrorOnce, check_failures, recorded, retried, run_name
from storage.errors import InputError, ItemError, LakeError, Retry, StoreUnreachable, TooManyFailed
from storage.lake.lake import Lake
from storage.records import outcomes
from storage.records.flow_runs import is_alive, record_crashes, record_flow_run, shown_alive
from storage.records.outcomes import Stage
from storage.tables import tables
from storage.tables.schemas import FLOW_RUNS
from storage.views.status import read_status

AT_ONCE = timedelta(0)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tables.open_tables(str(tmp_path / "my-lake"))


def states(lake: Lake) -> dict[str, str]:
    rows = tables.latest(lake, FLOW_RUNS, ["flow_run_id", "state"]).to_pylist()
    return {row["flow_run_id"]: row["state"] for row in rows}


def record_tracks(lake: Lake, *reasons: str) -> None:
    """Record one track per reason in the run "now"; "ok" is a success."""
    items = [
        outcomes.ok(Stage.TRACK, f"film/{number}")
        if reason == "ok"
        else outcomes.from_error(Stage.TRACK, f"film/{number}", ItemError(reason, f"why {reason}", Retry.LATER))
        for number, reason in enumerate(reasons)
    ]
    outcomes.record(lake, items, "now")


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


def test_a_run_is_never_recorded_as_running_without_its_lease(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded_alive = []

    def record(lake: Lake, run_id: str, *values: Any) -> None:
        recorded_alive.append(is_alive(lake, run_id))
        record_flow_run(lake, run_id, *values)

    monkeypatch.setattr("flows.run_record.record_flow_run", record)
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


def test_more_failures_than_allowed_name_the_commonest_reasons(lake: Lake) -> None:
    record_tracks(lake, *["missing_file"] * 4, *["timeout"] * 3, "truncated", "truncated", "too_short", *["ok"] * 9)
    with pytest.raises(TooManyFailed, match="10 of 19 items of stage track failed") as raised:
        check_failures(lake, "now", 0.5)
    text = str(raised.value)
    assert text.index("4 missing_file") < text.index("3 timeout") < text.index("2 truncated")
    assert "too_short" not in text


@pytest.mark.parametrize(
    ("reasons", "share"), [(["timeout"] * 5 + ["ok"] * 5, 0.5), (["timeout"] * 4, 0.5), (["timeout"] * 9, 1.0)]
)
def test_few_failures_and_an_allowed_share_fail_no_run(lake: Lake, reasons: list[str], share: float) -> None:
    record_tracks(lake, *reasons)
    check_failures(lake, "now", share)


def test_a_share_of_zero_allows_not_even_one_failure(lake: Lake) -> None:
    record_tracks(lake, "timeout", "ok")
    with pytest.raises(TooManyFailed, match="1 of 2 items"):
        check_failures(lake, "now", 0)
    check_failures(lake, "a run that tried nothing", 0)


def test_failures_of_earlier_runs_do_not_count(lake: Lake) -> None:
    record_tracks(lake, *["timeout"] * 9)
    check_failures(lake, "another run", 0.1)


def test_a_run_is_named_by_flow_lake_and_time(prefect_server: None) -> None:
    @flow(name="refresh", flow_run_name=lambda: names.append(run_name()) or names[0])
    def refresh(lake: str) -> None:
        return None

    names: list[str] = []
    refresh(lake="s3://bucket/some/lake/")
    assert names[0].startswith("refresh lake 20")
    assert "/" not in names[0]


@pytest.mark.parametrize("error", [httpx.ConnectError("away"), StoreUnreachable("away"), ConnectionResetError("away")])
def test_work_is_repeated_after_an_error_of_the_infrastructure(error: Exception) -> None:
    errors = [error, error]

    def work() -> str:
        if errors:
            raise errors.pop()
        return "done"

    assert retried(work, AT_ONCE) == "done"


@pytest.mark.parametrize("error", [InputError("wrong"), LakeError("full"), ValueError("a defect")])
def test_other_errors_are_not_repeated(error: Exception) -> None:
    calls = []

    def work() -> None:
        calls.append(1)
        raise error

    with pytest.raises(type(error)):
        retried(work, AT_ONCE)
    assert len(calls) == 1


def test_whoever_types_the_address_of_a_store_that_does_not_answer_is_told_at_once(
    prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = pytest.importorskip("s3fs").S3FileSystem
    for name, value in (("ENDPOINT_URL", "http://127.0.0.1:9"), ("ACCESS_KEY_ID", "a"), ("SECRET_ACCESS_KEY", "b")):
        monkeypatch.setenv(f"AWS_{name}", value)
    client.clear_instance_cache()
    began = time.monotonic()
    with pytest.raises(StoreUnreachable, match="check its address"):
        refresh(lake="s3://nobody/lake", train="never")
    client.clear_instance_cache()
    assert time.monotonic() - began < 240


def test_the_last_error_of_the_infrastructure_is_raised() -> None:
    def work() -> None:
        raise StoreUnreachable("still away")

    with pytest.raises(StoreUnreachable, match="still away"):
        retried(work, AT_ONCE, retries=2)


def test_a_run_goes_on_when_the_server_has_forgotten_its_slot(
    prefect_server: None, caplog: pytest.LogCaptureFixture
) -> None:
    assert "maintain_concurrency_lease(" in inspect.getsource(flow_engine.FlowRunEngine)
    maintain: Any = vars(flow_engine)["maintain_concurrency_lease"]
    deadline = time.monotonic() + 60
    with maintain(uuid4(), 300, raise_on_lease_renewal_failure=True):
        while "slots are no longer reserved" not in caplog.text:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        time.sleep(0.5)
    assert "Execution will continue" in caplog.text


def test_a_process_ends_without_the_leak_reports_of_duckdb() -> None:
    keep_alive = "import threading, time; threading.Thread(target=lambda: time.sleep(60), daemon=True).start()"
    code = f"import duckdb; kept = duckdb.connect(); {keep_alive}"
    for first, is_silent in (("", False), ("import flows; ", True)):
        ended = subprocess.run([sys.executable, "-c", first + code], capture_output=True, text=True, check=True)
        assert ("nanobind" not in ended.stderr) == is_silent


def _logged(error: Exception) -> tuple[bool, logging.LogRecord]:
    """Return whether an error would be logged, and how."""
    record = logging.LogRecord("prefect.flow_runs", logging.ERROR, "", 0, "Encountered %r", (error,), None)
    record.exc_info = (type(error), error, None)
    return EachErrorOnce().filter(record), record


def test_our_own_error_is_logged_once_as_its_sentence() -> None:
    error = InputError("Give a contact")
    is_logged, record = _logged(error)
    assert (is_logged, record.getMessage(), record.exc_info) == (True, "InputError: Give a contact", None)
    assert not _logged(error)[0]


def test_a_defect_is_logged_once_with_its_traceback() -> None:
    error = ZeroDivisionError("x")
    is_logged, record = _logged(error)
    assert is_logged and record.exc_info is not None
    assert not _logged(error)[0]
