"""`needledrop library`: your own music that belongs to no film, indexed so that it can be searched with a film."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from flows.parameters import IndexLibraryParameters, check
from needledrop.cli.options import LakeRoot, options_of
from needledrop.cli.output.terminal_tables import as_clock, indented
from needledrop.cli.run_prefect_flow import run_flow
from storage.coordination.leases import leased
from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from storage.libraries.library import (
    Library,
    add_folder,
    check_name,
    lease_of,
    library_names,
    open_library,
    remove_library,
)
from storage.libraries.library_embeddings import (
    command_to_index,
    embedded_tracks,
    embedding_encoders,
    embedding_runs,
    load_library_embeddings,
)
from storage.output_escaping import printable
from storage.tables.tables import open_existing, open_tables
from tasks.run_report import as_words

COMMAND = "command"
"""The `run_id` of rows that a command wrote."""
library_app = typer.Typer(rich_markup_mode="rich", no_args_is_help=True, help="Your own music, searched with a film.")
FAILURES_SHOWN = 10
Row = dict[str, Any]
Name = Annotated[str, typer.Argument(help="Name of the library.", metavar="NAME")]


def register(app: typer.Typer) -> None:
    """Add the subcommands to the app."""
    commands = (add_command, index_command, list_command, show_command, remove_command, verify_command)
    for command in commands:
        library_app.command(command.__name__.partition("_")[0])(command)
    app.add_typer(library_app, name="library")


def add_command(
    name: Name,
    sources: list[Path] = typer.Argument(
        help="Folders of music, or CSV lists (path,title,artist,…).", metavar="FOLDER_OR_CSV"
    ),
    lake: LakeRoot = "lake",
) -> None:
    """Add folders or lists of your own music to a library, and read the tags of their files.

    The music stays where it is, and is neither copied nor changed. A list needs the column path, relative to its
    folder; title, artist, album, album_artist, composer, publisher, licence, isrc and year replace a file's own tags.
    On another machine, the same command says where that machine has the folder.

    [bold]Example[/]: needledrop library add licensed ~/Music/Licensed ~/Music/catalogue.csv
    """
    from tasks.libraries.scan import ScanCounts, check_source, scan_folder
    from tasks.progress import shown_progress

    check_name(name)
    missing = [str(source) for source in sources if not source.expanduser().exists()]
    if missing:
        raise InputError(f"There is no folder or list {', '.join(missing)}; correct the path")
    for source in sources:
        check_source(source.expanduser())
    opened, counts = open_tables(lake), list[ScanCounts]()
    with _held(opened, name), shown_progress() as progress:
        for source in sources:
            library, folder = add_folder(opened, name, source.expanduser())
            counts.append(scan_folder(library, folder, COMMAND, partial(progress, f"scan {printable(folder.name)}")))
    console = Console()
    for source, found in zip(sources, counts, strict=True):
        console.print(f"{escape(printable(str(source)))}: {as_words(vars(found))}", soft_wrap=True, highlight=False)
    console.print(f"[bold]Next[/]  needledrop library index {name}{_at(lake)}", soft_wrap=True, highlight=False)


@options_of(IndexLibraryParameters, arguments={"library"})
def index_command(parameters: IndexLibraryParameters, verbose: bool) -> None:
    """Decode what is new in a library and embed it with the model of a run, or with a pretrained audio encoder.

    Does only what is missing: interrupted, or after new music was added, the same command goes on. Several runs may
    have indexed one library. A file that cannot be decoded is named by `needledrop library show`. Where a folder is not
    mounted the others are indexed, what is kept of it stays, and the command fails and names it.

    [bold]Examples[/]: needledrop library index licensed
    · needledrop library index licensed --encoder laion/larger_clap_music
    """
    check(parameters)
    if parameters.encoder:
        from training.audio_encoders.model_files import find_encoder

        files = find_encoder(parameters.encoder)
        shown = f"Audio encoder {files.name}, whose weights are under the licence: {files.licence}"
        Console(stderr=True).print(shown, soft_wrap=True, highlight=False, markup=False)
    summary = run_flow("flows.index_library:index_library", parameters, verbose=verbose)
    run = summary.pop("run")
    console, at = Console(highlight=False, soft_wrap=True), _at(parameters.lake)
    console.print(f"{parameters.library} by {run}: {as_words(summary)}")
    if summary.get("failed"):
        console.print(f"[bold]Why[/]   needledrop library show {parameters.library}{at}")
    engine = f" --encoder {shlex.quote(parameters.encoder)}" if parameters.encoder else ""
    console.print(f'[bold]Next[/]  needledrop search --library {parameters.library}{engine}{at} --plot "…"')


def remove_command(
    name: Name, lake: LakeRoot = "lake", yes: bool = typer.Option(False, "--yes", help="Do not ask.")
) -> None:
    """Delete what is kept of a library: tags, descriptions and embeddings. The music itself is not touched.

    [bold]Example[/]: needledrop library remove licensed
    """
    opened = open_existing(lake)
    library = open_library(opened, name)
    if not yes:
        typer.confirm(f"Delete what {opened.root} keeps of the library {name}? The music stays.", abort=True)
    with _held(opened, name):
        remove_library(library)
    Console().print(f"Deleted {name}; its music is where it was", soft_wrap=True)


def _at(lake: str) -> str:
    """Return what a command that is printed needs to be given to find the lake."""
    return "" if lake == os.environ.get("NEEDLEDROP_LAKE", "lake") else f" --lake {shlex.quote(lake)}"


@contextmanager
def _held(lake: Lake, name: str) -> Iterator[None]:
    """Hold the lease on a library. Raises `LakeError` when another process has it."""
    with leased(lake, lease_of(name)) as lease:
        if lease is None:
            raise LakeError(f"Another process is changing the library {name}; wait until it ends")
        yield


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
    for file in shown[:count]:
        track, by = by_id[file["track_id"]], f" by {file['artist']}" if file["artist"] else ""
        facts = [as_clock(track["duration_seconds"])]
        facts += [] if track["tempo_bpm"] is None else [f"{track['tempo_bpm']:.0f} BPM"]
        facts += [] if track["loudness_lufs"] is None else [f"{track['loudness_lufs']:.1f} LUFS"]
        facts += [file["licence"]] if file["licence"] else []
        console.print(indented(printable(f"{file['title'] or ''}{by}"), 0, "bold"))
        console.print(indented(printable(", ".join(facts))))
        console.print(Text(f"     {printable(file['path'])}", "dim"), soft_wrap=True)  # a path is copied as one line
    if len(shown) > count:
        console.print(f"{len(shown) - count:,} more: --count shows them", soft_wrap=True)


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


def verify_command(name: Name, lake: LakeRoot = "lake") -> None:
    """Check that a library's files are there, as they were indexed, and that its embeddings can be read.

    [bold]Example[/]: needledrop library verify licensed
    """
    library = open_library(open_existing(lake), name)
    faults = [*_file_faults(library), *_embedding_faults(library)]
    for fault in faults:
        Console().print(printable(fault), soft_wrap=True, markup=False, highlight=False)
    if faults:
        raise LakeError(
            f"{len(faults)} faults in the library {name}; `needledrop library index {name}` mends what it can"
        )
    Console().print(f"The library {name} is intact", soft_wrap=True)


def _file_faults(library: Library) -> list[str]:
    faults = []
    for folder in library.folders:
        try:
            root = library.mounted(folder.id)
        except InputError as error:
            faults.append(str(error))
            continue
        for row in library.file_rows(where=f"folder = '{folder.id}' AND state <> 'vanished'"):
            path = root / row["path"]
            if row["size_bytes"] is None:  # it could not be looked at
                faults.append(failure_of(row["path"], row["message"]))
            elif not path.is_file():
                faults.append(f"{row['path']} is gone from {root}")
            elif (path.stat().st_size, path.stat().st_mtime_ns) != (row["size_bytes"], row["modified_ns"]):
                faults.append(f"{row['path']} has changed since it was scanned")
    return faults


def _embedding_faults(library: Library) -> list[str]:
    faults, tracks = [], {row["track_id"] for row in library.track_rows()}
    for engine, shown in engines_of(library).items():
        try:
            missing = tracks - set(load_library_embeddings(library, engine).track_ids)
        except LakeError as error:
            faults.append(str(error))
            continue
        if missing:
            faults.append(f"{len(missing):,} tracks have no embedding by {shown}; run {command_for(library, engine)}")
    return faults


def engines_of(library: Library) -> dict[str, str]:
    """Return what has indexed a library -> how it is shown: runs, and encoders with the licence of their weights."""
    encoders = {
        engine: f"encoder {card.name} (licence: {card.licence})" for engine, card in embedding_encoders(library).items()
    }
    return {**{run: run for run in embedding_runs(library)}, **encoders}


def command_for(library: Library, engine: str) -> str:
    """Return the command that completes what has indexed a library."""
    card = embedding_encoders(library).get(engine)
    return command_to_index(library.name, engine, card.name if card else None)


def failure_of(path: str, message: str) -> str:
    """Return why a file failed, with its path in the place of its name where the message begins with that."""
    name = path.rpartition("/")[2]
    return path + message.removeprefix(name) if message.startswith(f"{name} ") else f"{path}: {message}"
