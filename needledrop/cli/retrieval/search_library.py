"""`needledrop search --library`: music of the user's own libraries for a film, or like a recording."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rich.console import Console
from rich.progress import Progress

from needledrop.cli.inspect.sql import answer
from needledrop.cli.retrieval.engines import (
    Named,
    check_named,
    check_references,
    choose_engine,
    engine_notes,
    open_engine,
    reference_vector,
)
from needledrop.cli.retrieval.filters import FilterOptions
from needledrop.cli.retrieval.library_show import as_clock
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.libraries.library import Library, open_library
from storage.spreadsheets import spreadsheet_cell
from storage.terminal import printable

if TYPE_CHECKING:
    from training.retrieval.film_query import FilmQuery
    from training.retrieval.library_search import TrackFilter
    from training.retrieval.retriever import NearFilm
    from training.retrieval.search_engine import FoundTrack, Music


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


def read_ranking(text: str) -> Literal["mean", "best"]:
    """Return a ranking as typed. Raises `InputError` for another word."""
    if text == "mean":
        return "mean"
    if text == "best":
        return "best"
    raise InputError(f"--by {text!r} is no ranking; give mean or best")


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
    from training.loop.devices import open_machine
    from training.retrieval.blended_query import blend
    from training.retrieval.dataset_tracks import DatasetTracks
    from training.retrieval.retriever import Retriever

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
        _show(Console(highlight=False), found, near)
    else:
        _print_csv(found)
    names = ", ".join(one.name for one in music)
    note = f"Searched {searched:,} tracks of {names} with {checked.engine.encoder or engine.engine}"
    errors.print(note, style="dim", markup=False)


def _show(console: Console, found: Sequence[FoundTrack], near: Sequence[NearFilm]) -> None:
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
            facts.append(f"higher than for {track.percentile:.0f} % of the training films")
        facts += [f"{part} {gain:+.3f}" for part, gain in track.support.items()]
        facts += [row["licence"]] if row["licence"] not in (None, "", "unknown") else []
        console.print(f"     {', '.join(facts)}", markup=False)
        of_film = f" (of {row['film']})" if row.get("film") else ""
        console.print(
            f"     {track.library}: {printable(row['path'] or track.track_id)}{of_film}", style="dim", markup=False
        )
    if near:
        films = ", ".join(f"{film.title} ({film.year})" for film in near)
        console.print(f"The query is nearest to the training films {films}", style="dim", markup=False)
    if not found:
        console.print("No track fits; widen the filters", markup=False)


def _print_csv(found: Sequence[FoundTrack]) -> None:
    of_hit = ("rank", "score", "percentile", "best_second", "library", "track_id")
    of_track = ("title", "artist", "album", "licence", "isrc", "duration_seconds", "tempo_bpm", "loudness_lufs", "path")
    rows = [(*(getattr(hit, name) for name in of_hit), *(hit.row[name] for name in of_track)) for hit in found]
    answer([*of_hit, *of_track], [[spreadsheet_cell(value) for value in row] for row in rows])
