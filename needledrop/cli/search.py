"""`needledrop search`: find existing music for a film that has none yet."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import Progress

from needledrop.cli.inspect.sql import answer
from needledrop.cli.options import LakeRoot
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.tables.schemas import FLOW_RUNS
from storage.tables.tables import connect, latest_sql, open_existing

if TYPE_CHECKING:
    from training.retrieval.search import SearchedRun, Suggestion


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("search")(search_command)


def search_command(
    plot: str = typer.Option(None, help="Plot of the film; @FILE reads it from a text file."),
    tags: str = typer.Option(None, help="Tags, separated by commas: 'Tamil-language films, Horror films'."),
    image: Path = typer.Option(None, help="A poster or a still."),
    run: str = typer.Option(None, help="Run to search with; default: the best one whose inputs are given."),
    count: int = typer.Option(10, min=1, help="Tracks to show."),
    all_tracks: bool = typer.Option(
        False,
        "--all-tracks",
        help="Search all tracks of the version, not only the test films'; slow the first time.",
    ),
    lake: LakeRoot = "lake",
) -> None:
    """Find existing music for a new film from its plot, tags or poster, or from several of them.

    [bold]Examples[/]: needledrop search --plot "A detective hunts a killer through the rain." --tags "Thriller films"
    · needledrop search --plot @plot.txt --image poster.jpg --all-tracks
    """
    plot_paragraphs, image_bytes, opened = _paragraphs(plot), _read(image), open_existing(lake)

    from training.loop.devices import open_machine
    from training.retrieval.search import FilmQuery, choose_run, describe_run, search

    query = FilmQuery(plot_paragraphs, tuple(t.strip() for t in (tags or "").split(",") if t.strip()), image_bytes)
    searched = describe_run(opened, run or choose_run(opened, query))
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    for line in _notes(searched, query.tags, all_tracks=all_tracks):
        errors.print(line, style="dim", markup=False)
    with open_machine() as machine, Progress(console=errors, disable=not errors.is_terminal, transient=True) as bar:
        task = bar.add_task("Embedding tracks", total=None, visible=all_tracks)
        found = search(
            opened, searched.run_id, query, count, machine, all_tracks=all_tracks,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    if sys.stdout.isatty():
        _show(Console(highlight=False), found, _music_folders(opened))
    else:
        columns = ["rank", "title", "artist", "film", "score", "track_id", "url"]
        answer(columns, [tuple(getattr(track, name) for name in columns) for track in found])


def _notes(searched: SearchedRun, tags: Sequence[str], *, all_tracks: bool) -> Iterator[str]:
    """Yield what the user should know about a search: the run, the tracks in it, tags that no film has."""
    if all_tracks:
        tracks = f"all {searched.all_tracks:,} tracks of {searched.version}"
    else:
        of_all = f"of {searched.all_tracks:,}: --all-tracks searches all of them"
        tracks = f"the {searched.test_tracks:,} tracks of the test films of {searched.version} ({of_all})"
    yield f"Searching {tracks} with {searched.run_id}"
    for tag, near in searched.unknown_tags(tags).items():
        known = f"similar ones: {', '.join(near)}" if near else "none is similar"
        yield f"No film of {searched.version} has the tag {tag!r}, so it may say little; {known}"


def _show(console: Console, found: Sequence[Suggestion], folders: Sequence[str]) -> None:
    """Print two lines per track, which wrap at the width of the terminal: what it is, and where it is."""
    for track in found:
        by = f" by {track.artist}" if track.artist else ""
        console.print(f"{track.rank:>3}  {track.title or track.track_id}{by}", style="bold", markup=False)
        of_film = f"of {track.film}, " if track.film else ""
        console.print(f"     {of_film}score {track.score:.3f}, {track.url or track.track_id}", markup=False)
    if folders and any(track.url and "://" not in track.url for track in found):
        console.print(f"Files are below {', '.join(folders)}", style="dim", markup=False)


def _music_folders(lake: Lake) -> list[str]:
    """Return the folders and lists of music of the newest run that collected from some."""
    with connect(lake) as connection:
        rows = connection.sql(
            f"SELECT parameters FROM {latest_sql(lake, FLOW_RUNS)} WHERE flow = 'collect-soundtracks' "
            "AND json_array_length(parameters, '$.music') > 0 ORDER BY recorded_at DESC LIMIT 1"
        ).fetchall()
    return [str(path) for (parameters,) in rows for path in json.loads(parameters)["music"]]


def _paragraphs(plot: str | None) -> tuple[str, ...]:
    """Return the paragraphs of a plot, read from a file where it begins with @."""
    text = plot or ""
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise InputError(f"The plot {text[1:]} cannot be read ({reason}); give a text file in UTF-8") from error
    return tuple(paragraph.strip() for paragraph in re.split(r"\n\s*\n|\r?\n", text) if paragraph.strip())


def _read(image: Path | None) -> bytes | None:
    if image is None:
        return None
    try:
        return image.read_bytes()
    except OSError as error:
        raise InputError(f"The image {image} cannot be read ({error.strerror}); give the path of an image") from error
