"""`needledrop search`: find existing music for a film, in the data set or in the user's own libraries."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer
from rich.console import Console
from rich.progress import Progress

from needledrop.cli.options import LakeRoot
from needledrop.cli.output.terminal_tables import as_clock, indented, print_rows
from needledrop.cli.retrieval.search_options import (
    Artist,
    EncoderName,
    FilterOptions,
    Image,
    Licence,
    Like,
    LikeWeight,
    Loudness,
    MaxDuration,
    MinDuration,
    Named,
    NotLike,
    PerAlbum,
    RankedBy,
    Tags,
    Tempo,
    Years,
    about_unknown_tags,
    check_named,
    check_references,
    choose_engine,
    engine_notes,
    open_engine,
    read_image,
    read_paragraphs,
    read_ranking,
    read_tags,
    reference_vector,
)
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.libraries.library import Library, open_library
from storage.output_escaping import printable, spreadsheet_cell
from storage.records.flow_runs import newest_music_folders
from storage.tables.tables import open_existing

if TYPE_CHECKING:
    from training.retrieval.choose_run import SearchedRun
    from training.retrieval.dataset_search import NearFilm, Suggestion
    from training.retrieval.query_and_filters import FilmQuery, TrackFilter
    from training.retrieval.search_engines import Music
    from training.retrieval.search_results import FoundTrack

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
    from training.retrieval.query_and_filters import FilmQuery

    given = (read_paragraphs(plot), read_tags(tags), read_image(image))
    return FilmQuery(*given) if needed or any(given) else None


def _search_dataset(opened: Lake, query: FilmQuery, run: str | None, count: int, *, all_tracks: bool) -> None:
    from training.retrieval.choose_run import choose_run, describe_run

    searched = describe_run(opened, run or choose_run(opened, query.parts))

    from training.loop.devices_and_torchrun import open_machine
    from training.retrieval.dataset_search import search

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
        _show(Console(highlight=False), found, newest_music_folders(opened))
    else:
        columns = ["rank", "title", "artist", "film", "score", "track_id", "url"]
        print_rows(columns, [tuple(getattr(track, name) for name in columns) for track in found])


def _notes(searched: SearchedRun, tags: Sequence[str], *, all_tracks: bool) -> Iterator[str]:
    """Yield what the user should know about a search: the run, the tracks in it, tags that no film has."""
    if all_tracks:
        tracks = f"all {searched.all_tracks:,} tracks of {searched.version}"
    else:
        of_all = f"of {searched.all_tracks:,}: --all-tracks searches all of them"
        tracks = f"the {searched.test_tracks:,} tracks of the test films of {searched.version} ({of_all})"
    yield f"Searching {tracks} with {searched.run_id}"
    yield from about_unknown_tags(searched, tags)


def _show(console: Console, found: Sequence[Suggestion], folders: Sequence[str]) -> None:
    """Print two lines per track, which wrap at the width of the terminal: what it is, and where it is."""
    for track in found:
        by = f" by {track.artist}" if track.artist else ""
        console.print(f"{track.rank:>3}  {track.title or track.track_id}{by}", style="bold", markup=False)
        of_film = f"of {track.film}, " if track.film else ""
        console.print(f"     {of_film}score {track.score:.3f}, {track.url or track.track_id}", markup=False)
    if folders and any(track.url and "://" not in track.url for track in found):
        console.print(f"Files are below {', '.join(folders)}", style="dim", markup=False)


@dataclass(frozen=True)
class SearchOptions:
    """What the command was given about libraries, as typed."""

    libraries: tuple[str, ...]
    dataset: bool
    """Whether the tracks of the run's own version are searched too."""
    like: tuple[str, ...]
    not_like: tuple[str, ...]
    like_weight: float
    by: Literal["mean", "best"]
    per_album: int
    filters: FilterOptions

    @property
    def names_of_given(self) -> list[str]:
        """Return the flags that only a search in a library takes, of those that were given."""
        given = {"like": self.like, "not_like": self.not_like, **vars(self.filters)}
        return [f"--{name.replace('_', '-')}" for name, value in given.items() if value]


@dataclass(frozen=True)
class CheckedSearch:
    """What a search of libraries needs, checked before anything is loaded."""

    libraries: list[Library]
    wanted: TrackFilter
    query: FilmQuery | None
    engine: Named


def check_search(
    lake: Lake, options: SearchOptions, named: Named, read_query: Callable[[], FilmQuery | None]
) -> CheckedSearch:
    """Return what was asked for, read. Raises `InputError` for whatever of it cannot be searched for, or with."""
    from training.systems import ALL_PARTS

    check_named(named, dataset=options.dataset)
    wanted = options.filters.read()
    libraries = [open_library(lake, name) for name in dict.fromkeys(options.libraries)]
    query = read_query()
    if not options.dataset:  # the names of its tracks are known once it is in memory
        check_references(libraries, (*options.like, *options.not_like))
    engine = choose_engine(lake, libraries, query.parts if query else ALL_PARTS, named)
    return CheckedSearch(libraries, wanted, query, engine)


def search_libraries(lake: Lake, options: SearchOptions, checked: CheckedSearch, count: int) -> None:
    """Search libraries and print what was found: two lines per track in a terminal, CSV into a pipe or a file."""
    from training.loop.devices_and_torchrun import open_machine
    from training.retrieval.dataset_search import DatasetTracks
    from training.retrieval.query_and_filters import blend
    from training.retrieval.search_engines import Retriever

    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    with open_machine() as machine, Progress(console=errors, disable=not errors.is_terminal, transient=True) as bar:
        task = bar.add_task("Embedding tracks", total=None, visible=options.dataset)
        engine, query = open_engine(lake, checked.libraries, checked.engine, machine), checked.query
        music: list[Music] = [*checked.libraries]
        if options.dataset and isinstance(engine, Retriever):
            music.append(DatasetTracks(lake, engine.version))
        has_image = query is not None and query.image is not None
        for line in engine_notes(engine, query.tags if query else (), has_image=has_image):
            errors.print(line, style="dim", markup=False)
        searched = len(engine.open(music, lambda done, total: bar.update(task, completed=done, total=total)))
        like, not_like = (
            [reference_vector(engine, music, name) for name in names] for names in (options.like, options.not_like)
        )
        asked = blend(engine.embed(query) if query else None, like, not_like, options.like_weight)
        found = engine.search(
            music, asked, count, by=options.by, wanted=checked.wanted, most_per_album=options.per_album or None
        )
        near = engine.nearest_films(asked) if query and isinstance(engine, Retriever) else []
    if sys.stdout.isatty():
        _show_of_libraries(Console(highlight=False), found, near)
    else:
        _print_csv(found)
    names = ", ".join(one.name for one in music)
    note = f"Searched {searched:,} tracks of {names} with {checked.engine.encoder or engine.engine}"
    errors.print(note, style="dim", markup=False)


def _show_of_libraries(console: Console, found: Sequence[FoundTrack], near: Sequence[NearFilm]) -> None:
    """Print what each track is, where its best moment is, how unusual its score is, and where its file is."""
    for track in found:
        row = track.row
        by = f" by {row['artist']}" if row["artist"] else ""
        console.print(f"{track.rank:>3}  {row['title']}{by}", style="bold", markup=False)
        facts = [
            f"from {as_clock(track.best_second)} of {as_clock(row['duration_seconds'])}",
            f"score {track.score:.3f}",
        ]
        if track.percentile is not None:
            facts.append(f"over {track.percentile:.0f} % of training films")
        facts += [f"{part} {gain:+.3f}" for part, gain in track.support.items()]
        facts += [row["licence"]] if row["licence"] not in (None, "", "unknown") else []
        console.print(indented(", ".join(facts)))
        of_film = f" (of {row['film']})" if row.get("film") else ""
        console.print(indented(f"{track.library}: {printable(row['path'] or track.track_id)}{of_film}", style="dim"))
    if near:
        films = ", ".join(f"{film.title} ({film.year})" for film in near)
        console.print(f"The query is nearest to the training films {films}", style="dim", markup=False)
    if not found:
        console.print("No track fits; widen the filters", markup=False)


def _print_csv(found: Sequence[FoundTrack]) -> None:
    of_hit = ("rank", "score", "percentile", "best_second", "library", "track_id")
    of_track = ("title", "artist", "album", "licence", "isrc", "duration_seconds", "tempo_bpm", "loudness_lufs", "path")
    rows = [(*(getattr(hit, name) for name in of_hit), *(hit.row[name] for name in of_track)) for hit in found]
    print_rows([*of_hit, *of_track], [[spreadsheet_cell(value) for value in row] for row in rows])
