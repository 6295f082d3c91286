"""Whether a flow run is over is asked of Prefect, which may not answer; runs that ended unnoticed are reported."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
import soundfile
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Running

from flows.collect_films import collect_films
from flows.collect_soundtracks import collect_soundtracks
from flows.curate_dataset import curate_dataset
from flows.refresh import refresh
from flows.runs import dead_runs
from flows.runs.dead_runs import end_forgotten_runs, run_is_over
from flows.train_and_evaluate import train_and_evaluate
from storage.coordination.list_and_free_leases import list_leases
from storage.lake.lake import Lake, lake_at
from storage.records.flow_runs import RUNNING, record_flow_run, shown_alive
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
    monkeypatch.setattr("tasks.retry_after_and_backoff.MAX_BACKOFF_SECONDS", 0.01)
    of_wiki = {"wiki": "http://127.0.0.1:9/w/api.php", "contact": "tests@example.org", "recent_years": 2}
    music = {"music": [str(tmp_path / "music.csv")], "i_have_the_right_to_collect": True}
    state: Any = refresh(lake=str(tmp_path / "lake"), **of_wiki, **music, train="never", return_state=True)
    assert (state.name, state.is_completed()) == ("Paused", True), state.message
    assert "api.php does not answer" in state.message and "No version can be made yet" in state.message
    assert state.result()["soundtracks"]["tracks"] == 1


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """The lake `lake` of a service whose relative paths are below another folder than the present one."""
    monkeypatch.setenv("NEEDLEDROP_HOME", str(tmp_path))
    return open_tables(str(tmp_path / "lake"))


@contextmanager
def _running(**parameters: Any) -> Iterator[str]:
    """Yield the id of a deployment's run that the server calls running."""
    deployment = curate_dataset.to_deployment("a-test").apply()  # type: ignore[union-attr]
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(deployment, parameters=parameters, state=Running())
        yield str(run.id)
        client.delete_flow_run(run.id)


def _state(run_id: str) -> str | None:
    with get_client(sync_client=True) as client:
        return client.read_flow_run(UUID(run_id)).state_name


@pytest.mark.parametrize("recorded", [RUNNING, "cancelled"])
def test_a_run_of_whose_end_only_its_lake_knows_is_called_crashed(
    recorded: str, lake: Lake, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _running(lake="lake") as run_id:
        record_flow_run(lake, run_id, "curate-dataset", recorded, {})
        assert end_forgotten_runs() == []  # it may be about to say so itself
        monkeypatch.setattr(dead_runs, "FORGOTTEN_AFTER", timedelta())
        assert len(end_forgotten_runs()) == 1
        assert _state(run_id) == "Crashed"
    assert end_forgotten_runs() == []


def test_a_run_that_lives_or_is_not_of_this_lake_is_left_alone(
    lake: Lake, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_runs, "FORGOTTEN_AFTER", timedelta())
    with _running(lake="lake") as living, _running(lake="lake") as unknown, _running(lake="elsewhere") as elsewhere:
        record_flow_run(lake, living, "curate-dataset", RUNNING, {})
        with shown_alive(lake, living):
            assert end_forgotten_runs() == []
        assert {_state(run) for run in (living, unknown, elsewhere)} == {"Running"}


@pytest.mark.parametrize("recorded", [RUNNING, "failed"])
def test_a_run_that_was_started_again_is_judged_by_its_new_start(
    recorded: str, lake: Lake, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_runs, "FORGOTTEN_AFTER", timedelta(seconds=2))
    with _running(lake="lake") as run_id:
        record_flow_run(lake, run_id, "curate-dataset", recorded, {})
        time.sleep(2)
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(run_id), Running(), force=True)
        assert end_forgotten_runs() == []
        time.sleep(2)
        with shown_alive(lake, run_id):
            assert end_forgotten_runs() == []
        assert len(end_forgotten_runs()) == 1


def test_a_lake_that_cannot_be_read_here_does_not_keep_the_others_from_being_judged(
    lake: Lake, prefect_server: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_runs, "FORGOTTEN_AFTER", timedelta())
    with _running(lake="gs://a-bucket/lake"), _running(lake="nonsense://lake"), _running(lake="lake") as run_id:
        record_flow_run(lake, run_id, "curate-dataset", RUNNING, {})
        assert len(end_forgotten_runs()) == 1


def test_without_a_server_nothing_is_judged(lake: Lake, prefect_server: None) -> None:
    with _running(lake="lake"), temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}):
        assert end_forgotten_runs() == []
