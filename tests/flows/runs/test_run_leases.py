"""Whether a flow run is over is asked of Prefect, which may not answer."""

from __future__ import annotations

import logging
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from prefect import flow
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.collect_films import collect_films
from flows.collect_soundtracks import collect_soundtracks
from flows.curate_dataset import curate_dataset
from flows.refresh import refresh
from flows.runs.run_leases import names_its_leases, run_is_over
from flows.train_and_evaluate import train_and_evaluate
from storage.coordination.holders_and_heartbeats import current_flow_run
from storage.coordination.list_and_free_leases import list_leases
from storage.lake.lake import lake_at
from storage.tables import tables
from storage.tables.schemas import FILMS
from storage.tables.tables import open_tables


@flow
def answers() -> tuple[str, bool | None]:
    return str(flow_run.id), run_is_over(str(flow_run.id))


def test_a_run_is_over_when_it_has_ended(prefect_server: None) -> None:
    run_id, while_running = answers()
    assert (while_running, run_is_over(run_id)) == (False, True)


def test_nobody_knows_about_a_run_that_the_server_does_not_know(prefect_server: None) -> None:
    assert run_is_over(str(uuid.uuid4())) is None
    assert run_is_over("no id") is None


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/api", None])
def test_nobody_knows_where_no_server_answers(address: str | None) -> None:
    with temporary_settings({PREFECT_API_URL: address}):
        assert run_is_over(str(uuid.uuid4())) is None


@flow
@names_its_leases
def outer() -> tuple[str, str, str]:
    return str(flow_run.id), current_flow_run().id, inner()


@flow
@names_its_leases
def inner() -> str:
    return current_flow_run().id


def test_leases_name_the_flow_run_that_was_started(prefect_server: None) -> None:
    run_id, in_outer, in_inner = outer()
    assert run_id == in_outer == in_inner


EMPTY_EXPORT = "<mediawiki><siteinfo><dbname>xwiki</dbname></siteinfo></mediawiki>"


@pytest.mark.parametrize(
    ("flow_of_stage", "parameters"),
    [
        (collect_films, {"export": "empty.xml"}),
        (collect_soundtracks, {"music": ["."]}),
        (curate_dataset, {}),
        (train_and_evaluate, {"dataset": "v-absent"}),
        (refresh, {"train": "never"}),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_every_flow_names_its_run_in_its_leases(
    flow_of_stage: Any,
    parameters: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prefect_server: None,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.xml").write_text(EMPTY_EXPORT)
    open_tables("lake")
    named: list[tuple[str, str]] = []

    class Look(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().endswith(" started"):
                held = list_leases(lake_at("lake"))
                named.extend((str(flow_run.id), getattr(lease.holder, "flow_run_id", "")) for lease in held)

    look = Look()
    logging.getLogger("prefect.flow_runs").addHandler(look)
    try:
        flow_of_stage(lake="lake", **parameters, return_state=True)
    finally:
        logging.getLogger("prefect.flow_runs").removeHandler(look)
    assert named and {holder for _, holder in named} == {named[0][0]}


@pytest.mark.parametrize(
    ("flow_of_stage", "parameters"),
    [(collect_soundtracks, {"music": ["."]}), (curate_dataset, {}), (train_and_evaluate, {}), (refresh, {})],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_mistyped_lake_fails_the_run_and_is_not_made(
    flow_of_stage: Any, parameters: dict[str, Any], tmp_path: Path, prefect_server: None
) -> None:
    state = flow_of_stage(lake=str(tmp_path / "lakke"), **parameters, return_state=True)
    assert state.is_failed()
    assert "There is no lake at" in state.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flow_of_stage", "parameters"), [(collect_soundtracks, {"music": ["."]}), (curate_dataset, {})]
)
def test_a_deployment_of_a_lake_that_does_not_exist_yet_completes_as_nothing_yet_and_names_it(
    flow_of_stage: Any,
    parameters: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prefect_server: None,
) -> None:
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "of-the-schedule")
    state = flow_of_stage(lake=str(tmp_path / "lakke"), **parameters, return_state=True)
    assert (state.is_completed(), state.name) == (True, "NothingYet")
    assert f"There is no lake at {tmp_path / 'lakke'} yet" in state.message
    assert list(tmp_path.iterdir()) == []


def test_a_wiki_that_cannot_be_reached_pauses_and_the_music_of_known_films_is_collected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prefect_server: None
) -> None:
    film = {"film_id": "enwiki-1", "page_id": 1, "title": "Slow Water", "year": 2016, "state": "present"}
    tables.append(open_tables(str(tmp_path / "lake")), FILMS, [film], "test")
    soundfile.write(str(tmp_path / "1.wav"), 0.3 * np.sin(np.arange(11 * 8_000) * 0.05), 8_000)
    (tmp_path / "music.csv").write_text("film,path\nenwiki-1,1.wav\n")
    monkeypatch.setattr("tasks.backoff.MAX_BACKOFF_SECONDS", 0.01)
    of_wiki = {"wiki": "http://127.0.0.1:9/w/api.php", "contact": "tests@example.org", "recent_years": 2}
    music = {"music": [str(tmp_path / "music.csv")], "i_have_the_right_to_collect": True}
    state: Any = refresh(lake=str(tmp_path / "lake"), **of_wiki, **music, train="never", return_state=True)
    assert (state.name, state.is_completed()) == ("Paused", True), state.message
    assert "api.php does not answer" in state.message and "No version can be made yet" in state.message
    assert state.result()["soundtracks"]["tracks"] == 1
