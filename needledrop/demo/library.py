"""Write a library of invented music that belongs to no film, with a catalogue of its rights: an album per mood."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from needledrop.demo.corpus import FILES_PER_TASK, OnProgress, open_pool
from needledrop.demo.films import Film, invent_films
from needledrop.demo.moods import MOODS
from needledrop.demo.music.tracks import TRACKS_PER_FILM, Track, make_track, plan_album
from storage.errors import InputError

CATALOGUE = "catalogue.csv"
COLUMNS = ("path", "title", "artist", "album", "composer", "publisher", "licence", "year")
PUBLISHER, LICENCE = "Needledrop (invented)", "CC0 1.0"
SECONDS = (35.0, 70.0)
"""Long enough for a scene, and short enough that the library is made in seconds."""


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
            writer.writerow((*known, PUBLISHER, LICENCE, track.year))
    unfinished.replace(path)
