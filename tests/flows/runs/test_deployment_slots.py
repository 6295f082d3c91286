"""A run goes on without its slot."""

from __future__ import annotations

import inspect
import time
from typing import Any
from uuid import uuid4

import pytest
from prefect import flow_engine

from flows.runs import record  # noqa: F401 - every flow imports it


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
