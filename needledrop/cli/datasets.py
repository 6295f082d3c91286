"""`needledrop curate` makes a version of the data set; `needledrop datasets` lists, compares, deletes, exports."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from needledrop.cli.options import DATASET, LakeRoot, TestFrom, TrainUntil, Verbose
from needledrop.cli.run_flow import embedded
from storage.errors import InputError
from storage.tables.tables import open_existing

SHOWN_CHANGES = 40
"""Changes printed one by one; more are counted, and `--all` prints them."""

datasets_app = typer.Typer(
    help="List, compare, delete and export versions of the data set.", no_args_is_help=True, rich_markup_mode="rich"
)


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("curate")(curate_command)
    app.add_typer(datasets_app, name="datasets")


def curate_command(
    lake: LakeRoot = "lake",
    train_until: TrainUntil = 2021,
    test_from: TestFrom = 2023,
    plot: bool = typer.Option(True, help="Leave films without a plot out.", rich_help_panel=DATASET),
    thumbnail: bool = typer.Option(True, help="Leave films without a picture out.", rich_help_panel=DATASET),
    tracks: bool = typer.Option(True, help="Leave films without a usable recording out.", rich_help_panel=DATASET),
    tag: bool = typer.Option(True, help="Leave films out of which every tag is rare.", rich_help_panel=DATASET),
    min_films_per_tag: int = typer.Option(
        2, min=1, help="Keep a tag that so many distinct films carry.", rich_help_panel=DATASET
    ),
    leave_out: list[str] = typer.Option(
        None, help="Film, track or FILM/TRACK to leave out; may be repeated.", rich_help_panel=DATASET
    ),
    plots: bool = typer.Option(True, help="Draw the card's plots.", rich_help_panel=DATASET),
    verbose: Verbose = False,
) -> None:
    """Make a version of the data set from what the lake holds, if its content is new.

    A version is a folder written once; the same lake and rules give the same name and the same bytes.

    [bold]Example[/]: needledrop curate --train-until 2019 --test-from 2021
    """
    parameters: dict[str, Any] = {
        "lake": open_existing(lake).root,
        "train_until": train_until,
        "test_from": test_from,
        "require_plot": plot,
        "require_thumbnail": thumbnail,
        "require_tracks": tracks,
        "require_tag": tag,
        "min_films_per_tag": min_films_per_tag,
        "leave_out": leave_out or None,
        "plots": plots,
    }
    with embedded(verbose=verbose):
        from flows.curate_dataset import curate_dataset

        made = curate_dataset(**parameters)
    said = "written" if made["new"] else "is there already: nothing was written"
    Console().print(
        f"Version [bold]{made['version']}[/] {said}. {made['films']:,} films, {made['tracks']:,} tracks, "
        f"{made['segments']:,} segments, {made['hours']:,} hours, {made['tags']:,} tags."
    )


@datasets_app.command("list")
def list_command(lake: LakeRoot = "lake") -> None:
    """List the versions, the current one last, and what refers to each.

    [bold]Example[/]: needledrop datasets list
    """
    from storage import retention
    from storage.datasets import versions as datasets

    opened = open_existing(lake)
    needed = retention.referenced(opened)
    table = Table("version", "films", "tracks", "segments", "hours", "tags", "years", "needed by", box=None)
    for version in datasets.names(opened):
        manifest = datasets.read_manifest(opened, version)
        counts, splits = manifest["counts"], manifest["splits"].values()
        years = f"{min(s['first_year'] for s in splits)}–{max(s['last_year'] for s in splits)}"
        numbers = (f"{counts[name]:,}" for name in ("films", "tracks", "segments", "hours", "tags"))
        table.add_row(version, *numbers, years, needed.get(version, "nothing"))
    Console().print(table if table.row_count else "No version yet; make one with `needledrop curate`.")


@datasets_app.command("compare")
def compare_command(
    old: str = typer.Argument(help="The earlier version."),
    new: str = typer.Argument(None, help="The later version; the current one if left out."),
    lake: LakeRoot = "lake",
    every: bool = typer.Option(False, "--all", help="Print every change, not only the first ones."),
) -> None:
    """Say what came, what went and what changed from one version to another.

    [bold]Example[/]: needledrop datasets compare v0a1b2c3d4e5f
    """
    from storage.datasets import diff
    from storage.datasets import versions as datasets

    opened = open_existing(lake)
    later = new or datasets.current(opened)
    if later is None:
        raise InputError("The lake has no version yet; make one with `needledrop curate`")
    changes = diff.compare(opened, old, later)
    table = Table("kind", "change", "item", "title", "what", title=f"{old} → {later}", title_justify="left", box=None)
    for change in changes if every else changes[:SHOWN_CHANGES]:
        table.add_row(change.kind, change.change, change.item, change.title, change.what)
    console = Console()
    if changes:
        console.print(table)
    counts = diff.counted(changes)
    console.print(
        ", ".join(f"{kind}s {change}: {count}" for (kind, change), count in counts.items()) or "The same content."
    )


@datasets_app.command("delete")
def delete_command(
    versions: list[str] = typer.Argument(None, help="Versions to delete; all that nothing needs if left out."),
    lake: LakeRoot = "lake",
    yes: bool = typer.Option(False, "--yes", "-y", help="Do not ask."),
) -> None:
    """Delete versions that nothing refers to: not the current one, and none that a run was trained on.

    [bold]Example[/]: needledrop datasets delete
    """
    from storage import retention
    from storage.datasets import versions as datasets

    opened = open_existing(lake)
    needed = retention.referenced(opened)
    chosen = versions or [name for name in datasets.names(opened) if name not in needed]
    for version in chosen:
        datasets.read_manifest(opened, version)
        if version in needed:
            raise InputError(f"{version} stays, because something needs it: {needed[version]}")
    if not chosen:
        Console().print("Every version is needed; nothing was deleted.")
        return
    if not yes:
        typer.confirm(f"Delete {', '.join(chosen)} for good?", abort=True)
    for version in chosen:
        retention.delete(opened, version)
    Console().print(f"Deleted {', '.join(chosen)}.")


@datasets_app.command("export")
def export_command(
    folder: Path = typer.Argument(help="A new or empty folder to write to."),
    version: str = typer.Option(None, help="The version; the current one if left out."),
    form: str = typer.Option("parquet", "--format", help="parquet (a folder for load_dataset) or webdataset (tar)."),
    mels: bool = typer.Option(True, help="parquet: put the mel-spectrograms beside the segments."),
    lake: LakeRoot = "lake",
) -> None:
    """Write a version out for other tools: one file or more a split, without the lake.

    parquet loads with [bold]datasets.load_dataset(FOLDER, "films")[/] and with plain DuckDB; webdataset is one sample
    a track: .json, .jpg and .npy (segments × 128 × 995).

    [bold]Example[/]: needledrop datasets export out --format webdataset
    """
    from storage.datasets import versions as datasets
    from storage.datasets.export import export

    opened = open_existing(lake)
    chosen = version or datasets.current(opened)
    if chosen is None:
        raise InputError("The lake has no version yet; make one with `needledrop curate`")
    shown = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as progress:
        task = progress.add_task("Writing tracks", total=datasets.read_manifest(opened, chosen)["counts"]["tracks"])
        try:
            files = export(opened, chosen, folder, form, mels=mels, on_tracks=lambda n: progress.advance(task, n))
        except OSError as error:
            raise InputError(
                f"{folder} cannot be written ({error}); make room there or choose another folder"
            ) from error
    size = sum(path.stat().st_size for path in files)
    Console().print(f"Wrote {len(files)} files, {size / 1e6:,.1f} MB, to {folder}.")
