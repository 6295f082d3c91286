"""A run goes on without its slot, each error of a run is logged once, and a process prints nothing at its end."""

from __future__ import annotations

import inspect
import logging
import subprocess
import sys
import time
from typing import Any
from uuid import uuid4

import pytest
from prefect import flow_engine

from flows.runs import start_and_end  # noqa: F401 - every flow imports it
from flows.runs.error_logging_and_workarounds import EachErrorOnce
from storage.errors import InputError


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


def test_a_process_ends_without_the_leak_reports_of_duckdb() -> None:
    keep_alive = "import threading, time; threading.Thread(target=lambda: time.sleep(60), daemon=True).start()"
    code = f"import duckdb; kept = duckdb.connect(); {keep_alive}"
    for first, is_silent in (("", False), ("import flows; ", True)):
        ended = subprocess.run([sys.executable, "-c", first + code], capture_output=True, text=True, check=True)
        assert ("nanobind" not in ended.stderr) == is_silent
