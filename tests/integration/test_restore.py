"""Back up and restore a lake with the commands of docs/operations.md."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

from storage.lake.lake import Lake
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


def test_a_lake_in_a_volume_is_copied_without_its_database_and_restored(tmp_path: Path) -> None:
    lake = open_tables(str(tmp_path / "volume" / "lake"))
    Path(lake.root, "needledrop.duckdb").write_bytes(b"made again")
    files = [path for path in lake.list() if path != "needledrop.duckdb"]
    backup, _postgres, restore = commands_of("Back up and restore in containers")
    for command, folder in ((backup, "volume"), (restore, "new volume")):
        Path(tmp_path, folder).mkdir(exist_ok=True)
        in_service = re.sub(r"^docker compose .*? -T worker ", "", command)
        subprocess.run(in_service.replace("/app", f"'{folder}'"), shell=True, cwd=tmp_path, check=True)
    assert Lake(str(tmp_path / "new volume" / "lake")).list() == files
