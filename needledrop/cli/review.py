"""`needledrop review`: accept or reject matches; draw a blind sample of them, and read the ratings back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from needledrop.cli.options import LakeRoot
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.tables.tables import open_existing

COMMAND = "command"
"""The `run_id` of rows that a command wrote."""
MAX_LINES_NAMED = 10
"""Lines of a sheet that one sentence names."""
review_app = typer.Typer(rich_markup_mode="rich", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    """Add the command and its subcommands to the app."""
    app.add_typer(review_app, name="review")


@review_app.callback()
def review_command(
    context: typer.Context,
    lake: LakeRoot = "lake",
    yes: list[str] = typer.Option(None, help="Accept a match, given as FILM_ID/TRACK_ID. May be repeated."),
    no: list[str] = typer.Option(None, help="Reject a match, given as FILM_ID/TRACK_ID. May be repeated."),
    yes_album: tuple[str, str] = typer.Option(
        None, metavar="FILM_ID ALBUM", help="Accept an album, given by its id or its name, also tracks found later."
    ),
    no_album: tuple[str, str] = typer.Option(
        None, metavar="FILM_ID ALBUM", help="Reject an album, given by its id or its name, also tracks found later."
    ),
    note: str = typer.Option("", help="Reason, for the record."),
    taken: bool = typer.Option(False, "--taken", help="What was collected, instead of what is doubtful."),
    disagreements: bool = typer.Option(False, "--disagreements", help="List the matches on which raters disagree."),
    count: int = typer.Option(50, min=1, help="Matches to show."),
    seed: int = typer.Option(None, help="List in a random order, the same for the same seed."),
) -> None:
    """List matches that the matching rule is unsure of, or accept and reject some for all later runs.

    A match that is rejected after it was collected is in no later version of the data set.

    [bold]Example[/]: needledrop review --yes enwiki-123/youtube:dQw4w9WgXcQ --no enwiki-123/youtube:aaaaaaaaaaa
    """
    if context.invoked_subcommand:
        return
    opened = open_existing(lake)
    answers = [(pair, True) for pair in yes or []] + [(pair, False) for pair in no or []]
    albums = [(album, is_match) for album, is_match in ((yes_album, True), (no_album, False)) if album]
    if answers or albums:
        _record(opened, answers, albums, note)
        count_said = len(answers) + len(albums)
        Console().print(
            f"Recorded {count_said} answer{'s' if count_said > 1 else ''}; the next `needledrop soundtracks` and "
            "`needledrop curate` apply them",
            soft_wrap=True,
        )
    elif disagreements:
        _show_disagreements(opened, count)
    else:
        _show(opened, count, seed, is_taken=taken)


@review_app.command("sample")
def sample_command(
    lake: LakeRoot = "lake",
    taken: bool = typer.Option(False, "--taken", help="What was collected, instead of what is doubtful."),
    per_band: int = typer.Option(50, min=1, help="Pairs of each band of the score, 0.1 wide."),
    seed: int = typer.Option(0, help="The same lake and seed give the same sample."),
    out: Path = typer.Option(Path("review-sample"), help="Folder to write the sheet to."),
) -> None:
    """Write a blind sheet of randomly drawn matches, as CSV and as a page for a browser, for people to rate.

    Neither score nor decision is shown. Give each rater a copy, and read it with `needledrop review import`.

    [bold]Example[/]: needledrop review sample --taken --per-band 50 --seed 0 --out sheets
    """
    from tasks.soundtracks.candidate_recordings import Decision
    from tasks.soundtracks.reviews.draw_sample import draw_sample
    from tasks.soundtracks.reviews.write_rating_sheet import write_sheet

    opened = open_existing(lake)
    sample = draw_sample(opened, Decision.TAKEN if taken else Decision.REVIEW, per_band, seed, COMMAND)
    csv_path, html_path = write_sheet(sample, out)
    represented = round(sum(row["weight"] for row in sample.rows))
    Console().print(
        f"{len(sample.rows):,} pairs of {represented:,} are in {csv_path} and {html_path}; rate them there, and read "
        f"the answers with `needledrop review import FILE --rater NAME`",
        soft_wrap=True,
    )


@review_app.command("import")
def import_command(
    file: Path = typer.Argument(help="A rated sheet: a CSV file of a spreadsheet or of the page."),
    lake: LakeRoot = "lake",
    rater: str = typer.Option(None, help="Who rated it; default: the name in the sheet, or else the file's name."),
) -> None:
    """Read the ratings of a sheet; each rater's answers are kept apart, and the same file again changes nothing.

    A "no" to a recording that was collected takes it out of the next version of the data set.

    [bold]Example[/]: needledrop review import sheets/anna.csv --rater anna
    """
    from tasks.soundtracks.reviews.read_rated_sheet import import_ratings

    opened = open_existing(lake)
    imported = import_ratings(opened, file, rater, COMMAND)
    counts = ", ".join(f"{imported.answers.get(answer, 0):,} {answer}" for answer in ("yes", "no", "unsure"))
    albums = f", {imported.albums:,} of albums" if imported.albums else ""
    Console().print(
        f"{', '.join(imported.raters)}: {counts}, {imported.unrated:,} not rated; {imported.recorded:,} answers are "
        f"new or changed{albums}",
        soft_wrap=True,
        markup=False,
    )
    if imported.unrated_notes:
        lines = ", ".join(map(str, imported.unrated_notes[:MAX_LINES_NAMED]))
        more = " …" if len(imported.unrated_notes) > MAX_LINES_NAMED else ""
        Console().print(
            f"{len(imported.unrated_notes):,} notes have no rating, so they are not recorded (line {lines}{more}); "
            "write yes, no or unsure there and import the file again",
            soft_wrap=True,
            markup=False,
        )
    _show_precision(opened)


def _record(lake: Lake, answers: list[tuple[str, bool]], albums: list[tuple[tuple[str, str], bool]], note: str) -> None:
    """Record the user's answers, all or, if one names nothing in the lake, none."""
    from storage.records.review_answers_and_agreement import find_album, record_new_rows, record_review
    from storage.tables.schemas import ALBUM_REVIEWS

    known = _candidates(lake) if answers else set()
    for pair, _answer in answers:
        if pair not in known:
            raise InputError(f"There is no match {pair!r}; `needledrop review` lists them as FILM_ID/TRACK_ID")
    rows = []
    for (film_id, album), is_match in albums:
        found = find_album(lake, film_id, album)
        if found is None:
            raise InputError(
                f"{film_id} has no album {album!r}, or several of this name; `needledrop review` lists album ids"
            )
        rows.append({"film_id": film_id, **found, "rater": "", "is_match": is_match, "note": note})
    for pair, is_match in answers:
        film_id, track_id = pair.split("/", 1)
        record_review(lake, film_id, track_id, is_match=is_match, note=note, run_id=COMMAND)
    record_new_rows(lake, ALBUM_REVIEWS, rows, COMMAND)


def _candidates(lake: Lake) -> set[str]:
    from storage.tables import tables
    from storage.tables.schemas import TRACKS

    rows = tables.latest(lake, TRACKS, ["film_id", "track_id"]).to_pylist()
    return {f"{row['film_id']}/{row['track_id']}" for row in rows}


def _show(lake: Lake, count: int, seed: int | None, *, is_taken: bool) -> None:
    """Print the matches without an answer: the best scores first, or in random order."""
    from storage.records.review_answers_and_agreement import matches_without_answer

    total, rows = matches_without_answer(lake, count, seed, is_taken=is_taken)
    title = f"{total:,} collected matches without an answer" if is_taken else f"{total:,} doubtful matches"
    _print_blocks(title, ("score", "film", "recording", "album", "listen"), rows)


def _show_disagreements(lake: Lake, count: int) -> None:
    from storage.tables import duckdb_connection
    from storage.views.lake_views import define_lake_views

    with duckdb_connection.connect(lake) as connection:
        define_lake_views(connection, lake, temporary=True)
        rows = connection.execute(
            "SELECT pair, film || coalesce(' (' || year || ')', ''), track, answers, notes, url "
            "FROM review_disagreements"
        ).fetchall()
    _print_blocks(
        f"{len(rows):,} matches on which raters disagree; they count as no until `needledrop review --yes` or `--no`",
        ("film", "recording", "answers", "notes", "listen"),
        rows[:count],
    )


def _show_precision(lake: Lake) -> None:
    """Print the precision of the newest rated sample of what was taken."""
    from storage.records.review_answers_and_agreement import read_precision

    found = read_precision(lake)
    for row in found["precision"][:1]:
        if row["precision"] is not None:
            Console().print(
                f"Precision of what was taken: {row['precision']:.1%} (95 %: {row['low']:.1%} to {row['high']:.1%}), "
                f"from {row['matches'] + row['wrong']:,} rated pairs of {row['sample']}",
                soft_wrap=True,
            )
    for row in found["agreement"]:
        kappa = (
            f"kappa {row['kappa']:.2f}" if row["kappa"] is not None else "kappa undefined: only one answer was given"
        )
        Console().print(
            f"{row['rater']} and {row['other_rater']}: {row['pairs']:,} pairs in common, {kappa}",
            soft_wrap=True,
            markup=False,
        )


def _print_blocks(title: str, names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> None:
    """Print each match as a block of lines, its id alone on the first: a table would break ids and links."""
    console = Console()
    console.print(title, style="bold", markup=False, soft_wrap=True)
    for pair, *values in rows:
        console.print(f"\n{pair}", style="bold", markup=False, soft_wrap=True)
        for name, value in zip(names, values, strict=True):
            if value:
                console.print(f"  {name:<9}  {value}", markup=False, highlight=False, soft_wrap=True)
