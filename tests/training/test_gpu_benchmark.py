"""The script of `make gpu` works on a CPU at tiny sizes; a step that fails or hangs does not lose the others."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.gpu import TIME_LIMITS, _recording, _Worker
from benchmarks.gpu_steps import STEPS

QUICK = ("machine", "parity", "resume", "paper eager", "profile", "loader", "embedding", "ranking", "strong eager")
"""Without what compiles: on a slow CPU that takes minutes."""


def test_every_step_writes_its_figures_and_is_not_repeated(tmp_path: Path) -> None:
    out = tmp_path / "gpu.json"
    out.write_text(json.dumps({"waits": {"state": "done", "waits": 0}}))
    command = [sys.executable, "-m", "benchmarks.gpu", "--tiny", "--out", str(out)]
    command += [word for name in (*QUICK, "waits") for word in ("--only", name)]
    subprocess.run(command, cwd=Path(__file__).parents[2], check=True, capture_output=True)
    results = json.loads(out.read_text())
    assert {name: result["state"] for name, result in results.items()} == dict.fromkeys((*QUICK, "waits"), "done")
    assert results["parity"]["ranks_equal"] and results["ranking"]["ranks_equal"]
    assert all(results["resume"][f"{name}: resumed"] for name in ("by default", "deterministic"))
    assert 0 < results["profile"]["host_seconds"] <= results["profile"]["step_seconds"]
    assert results["paper eager"]["items_per_second"] > 0 and "at" not in results["waits"]


def test_a_step_that_takes_too_long_is_ended_and_noted(tmp_path: Path) -> None:
    worker = _Worker(str(tmp_path), tiny=True)
    worker._spare = 0
    assert worker.run("ranking", 0.01) == {"state": "failed", "error": "not done after 0 s"}
    assert not worker.is_alive and not worker._process.is_alive()


def test_a_step_that_fails_is_noted_with_its_error() -> None:
    with _recording() as result:
        raise ValueError("no such kernel")
    assert result["state"] == "failed" and "no such kernel" in result["error"]


def test_every_step_that_has_a_time_limit_can_be_run() -> None:
    assert list(STEPS) == list(TIME_LIMITS)
