"""Measure the studio over a lake: from its start to the first result, later results, and fifty searches at once.

    python -m benchmarks.studio --lake demo-lake

The lake needs a trained run and an indexed library, such as that of `needledrop demo`. Times are wall times; the CPU
time of the studio is given next to the first, since a busy machine lengthens the one and not the other.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

PLOTS = (
    "A detective hunts a killer through the rain.", "Two friends dance at a wedding by the sea.",
    "A widow reads the letters of her son.", "A thief escapes over the roofs of the city.",
)  # fmt: skip
AT_ONCE = 50


def main(arguments: Sequence[str] | None = None) -> None:
    """Start a studio, measure it, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lake", default="demo-lake")
    parser.add_argument("--searches", type=int, default=20)
    given = parser.parse_args(arguments)
    if not Path(given.lake).is_dir():
        print(f"There is no lake {given.lake}; make one with `needledrop demo`")
        return
    command = [sys.executable, "-m", "needledrop", "studio", "--lake", given.lake, "--port", "0"]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as studio:
        try:
            assert studio.stdout is not None
            found = re.search(r"http://localhost:\d+", studio.stdout.readline())
            assert found is not None
            _measure(found.group(), studio.pid, started, given.searches)
        finally:
            studio.terminate()


def _measure(address: str, process: int, started: float, searches: int) -> None:
    first = _search(address, PLOTS[0])
    rows = [
        ("tracks searched", f"{first['searched']:,}"),
        ("start to first result", f"{time.perf_counter() - started:.1f} s, {_cpu_seconds(process):.1f} s of CPU"),
    ]
    times = [_timed(address, f"{PLOTS[number % len(PLOTS)]} Scene {number}.") for number in range(searches)]
    again = [_timed(address, PLOTS[0]) for _ in range(searches)]
    rows.append(("a new plot", f"{1000 * statistics.median(times):.0f} ms, the slowest {1000 * max(times):.0f} ms"))
    rows.append(("the same plot, other filters", f"{1000 * statistics.median(again):.0f} ms"))
    begun = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as asking:
        list(asking.map(lambda number: _search(address, f"A chase, take {number}."), range(AT_ONCE)))
    rows.append((f"{AT_ONCE} at once", f"all answered in {time.perf_counter() - begun:.1f} s"))
    print("\n".join(f"| {name} | {value} |" for name, value in rows))
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _timed(address: str, plot: str) -> float:
    started = time.perf_counter()
    _search(address, plot)
    return time.perf_counter() - started


def _search(address: str, plot: str) -> dict[str, int]:
    answer = requests.post(f"{address}/api/search", json={"plot": plot, "count": 20}, timeout=300)
    answer.raise_for_status()
    found: dict[str, int] = answer.json()
    return found


def _cpu_seconds(process: int) -> float:
    """Return the CPU time of a process so far, as Linux counts it; 0 elsewhere."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rsplit(") ", 1)[1].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
