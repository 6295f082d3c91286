"""A worker that is stopped lets its flow runs end first."""

from __future__ import annotations

import os
import subprocess
import sys

from needledrop.service.worker import flow_runs


def test_only_the_processes_of_flow_runs_are_found() -> None:
    sleep = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
    marked = {**os.environ, "PREFECT__FLOW_RUN_ID": "00000000"}
    with (
        subprocess.Popen(sleep, env=marked, stdout=subprocess.PIPE) as run,
        subprocess.Popen(sleep, stdout=subprocess.PIPE) as helper,
    ):
        for process in (run, helper):
            assert process.stdout
            process.stdout.readline()  # it has started, with its own environment
        assert flow_runs(os.getpid()) == {run.pid}
        run.kill()
        run.wait()
        assert flow_runs(os.getpid()) == set()
        helper.kill()
