"""`needledrop library`: your own music that belongs to no film, indexed so that it can be searched with a film."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import typer
from rich.console import Console
from rich.markup import escape

from flows.parameter_checks import check
from flows.parameters import IndexLibraryParameters
from needledrop.cli.options import LakeRoot, options_of
from needledrop.cli.retrieval.library_show import list_command, show_command
from needledrop.cli.retrieval.library_verify import Name, verify_command
from needledrop.cli.run_flow import run_flow
from storage.coordination.leases import leased
from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from storage.libraries.library import (
    add_folder,
    check_name,
    lease_of,
    open_library,
    remove_library,
)
from storage.tables.tables import open_existing, open_tables
from storage.terminal import printable
from tasks.run_report import as_words

COMMAND = "command"
"""The `run_id` of rows that a command wrote."""
library_app = typer.Typer(rich_markup_mode="rich", no_args_is_help=True, help="Your own music, searched with a film.")


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
        from training.encoders.weights import find_encoder

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
