"""`needledrop search`: find existing music for a film that has none yet."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import typer
from rich.console import Console
from rich.progress import Progress

from needledrop.cli.inspect.sql import answer
from needledrop.cli.options import LakeRoot
from storage.errors import InputError
from storage.tables.tables import open_existing


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
    from training.retrieval.search import FilmQuery, choose_run, search

    query = FilmQuery(plot_paragraphs, tuple(t.strip() for t in (tags or "").split(",") if t.strip()), image_bytes)
    run_id = run or choose_run(opened, query)
    errors = Console(stderr=True)
    errors.print(f"Searching with {run_id}", style="dim", highlight=False)
    with open_machine() as machine, Progress(console=errors, disable=not errors.is_terminal, transient=True) as bar:
        task = bar.add_task("Embedding tracks", total=None, visible=all_tracks)
        found = search(
            opened, run_id, query, count, machine, all_tracks=all_tracks,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )  # fmt: skip
    columns = ["rank", "title", "artist", "film", "score"]
    if not sys.stdout.isatty():
        columns += ["track_id", "url"]
    answer(columns, [tuple(getattr(track, name) for name in columns) for track in found])


def _paragraphs(plot: str | None) -> tuple[str, ...]:
    """Return the paragraphs of a plot, read from a file where it begins with @."""
    text = plot or ""
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"The plot {text[1:]} cannot be read ({error}); give a text file in UTF-8") from error
    return tuple(paragraph.strip() for paragraph in re.split(r"\n\s*\n|\r?\n", text) if paragraph.strip())


def _read(image: Path | None) -> bytes | None:
    if image is None:
        return None
    try:
        return image.read_bytes()
    except OSError as error:
        raise InputError(f"The image {image} cannot be read ({error.strerror}); give the path of an image") from error
