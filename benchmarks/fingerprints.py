"""Measure how well copies of a recording are found at any offset, and what the comparison costs.

    python -m benchmarks.fingerprints --music FOLDER … [--half development] [--folder DIR]   # found, false pairs
    python -m benchmarks.fingerprints --times 10000 100000 1000000                           # time and memory

The copies and distractors are made by `benchmarks.fingerprint_recordings` from the real recordings in the folders and
from the demo's music. Each round compares all originals and one copy of each among all distractors, by the function
that curation uses:

- other pieces of the real recordings;
- arrangements: sixteen of each family, in which any two share the drum loop, the accompaniment or the melody to the
  sample, never two of them;
- themes of one film on the same instruments, as the demo composes them;
- silence, hiss, hum, drones, held chords and test tones, several of each.

A false pair is any that is not an original with its copy. Pieces of one recording that repeats itself may share their
samples; whether a false pair does is looked up in the waveforms and stated.

The thresholds were chosen on the development half: other recordings and other invented films than the held-out half,
which only measures. Who changes a threshold after that gives the held-out half new seeds and new recordings. The mels
are made once, in parts of 64 recordings that a later run finds again, so a run can be
interrupted, and another version of the fingerprint needs seconds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.signal import fftconvolve
from scipy.stats import binomtest

from benchmarks.fingerprint_recordings import COPIES, FASTER, MEL_RATE, PIECE_SECONDS, SEEDS, SETTINGS, Recording, plan
from storage.mels.reader import TrackMels
from tasks.curation.duplicates import find_same_sound
from tasks.soundtracks.audio.fingerprint import (
    CONTOUR_BANDS,
    CONTOUR_STEP,
    HEADER,
    MAGIC,
    MAX_WORDS,
    TIME_BITS,
    VERSION,
    fingerprint,
)
from tasks.soundtracks.audio.melspectrogram import segment_mels

MOMENTS = 4 * 60 * MEL_RATE // SETTINGS.hop_samples // CONTOUR_STEP
"""Of the contour of a recording of four minutes."""
PART = 64
"""Recordings whose mels are in one file."""


def in_parts(recordings: Sequence[Recording]) -> list[list[Recording]]:
    """Return the recordings in the order of work: originals first, the rest so that a part of it is a fair sample."""
    groups = [recordings[start : start + 16] for start in range(0, len(recordings), 16)]  # of one piece, or family
    np.random.default_rng(0).shuffle(groups)  # type: ignore[arg-type]
    ordered = sorted(itertools.chain(*groups), key=lambda recording: recording.kind != "original")
    return [ordered[start : start + PART] for start in range(0, len(ordered), PART)]


def make_mels(recording: Recording) -> dict[str, Any]:
    """Make one recording and its mels."""
    mels = segment_mels([recording.make()], SETTINGS, recording.name)
    facts = {name: getattr(recording, name) for name in ("kind", "name", "original", "round")}
    arrays = {field.name: getattr(mels, field.name).tobytes() for field in fields(TrackMels)}
    return {**facts, **arrays, "segments": len(mels)}


def stored_mels(row: dict[str, Any]) -> TrackMels:
    """Return the mels of a row of a part."""
    count = row["segments"]
    shapes = {"stored": (count, *SETTINGS.shape)}
    types = {"stored": SETTINGS.dtype, "silent": np.bool_}
    return TrackMels(
        **{
            field.name: np.frombuffer(row[field.name], types.get(field.name, np.float32)).reshape(
                shapes.get(field.name, (count,))
            )
            for field in fields(TrackMels)
        }
    )


def collect(recordings: Sequence[Recording], folder: Path, workers: int) -> list[Path]:
    """Make the mels of all recordings, and return their files; those that an interrupted run made are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with ProcessPoolExecutor(workers) as pool:
        for number, part in enumerate(in_parts(recordings)):
            paths.append(folder / f"{number:04d}.parquet")
            if not paths[-1].exists():
                made = list(pool.map(make_mels, part, chunksize=16))
                pq.write_table(pa.Table.from_pylist(made), paths[-1].with_suffix(".part"), compression="zstd")
                paths[-1].with_suffix(".part").rename(paths[-1])
                print(f"{number + 1} of {-(-len(recordings) // PART)} parts", file=sys.stderr, flush=True)
    return paths


def fingerprints_of(part: Path) -> list[dict[str, Any]]:
    """Return the recordings of a part with their fingerprints; seconds are CPU time."""
    rows = []
    for row in pq.read_table(part).to_pylist():
        mels, started = stored_mels(row), time.process_time()
        made = fingerprint(mels, SETTINGS)
        facts = {name: row[name] for name in ("kind", "name", "original", "round", "segments")}
        rows.append({**facts, "fingerprint": made, "seconds": time.process_time() - started})
    return rows


def new_pairs(rows: list[dict[str, Any]]) -> set[tuple[int, int]]:
    """Return the pairs that curation would join."""
    table = pa.table(
        {"item": pa.array(range(1, len(rows) + 1), pa.int32()), "fingerprint": [row["fingerprint"] for row in rows]}
    )
    with duckdb.connect() as connection:
        connection.register("rows", table)
        pairs = find_same_sound(connection, "SELECT item, fingerprint FROM rows").to_pylist()
    return {(pair["one"] - 1, pair["other"] - 1) for pair in pairs}


def judge(rows: list[dict[str, Any]]) -> tuple[dict[str, list[bool]], set[tuple[str, str]]]:
    """Compare round by round; return which copies are found, by kind, and the false pairs."""
    rounds = sorted({row["round"] for row in rows if row["round"] is not None})
    found: dict[str, list[bool]] = {}
    false: set[tuple[str, str]] = set()
    for number in rounds:
        present = [row for row in rows if row["round"] in (None, number)]
        joined = {_in_order(present[one]["name"], present[other]["name"]) for one, other in new_pairs(present)}
        true = {_in_order(row["name"], row["original"]): row["kind"] for row in present if row["original"]}
        for pair, kind in true.items():
            found.setdefault(kind, []).append(pair in joined)
            if pair not in joined:
                print("missed:", *pair, kind, sep=" | ", file=sys.stderr)
        false |= joined - set(true)
    return found, false


def _in_order(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)


def share_samples(one: Recording, other: Recording) -> bool:
    """Return whether two waveforms are the same, at some offset, for five seconds of the first."""
    sound, whole = one.make(), other.make()
    energy = np.cumsum(np.concatenate([[0.0], whole.astype(np.float64) ** 2]))
    for start in range(0, len(sound) - 5 * MEL_RATE, 5 * MEL_RATE):
        part = sound[start : start + 5 * MEL_RATE]
        norm = np.sqrt((energy[len(part) :] - energy[: -len(part)]) * float(np.sum(part.astype(np.float64) ** 2)))
        products = fftconvolve(whole, part[::-1], "valid")
        if float(np.max(np.abs(products) / np.maximum(norm, 1e-6))) > 0.9:
            return True
    return False


def with_interval(found: int, of: int) -> str:
    """Return a share with its 95 % interval (Wilson)."""
    low, high = binomtest(found, of).proportion_ci(method="wilson")
    return f"{found:,} of {of:,}, {found / of:.2%} ({low:.2%} to {high:.2%})"


def print_results(rows: list[dict[str, Any]], found: dict[str, list[bool]], false: dict[tuple[str, str], bool]) -> bool:
    """Print the table of docs/benchmarks.md; return whether both bars are met."""
    distractors = sum(row["original"] is None and row["kind"] != "original" for row in rows)
    kinds = {row["name"]: row["kind"] for row in rows}
    print("| kind | found |\n|---|---|")
    for kind in sorted(found):
        print(f"| {kind} | {with_interval(sum(found[kind]), len(found[kind]))} |")
    copies = [hit for kind, hits in found.items() if kind.startswith("copy") for hit in hits]
    print(f"copies found: {with_interval(sum(copies), len(copies))}")
    for pair, shares in sorted(false.items()):
        print("false:", *pair, kinds[pair[0]], kinds[pair[1]], "same samples" * shares, sep=" | ", file=sys.stderr)
    wrong = sum(not shares for shares in false.values())
    print(f"{wrong} false pairs among {distractors:,} distractors, {len(false) - wrong} more share their samples: "
          f"{dict(Counter(' / '.join(sorted(kinds[name] for name in pair)) for pair in false))}")  # fmt: skip
    seconds = sum(row["seconds"] for row in rows) / sum(row["segments"] for row in rows)
    size = np.mean([len(row["fingerprint"]) for row in rows if row["fingerprint"]])
    print(f"CPU per segment {1000 * seconds:.1f} ms, {size:,.0f} bytes per recording of {PIECE_SECONDS:.0f} s")
    return bool(np.mean(copies) >= 0.99 and wrong <= distractors / 10_000)


def write_made_up(path: Path, tracks: int) -> None:
    """Write invented fingerprints of four minutes: one word in four is common, each hundredth track is a copy."""
    rng, schema = np.random.default_rng(0), pa.schema([("item", pa.int32()), ("fingerprint", pa.binary())])
    common = rng.integers(0, 1 << 40, 1_000_000, dtype=np.uint64)
    earlier: list[bytes] = []
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, tracks, 5_000):
            made = [made_up(rng, common, MOMENTS) for _ in range(min(5_000, tracks - start))]
            for number in range(99, len(made), 100):
                made[number] = (earlier or made)[number - 99]
            earlier = earlier or made
            items = pa.array(range(start + 1, start + len(made) + 1), pa.int32())
            writer.write_table(pa.table({"item": items, "fingerprint": pa.array(made, pa.binary())}))


def made_up(rng: np.random.Generator, common: Any, moments: int) -> bytes:
    """Return an invented fingerprint with so many moments of contour; `common` are the hashes of common words."""
    count = min(MAX_WORDS, moments * CONTOUR_STEP // 4)
    hashes = rng.integers(0, 1 << 40, count, dtype=np.uint64)
    is_common = rng.random(count) < 0.25
    rank = np.minimum(len(common) ** rng.random(count), len(common) - 1).astype(np.int64)  # Zipf's law
    hashes[is_common] = common[rank[is_common]]
    places = np.sort(rng.integers(0, CONTOUR_STEP * moments, count)).astype(np.uint64)
    contour = rng.integers(0, 256, moments * (len(CONTOUR_BANDS) - 1), dtype=np.uint8)
    words = (hashes << np.uint64(TIME_BITS) | places).astype("<u8")
    return HEADER.pack(MAGIC, VERSION, count) + words.tobytes() + contour.tobytes()


def run_here(call: str) -> None:
    """Run a call of this module in a process of its own, whose memory is not counted."""
    code = f"from pathlib import Path; from benchmarks.fingerprints import *; {call}"
    subprocess.run([sys.executable, "-c", code], check=True)


def measure_scale(tracks: int) -> None:
    """Compare so many invented tracks in this process; print time, memory and pairs as JSON."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        path = Path(folder, "fingerprints.parquet")
        run_here(f"write_made_up(Path({str(path)!r}), {tracks})")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        connection.execute("SET memory_limit = '1GB'; SET enable_progress_bar = false")
        started, worked = time.monotonic(), time.process_time()
        pairs = len(find_same_sound(connection, f"SELECT item, fingerprint FROM '{path}'"))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        facts = {"tracks": tracks, "pairs": pairs, "peak_MiB": peak // 1024, "before_MiB": before // 1024}
        facts["wall_s"], facts["cpu_s"] = round(time.monotonic() - started, 1), round(time.process_time() - worked, 1)
        print(json.dumps(facts))


def main() -> None:
    """Measure what the options name, and fail when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--music", type=Path, nargs="+", default=[], help="Folders of recordings.")
    parser.add_argument("--half", choices=sorted(SEEDS), default="held-out")
    parser.add_argument("--folder", type=Path, default=Path("bench-out/fingerprints"))
    parser.add_argument("--families", type=int, default=520)
    parser.add_argument("--themes", type=int, default=1_500)
    parser.add_argument("--copies", type=int, default=COPIES)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--times", type=int, nargs="*", default=[])
    options = parser.parse_args()
    for tracks in options.times:
        run_here(f"measure_scale({tracks})")
    if options.times:
        return
    if not options.music:
        parser.error("name folders of recordings with --music")
    recordings = list(plan(options.music, options.half, options.families, options.themes, options.copies))
    parts = collect(recordings, options.folder / options.half, options.workers)
    with ProcessPoolExecutor(options.workers) as pool:
        rows = [row for part in pool.map(fingerprints_of, parts) for row in part]
        found, false = judge(rows)
        # A copy that is 2 % faster has no equal samples with anything, but what its original shares it has as well.
        by_name = {recording.name: recording for recording in recordings}
        by_name |= {one.name: by_name[one.original] for one in recordings if one.kind == FASTER and one.original}
        pairs = sorted(false)
        shares = pool.map(share_samples, *([by_name[pair[n]] for pair in pairs] for n in (0, 1)))
        is_shared = dict(zip(pairs, shares, strict=True))
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    if not print_results(rows, found, is_shared):
        sys.exit("A bar is missed: 99 % of copies found, at most 1 false pair per 10,000 distractors")


if __name__ == "__main__":
    main()
