"""Write the sample corpus to a folder: an export of films, their posters, their music; and a library without films.

The manifest is marked complete after everything else is written: a folder with such a manifest is returned
at once, in any other only the missing files are made. The work is spread over processes, and each file
depends on its own name and the seed alone, so any order gives the same corpus.

The library is invented music that belongs to no film, with a catalogue of its rights: an album per mood.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from needledrop.demo.films import Film, invent_films
from needledrop.demo.moods import MOODS
from needledrop.demo.music.music_files import TRACKS_PER_FILM, Track, make_track, plan_album, plan_tracks
from needledrop.demo.posters.poster import save_poster
from needledrop.demo.wiki_export import WITHOUT_POSTER, article, distractor_pages, plotless_films, write_export
from storage.errors import InputError

OnProgress = Callable[[str, int, int], None]
"""Called with what is being made, how many are done and how many there are."""

EDITION = 2
"""Increased when the same seed would give another corpus, so that an older folder is not taken for complete."""
MANIFEST = "manifest.json"
LICENCE = (
    "Everything in this folder was invented and synthesised by Needledrop: films, people, places, posters and music. "
    "It is dedicated to the public domain under CC0 1.0 (https://creativecommons.org/publicdomain/zero/1.0/).\n"
)
FILES_PER_TASK = 4
CATALOGUE = "catalogue.csv"
COLUMNS = ("path", "title", "artist", "album", "composer", "publisher", "licence", "year")
PUBLISHER, CATALOGUE_LICENCE = "Needledrop (invented)", "CC0 1.0"
SECONDS = (35.0, 70.0)
"""Long enough for a scene, and short enough that the library is made in seconds."""


@dataclass(frozen=True)
class Corpus:
    """The paths of the parts of the corpus."""

    export: Path
    """A MediaWiki XML export, `.xml.bz2`."""
    images: Path
    """A folder of posters, named as in the infoboxes."""
    music: Path
    """A folder of albums."""


def write_corpus(
    folder: Path, *, seed: int = 2024, films_per_year: int = 12, on_progress: OnProgress | None = None
) -> Corpus:
    """Write the corpus to `folder`, or complete it, or return at once if it is complete.

    Raises:
        InputError: the folder cannot be written, or holds the corpus of another seed.
    """
    corpus = Corpus(folder / "films.xml.bz2", folder / "images", folder / "music")
    settings = {"edition": EDITION, "seed": seed, "films_per_year": films_per_year}
    manifest = _read_manifest(folder)
    if manifest and {name: manifest.get(name) for name in settings} != settings:
        raise InputError(
            f"{folder} holds a sample corpus of another seed or edition: delete it, or name another folder."
        )
    if manifest.get("complete"):
        return corpus
    films = invent_films(seed, films_per_year)
    plotless = plotless_films(films)
    _make_folders(corpus)
    _write_manifest(folder, {**settings, "complete": False})
    tracks = plan_tracks(films, plotless)
    posters = [film for number, film in enumerate([*films, *plotless]) if number != WITHOUT_POSTER]
    _make_all(corpus, posters, tracks, on_progress)
    write_export(corpus.export, [*(article(film, films) for film in films), *distractor_pages(films)])
    (folder / "LICENSE.txt").write_text(LICENCE, "utf-8")
    counts = {"films": len(films), "posters": len(posters), "tracks": len(tracks)}
    _write_manifest(folder, {**settings, **counts, "complete": True})
    return corpus


def _make_all(corpus: Corpus, posters: Sequence[Film], tracks: Sequence[Track], on_progress: OnProgress | None) -> None:
    """Make the missing posters and tracks in a pool of processes, one per processor."""
    films = [film for film in posters if not (corpus.images / film.poster).exists()]
    missing = [track for track in tracks if not (corpus.music / track.path).exists()]
    report = on_progress or (lambda _what, _done, _total: None)
    with open_pool() as pool:
        music = pool.map(partial(make_track, corpus.music), missing, chunksize=FILES_PER_TASK)
        images = pool.map(partial(_make_poster, corpus.images), films, chunksize=FILES_PER_TASK)
        for what, results, total in (("tracks", music, len(missing)), ("posters", images, len(films))):
            for done, _ in enumerate(results, 1):
                report(what, done, total)


def open_pool() -> ProcessPoolExecutor:
    """Return a pool of a process per processor."""
    # Spawned: a caller may have threads, and a forked child would inherit the locks that they hold.
    return ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn"))


def _make_poster(folder: Path, film: Film) -> None:
    save_poster(folder / film.poster, film)


def _make_folders(corpus: Corpus) -> None:
    try:
        for subfolder in (corpus.images, corpus.music):
            subfolder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"The sample corpus cannot be written to {subfolder} ({error.strerror}): name a folder."
        ) from error


def _read_manifest(folder: Path) -> dict[str, int]:
    """Return what an earlier run recorded about the folder, or nothing."""
    try:
        manifest: dict[str, int] = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return manifest


def _write_manifest(folder: Path, manifest: dict[str, int]) -> None:
    unfinished = folder / f".{MANIFEST}.part"
    unfinished.write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
    unfinished.replace(folder / MANIFEST)


def write_library(
    folder: Path, *, seed: int = 2024, albums: int = len(MOODS), on_progress: OnProgress | None = None
) -> Path:
    """Write the music and its catalogue to a folder, or what is missing of them; return the catalogue.

    Raises `InputError` when the folder cannot be written.
    """
    tracks = plan_library(seed, albums)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"The demo's library cannot be written to {folder} ({error.strerror}): name a folder"
        ) from error
    missing = [track for track in tracks if not (folder / track.path).exists()]
    if missing:
        with open_pool() as pool:
            made = pool.map(partial(make_track, folder), missing, chunksize=FILES_PER_TASK)
            for done, _ in enumerate(made, 1):
                if on_progress:
                    on_progress("library", done, len(missing))
    _write_catalogue(folder / CATALOGUE, tracks)
    return folder / CATALOGUE


def plan_library(seed: int, albums: int) -> list[Track]:
    """Return the tracks of as many albums, each in the mood of a film that is not in the corpus of this seed."""
    unseen = invent_films(seed + 1, 1)
    return [track for number, film in enumerate(islice(unseen, albums)) for track in _album(film, number)]


def _album(film: Film, number: int) -> list[Track]:
    rng = film.random_stream("library")
    return [
        replace(track, album=f"{film.main.name.title()} for Pictures", seconds=round(rng.uniform(*SECONDS), 2))
        for track in plan_album(film, number * TRACKS_PER_FILM)
    ]


def _write_catalogue(path: Path, tracks: Sequence[Track]) -> None:
    unfinished = path.with_name(f".{path.name}.part")
    with unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for track in tracks:
            known = (track.path.as_posix(), track.title, track.artist, track.album, track.artist)
            writer.writerow((*known, PUBLISHER, CATALOGUE_LICENCE, track.year))
    unfinished.replace(path)
