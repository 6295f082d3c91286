"""How curation, planning and status grow: the paper's size, and as many times that as are asked for.

Writes the metadata of 7,771 films, 70,215 tracks and 1.26 million segments (or 20 times as many) into a lake
of their own, with plots, pictures and fingerprints of real sizes but without mels, and measures each step in
a separate process: wall and CPU seconds, and peak memory. The growth is checked when several sizes are asked for.

    python benchmarks/scale.py [--folder bench-out/scale] [--tags released_tags.json] [--times 1 20]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.fingerprints import made_up
from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import FILMS, OUTCOMES, THUMBNAILS, TRACKS, Table
from storage.tables.tables import compact, stored_parts
from storage.views import status
from tasks.curation.curate import curate
from tasks.curation.exclusions_and_splits import CurationSettings
from tasks.soundtracks.matching.track_selection import read_matcher
from tasks.soundtracks.runs.crash_recovery import recover
from tasks.soundtracks.runs.open_sources import RunContext
from tasks.soundtracks.runs.plan import plan
from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings

FILM_COUNT, TRACK_COUNT, SEGMENT_COUNT = 7_771, 70_215, 1_260_000
FILMS_A_PART = 500
PICTURE_BYTES = 12_000
PLOT_LETTERS = 700
"""A paragraph; five of them make the median plot."""
BARS = {"curate_seconds": 20.0, "curate_bytes": 2 * 2**30, "growth": 25.0}


def film_tags(tags_file: Path | None) -> list[list[str]]:
    """The tag words of the paper's films as categories, the release year first; made up without the file."""
    if tags_file and tags_file.exists():
        words = json.loads(tags_file.read_text()).values()
        return [[f"{word} films" for word in dict.fromkeys(line.split())] for line in words]
    random = np.random.default_rng(7)
    years = random.integers(1990, 2025, FILM_COUNT)
    ranks = np.minimum(random.zipf(1.3, (FILM_COUNT, 12)), 2_000)
    return [
        [f"{year} films", *(f"tag {rank} films" for rank in set(row))] for year, row in zip(years, ranks, strict=True)
    ]


def generate(root: Path, times: int, tags: list[list[str]]) -> None:
    """Fill a lake with the metadata of `times` the paper's films, part by part."""
    lake = tables.open_tables(str(root))
    random = np.random.default_rng(2024)
    shares = random.zipf(2.0, FILM_COUNT).clip(1, 60) + random.exponential(6, FILM_COUNT)
    tracks_of = np.maximum(1, np.round(shares * TRACK_COUNT / shares.sum())).astype(int)
    for copy in range(times):
        for start in range(0, FILM_COUNT, FILMS_A_PART):
            films = range(start, min(start + FILMS_A_PART, FILM_COUNT))
            _write_part(lake, copy, films, tags, tracks_of, random)


def _write_part(lake: Lake, copy: int, films: range, tags: list[list[str]], tracks_of: Any, random: Any) -> None:
    ids = [f"enwiki-{copy * FILM_COUNT + film}" for film in films]
    years = [_year(tags[film]) for film in films]
    letters = random.integers(97, 123, (len(ids), 5, PLOT_LETTERS), dtype=np.uint8)
    plots = [[bytes(paragraph).decode() for paragraph in plot] for plot in letters]
    common = {"wiki": "enwiki", "licence": "CC BY-SA 4.0", "state": "present", "run_id": "scale"}
    _append(lake, FILMS, {"film_id": ids, "title": ids, "year": years, "plot": plots,
                          "tags": [tags[film] for film in films], **common})  # fmt: skip
    pictures = [random.bytes(PICTURE_BYTES) for _ in ids]
    _append(lake, THUMBNAILS, {"film_id": ids, "sha256": ids, "width": 224, "jpeg": pictures, "run_id": "scale"})
    tracks = _tracks(ids, years, tracks_of[list(films)], random)
    _append(lake, TRACKS, tracks)
    for film, year in zip(ids, years, strict=True):
        shard = Path(lake.root, f"mels/year={year}/page={film}.parquet")
        shard.parent.mkdir(parents=True, exist_ok=True)
        shard.touch()
    recordings = [f"{film}/{track}" for film, track in zip(tracks["film_id"], tracks["track_id"], strict=True)]
    for stage, items in (("film", ids), ("thumbnail", ids), ("soundtrack", ids), ("track", recordings)):
        _append(lake, OUTCOMES, {"stage": stage, "item": items, "status": "ok", "reason": "ok", "retry": "never",
                                 "attempt": 1, "seconds": 1.0, "run_id": "scale"})  # fmt: skip


def _tracks(ids: list[str], years: list[int], counts: Any, random: Any) -> dict[str, Any]:
    """The tracks of some films: each hundredth has the bytes of another, each fiftieth its sound."""
    film = np.repeat(np.arange(len(ids)), counts)
    place = np.arange(len(film)) - np.repeat(np.cumsum(counts) - counts, counts)
    segments = np.maximum(1, random.poisson(SEGMENT_COUNT / TRACK_COUNT, len(film)))
    ends = np.cumsum(segments)
    first_row = ends - segments - np.repeat((ends - segments)[np.cumsum(counts) - counts], counts)
    common = random.integers(0, 1 << 40, 1_000_000, dtype=np.uint64)
    prints = [made_up(random, common, 62 * n) for n in segments]
    for number in range(50, len(prints), 50):
        prints[number] = prints[number - 37]
    names = [f"youtube:{ids[f]}-{p}" for f, p in zip(film, place, strict=True)]
    sounds = [name if number % 100 else names[number - 61] for number, name in enumerate(names)]
    return {
        "film_id": [ids[f] for f in film],
        "track_id": names,
        "source": "youtube",
        "decision": "taken",
        "audio_sha256": sounds,
        "decoded_seconds": (segments * 9.92 + 3.0),
        "shard": [f"mels/year={years[f]}/page={ids[f]}.parquet" for f in film],
        "first_row": first_row,
        "segments": segments,
        "fingerprint": prints,
        "run_id": "scale",
    }


def _append(lake: Lake, table: Table, columns: dict[str, Any]) -> None:
    """One part from columns; a single value is used for every row."""
    rows = max(len(v) for v in columns.values() if not isinstance(v, str | int | float))
    filled = {name: [v] * rows if isinstance(v, str | int | float) else v for name, v in columns.items()}
    filled["recorded_at"] = [datetime.now(UTC)] * rows
    arrays = [pa.array(filled[f.name], f.type) if f.name in filled else pa.nulls(rows, f.type) for f in table.schema]
    number = stored_parts(lake, table)[-1].number + 1
    lake.write_table(pa.Table.from_arrays(arrays, schema=table.schema), f"{table.name}/part-{number:09d}-0000.parquet")
    compact(lake, table)


def _year(tags: list[str]) -> int:
    first = tags[0].split()[0] if tags else ""
    return int(first) if first.isdigit() and 1880 < int(first) < 2100 else 2000


NOTHING_NEW = SoundtrackSettings()
"""A run in which every film is done; its whole cost is to find that out."""
STEPS = {
    "plan": lambda lake: [
        recover(lake, "scale"),
        len(plan(RunContext(lake, NOTHING_NEW, "scale", read_matcher(lake))).films),
    ],
    "curate": lambda lake: curate(lake, CurationSettings(), "scale").manifest["counts"],
    "curate again": lambda lake: curate(lake, CurationSettings(), "scale").is_new,
    "status": lambda lake: len(status.read_status(lake).progress),
}


def measure(root: Path, step: str) -> dict[str, Any]:
    """Run one step in a separate process: seconds, peak memory in bytes, and its result."""
    done = subprocess.run(
        [sys.executable, __file__, "--folder", str(root), "--step", step],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


def run_step(root: Path, step: str) -> None:
    """What the measured process does."""
    lake = tables.open_tables(str(root))
    if step == "curate":  # the first time, whenever it is measured
        lake.remove("datasets")
        lake.remove("versions")
        tables.create_tables(lake)
    started, worked = time.monotonic(), time.process_time()
    said = STEPS[step](lake)
    seconds, cpu = time.monotonic() - started, time.process_time() - worked
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "bytes": peak, "said": said}))


def _rows(folder: Path, times: list[int], tags: list[list[str]]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    for factor in times:
        root = folder / f"lake-{factor}"
        if not root.exists():
            generate(root, factor, tags)
        for step in STEPS:
            yield factor, step, measure(root, step)


def main() -> None:
    """Generate what is missing, measure, print a table, and fail when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path("bench-out/scale"),
        help="where the lakes are written; kept for the next time",
    )
    parser.add_argument("--tags", type=Path, help="JSON of film -> tag words")
    parser.add_argument("--times", type=int, nargs="+", default=[1], help="sizes, in times the paper's")
    parser.add_argument("--step", choices=list(STEPS), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.step:
        return run_step(given.folder, given.step)
    found: dict[tuple[int, str], dict[str, Any]] = {}
    print("| times the paper | step | seconds | CPU seconds | peak memory, MiB |\n| --- | --- | --- | --- | --- |")
    for factor, step, facts in _rows(given.folder, given.times, film_tags(given.tags)):
        found[factor, step] = facts
        times = f"{facts['seconds']:.1f} | {facts['cpu_seconds']:.1f}"
        print(f"| {factor} | {step} | {times} | {facts['bytes'] / 2**20:.0f} |", flush=True)
        if step == "curate":
            print(f"<!-- {facts['said']} -->")
    _check(found, given.times)
    return None


def _check(found: dict[tuple[int, str], dict[str, Any]], times: list[int]) -> None:
    missed = []
    if 1 in times:
        one = found[1, "curate"]
        if one["seconds"] > BARS["curate_seconds"] or one["bytes"] > BARS["curate_bytes"]:
            missed.append("curation of the paper's size")
        limits = {many: BARS["growth"] * many / 20 * one["seconds"] for many in times if many > 1}
        missed += [f"growth to {n} times" for n, limit in limits.items() if found[n, "curate"]["seconds"] > limit]
    sys.exit(f"Missed: {', '.join(missed)}" if missed else 0)


if __name__ == "__main__":
    main()
