"""`needledrop review`: list doubtful matches and accept or reject them for all later runs."""

from __future__ import annotations

from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from needledrop.cli.options import LakeRoot
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.tables.tables import open_existing


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("review")(review_command)


def review_command(
    lake: LakeRoot = "lake",
    yes: list[str] = typer.Option(None, help="Accept a match, given as FILM_ID/TRACK_ID. May be repeated."),
    no: list[str] = typer.Option(None, help="Reject a match, given as FILM_ID/TRACK_ID. May be repeated."),
    note: str = typer.Option("", help="Reason, for the record."),
    count: int = typer.Option(50, min=1, help="Matches to show."),
) -> None:
    """List matches that the matching rule is unsure of, or accept and reject some for all later runs.

    [bold]Example[/]: needledrop review --yes enwiki-123/youtube:dQw4w9WgXcQ --no enwiki-123/youtube:aaaaaaaaaaa
    """
    from storage.records.reviews import record_review

    opened = open_existing(lake)
    known = _candidates(opened)
    answers = [(pair, True) for pair in yes or []] + [(pair, False) for pair in no or []]
    for pair, _answer in answers:
        if pair not in known:
            raise InputError(f"There is no match {pair!r}; `needledrop review` lists them as FILM_ID/TRACK_ID")
    for pair, is_match in answers:
        film_id, track_id = pair.split("/", 1)
        record_review(opened, film_id, track_id, is_match=is_match, note=note, run_id="command")
    if answers:
        Console().print(f"Recorded {len(answers)} answers; the next `needledrop soundtracks` applies them")
    else:
        _show(opened, count)


def _candidates(lake: Lake) -> set[str]:
    from storage.tables import tables
    from storage.tables.schemas import TRACKS

    rows = tables.latest(lake, TRACKS, ["film_id", "track_id"]).to_pylist()
    return {f"{row['film_id']}/{row['track_id']}" for row in rows}


def _show(lake: Lake, count: int) -> None:
    rows, total = _unreviewed(lake, count)
    table = Table(title=f"{total} doubtful matches", title_justify="left")
    for heading in ("match", "film", "recording", "album", "by", "score", "reason"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*(str(value if value is not None else "") for value in row))
    Console().print(table)


def _unreviewed(lake: Lake, count: int) -> tuple[list[tuple[Any, ...]], int]:
    """Return the matches without an answer, the best scores first, and how many there are in all."""
    from storage.tables import tables
    from storage.tables.schemas import FILMS, REVIEWS, TRACKS

    source = (
        f"FROM {tables.latest_sql(lake, TRACKS)} AS tracks "
        f"JOIN {tables.latest_sql(lake, FILMS)} AS films USING (film_id) "
        f"ANTI JOIN {tables.latest_sql(lake, REVIEWS)} AS reviews USING (film_id, track_id) "
        "WHERE tracks.decision = 'review'"
    )
    with tables.connect(lake) as connection:
        total = connection.execute(f"SELECT count(*) {source}").fetchall()[0][0]
        rows = connection.execute(
            "SELECT film_id || '/' || track_id, films.title || coalesce(' (' || films.year || ')', ''), tracks.title, "
            "tracks.album, coalesce(tracks.artist, tracks.uploader), round(tracks.score, 2), "
            "replace(tracks.reason, '_', ' ') "
            f"{source} ORDER BY tracks.score DESC, 1 LIMIT {count}"
        ).fetchall()
    return rows, total
