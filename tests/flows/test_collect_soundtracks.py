"""The flow collect-soundtracks: what it refuses, what it records, and how a pause, a crash or Ctrl-C ends it."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import soundfile
from prefect.settings import PREFECT_API_URL
from prefect_dask import DaskTaskRunner

from flows.collect_soundtracks import collect_soundtracks
from storage.coordination.leases import LeaseKeeper
from storage.coordination.list_and_free_leases import list_leases
from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import parse_settings
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import BREAKERS, FILMS, FLOW_RUNS, OUTCOMES, TRACKS
from tasks.soundtracks.extraction.process_pool import PoolExtractor
from tasks.soundtracks.runs.plan import plan

DIE_AT_THE_THIRD_COMMIT = """
import os, sys
from flows.collect_soundtracks import collect_soundtracks
from tasks.soundtracks.runs import batch_pipeline
from tasks.soundtracks.runs.collect_film import Collector
commits = 0
def die_at_the_third_commit(frame, event, argument):
    global commits
    commits += event == "call" and frame.f_code is Collector.commit.__code__
    if commits == 3:
        os._exit(9)
batch_pipeline.LOCAL_FILMS_PER_TASK_RUN = 4
sys.setprofile(die_at_the_third_commit)
collect_soundtracks(lake=sys.argv[1], music=[sys.argv[2]], workers=2)
"""

COLLECT = """
import sys
from flows.collect_soundtracks import collect_soundtracks
collect_soundtracks(lake=sys.argv[1], music=[sys.argv[2]], workers=2)
"""

IN_A_TERMINAL = """
import signal
from needledrop.cli.main import run
signal.signal(signal.SIGINT, signal.default_int_handler)  # these tests may run in the background, which ignores it
run()
"""


@pytest.fixture
def lake(tmp_path: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.setenv("NEEDLEDROP_CACHE", str(tmp_path / "cache"))
    made = tables.open_tables(str(tmp_path / "lake"))
    film = {"film_id": "enwiki-1", "page_id": 1, "title": "Slow Water", "year": 2016, "state": "present"}
    tables.append(made, FILMS, [film], "test")
    return made


@pytest.fixture
def music(lake: Lake, tmp_path: Path) -> str:
    """A list of one recording for each of twenty films, of which the lake knows one already; one is no audio."""
    films = [
        {"film_id": f"enwiki-{n}", "page_id": n, "title": f"Film {n}", "year": 2016, "state": "present"}
        for n in range(2, 21)
    ]
    tables.append(lake, FILMS, films, "test")
    with (tmp_path / "music.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["film", "path"])
        for n in range(1, 21):
            rows.writerow([f"enwiki-{n}", f"{n}.wav"])
            wave = 0.3 * np.sin(np.arange(11 * 8_000) * (0.05 + n / 100))
            soundfile.write(str(tmp_path / f"{n}.wav"), wave, 8_000)
    (tmp_path / "7.wav").write_bytes(b"no audio here")
    return str(tmp_path / "music.csv")


@pytest.mark.parametrize("runner", ["local", "dask"])
def test_every_runner_does_the_same(lake: Lake, music: str, runner: str) -> None:
    if runner == "dask":
        pytest.importorskip("prefect_dask")
    environment = dict(os.environ)
    done = collect_soundtracks(lake=lake.root, music=[music], runner=runner, workers=2)
    assert dict(os.environ) == environment, "training in the same process would have another number of threads"
    assert (done["films"], done["tracks"], done["tracks_failed"], done["films_without_music"]) == (19, 19, 1, 1)
    ended = {row["item"]: row["reason"] for row in tables.latest(lake, OUTCOMES).to_pylist() if row["stage"] != "film"}
    assert (ended["enwiki-7"], ended["enwiki-8"]) == ("no_usable_track", "ok")
    assert not list_leases(lake)
    assert collect_soundtracks(lake=lake.root, music=[music], runner="local")["films_planned"] == 0


@pytest.mark.parametrize("runner", ["local", "dask"])
def test_a_lake_that_cannot_be_written_ends_the_flow_and_releases_the_films(
    lake: Lake, music: str, runner: str
) -> None:
    Path(lake.root, "mels").write_text("a file where a folder belongs")
    with pytest.raises(LakeError):
        collect_soundtracks(lake=lake.root, music=[music], runner=runner, workers=1)
    assert not list_leases(lake)
    assert [run["state"] for run in tables.latest(lake, FLOW_RUNS).to_pylist()] == ["failed"]


@contextmanager
def on_call(actions: dict[Any, Callable[[], object]]) -> Iterator[None]:
    """Do something just before each call of a function in this thread."""
    by_code = {function.__code__: action for function, action in actions.items()}

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code in by_code:
            by_code[frame.f_code]()

    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("runner", ["local", "dask"])
def test_leases_outlive_the_extraction_of_their_films(lake: Lake, music: str, runner: str) -> None:
    ended: list[str] = []
    close = PoolExtractor.__exit__ if runner == "local" else DaskTaskRunner.__exit__
    actions = {close: lambda: ended.append("extraction"), LeaseKeeper.__exit__: lambda: ended.append("leases")}
    Path(lake.root, "mels").write_text("a file where a folder belongs")
    with on_call(actions), pytest.raises(LakeError):
        collect_soundtracks(lake=lake.root, music=[music], runner=runner, workers=1)
    assert ended == ["extraction", "leases", "leases"]  # those of the films, then that of the run


def test_the_first_error_is_raised_when_the_end_of_the_run_cannot_be_recorded_either(lake: Lake, music: str) -> None:
    def break_the_lake() -> None:
        Path(lake.root, "flow_runs").rename(Path(lake.root, "away"))
        for folder in ("flow_runs", "mels"):
            Path(lake.root, folder).write_text("a file where a folder belongs")

    with on_call({plan: break_the_lake}), pytest.raises(LakeError, match="mels"):
        collect_soundtracks(lake=lake.root, music=[music], workers=1)


def test_a_crash_while_batches_overlap_loses_nothing_and_does_nothing_twice(lake: Lake, music: str) -> None:
    environment = {**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())}
    command = [sys.executable, "-c", DIE_AT_THE_THIRD_COMMIT, lake.root, music]
    assert subprocess.run(command, env=environment, cwd=Path(__file__).parents[2], check=False).returncode == 9
    done = collect_soundtracks(lake=lake.root, music=[music], workers=2)
    assert done["recovered"] > 0
    assert (tables.latest(lake, TRACKS)["segments"].to_numpy() > 0).sum() == len(lake.list("mels")) == 19
    with duckdb_connection.connect(lake) as connection:
        ended = f"SELECT item FROM {tables.rows_sql(lake, OUTCOMES)} WHERE stage = 'soundtrack' AND status = 'ok'"
        assert len(items := connection.execute(ended).fetchall()) == len(set(items)) == 19


def test_sigterm_releases_every_lease_and_ends_the_workers(lake: Lake, music: str, tmp_path: Path) -> None:
    for recording in tmp_path.glob("*.wav"):
        soundfile.write(str(recording), np.tile(0.3 * np.sin(np.arange(8_000)), 90), 8_000)
    stopped = subprocess.Popen(
        [sys.executable, "-c", COLLECT, lake.root, music],
        env={**os.environ, "PREFECT_API_URL": str(PREFECT_API_URL.value())},
        cwd=Path(__file__).parents[2],
        start_new_session=True,
    )
    until = time.monotonic() + 120
    while not lake.list("mels") and time.monotonic() < until:
        time.sleep(0.02)
    assert lake.list("leases", "items")
    stopped.terminate()
    assert stopped.wait(60) == -signal.SIGTERM
    assert lake.list("leases", "items") == lake.list("leases", "holders") == []
    assert [run["state"] for run in tables.latest(lake, FLOW_RUNS).to_pylist()] == ["cancelled"]
    until = time.monotonic() + 10  # a worker without a film ends when it finds its connection closed
    while living_processes(stopped.pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not living_processes(stopped.pid)


def living_processes(session: int) -> list[str]:
    """The states of the processes of a session, without those that ended and are not collected yet."""
    listed = subprocess.run(["ps", "-o", "stat=", "-s", str(session)], capture_output=True, text=True, check=False)
    return [state for state in listed.stdout.split() if not state.startswith("Z")]


@pytest.mark.parametrize("runner", ["local", "dask"])
def test_ctrl_c_ends_the_command_in_order_and_the_next_run_continues(
    lake: Lake, music: str, runner: str, tmp_path: Path, new_prefect_home: Callable[[Path], Path]
) -> None:
    for recording in tmp_path.glob("*.wav"):
        wave = 0.3 * np.sin(np.arange(90 * 8_000) * (0.05 + int(recording.stem) / 100))
        soundfile.write(str(recording), wave, 8_000)
    embedded = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    command = [sys.executable, "-c", IN_A_TERMINAL, "soundtracks", "--lake", lake.root, "--music", music]
    stopped = subprocess.Popen(
        [*command, "--runner", runner],
        env={**embedded, "PREFECT_HOME": str(new_prefect_home(tmp_path / "prefect"))},
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until = time.monotonic() + 120
    while not lake.list("mels") and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(stopped.pid, signal.SIGINT)  # as a terminal does: to every process there
    _, output = stopped.communicate(timeout=60)
    assert stopped.returncode == 130, output
    assert "the same command continues from there" in output
    assert "Connection refused" not in output
    assert not list_leases(lake)
    assert [run["state"] for run in tables.latest(lake, FLOW_RUNS).to_pylist()] == ["cancelled"]
    done = collect_soundtracks(lake=lake.root, music=[music], workers=2)
    assert done["recovered"] + done["films"] > 0
    assert len(lake.list("mels")) == 20
    assert not living_processes(stopped.pid)


def test_a_lake_keeps_to_one_encoding_and_says_so_before_any_work(lake: Lake, music: str) -> None:
    first = collect_soundtracks(lake=lake.root, music=[music], encoding="float16", limit=1)
    again = collect_soundtracks(lake=lake.root, music=[music], limit=1)
    assert first["films"] == again["films"] == 1
    stored = [parse_settings(shard, pq.read_schema(Path(lake.root, shard)).metadata) for shard in lake.list("mels")]
    assert [settings.encoding for settings in stored] == ["float16", "float16"]
    with pytest.raises(InputError, match="are float16, so they cannot become uint8"):
        collect_soundtracks(lake=lake.root, music=[music], encoding="uint8")


def test_a_lake_keeps_to_one_mel_scale_and_says_so_before_any_work(lake: Lake, music: str) -> None:
    first = collect_soundtracks(lake=lake.root, music=[music], mel_scale="htk", limit=1)
    again = collect_soundtracks(lake=lake.root, music=[music], limit=1)
    assert first["films"] == again["films"] == 1
    stored = [parse_settings(shard, pq.read_schema(Path(lake.root, shard)).metadata) for shard in lake.list("mels")]
    assert [(settings.mel_scale, settings.mel_norm) for settings in stored] == [("htk", "none")] * 2
    with pytest.raises(InputError, match="are htk, so they cannot become slaney; leave --mel-scale out"):
        collect_soundtracks(lake=lake.root, music=[music], mel_scale="slaney")


@pytest.mark.parametrize(("short_tracks", "films"), [("refuse", 0), ("pad", 1)])
def test_a_short_track_is_refused_or_padded_as_the_option_says(
    lake: Lake, tmp_path: Path, short_tracks: str, films: int
) -> None:
    soundfile.write(str(tmp_path / "sting.wav"), 0.3 * np.sin(np.arange(4 * 8_000) / 20), 8_000)
    (tmp_path / "one.csv").write_text("film,path\nenwiki-1,sting.wav\n")
    done = collect_soundtracks(lake=lake.root, music=[str(tmp_path / "one.csv")], short_tracks=short_tracks, workers=1)
    assert done["films"] == films


def test_the_address_of_a_scheduler_needs_its_runner(lake: Lake, music: str) -> None:
    with pytest.raises(InputError, match="add --runner dask"):
        collect_soundtracks(lake=lake.root, music=[music], dask_address="tcp://127.0.0.1:1")


def test_a_missing_extra_is_one_sentence(lake: Lake, music: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prefect_dask", None)
    with pytest.raises(InputError, match=r"pip install 'needledrop\[dask\]'"):
        collect_soundtracks(lake=lake.root, music=[music], runner="dask")


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
