"""`needledrop curate` makes a version of the data set; `needledrop datasets` lists, compares, deletes, exports."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from flows.parameters import CurateDatasetParameters
from needledrop.cli.options import LakeRoot, options_of
from needledrop.cli.run_prefect_flow import run_flow
from storage.errors import InputError
from storage.tables.tables import open_existing

CHANGES_SHOWN = 40
"""Changes printed one by one; the others are counted, and `--all` prints them."""

datasets_app = typer.Typer(
    help="List, compare, delete and export versions of the data set.", no_args_is_help=True, rich_markup_mode="rich"
)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("curate")(curate_command)
    app.add_typer(datasets_app, name="datasets")


@options_of(CurateDatasetParameters)
def curate_command(parameters: CurateDatasetParameters, verbose: bool) -> None:
    """Make a version of the data set from what the lake holds, if its content is new.

    A version is a folder that is written once: the same lake and rules give the same name and the same bytes.

    [bold]Example[/]: needledrop curate --train-until 2019 --test-from 2021 --no-require-thumbnail
    """
    parameters = replace(parameters, lake=open_existing(parameters.lake).root)
    version = run_flow("flows.curate_dataset:curate_dataset", parameters, verbose=verbose)
    state = "written" if version["new"] else "exists already: nothing was written"
    Console().print(
        f"Version [bold]{version['version']}[/] {state}. {version['films']:,} films, {version['tracks']:,} tracks, "
        f"{version['segments']:,} segments, {version['hours']:,} hours, {version['tags']:,} tags."
    )


@datasets_app.command("list")
def list_command(lake: LakeRoot = "lake") -> None:
    """List the versions, the current one last, and what needs each.

    [bold]Example[/]: needledrop datasets list
    """
    from storage.datasets import versions as datasets
    from storage.metrics.database import count_runs

    opened = open_existing(lake)
    needed = datasets.why_needed(opened, count_runs(opened))
    table = Table("version", "films", "tracks", "segments", "hours", "tags", "years", "needed by", box=None)
    for version in datasets.names(opened):
        manifest = datasets.read_manifest(opened, version)
        counts, splits = manifest["counts"], manifest["splits"].values()
        first, last = min(s["first_year"] for s in splits), max(s["last_year"] for s in splits)
        years = f"{first}" if first == last else f"{first}–{last}"
        numbers = (f"{counts[name]:,}" for name in ("films", "tracks", "segments", "hours", "tags"))
        table.add_row(version, *numbers, years, needed.get(version, "nothing"))
    Console().print(table if table.row_count else "No version yet; make one with `needledrop curate`.")


@datasets_app.command("compare")
def compare_command(
    old: str = typer.Argument(help="The earlier version."),
    new: str = typer.Argument(None, help="The later version; default: the current one."),
    lake: LakeRoot = "lake",
    show_all: bool = typer.Option(False, "--all", help="Print every change, not only the first ones."),
) -> None:
    """Show what was added, removed and changed from one version to another.

    [bold]Example[/]: needledrop datasets compare v0a1b2c3d4e5f
    """
    from storage.datasets import versions as datasets

    opened = open_existing(lake)
    newer = new or datasets.current(opened)
    if newer is None:
        raise InputError("The lake has no version yet; make one with `needledrop curate`")
    changes = datasets.compare(opened, old, newer)
    table = Table("kind", "change", "item", "title", "what", title=f"{old} → {newer}", title_justify="left", box=None)
    for change in changes if show_all else changes[:CHANGES_SHOWN]:
        table.add_row(change.kind, change.change, change.item, change.title, change.what)
    console = Console()
    if changes:
        console.print(table)
    counts = datasets.counted(changes)
    console.print(
        ", ".join(f"{kind}s {change}: {count}" for (kind, change), count in counts.items()) or "The same content."
    )


@datasets_app.command("delete")
def delete_command(
    versions: list[str] = typer.Argument(None, help="Versions to delete; default: all that nothing needs."),
    lake: LakeRoot = "lake",
    yes: bool = typer.Option(False, "--yes", "-y", help="Delete without asking."),
) -> None:
    """Delete versions that nothing needs: never the current one, nor one that a run was trained on.

    [bold]Example[/]: needledrop datasets delete
    """
    from storage.datasets import versions as datasets
    from storage.metrics.database import count_runs

    opened = open_existing(lake)
    runs = count_runs(opened)
    needed = datasets.why_needed(opened, runs)
    chosen = versions or [name for name in datasets.names(opened) if name not in needed]
    for version in chosen:
        datasets.read_manifest(opened, version)
        if version in needed:
            raise InputError(f"{version} cannot be deleted, because it is needed: {needed[version]}")
    if not chosen:
        why = "Every version is needed" if needed else "There is no version yet"
        Console().print(f"{why}; nothing was deleted.")
        return
    if not yes:
        typer.confirm(f"Delete {', '.join(chosen)} for good?", abort=True)
    for version in chosen:
        datasets.delete(opened, version, runs)
    Console().print(f"Deleted {', '.join(chosen)}.")


@datasets_app.command("export")
def export_command(
    folder: Path = typer.Argument(help="A new or empty folder to write to."),
    version: str = typer.Option(None, help="Version to export; default: the current one."),
    form: Literal["parquet", "webdataset"] = typer.Option(
        "parquet", "--format", help="parquet (a folder for load_dataset) or webdataset (tar files)."
    ),
    mels: bool = typer.Option(True, help="With parquet: include the mel-spectrograms."),
    lake: LakeRoot = "lake",
) -> None:
    """Export a version for other tools: one or more files per split, readable without the lake.

    parquet loads with [bold]datasets.load_dataset(FOLDER, "films")[/] and with plain DuckDB; webdataset has one
    sample per track: .json, .jpg and .npy (segments × 128 × 995).

    [bold]Example[/]: needledrop datasets export out --format webdataset
    """
    from storage.datasets import versions as datasets
    from storage.datasets.export import export

    opened = open_existing(lake)
    chosen = version or datasets.current(opened)
    if chosen is None:
        raise InputError("The lake has no version yet; make one with `needledrop curate`")
    errors = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as progress:
        task = progress.add_task("Writing tracks", total=datasets.read_manifest(opened, chosen)["counts"]["tracks"])
        try:
            files = export(opened, chosen, folder, form, mels=mels, on_tracks=lambda n: progress.advance(task, n))
        except OSError as error:
            raise InputError(
                f"{folder} cannot be written ({error.strerror or error}); free space there or choose another folder"
            ) from error
    size = sum(path.stat().st_size for path in files)
    Console().print(f"Wrote {len(files)} files, {size / 1e6:,.1f} MB, to {folder}.")
