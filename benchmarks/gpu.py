"""Measure training on a GPU in eight minutes: correctness, speed, waiting, memory, determinism, loading, evaluation.

Every step has its own time limit and writes its result into one JSON file when it is done, so a run may be stopped at
any moment; steps that have a result are not repeated. Everything is made up here: no network, no weights of a hub, no
lake. Without a GPU the steps run at tiny sizes, which shows that they work and measures nothing worth keeping.

    make gpu                                                 # or: python -m benchmarks.gpu --out gpu.json
    python -m benchmarks.gpu --only parity --only "paper compiled"
    python -m benchmarks.gpu --again                         # repeat what has a result
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

TIME_LIMITS = {
    "machine": 30,
    "parity": 45,
    "resume": 60,
    "paper eager": 60,
    "waits": 30,
    "profile": 45,
    "loader": 45,
    "embedding": 45,
    "ranking": 45,
    "paper compiled": 150,
    "strong eager": 60,
    "gradients": 90,
    "strong compiled": 150,
}
"""Seconds for each step, in the order of their worth: what is first has a result if the time ends early."""
START_SECONDS = 90
"""Loading torch and starting CUDA, where it has to be done again."""


def main() -> None:
    """Run the steps in a process of their own, which a step that hangs or crashes does not outlive."""
    options = _options()
    out, deadline = Path(options.out), time.monotonic() + 60 * options.minutes
    results = json.loads(out.read_text()) if out.exists() and not options.again else {}
    with tempfile.TemporaryDirectory() as folder:
        worker: _Worker | None = None
        for name in options.only or TIME_LIMITS:
            if results.get(name, {}).get("state") == "done":
                continue
            worker = worker or _Worker(folder, options.tiny)
            left = deadline - time.monotonic()
            result = {"state": "no time left"} if left < 1 else worker.run(name, min(TIME_LIMITS[name], left))
            if not worker.is_alive:
                worker = None
            results[name] = result | {"at": datetime.now(UTC).isoformat(timespec="seconds")}
            out.write_text(json.dumps(results, indent=2) + "\n")
            print(f"{name:16s} {json.dumps(result)[:400]}", flush=True)
        if worker:
            worker.stop()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default="gpu.json", help="file of the results; those it has are kept")
    parser.add_argument("--only", action="append", choices=TIME_LIMITS, help="a step; may be repeated; default: all")
    parser.add_argument("--again", action="store_true", help="repeat steps that have a result")
    parser.add_argument("--minutes", type=float, default=8, help="the most that all steps together may take")
    parser.add_argument("--tiny", action="store_true", help="tiny sizes also on a GPU")
    return parser.parse_args()


class _Worker:
    """A process that runs one step after another."""

    def __init__(self, folder: str, tiny: bool) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._connection, theirs = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(theirs, folder, tiny), daemon=True)
        self._process.start()
        theirs.close()
        self._spare = START_SECONDS
        self.is_alive = True

    def run(self, name: str, seconds: float) -> dict[str, Any]:
        """Return the result of a step, or why there is none; then this process has ended if it had to be ended."""
        began = time.monotonic()
        try:
            self._connection.send(name)
            if self._connection.poll(seconds + self._spare):
                self._spare = 0
                result: dict[str, Any] = self._connection.recv()
                return result | {"seconds": round(time.monotonic() - began, 1)}
            why = f"not done after {seconds:.0f} s"
        except (EOFError, OSError):
            why = "the process ended"
        self.stop()
        return {"state": "failed", "error": why}

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.join()
        self.is_alive = False


def _serve(connection: Connection, folder: str, tiny: bool) -> None:
    """Run the steps whose names are sent, and send their results."""
    from benchmarks.gpu_steps import STEPS, Bench
    from training.loop.devices_and_torchrun import open_machine

    with open_machine() as machine:
        bench = Bench(folder, machine, tiny or machine.device.type != "cuda")
        while True:
            name = connection.recv()
            with _recording() as result:
                result.update(STEPS[name](bench))
            connection.send(result)


@contextmanager
def _recording() -> Iterator[dict[str, Any]]:
    """Note in the result whether the block ended well, or with which error."""
    result: dict[str, Any] = {"state": "done"}
    try:
        yield result
    except Exception as error:  # noqa: BLE001 - a step that fails must not lose the others
        result |= {"state": "failed", "error": f"{type(error).__name__}: {error}"[:500]}
        result["where"] = traceback.format_exc().splitlines()[-3].strip()


if __name__ == "__main__":
    main()
