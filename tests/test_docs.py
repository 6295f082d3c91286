"""README and docs are tested: their SQL runs on a finished lake, their commands parse, their paths exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main
from prefect import settings
from typer.core import TyperGroup

from benchmarks import cost_estimate
from needledrop.cli.main import app
from storage.metrics.database import connect_metrics
from storage.tables.tables import open_tables

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
PACKAGES = ("flows", "tasks", "storage", "training", "needledrop")
SQL = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in PAGES
    for number, block in enumerate(re.findall(r"```sql\n(.*?)```", page.read_text(), re.S))
]


def shell_lines(page: Path) -> list[str]:
    """The command lines of a page's bash blocks, continued lines joined."""
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(), re.S)
    return [line.strip() for block in blocks for line in block.replace("\\\n", " ").splitlines()]


COMMANDS = [
    pytest.param(line, id=f"{page.name}: {line[:40]}")
    for page in PAGES
    for line in [*shell_lines(page), *re.findall(r"`(needledrop [a-z][^`\n]*)`", page.read_text())]
    if re.match(r"needledrop [a-z]", line) and "…" not in line
]


@pytest.mark.parametrize("query", SQL)
def test_a_query_of_the_docs_returns_rows(query: str, refreshed_lake: str) -> None:
    with connect_metrics(open_tables(refreshed_lake), read_only=True) as connection:
        assert connection.execute(query).fetchall()


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_docs_is_understood(line: str) -> None:
    command: Any = typer.main.get_command(app)
    name, arguments = "needledrop", shlex.split(line, comments=True)[1:]
    while isinstance(command, TyperGroup) and arguments and arguments[0] in command.commands:
        name = arguments.pop(0)
        command = command.commands[name]
    if arguments and arguments != ["--help"]:  # a bare command is only named; with arguments it must parse
        command.make_context(name, arguments)
    assert not isinstance(command, TyperGroup) or name in ("datasets", "review"), f"{line} names no command"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_paths_of_the_docs_exist(page: Path) -> None:
    text = page.read_text()
    links = [page.parent / target for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text)]
    paths = [
        ROOT / path for path in re.findall(r"`((?:tests|benchmarks|examples|[a-z]+)/[\w./]+\.(?:py|yaml|toml))`", text)
    ]
    assert [path for path in links + paths if not path.exists()] == []


def test_prefect_takes_every_setting_of_the_docs_with_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    named = set(re.findall(r"\bPREFECT_[A-Z_]+[A-Z]\b", text)) - {"PREFECT_DATABASE"}
    assert [name for name in sorted(named) if not hasattr(settings, name)] == []
    values = [pair for pair in re.findall(r"`(PREFECT_[A-Z_]+)=([^`]+)`", text) if "USER:" not in pair[1]]
    assert len(values) >= 4
    for name, value in values:
        monkeypatch.setenv(name, value)
    settings.Settings()


def test_the_architecture_lists_every_package() -> None:
    tree = (ROOT / "docs/architecture.md").read_text().split("```")[3]
    listed, stack = set(), []
    for line in tree.splitlines():
        if match := re.match(r"( *)([a-z_]+)/", line):
            stack = [*stack[: len(match[1]) // 2], match[2]]
            listed.add("/".join(stack))
    existing = {
        path.parent.relative_to(ROOT).as_posix() for top in PACKAGES for path in (ROOT / top).glob("**/__init__.py")
    }
    top_two = {package for package in existing if not package.startswith("needledrop/") or package.count("/") == 1}
    assert {package for package in listed if package.split("/")[0] in PACKAGES} == top_two


def test_the_costs_in_the_documentation_are_those_that_the_estimate_prints(capsys: pytest.CaptureFixture[str]) -> None:
    cost_estimate.main([])
    assert capsys.readouterr().out.strip() in (ROOT / "docs" / "scale.md").read_text()


def test_twice_the_films_cost_twice_and_prices_are_inputs(capsys: pytest.CaptureFixture[str]) -> None:
    free = ["--per-gpu-hour", "0", "--per-core-hour", "0"]
    cost_estimate.main(["--films", "1000", "2000", *free, "--per-gb-month", "10"])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if "tracks |" in line or "price" in line]
    assert [cell.strip(" |").replace(",", "") for row in rows for cell in row[1:]] == ["9036", "18071", "203", "406"]
