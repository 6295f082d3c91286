"""The flow as Prefect sees it: what it refuses, what it records, and how a pause ends it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.collect_soundtracks import collect_soundtracks
from storage import tables
from storage.errors import InputError
from storage.lake import Lake
from storage.schemas import BREAKERS, FILMS, FLOW_RUNS, OUTCOMES


@pytest.fixture
def lake(tmp_path: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("NEEDLEDROP_CACHE", str(tmp_path / "cache"))
    made = tables.open_tables(str(tmp_path / "lake"))
    film = {"film_id": "enwiki-1", "page_id": 1, "title": "Slow Water", "year": 2016, "state": "present"}
    tables.append(made, FILMS, [film], "test")
    return made


def test_collecting_from_the_network_needs_a_statement(lake: Lake) -> None:
    with pytest.raises(InputError, match="i_have_the_right_to_collect"):
        collect_soundtracks(lake=lake.root, youtube=True)


def test_an_open_breaker_ends_the_flow_as_paused_and_the_statement_is_kept(lake: Lake) -> None:
    until = datetime.now(UTC) + timedelta(hours=3)
    breaker = {"source": "youtube", "state": "open", "reason": "bot", "message": "no", "until": until, "openings": 1}
    tables.append(lake, BREAKERS, [breaker], "test")
    state = collect_soundtracks(lake=lake.root, youtube=True, i_have_the_right_to_collect=True, return_state=True)
    assert (state.name, state.is_completed()) == ("Paused", True)
    assert "bot" in state.message
    assert state.result()["requests"] == 0
    (run,) = tables.latest(lake, FLOW_RUNS).to_pylist()
    assert run["state"] == "paused"
    assert json.loads(run["parameters"])["i_have_the_right_to_collect"] is True
    assert not tables.latest(lake, OUTCOMES).num_rows
