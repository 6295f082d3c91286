"""`needledrop leases` lists who works on what, and frees an item after asking; `status` counts them."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from typer.testing import CliRunner

from needledrop.cli.main import app
from storage.coordination.holders_and_heartbeats import during_flow_run
from storage.coordination.leases import LeaseKeeper, leased
from storage.coordination.list_and_free_leases import list_leases
from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.tables import tables


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("NEEDLEDROP_CACHE", str(tmp_path / "cache"))
    return tables.open_tables(str(tmp_path / "lake"))


def typed(lake: Lake, *arguments: str, answer: str = "") -> str:
    result = CliRunner().invoke(app, [*arguments, "--lake", lake.root], input=answer)
    return " ".join(result.output.split())


def test_leases_are_listed_with_age_holder_and_state(lake: Lake) -> None:
    with leased(lake, "refresh"):
        printed = typed(lake, "leases")
    assert "refresh 1 0:00:0" in printed
    assert "process" in printed
    assert "alive" in printed
    assert "Nobody works on" in typed(lake, "leases")


def test_an_item_is_in_one_piece_on_a_narrow_terminal(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    item = f"run-{uuid.uuid4()}"
    with during_flow_run(str(uuid.uuid4()), lambda _id: None), leased(lake, item):
        printed = typed(lake, "leases")
    assert item in printed.split()


def test_status_has_one_line_per_process(lake: Lake) -> None:
    with LeaseKeeper(lake) as leases:
        for number in range(64):
            leases.acquire(f"film-{number}")
        printed = typed(lake, "status")
    assert "Leases" in printed
    assert " 64 " in printed
    assert "Leases" not in typed(lake, "status")


def test_an_item_is_freed_only_after_asking(lake: Lake) -> None:
    with leased(lake, "refresh"):
        assert "Free it?" in typed(lake, "leases", "--release", "refresh", answer="n")
        assert [held.item for held in list_leases(lake)] == ["refresh"]
        assert "refresh is free" in typed(lake, "leases", "--release", "refresh", answer="y")
        assert list_leases(lake) == []


def test_a_script_frees_without_a_question_and_the_holder_commits_nothing_more(lake: Lake) -> None:
    with pytest.raises(LakeError, match="was lost"), leased(lake, "refresh"):
        assert "Free it?" not in typed(lake, "leases", "--release", "refresh", "--yes")
        lake.write_bytes(b"x", "result.txt")
    assert not lake.exists("result.txt")
