"""`needledrop search`: find existing music for a film that has none yet."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import Progress

from needledrop.cli.inspect.sql import answer
from needledrop.cli.options import (
    Artist,
    EncoderName,
    Image,
    LakeRoot,
    Licence,
    Like,
    LikeWeight,
    Loudness,
    MaxDuration,
    MinDuration,
    NotLike,
    PerAlbum,
    RankedBy,
    Tags,
    Tempo,
    Years,
)
from needledrop.cli.retrieval.engines import Named, unknown_tags
from needledrop.cli.retrieval.filters import FilterOptions
from needledrop.cli.retrieval.search_library import SearchOptions, check_search, read_ranking, search_libraries
from storage.errors import InputError, ItemError
from storage.lake.lake import Lake
from storage.tables.duckdb_connection import connect
from storage.tables.schemas import FLOW_RUNS
from storage.tables.tables import latest_sql, open_existing

if TYPE_CHECKING:
    from training.retrieval.choose_run import SearchedRun
    from training.retrieval.film_query import FilmQuery
    from training.retrieval.search import Suggestion

OWN = "Your own libraries"


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("search")(search_command)


def search_command(
    plot: str = typer.Option(None, help="Plot of the film; @FILE reads it from a text file."),
    tags: Tags = None,
    image: Image = None,
    run: str = typer.Option(None, help="Run to search with; default: the best one whose inputs are given."),
    count: int = typer.Option(10, min=1, help="Tracks to show."),
    all_tracks: bool = typer.Option(
        False,
        "--all-tracks",
        help="Search all tracks of the version, not only the test films'; slow the first time.",
    ),
    library: list[str] = typer.Option(None, help="Library to search. May be repeated.", rich_help_panel=OWN),
    dataset: bool = typer.Option(
        False,
        "--dataset",
        help="Search all tracks of the run's data set as a library; slow the first time.",
        rich_help_panel=OWN,
    ),
    encoder: EncoderName = None,
    like: Like = None,
    not_like: NotLike = None,
    like_weight: LikeWeight = 0.5,
    by: RankedBy = "mean",
    per_album: PerAlbum = 3,
    min_duration: MinDuration = None,
    max_duration: MaxDuration = None,
    tempo: Tempo = None,
    loudness: Loudness = None,
    year: Years = None,
    licence: Licence = None,
    artist: Artist = None,
    lake: LakeRoot = "lake",
) -> None:
    """Find existing music for a new film from its plot, tags or poster, or from several of them.

    The music is that of the data set or, with --library, your own. A track of a library is shown with its best moment
    and with how unusual its score is: a track that suits every film comes high for every query.

    [bold]Examples[/]: needledrop search --plot "A detective hunts a killer through the rain." --tags "Thriller films"
    · needledrop search --plot @plot.txt --image poster.jpg --all-tracks
    · needledrop search --library licensed --plot @plot.txt --like temp-track.wav --max-duration 3:00
    """
    opened = open_existing(lake)
    options = SearchOptions(
        libraries=tuple(library or ()),
        dataset=dataset,
        like=tuple(like or ()),
        not_like=tuple(not_like or ()),
        like_weight=like_weight,
        by=read_ranking(by),
        per_album=per_album,
        filters=FilterOptions(min_duration, max_duration, tempo, loudness, year, licence, artist),
    )
    if options.libraries or options.dataset:
        read_query = partial(_film_query, plot, tags, image, needed=not options.like)
        search_libraries(opened, options, check_search(opened, options, Named(run, encoder), read_query), count)
    elif given := [*options.names_of_given, *(["--encoder"] if encoder else [])]:
        raise InputError(f"{', '.join(given)} needs a library; name one with --library, or give --dataset")
    else:
        query = _film_query(plot, tags, image, needed=True)
        assert query is not None
        _search_dataset(opened, query, run, count, all_tracks=all_tracks)


def _film_query(plot: str | None, tags: str | None, image: Path | None, *, needed: bool) -> FilmQuery | None:
    """Return what is said of a film; None for nothing where none is needed."""
    from training.retrieval.film_query import FilmQuery

    given = (_paragraphs(plot), read_tags(tags), read_image(image))
    return FilmQuery(*given) if needed or any(given) else None


def _search_dataset(opened: Lake, query: FilmQuery, run: str | None, count: int, *, all_tracks: bool) -> None:
    from training.retrieval.choose_run import choose_run, describe_run

    searched = describe_run(opened, run or choose_run(opened, query.parts))

    from training.loop.devices import open_machine
    from training.retrieval.search import search

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
    yield from unknown_tags(searched, tags)


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


def read_tags(tags: str | None) -> tuple[str, ...]:
    """Return tags that were typed with commas between them."""
    return tuple(tag.strip() for tag in (tags or "").split(",") if tag.strip())


def read_image(image: Path | None) -> bytes | None:
    """Return the bytes of an image, if one is given. Raises `InputError` for one that cannot be read."""
    if image is None:
        return None
    try:
        content = image.read_bytes()
    except OSError as error:
        raise InputError(f"The image {image} cannot be read ({error.strerror}); give the path of an image") from error

    from tasks.films.images.thumbnails import make_thumbnail

    try:
        make_thumbnail(content)
    except ItemError as error:
        if error.reason in ("too_large", "too_many_pixels"):  # what is no picture is refused where it is read
            raise InputError(f"The image {image} cannot be used: {error}; give a smaller one") from error
    return content
