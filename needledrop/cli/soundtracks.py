"""`needledrop soundtracks` and what belongs to it: find, judge and fetch the music of the films in the lake."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from needledrop.cli import options, review
from needledrop.cli.options import (
    CreativeCommonsOnly,
    DailyDownloads,
    DailyRequests,
    DaskAddress,
    Encoding,
    KeepAudio,
    LakeRoot,
    MostRechecks,
    MusicLists,
    Pace,
    RecheckDays,
    Right,
    Runner,
    ShortTracks,
    Urls,
    Verbose,
    Workers,
    Youtube,
)
from needledrop.cli.run_flow import embedded
from storage.errors import InputError, SourcePaused


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("soundtracks")(soundtracks_command)
    app.command("retry")(retry_command)
    app.command("takedown")(takedown_command)
    review.register(app)


def soundtracks_command(
    lake: LakeRoot = "lake",
    music: MusicLists = None,
    urls: Urls = None,
    youtube: Youtube = False,
    order: list[str] = typer.Option(
        None,
        help="Source to ask first: music, urls or youtube; repeat for the second and third.",
        rich_help_panel=options.MUSIC,
    ),
    right: Right = False,
    creative_commons_only: CreativeCommonsOnly = False,
    keep_audio: KeepAudio = False,
    film: list[str] = typer.Option(None, help="Only this film: id, page id or title; may be repeated."),
    limit: int = typer.Option(None, min=1, help="At most this many films."),
    daily_requests: DailyRequests = 20_000,
    daily_downloads: DailyDownloads = 2_500,
    recheck_days: RecheckDays = 90,
    most_rechecks: MostRechecks = 200,
    pace: Pace = 1.0,
    workers: Workers = 2,
    runner: Runner = "workers",
    dask_address: DaskAddress = None,
    short_tracks: ShortTracks = "refuse",
    encoding: Encoding = None,
    verbose: Verbose = False,
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
    lake: LakeRoot = "lake",
    reason: list[str] = typer.Option(None, help="Reason of the failures to try again; may be repeated."),
    music: MusicLists = None,
    urls: Urls = None,
    youtube: Youtube = False,
    right: Right = False,
    creative_commons_only: CreativeCommonsOnly = False,
    keep_audio: KeepAudio = False,
    daily_requests: DailyRequests = 20_000,
    daily_downloads: DailyDownloads = 2_500,
    pace: Pace = 1.0,
    workers: Workers = 2,
    runner: Runner = "workers",
    dask_address: DaskAddress = None,
    short_tracks: ShortTracks = "refuse",
    encoding: Encoding = None,
    verbose: Verbose = False,
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
    lake: LakeRoot = "lake",
    because: str = typer.Option("", help="Why, for the record."),
    undo: bool = typer.Option(False, help="Take the item off the list; what was removed stays removed."),
) -> None:
    """Never collect something, and remove what was kept of it: mels, audio, staged downloads.

    [bold]Example[/]: needledrop takedown youtube:dQw4w9WgXcQ --because "asked by the label"
    """
    from storage.records.takedown_list import record_takedown
    from storage.tables.tables import open_tables
    from tasks.soundtracks.runs.takedown import take_down

    store = open_tables(lake)
    if undo:
        record_takedown(store, item, because, "command", is_active=False)
        Console().print(f"{item} may be collected again")
        return
    purged = take_down(store, item, because, "command")
    Console().print(f"{item} is on the list; removed the mels of {purged.tracks} tracks in {purged.films} films")
