"""`needledrop refresh`: the whole road over a person's own films and music."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import typer

from needledrop.embedded import embedded
from needledrop.soundtracks import CREATIVE_COMMONS, DOWNLOADS, RECHECK_DAYS, RECHECKS, REQUESTS, URLS
from needledrop.summary import print_summary

LAKE = typer.Option(
    "lake", "--lake", envvar="NEEDLEDROP_LAKE", help="Root of the lake: a folder, or s3://bucket/prefix."
)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("refresh")(refresh_command)


def refresh_command(
    lake: str = LAKE,
    films: Path = typer.Option(None, help="MediaWiki XML export or dump: .xml, .xml.bz2, .xml.gz."),
    images: Path = typer.Option(None, help="Folder with the pictures that the export names."),
    years: list[int] = typer.Option(None, "--year", help="Release year to collect from the wiki; may be repeated."),
    wiki: str = typer.Option("https://en.wikipedia.org/w/api.php", help="Address of the wiki's api.php."),
    contact: str = typer.Option(None, envvar="NEEDLEDROP_CONTACT", help="Your mail or page, told to the wiki."),
    music: list[Path] = typer.Option(
        None, help="Music folder, or CSV list of film,path,title,artist,licence; may be repeated."
    ),
    urls: list[Path] = URLS,
    youtube: bool = typer.Option(False, help="Also look for soundtracks on YouTube."),
    right: bool = typer.Option(
        False,
        "--i-have-the-right-to-collect",
        help="Your statement that you may collect this audio; kept with the run.",
    ),
    creative_commons_only: bool = CREATIVE_COMMONS,
    daily_requests: int = REQUESTS,
    daily_downloads: int = DOWNLOADS,
    recheck_days: int = RECHECK_DAYS,
    most_rechecks: int = RECHECKS,
    limit: int = typer.Option(None, min=1, help="At most this many new pages and this many films' music."),
    workers: int = typer.Option(2, min=1, max=64, help="Processes that decode audio side by side."),
    runner: Literal["workers", "processes", "dask"] = typer.Option(
        "workers", help="Where they run: workers, processes or dask; needledrop soundtracks --help says more."
    ),
    dask_address: str = typer.Option(None, help="A running Dask scheduler (tcp://host:8786) for --runner dask."),
    train_until: int = typer.Option(2021, help="Last release year of the training split."),
    test_from: int = typer.Option(2023, help="First release year of the test split; years between validate."),
    thumbnails: bool = typer.Option(True, help="Leave films without a picture out of the version."),
    train: str = typer.Option("when_new", help="when_new, always or never."),
    system: list[str] = typer.Option(["All"], help="System to train, such as All, Plo, TaPlo; may be repeated."),
    preset: str = typer.Option("small", help="small (CPU-sized), paper or released."),
    seeds: int = typer.Option(1, min=1, help="How many seeds: 0, 1, 2, …."),
    epochs: int = typer.Option(None, min=1, help="At most this many epochs."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Show Prefect's own log lines."),
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
        "systems": system,
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
