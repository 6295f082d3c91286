"""`needledrop bootstrap` on a real server: schedules fire, failures notify, new versions start their training."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from needledrop.demo.corpus_and_library import Corpus
from storage.tables.tables import open_tables
from tests.integration.service.conftest import (
    NEEDLEDROP,
    Receiver,
    Server,
    descendants,
    started_worker,
    wait_until,
)
from tests.lakes import SmallLake

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1800)]
TOKEN = "a-token-that-nobody-may-see"


def test_a_schedule_fires_and_a_lake_without_films_is_nothing_yet(server: Server, worker: object) -> None:
    open_tables(str(server.folder / "lake"))
    with server.scheduled("curate-dataset/weekly", seconds=20):
        run = server.wait_for_run("curate-dataset/weekly", "NothingYet")
    assert run["auto_scheduled"]
    assert run["state_type"] == "COMPLETED"


def test_a_failed_run_reaches_whoever_is_notified(server: Server, worker: object, receiver: Receiver) -> None:
    url = f"json://127.0.0.1:{receiver.port}/{TOKEN}"
    made = server.run(*NEEDLEDROP, "bootstrap", NEEDLEDROP_NOTIFY_URL=url)
    assert "notify-of-failures" in made.stdout
    server.start("collect-soundtracks/daily")
    wait_until(lambda: receiver.received, "a notification")
    message = json.loads(receiver.received[0])
    assert message["title"] == "collect-soundtracks/daily: Failed"
    assert "No source of music is given" in message["message"]
    logs = [made.stdout, made.stderr, *(path.read_text() for path in server.folder.glob("*.log"))]
    assert not [text for text in logs if TOKEN in text]


def test_a_new_version_starts_its_training_in_the_pool_of_the_gpu(server: Server, small_lake: SmallLake) -> None:
    made = server.run(*NEEDLEDROP, "bootstrap", "--gpu")
    assert "Training runs in the pool gpu" in made.stdout
    lake = small_lake.committed().root
    curated = server.run(*NEEDLEDROP, "curate", "--no-charts", "--lake", lake)
    assert curated.returncode == 0, curated.stderr
    [run] = wait_until(lambda: server.runs_of("train-and-evaluate/on-new-version"), "the run that trains")
    [version] = [path.name for path in Path(lake, "datasets").iterdir()]
    assert (run["parameters"]["lake"], run["parameters"]["dataset"]) == (lake, version)
    assert (run["work_pool_name"], run["parameters"]["preset"]) == ("gpu", "small")


def test_a_second_bootstrap_creates_nothing_twice_and_keeps_what_an_operator_edited(server: Server) -> None:
    edited = {"lake": "lake", "recent_years": 3}
    server.edit("collect-films/weekly", parameters=edited)
    before = [server.ask(f"{kind}/filter") for kind in ("deployments", "automations")]
    assert server.run(*NEEDLEDROP, "bootstrap").returncode == 0
    after = [server.ask(f"{kind}/filter") for kind in ("deployments", "automations")]
    assert [{row["id"] for row in rows} for rows in after] == [{row["id"] for row in rows} for rows in before]
    assert edited in [row["parameters"] for row in after[0]]
    assert [row["trigger"] for row in after[1]] == [row["trigger"] for row in before[1]], "dead runs stay watched"
    assert len(after[0]) == 8


def test_an_address_that_apprise_does_not_know_is_one_sentence_without_it(server: Server) -> None:
    made = server.run(*NEEDLEDROP, "bootstrap", NEEDLEDROP_NOTIFY_URL=f"nonsense://{TOKEN}")
    assert made.returncode == 2
    assert "Apprise does not know the address" in made.stderr
    assert TOKEN not in made.stdout + made.stderr
    assert "Traceback" not in made.stderr


def test_a_nightly_that_is_due_right_after_a_hard_death_waits_and_is_done(
    server: Server, worker: subprocess.Popen[bytes], demo_corpus: Callable[[int], Corpus], tmp_path: Path
) -> None:
    corpus = demo_corpus(4)
    # Its recordings take long enough for a sign of life on any machine; without pictures there is no version to train.
    inputs = {
        "export": str(corpus.export),
        "images": str(tmp_path),
        "music": [str(corpus.music)],
        "max_failed_share": 1.0,
    }
    nightly = partial(server.start, "refresh/nightly", recent_years=None, train="never", **inputs)
    server.call_dead_after(60)
    nightly()
    wait_until(lambda: _with_heartbeat(server), "a running flow")
    for pid in [*descendants(worker.pid), worker.pid]:
        os.kill(pid, signal.SIGKILL)
    with started_worker(server):
        nightly()
        ended = wait_until(lambda: _ended(server), "the end of both runs", seconds=600)
    assert ended == ["Crashed", "NothingYet"]


def _with_heartbeat(server: Server) -> bool:
    """Return whether the nightly has sent a sign of life: a run that died earlier only frees its turn in time."""
    runs = [run for run in server.runs_of("refresh/nightly") if run["state_type"] == "RUNNING"]
    of_runs = {"id": [f"prefect.flow-run.{run['id']}" for run in runs]}
    wanted = {"event": {"name": ["prefect.flow-run.heartbeat"]}, "resource": of_runs}
    return bool(runs and server.ask("events/filter", filter=wanted, limit=1)["events"])


def _ended(server: Server) -> list[str] | None:
    """Return how the nightlies ended, in the order of their start, once two have."""
    runs = [run for run in server.runs_of("refresh/nightly") if run["end_time"]]
    return [run["state_name"] for run in reversed(runs)] if len(runs) == 2 else None
