"""The cost of running films through Prefect, next to the work: the share of time in which workers have no film.

    python -m benchmarks.orchestration                # 24 films, under a minute after its recordings are made
    python -m benchmarks.orchestration --films 200    # the size that is promised; 10 GB of scratch and four minutes

A real lake and the real flow `collect-soundtracks` over films with nine recordings of three minutes each (webm, m4a,
mp3 in turn). Every recording is a separate file: copies differ in their tags, so that no two are taken for one.
"Work" is the time of each film inside its worker, as `outcomes` records it, shard included. All else is orchestration,
as a share of what the workers could have worked between the end of planning and the last commit. Wall time is measured,
so other load on the machine is counted as work where it slows work, and as orchestration where it slows that.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.audio import made_up_files
from needledrop.cli.run_prefect_flow import prefect_for_commands
from storage.lake.lake import Lake
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import FILMS, OUTCOMES

TRACKS_PER_FILM = 9


def _marked(step: Callable[..., Any], ends: list[float]) -> Callable[..., Any]:
    """The same step, which notes when it ended, in seconds of the monotonic clock."""

    def marked(*arguments: Any) -> Any:
        result = step(*arguments)
        ends.append(time.monotonic())
        return result

    return marked


def main() -> None:
    """Make the recordings, run the flow over them and print where the time went."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("PREFECT_HOME", f"{folder}/prefect")
        music = _write_music(Path(folder), options.films, options.seconds)
        lake = tables.open_tables(f"{folder}/lake")
        rows = [
            {"film_id": f"enwiki-{n}", "page_id": n, "title": f"Film {n}", "year": 2016, "state": "present"}
            for n in range(options.films)
        ]
        tables.append(lake, FILMS, rows, "benchmark")
        load, ends = os.getloadavg()[0], list[float]()
        with prefect_for_commands():
            from flows import collect_soundtracks as flow

            flow.plan, flow._collect = _marked(flow.plan, ends), _marked(flow._collect, ends)  # type: ignore[attr-defined]
            done: Any = flow.collect_soundtracks(lake=lake.root, music=[str(music)], workers=options.workers)
        assert done["films"] == options.films, done
        _print(ends[1] - ends[0], _work_seconds(lake), load, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=24)
    parser.add_argument("--seconds", type=int, default=180, help="length of each recording")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def _write_music(folder: Path, films: int, seconds: int) -> Path:
    """A music list of nine recordings per film, each with its own tag."""
    sources = [(path.suffix, path.read_bytes()) for path in made_up_files(folder, seconds)]
    with (folder / "music.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["film", "path"])
        for film, track in itertools.product(range(films), range(TRACKS_PER_FILM)):
            suffix, content = sources[track % len(sources)]
            path = folder / f"{film}-{track}{suffix}"
            path.write_bytes(content + _own_tag(suffix, f"{film}/{track}".ljust(30).encode()))
            writer.writerow([f"enwiki-{film}", path.name])
    return folder / "music.csv"


def _own_tag(suffix: str, text: bytes) -> bytes:
    """Thirty bytes of text as each container ends with them: ID3v1, an MP4 box to skip, a void element of Matroska."""
    if suffix == ".mp3":
        return b"TAG" + text.ljust(125, b"\0")
    if suffix == ".m4a":
        return (8 + len(text)).to_bytes(4, "big") + b"free" + text
    return b"\xec" + bytes([0x80 | len(text)]) + text


def _work_seconds(lake: Lake) -> float:
    with duckdb_connection.connect(lake) as connection:
        query = f"SELECT sum(seconds) FROM {tables.latest_sql(lake, OUTCOMES)} WHERE stage = 'soundtrack'"
        (seconds,) = connection.execute(query).fetchone() or (0.0,)
    return float(seconds)


def _print(wall: float, work: float, load: float, options: argparse.Namespace) -> None:
    could = wall * options.workers
    table = Table("films", "workers", "wall", "work", "orchestration", "share", title=f"load before: {load:.1f}")
    cells = (f"{wall:.1f} s", f"{work:.1f} worker s", f"{could - work:.1f} worker s", f"{(could - work) / could:.2%}")
    table.add_row(str(options.films), str(options.workers), *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
