"""What a process prints at its end."""

from __future__ import annotations

import subprocess
import sys


def test_a_process_ends_without_the_leak_reports_of_duckdb() -> None:
    keep_alive = "import threading, time; threading.Thread(target=lambda: time.sleep(60), daemon=True).start()"
    code = f"import duckdb; kept = duckdb.connect(); {keep_alive}"
    for first, is_silent in (("", False), ("import flows; ", True)):
        ended = subprocess.run([sys.executable, "-c", first + code], capture_output=True, text=True, check=True)
        assert ("nanobind" not in ended.stderr) == is_silent
