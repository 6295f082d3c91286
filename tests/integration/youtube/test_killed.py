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

from storage.lake.lake import Lake
from storage.mels.rewrite import read_mels
from storage.tables import tables
from storage.tables.schemas import OUTCOMES, TRACKS, Table
from tasks.soundtracks.runs.reconcile import done_films

pytestmark = pytest.mark.integration
FILMS = [("Night Ferry (2015 film)", 2015), ("Slow Water", 2016)]
VARIES = {"run_id", "recorded_at", "seconds"}
STEPS = {
    "before the second download": ("remote.Remote.download", "before", 2),
    "before a download is verified": ("remote.verify_audio", "before", 2),
    "before a download's note": ("remote._write_note", "before", 2),
    "before the shard": ("collecting.extract_films", "before", 1),
    "between shard and rows": ("collecting.extract_films", "after", 1),
    "between rows and outcomes": ("collecting.outcomes.record", "before", 1),
    "before the audio goes": ("collecting.let_go", "before", 1),
    "before the lease is released": ("leases.LeaseKeeper.release", "before", 1),
}
ALWAYS = ("before the second download", "between shard and rows", "before the audio goes")
"""Each step costs a process; `NEEDLEDROP_LONG=1` runs them all, a commit's tests the three that differ most."""

DRIVER = """
import os, signal, sys
from storage.coordination import leases
from tasks.soundtracks.runs import collect as collecting; from tasks.soundtracks.download import downloader as remote
from tasks.soundtracks.runs.plan import plan
from tasks.soundtracks.runs.reconcile import recover
from tasks.soundtracks.runs.settings import SoundtrackSettings
from tasks.soundtracks.runs.context import open_supply
from storage.tables.tables import open_tables

root, name, when, count = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
*path, last = name.split(".")
holder = {"leases": leases, "remote": remote, "collecting": collecting}[path[0]]
for part in path[1:]:
    holder = getattr(holder, part)
real, calls = getattr(holder, last), [0]

def deadly(*arguments, **named):
    calls[0] += 1
    if when == "before" and calls[0] == count:
        os.kill(os.getpid(), signal.SIGKILL)
    result = real(*arguments, **named)
    if calls[0] == count:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

setattr(holder, last, deadly)
lake = open_tables(root)
settings = SoundtrackSettings(youtube=True, i_have_the_right_to_collect=True, pace=0.0, workers=1)
recover(lake, "killed")
with open_supply(lake, settings, "killed", lambda *_told: None) as supply:
    planned = plan(lake, supply, "killed")
    collecting.Collector(supply, planned, "killed").collect(planned.films)
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


@pytest.mark.parametrize("step", STEPS if os.environ.get("NEEDLEDROP_LONG") == "1" else ALWAYS)
def test_a_killed_run_is_gone_on_with(
    step: str, lake: Lake, world: Any, add_films: Any, collect: Any, tmp_path: Path
) -> None:
    by_film = {f"enwiki-{n}": world.add_film(title.split(" (")[0], year, 2) for n, (title, year) in enumerate(FILMS, 1)}
    world.save()
    add_films(lake, FILMS)
    name, when, count = STEPS[step]
    environment = {**os.environ, **world.environment()}
    environment["PYTHONPATH"] += os.pathsep + str(Path(__file__).parents[3])
    command = [sys.executable, "-c", DRIVER, lake.root, name, when, str(count)]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL, rows(lake, OUTCOMES)

    committed, asked_before = done_films(lake), len(world.requests)
    collect()
    asked_after = {request["video"] for request in world.requests[asked_before:]}
    assert not asked_after & {video for film_id in committed for video in by_film[film_id]}
    assert world.media_requests().total() <= 4 + (step == "before a download's note")
    assert not lake.list("claims")
    assert not list(Path(lake.cache_folder, "staging").rglob("*.webm"))

    calm = tables.open_tables(str(tmp_path / "calm"))
    add_films(calm, FILMS)
    collect(into=calm)
    assert mels(lake) == mels(calm)
    assert rows(lake, TRACKS) == rows(calm, TRACKS)
    assert rows(lake, OUTCOMES) == rows(calm, OUTCOMES)
