"""Steps of `benchmarks.gpu` without training: loading from disk, embedding, ranking."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `training` sets it, and torch may be imported first here

import numpy as np

from benchmarks.made_up import made_up_lake
from training.data.batches import Batch, TrainingBatches
from training.data.film_inputs import FilmInputs
from training.data.splits import load_split, newest_version
from training.evaluation.embed_films_and_tracks import embed_tracks
from training.evaluation.embeddings import Embeddings
from training.evaluation.ranking import rank_tracks
from training.systems import SYSTEMS

if TYPE_CHECKING:
    from benchmarks.gpu_steps import Bench, Result


def loader(bench: Bench) -> Result:
    """Return items a second from files that are not in memory, read ahead and not, and how long another thread waits.

    In a lake of its own: what a process has mapped and read once stays in memory.
    """
    folder = str(Path(bench.folder, "cold"))
    lake = made_up_lake(folder, films=8 if bench.tiny else 256, tracks=2, segments=4)
    settings = bench.settings("paper", training__batch=4 if bench.tiny else 64)
    result: Result = {}
    for name, ahead in (("read ahead", True), ("not ahead", False)):
        for path in Path(folder).glob("mels/**/*.parquet"):
            with path.open("rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        split = load_split(lake, newest_version(lake), "train")
        batches = TrainingBatches(split, FilmInputs(split, SYSTEMS["Im"], settings, None), settings, 0, (0, 1))
        made = batches.epoch(0, 0) if ahead else (batches.make(0, step) for step in range(batches.steps))
        items, seconds, stall = _watched(made)
        result |= {f"{name}: items a second": items / seconds, f"{name}: longest stall": stall}
    return result


def _watched(batches: Iterator[Batch]) -> tuple[int, float, float]:
    """Return the items of all batches, the seconds that they took, and how long another thread waited at most."""
    stalls, stopped = [0.0], threading.Event()
    watcher = threading.Thread(target=_watch, args=(stalls, stopped))
    watcher.start()
    began = time.perf_counter()
    items = sum(len(batch.owner) for batch in batches)
    seconds = time.perf_counter() - began
    stopped.set()
    watcher.join()
    return items, seconds, max(stalls)


def _watch(stalls: list[float], stopped: threading.Event) -> None:
    """Note how late each of many short naps of this thread ends: while another holds the interpreter."""
    while not stopped.is_set():
        began = time.perf_counter()
        time.sleep(0.0005)
        stalls.append(time.perf_counter() - began - 0.0005)


def embedding(bench: Bench) -> Result:
    """Return how long 2,000 tracks of eight segments take to embed."""
    settings = bench.settings("paper")
    inputs = bench.inputs(settings)
    tracks = 20 if bench.tiny else 2000
    train_split, random = inputs.train, np.random.default_rng(0)
    many = dataclasses.replace(
        train_split,
        track_ids=tuple(f"t{number}" for number in range(tracks)),
        owner=np.zeros(tracks, np.int64),
        first_segment=np.arange(tracks + 1, dtype=np.int64) * 8,
        positions=random.choice(train_split.positions, 8 * tracks),
    )
    model = inputs.model.to(bench.machine.device)
    began = time.perf_counter()
    embedded = embed_tracks(model, many, 8, bench.machine)
    seconds = time.perf_counter() - began
    return {"tracks": len(embedded), "segments_per_second": 8 * tracks / seconds, "embedding_seconds": seconds}


def ranking(bench: Bench) -> Result:
    """Return how long 7,771 films take to rank 70,215 tracks, and whether some have the ranks of the CPU."""
    films, tracks = (60, 900) if bench.tiny else (7_771, 70_215)
    ranks, seconds = ranked(films, tracks, str(bench.machine.device))
    few, _ = ranked(films, tracks, "cpu", at_most=20)
    return {
        "films": films,
        "tracks": tracks,
        "ranking_seconds": seconds,
        "ranks_equal": ranks.rank_lo[: len(few)].tolist() == few.rank_lo.tolist(),
    }


def ranked(films: int, tracks: int, device: str, at_most: int | None = None) -> tuple[Any, float]:
    """Rank made-up embeddings of 64 dimensions, where every film owns as many tracks; all films or the first few."""
    random = np.random.default_rng(0)
    queries = random.normal(size=(films, 64)).astype(np.float32)
    candidates = random.normal(size=(tracks, 64)).astype(np.float32)
    owners = [(f"t{track}", f"f{track % films}") for track in range(tracks)]
    shown = Embeddings(tuple(f"f{film}" for film in range(films))[:at_most], queries[:at_most])
    began = time.perf_counter()
    ranks = rank_tracks(shown, Embeddings(tuple(f"t{track}" for track in range(tracks)), candidates), owners, device)
    return ranks, time.perf_counter() - began
