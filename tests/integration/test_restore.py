"""Back up and restore a lake with the commands of docs/operations.md."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from storage.metrics.database import connect_metrics
from storage.tables.tables import open_tables

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def commands_of(section: str) -> list[str]:
    """The command lines of the bash blocks of a section of the page, those of a Prefect database left out."""
    text = PAGE.read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    lines = [line for block in re.findall(r"```bash\n(.*?)```", text, re.S) for line in block.splitlines()]
    return [line for line in lines if not line.startswith("pg_dump")]


def leaderboard(root: Path) -> list[tuple[object, ...]]:
    with connect_metrics(open_tables(str(root))) as connection:
        return connection.execute("SELECT system, preset, r_at_10, medr FROM leaderboard ORDER BY ALL").fetchall()


def test_a_restored_lake_is_complete_and_has_the_same_metrics(refreshed_lake: str, tmp_path: Path) -> None:
    shutil.copytree(refreshed_lake, tmp_path / "lake")
    before = leaderboard(tmp_path / "lake")
    backup, restore, verify, status = commands_of("Back up and restore")
    subprocess.run(backup, shell=True, cwd=tmp_path, check=True)
    shutil.rmtree(tmp_path / "lake")
    subprocess.run(restore, shell=True, cwd=tmp_path, check=True)
    for command in (verify, status):
        arguments = [sys.executable, "-m", *command.split()]
        subprocess.run(arguments, cwd=tmp_path, check=True, capture_output=True)
    assert leaderboard(tmp_path / "lake") == before
    assert before
