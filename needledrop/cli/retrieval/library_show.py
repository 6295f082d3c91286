"""`needledrop library list` and `show`: what is kept of libraries, and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from needledrop.cli.options import LakeRoot
from needledrop.cli.retrieval.library_verify import Name, command_for, engines_of, failure_of
from storage.libraries.embeddings import embedded_tracks
from storage.libraries.library import (
    Library,
    library_names,
    open_library,
)
from storage.tables.tables import open_existing
from storage.terminal import printable
from tasks.run_report import as_words

FAILURES_SHOWN = 10
Row = dict[str, Any]


def list_command(lake: LakeRoot = "lake") -> None:
    """List the libraries of a lake.

    [bold]Example[/]: needledrop library list
    """
    opened = open_existing(lake)
    table = Table("library", "folders", "files", "tracks", "hours", "indexed by")
    for name in library_names(opened):
        library = open_library(opened, name)
        states, tracks = _states(library), library.track_rows()
        hours = sum(row["duration_seconds"] for row in tracks) / 3600
        folders = escape(printable(", ".join(folder.name for folder in library.folders)))
        files = as_words(states)
        table.add_row(name, folders, files, f"{len(tracks):,}", f"{hours:,.1f}", "\n".join(engines_of(library)))
    if table.row_count:
        Console().print(table)
    else:
        Console().print("There is no library yet; make one with needledrop library add NAME FOLDER", soft_wrap=True)


def show_command(
    name: Name,
    lake: LakeRoot = "lake",
    count: int = typer.Option(50, min=0, help="Tracks to show."),
) -> None:
    """Show a library: its folders on this machine, its tracks, what has indexed it, and what failed and why.

    [bold]Example[/]: needledrop library show licensed
    """
    library = open_library(open_existing(lake), name)
    console, mounts, files = Console(highlight=False), library.mounts(), library.file_rows()
    for folder in library.folders:
        where = mounts.get(folder.id)
        seen = f"{where}" if where and where.is_dir() else f"{where or 'not on this machine'} (not there)"
        console.print(f"[bold]{escape(printable(folder.name))}[/]  {escape(printable(seen))}", soft_wrap=True)
    console.print(as_words(_states(library)), soft_wrap=True)
    tracks = library.track_rows()
    for engine, shown in engines_of(library).items():
        missing = len({row["track_id"] for row in tracks} - embedded_tracks(library, engine))
        state = "complete" if not missing else f"{missing:,} tracks missing: {command_for(library, engine)}"
        console.print(f"[bold]Indexed[/]  {escape(shown)}: {state}", soft_wrap=True)
    _print_tracks(console, files, tracks, count)
    _print_failures(console, name, [row for row in files if row["state"] == "failed"])
    _print_lost(console, [row["path"] for row in library.lost_files()])


def _states(library: Library) -> dict[str, int]:
    """Return how many files are in which state; a file that was moved is counted where it is now."""
    states = Counter(row["state"] for row in library.file_rows(("state",)))
    states["vanished"] = len(library.lost_files())
    return {state: states[state] for state in ("present", "failed", "vanished") if states[state]}


def _print_tracks(
    console: Console, files: Sequence[dict[str, Any]], tracks: Sequence[dict[str, Any]], count: int
) -> None:
    by_id = {row["track_id"]: row for row in tracks}
    shown = [row for row in files if row["state"] == "present" and row["track_id"] in by_id]
    table = Table("title", "artist", "length", "tempo", "loudness", "licence", "file")
    for file in shown[:count]:
        track = by_id[file["track_id"]]
        length = as_clock(track["duration_seconds"])
        tempo = "" if track["tempo_bpm"] is None else f"{track['tempo_bpm']:.0f}"
        loudness = "" if track["loudness_lufs"] is None else f"{track['loudness_lufs']:.1f} LUFS"
        cells = (file["title"], file["artist"], length, tempo, loudness, file["licence"], file["path"])
        table.add_row(*(escape(printable(cell or "")) for cell in cells))
    if table.row_count:
        console.print(table)
    if len(shown) > count:
        console.print(f"{len(shown) - count:,} more: --count shows them", soft_wrap=True)


def as_clock(seconds: float) -> str:
    """Return a length or a place in a recording as minutes and seconds, or hours: 7:21, 1:02:03."""
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def _print_failures(console: Console, name: str, failures: Sequence[Row]) -> None:
    for row in failures[:FAILURES_SHOWN]:
        console.print(printable(failure_of(row["path"], row["message"])), style="red", markup=False, soft_wrap=True)
    if len(failures) > FAILURES_SHOWN:
        console.print(f"… and {len(failures) - FAILURES_SHOWN:,} more: the view library_files has all", soft_wrap=True)
    if failures:
        again = f"a file that has changed is tried again by `needledrop library index {name}`"
        console.print(f"Replace what failed, or leave it: {again}", soft_wrap=True)


def _print_lost(console: Console, paths: Sequence[str]) -> None:
    for path in paths[:FAILURES_SHOWN]:
        why = "has vanished, so no search finds it until it is back and indexed"
        console.print(f"{printable(path)} {why}", style="red", markup=False, soft_wrap=True)
    if len(paths) > FAILURES_SHOWN:
        console.print(f"… and {len(paths) - FAILURES_SHOWN:,} more: the view library_files has all", soft_wrap=True)
