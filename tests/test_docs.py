"""README and docs are tested: their SQL runs on a lake that walked the road, their commands exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from storage.metrics.database import connect_metrics
from storage.tables import tables

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SQL = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```sql\n(.*?)```", page.read_text(), re.S))
]
COMMANDS = sorted({c for page in PAGES for c in re.findall(r"\bneedledrop ([a-z]+)\b", page.read_text())} - {"has"})


@pytest.mark.parametrize("query", SQL)
def test_a_query_of_the_docs_returns_rows(query: str, walked_lake: str) -> None:
    lake = tables.open_tables(walked_lake)
    with connect_metrics(lake, read_only=True) as connection:
        assert connection.execute(query).fetchall()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_docs_exists_and_explains_itself(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "needledrop", command, "--help"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_links_between_the_docs_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
