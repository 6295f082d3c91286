"""Kill -9 at every step of a film, and run again: the same lake, and nothing asked for twice that was committed."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from storage.coordination.list_and_free_leases import list_leases
from storage.lake.lake import Lake
from storage.mels.reader import read_mels
from storage.mels.settings_and_shard_format import done_films
from storage.tables import tables
from storage.tables.schemas import OUTCOMES, TRACKS, Table

pytestmark = pytest.mark.integration
FILMS = [("Night Ferry (2015 film)", 2015), ("Slow Water", 2016)]
VARIES = {"run_id", "recorded_at", "seconds", "tool_version", "rule_version", "sources"}
"""An outcome that is restored from a shard does not say what found it."""
DOWNLOADER = "tasks.soundtracks.download.downloader_and_staging"
STEPS = {
    "before the second download": (f"{DOWNLOADER}:Downloader.download", 2),
    "before a download is verified": (f"{DOWNLOADER}:verify_audio", 2),
    "before a download's note": (f"{DOWNLOADER}:write_note", 2),
    "before the shard": ("tasks.soundtracks.extraction.process_pool:PoolExtractor.extract", 1),
    "between shard and rows": ("tasks.soundtracks.runs.collect_film:Collector.commit", 1),
    "between rows and outcomes": ("storage.records.outcomes:record", 1),
    "before the audio is deleted": ("tasks.soundtracks.download.downloader_and_staging:release_staged", 1),
    "before the lease is released": ("storage.coordination.leases:LeaseKeeper.release", 1),
}
"""The function, and which of its calls is the last thing that the process does."""
ALWAYS = ("before the second download", "between shard and rows", "before the audio is deleted")
"""Each step costs a process; `NEEDLEDROP_LONG=1` runs them all, a commit's tests the three that differ most."""

DRIVER = """
import importlib, operator, os, signal, sys
from storage.tables.tables import open_tables
from tasks.soundtracks.runs.collect_film import Collector
from tasks.soundtracks.runs.open_sources import open_context
from tasks.soundtracks.runs.plan import plan
from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings
from tasks.soundtracks.runs.batch_pipeline import open_pipeline

root, function, last_call = sys.argv[1], sys.argv[2], int(sys.argv[3])
module, _, name = function.partition(":")
code = operator.attrgetter(name)(importlib.import_module(module)).__code__
calls = 0

def die_at_the_call(frame, event, argument):
    global calls
    if event == "call" and frame.f_code is code:
        calls += 1
        if calls == last_call:
            os.kill(os.getpid(), signal.SIGKILL)

lake = open_tables(root)
settings = SoundtrackSettings(youtube=True, i_have_the_right_to_collect=True, pace=0.0, workers=1)
sys.setprofile(die_at_the_call)
with open_context(lake, settings, "killed") as context:
    planned = plan(context)
    with open_pipeline(Collector(context, planned), len(planned.films)) as pipeline:
        pipeline.collect(planned.films, drain=True)
"""


def rows(lake: Lake, table: Table) -> list[dict[str, Any]]:
    names = [name for name in table.schema.names if name not in VARIES]
    return tables.latest(lake, table, names).to_pylist()


def mels(lake: Lake) -> dict[str, str]:
    return {
        f"{film_id}/{track_id}": hashlib.sha256(track.stored.tobytes()).hexdigest()
        for film_id, shard in done_films(lake).items()
        for track_id, track in read_mels(lake, shard)[1]
    }


def run_until_killed(lake: Lake, world: Any, function: str, last_call: int) -> None:
    environment = {**os.environ, **world.environment()}
    environment["PYTHONPATH"] += os.pathsep + str(Path(__file__).parents[3])
    command = [sys.executable, "-c", DRIVER, lake.root, function, str(last_call)]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL, rows(lake, OUTCOMES)


def test_a_film_is_committed_before_the_next_is_fetched(lake: Lake, world: Any, add_films: Any) -> None:
    for title, year in FILMS:
        world.add_film(title.split(" (")[0], year, 1)
    world.save()
    add_films(lake, FILMS)
    run_until_killed(lake, world, f"{DOWNLOADER}:Downloader.download", 2)
    assert {row["item"]: row["reason"] for row in rows(lake, OUTCOMES)}["enwiki-1"] == "ok"
    assert [row["segments"] for row in rows(lake, TRACKS)] == [3]
    assert not list(Path(lake.cache_folder, "staging").rglob("*.webm"))


@pytest.mark.parametrize("step", STEPS if os.environ.get("NEEDLEDROP_LONG") == "1" else ALWAYS)
def test_a_killed_run_is_continued(
    step: str, lake: Lake, world: Any, add_films: Any, collect: Any, tmp_path: Path
) -> None:
    by_film = {f"enwiki-{n}": world.add_film(title.split(" (")[0], year, 2) for n, (title, year) in enumerate(FILMS, 1)}
    world.save()
    add_films(lake, FILMS)
    run_until_killed(lake, world, *STEPS[step])
    committed, request_count = done_films(lake), len(world.requests)
    collect()
    requested = {request["video"] for request in world.requests[request_count:]}
    assert not requested & {video for film_id in committed for video in by_film[film_id]}
    assert world.media_requests().total() <= 4 + (step == "before a download's note")
    assert not list_leases(lake)
    assert not list(Path(lake.cache_folder, "staging").rglob("*.webm"))

    calm = tables.open_tables(str(tmp_path / "calm"))
    add_films(calm, FILMS)
    collect(into=calm)
    assert mels(lake) == mels(calm)
    assert rows(lake, TRACKS) == rows(calm, TRACKS)
    assert rows(lake, OUTCOMES) == rows(calm, OUTCOMES)
