"""`needledrop soundtracks` and what belongs to it: find, judge and fetch the music of the films in the lake."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import typer
from rich.console import Console
from rich.markup import escape

from needledrop import review
from needledrop.embedded import embedded
from storage.errors import InputError, SourcePaused

ExtractionRunner = Literal["workers", "processes", "dask"]
ShortTracks = Literal["pad", "refuse"]
Encoding = Literal["uint8", "float16"]

LAKE = typer.Option(
    "lake", "--lake", envvar="NEEDLEDROP_LAKE", help="Root of the lake: a folder, or s3://bucket/prefix."
)
MUSIC = typer.Option(None, help="Music folder, or CSV list of film,path,title,artist,licence; may be repeated.")
URLS = typer.Option(None, help="List of addresses or RSS feeds: one a line, or a CSV with film,url; may be repeated.")
YOUTUBE = typer.Option(False, help="Look for each film's album on YouTube, then search.")
ORDER = typer.Option(None, help="Source to ask first: music, urls or youtube; repeat for the second and third.")
RIGHT = typer.Option(
    False, "--i-have-the-right-to-collect", help="Your statement that you may collect this audio; kept with the run."
)
CREATIVE_COMMONS = typer.Option(False, help="From the network, take only what states a Creative Commons licence.")
KEEP_AUDIO = typer.Option(False, help="Keep downloads in the lake; deleted once their mels are committed otherwise.")
REQUESTS = typer.Option(20_000, min=1, help="Requests a day to each source, over all runs and workers.")
DOWNLOADS = typer.Option(2_500, min=1, help="Downloads a day from each source, over all runs and workers.")
RECHECK_DAYS = typer.Option(90, min=0, help="Ask after so many days whether a track is still there; 0 never.")
RECHECKS = typer.Option(200, min=1, help="At most this many such questions in one run; two hundred take an hour.")
PACE = typer.Option(1.0, min=0.0, max=10.0, help="Multiplies every wait; below 1 only for servers of your own.")
WORKERS = typer.Option(2, min=1, max=64, help="Processes that decode audio side by side.")
RUNNER = typer.Option(
    "workers",
    help="Where they run: workers (here, at the least cost), processes (Prefect's process runner, a task run for each "
    "16 films) or dask (the same on Dask, also on other machines; pip install 'needledrop\\[dask]'). For big batches.",
)
DASK_ADDRESS = typer.Option(
    None,
    help="A running Dask scheduler (tcp://host:8786); without it one is started here. Lake and audio must be shared.",
)
SHORT_TRACKS = typer.Option(
    "refuse", help="What becomes of a recording shorter than a segment (9.92 s): refuse, or pad with silence."
)
ENCODING = typer.Option(
    None,
    help="uint8 (steps of 0.31 dB) or float16 (decibels, twice the bytes); by default the lake's own, "
    "and uint8 in a new lake.",
)
VERBOSE = typer.Option(False, "--verbose", "-v", help="Show Prefect's own log lines.")


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("soundtracks")(soundtracks_command)
    app.command("retry")(retry_command)
    app.command("takedown")(takedown_command)
    review.register(app)


def soundtracks_command(
    lake: str = LAKE,
    music: list[Path] = MUSIC,
    urls: list[Path] = URLS,
    youtube: bool = YOUTUBE,
    order: list[str] = ORDER,
    right: bool = RIGHT,
    creative_commons_only: bool = CREATIVE_COMMONS,
    keep_audio: bool = KEEP_AUDIO,
    film: list[str] = typer.Option(None, help="Only this film: id, page id or title; may be repeated."),
    limit: int = typer.Option(None, min=1, help="At most this many films."),
    daily_requests: int = REQUESTS,
    daily_downloads: int = DOWNLOADS,
    recheck_days: int = RECHECK_DAYS,
    most_rechecks: int = RECHECKS,
    pace: float = PACE,
    workers: int = WORKERS,
    runner: ExtractionRunner = RUNNER,
    dask_address: str = DASK_ADDRESS,
    short_tracks: ShortTracks = SHORT_TRACKS,
    encoding: Encoding = ENCODING,
    verbose: bool = VERBOSE,
) -> None:
    """Collect the music of every film in the lake that has none yet.

    A folder's files are matched with films by their tags; a list pairs them itself; YouTube is asked for each
    film's official album. What is done is never done again, so the same command is the first run, the refresh
    and the repair. A source that asks for a pause ends the run with exit status 4: run it again later.

    [bold]Example[/]: needledrop soundtracks --music ~/Music/Soundtracks --music library.csv
    """
    _run(
        {
            "lake": lake,
            "music": [str(path) for path in music or []] or None,
            "urls": [str(path) for path in urls or []] or None,
            "youtube": youtube,
            "order": order or None,
            "i_have_the_right_to_collect": right,
            "creative_commons_only": creative_commons_only,
            "keep_audio": keep_audio,
            "films": film or None,
            "limit": limit,
            "daily_requests": daily_requests,
            "daily_downloads": daily_downloads,
            "recheck_days": recheck_days,
            "most_rechecks": most_rechecks,
            "pace": pace,
            "workers": workers,
            "runner": runner,
            "dask_address": dask_address,
            "short_tracks": short_tracks,
            "encoding": encoding,
        },
        verbose=verbose,
    )


def retry_command(
    lake: str = LAKE,
    reason: list[str] = typer.Option(None, help="Reason of the failures to try again; may be repeated."),
    music: list[Path] = MUSIC,
    urls: list[Path] = URLS,
    youtube: bool = YOUTUBE,
    right: bool = RIGHT,
    creative_commons_only: bool = CREATIVE_COMMONS,
    keep_audio: bool = KEEP_AUDIO,
    daily_requests: int = REQUESTS,
    daily_downloads: int = DOWNLOADS,
    pace: float = PACE,
    workers: int = WORKERS,
    runner: ExtractionRunner = RUNNER,
    dask_address: str = DASK_ADDRESS,
    short_tracks: ShortTracks = SHORT_TRACKS,
    encoding: Encoding = ENCODING,
    verbose: bool = VERBOSE,
) -> None:
    """Try failures of some reasons again, and nothing else: also those that were given up or are not due yet.

    [bold]Example[/]: needledrop retry --reason http_403 --reason timeout --youtube --i-have-the-right-to-collect
    """
    if not reason:
        raise InputError("Say which failures to try again with --reason; needledrop status lists what there is")
    _run(
        {
            "lake": lake,
            "music": [str(path) for path in music or []] or None,
            "urls": [str(path) for path in urls or []] or None,
            "youtube": youtube,
            "i_have_the_right_to_collect": right,
            "retry_reasons": reason,
            "creative_commons_only": creative_commons_only,
            "keep_audio": keep_audio,
            "daily_requests": daily_requests,
            "daily_downloads": daily_downloads,
            "pace": pace,
            "workers": workers,
            "runner": runner,
            "dask_address": dask_address,
            "short_tracks": short_tracks,
            "encoding": encoding,
        },
        verbose=verbose,
    )


def _run(parameters: dict[str, Any], *, verbose: bool) -> None:
    """Run the flow here, say what it did, and leave with status 4 if a source asked for a pause."""
    with embedded(verbose=verbose):
        from flows.collect_soundtracks import collect_soundtracks

        done: Any = collect_soundtracks(**parameters)
    paused = done.pop("paused", None)
    counts = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in done.items())
    Console().print(counts, soft_wrap=True)
    if paused:
        Console(stderr=True).print(f"[bold yellow]Paused[/]: {escape(paused)}", soft_wrap=True)
        raise typer.Exit(SourcePaused.exit_status)


def takedown_command(
    item: str = typer.Argument(help="A film id (enwiki-123), a track id (youtube:ID) or a channel (channel:ID)."),
    lake: str = LAKE,
    because: str = typer.Option("", help="Why, for the record."),
    undo: bool = typer.Option(False, help="Take the item off the list; what was removed stays removed."),
) -> None:
    """Never collect something, and remove what was kept of it: mels, audio, staged downloads.

    [bold]Example[/]: needledrop takedown youtube:dQw4w9WgXcQ --because "asked by the label"
    """
    from storage.tables import open_tables
    from storage.takedowns import record_takedown
    from tasks.soundtracks.purging import take_down

    store = open_tables(lake)
    if undo:
        record_takedown(store, item, because, "command", is_active=False)
        Console().print(f"{item} may be collected again")
        return
    purged = take_down(store, item, because, "command")
    Console().print(f"{item} is on the list; removed the mels of {purged.tracks} tracks in {purged.films} films")
