"""`needledrop library verify`: whether files are as they were indexed, and embeddings complete."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from needledrop.cli.options import LakeRoot
from storage.errors import InputError, LakeError
from storage.libraries.embeddings import (
    command_to_index,
    embedding_encoders,
    embedding_runs,
    load_library_embeddings,
)
from storage.libraries.library import Library, open_library
from storage.tables.tables import open_existing
from storage.terminal import printable

Name = Annotated[str, typer.Argument(help="Name of the library.", metavar="NAME")]


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
