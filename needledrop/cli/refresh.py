"""`needledrop refresh`: the whole road over a person's own films and music."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from needledrop.cli import options
from needledrop.cli.options import (
    WIKIPEDIA_API,
    Contact,
    CreativeCommonsOnly,
    DailyDownloads,
    DailyRequests,
    DaskAddress,
    Epochs,
    Images,
    LakeRoot,
    MostRechecks,
    MusicLists,
    Preset,
    RecheckDays,
    Right,
    Runner,
    Seeds,
    Systems,
    TestFrom,
    TrainUntil,
    Urls,
    Verbose,
    Wiki,
    Workers,
    Youtube,
)
from needledrop.cli.run_flow import embedded
from needledrop.cli.tables.refresh_summary import print_summary


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("refresh")(refresh_command)


def refresh_command(
    lake: LakeRoot = "lake",
    films: Path = typer.Option(
        None, help="MediaWiki XML export or dump: .xml, .xml.bz2, .xml.gz.", rich_help_panel=options.FILMS
    ),
    images: Images = None,
    years: list[int] = typer.Option(
        None,
        "--year",
        help="Release year to collect from the wiki; may be repeated.",
        rich_help_panel=options.FILMS,
    ),
    wiki: Wiki = WIKIPEDIA_API,
    contact: Contact = None,
    limit: int = typer.Option(None, min=1, help="At most this many new pages and this many films' music."),
    music: MusicLists = None,
    urls: Urls = None,
    youtube: Youtube = False,
    right: Right = False,
    creative_commons_only: CreativeCommonsOnly = False,
    daily_requests: DailyRequests = 20_000,
    daily_downloads: DailyDownloads = 2_500,
    recheck_days: RecheckDays = 90,
    most_rechecks: MostRechecks = 200,
    workers: Workers = 2,
    runner: Runner = "workers",
    dask_address: DaskAddress = None,
    train_until: TrainUntil = 2021,
    test_from: TestFrom = 2023,
    thumbnails: bool = typer.Option(
        True, help="Leave films without a picture out of the version.", rich_help_panel=options.DATASET
    ),
    train: str = typer.Option(
        "when_new",
        help="when_new (a version that has no run yet), always or never.",
        rich_help_panel=options.TRAINING,
    ),
    system: Systems = None,
    preset: Preset = "small",
    seeds: Seeds = 1,
    epochs: Epochs = None,
    verbose: Verbose = False,
) -> None:
    """Walk the whole road: films → soundtracks → data-set version → model → metrics.

    Only what is missing is done, so the same command is the first run, the refresh and the repair.

    [bold]Example[/]: needledrop refresh --films export.xml.bz2 --images posters --music library.csv
    """
    parameters: dict[str, Any] = {
        "lake": lake,
        "export": str(films) if films else None,
        "images": str(images) if images else None,
        "years": years or None,
        "wiki": wiki,
        "contact": contact,
        "music": [str(path) for path in music or []] or None,
        "urls": [str(path) for path in urls or []] or None,
        "youtube": youtube,
        "i_have_the_right_to_collect": right,
        "creative_commons_only": creative_commons_only,
        "daily_requests": daily_requests,
        "daily_downloads": daily_downloads,
        "recheck_days": recheck_days,
        "most_rechecks": most_rechecks,
        "limit": limit,
        "workers": workers,
        "runner": runner,
        "dask_address": dask_address,
        "train_until": train_until,
        "test_from": test_from,
        "require_thumbnail": thumbnails,
        "train": train,
        "systems": system or ["All"],
        "preset": preset,
        "seeds": list(range(seeds)),
        "epochs": epochs,
    }
    run_refresh(parameters, verbose=verbose)


def run_refresh(parameters: dict[str, Any], *, verbose: bool) -> None:
    """Run the flow here and print what it did."""
    with embedded(verbose=verbose):
        from flows.refresh import refresh

        done = refresh(**parameters)
    print_summary(parameters["lake"], done)
