"""What running films through Prefect costs beside the work itself: the share of time in which workers do no film.

    python -m benchmarks.orchestration                # 24 films, under a minute after its recordings are made
    python -m benchmarks.orchestration --films 200    # the size that is promised; 10 GB of scratch and four minutes

A real lake and the real flow `collect-soundtracks` over films with nine recordings of three minutes each (webm, m4a,
mp3 in turn). Every recording is a file of its own: copies differ in their tags, so that no two are taken for one.
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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.audio import made_up_files
from needledrop.embedded import embedded
from storage import tables
from storage.lake import Lake
from storage.schemas import FILMS, OUTCOMES
from tasks.soundtracks.workers import Workers

TRACKS_A_FILM = 9


@dataclass
class Timeline:
    """When workers were given films, began and ended them, in seconds of the monotonic clock."""

    extraction: list[float] = field(default_factory=list)  # its beginning and its end
    changes: list[tuple[float, int]] = field(default_factory=list)  # a worker more or less at work
    starts: dict[int, float] = field(default_factory=dict)  # process id -> from its first film given to begun
    given: dict[int, float] = field(default_factory=dict)
    occupied_seconds: float = 0.0

    def watch(self) -> None:
        """Follow every worker and the flow's own steps from now on."""
        from flows import collect_soundtracks as flow

        give, hear = Workers.give, Workers._hear

        def given(pool: Workers, job: Any) -> None:
            give(pool, job)
            pid = next(worker.process.pid for worker in pool._workers if worker.job is job)
            self.given[pid] = time.monotonic()
            self.changes.append((self.given[pid], 1))

        def heard(pool: Workers, worker: Any) -> Any:
            ended, pid, now = hear(pool, worker), worker.process.pid, time.monotonic()
            self.starts.setdefault(pid, now - self.given[pid])
            if ended is not None:
                self.changes.append((now, -1))
                self.occupied_seconds += now - self.given[pid]
            return ended

        Workers.give, Workers._hear = given, heard  # type: ignore[method-assign]
        flow.plan = self._marking(flow.plan)  # type: ignore[attr-defined]
        flow._collect = self._marking(flow._collect)

    def _marking(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def marked(*arguments: Any) -> Any:
            result = step(*arguments)
            self.extraction.append(time.monotonic())
            return result

        return marked

    def idle_seconds(self, workers: int) -> tuple[float, float]:
        """Seconds of workers without a film: while another had one, and while none had."""
        begin, end = self.extraction
        some = none = 0.0
        working = 0
        for (since, change), (until, _) in itertools.pairwise([(begin, 0), *self.changes, (end, 0)]):
            working += change
            if working:
                some += (until - since) * (workers - working)
            else:
                none += (until - since) * workers
        return some, none


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
        timeline = Timeline()
        load = os.getloadavg()[0]
        with embedded():
            timeline.watch()
            from flows.collect_soundtracks import collect_soundtracks

            done: Any = collect_soundtracks(lake=lake.root, music=[str(music)], workers=options.workers)
        assert done["films"] == options.films, done
        _print(timeline, _work_seconds(lake), load, options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=24)
    parser.add_argument("--seconds", type=int, default=180, help="length of each recording")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def _write_music(folder: Path, films: int, seconds: int) -> Path:
    """A music list of nine recordings a film, each with a tag of its own."""
    sources = [(path.suffix, path.read_bytes()) for path in made_up_files(folder, seconds)]
    with (folder / "music.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["film", "path"])
        for film, track in itertools.product(range(films), range(TRACKS_A_FILM)):
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
    with tables.connect(lake) as connection:
        query = f"SELECT sum(seconds) FROM {tables.latest_sql(lake, OUTCOMES)} WHERE stage = 'soundtrack'"
        (seconds,) = connection.execute(query).fetchone() or (0.0,)
    return float(seconds)


def _print(timeline: Timeline, work: float, load: float, options: argparse.Namespace) -> None:
    begin, end = timeline.extraction
    could = (end - begin) * options.workers
    starting = sum(timeline.starts.values())
    some, none = timeline.idle_seconds(options.workers)
    parts = {
        "orchestration": could - work,
        "start of workers": starting,
        "handing films over": timeline.occupied_seconds - work - starting,
        "one waits while another works": some,
        "all wait (gathering, commit, Prefect)": none,
    }
    title = f"{options.films} films, {options.workers} workers, {end - begin:.1f} s; load before {load:.1f}"
    table = Table("where", "worker seconds", "share", title=title)
    for name, seconds in parts.items():
        table.add_row(name, f"{seconds:.2f}", f"{seconds / could:.2%}")
    Console().print(table)


if __name__ == "__main__":
    main()
