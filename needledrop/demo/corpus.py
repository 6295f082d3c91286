"""Write the sample corpus to a folder: an export of films, their posters, their music.

The manifest is marked complete after everything else is written: a folder with such a manifest is returned
at once, in any other only the missing files are made. The work is spread over processes, and each file
depends on its own name and the seed alone, so any order gives the same corpus.
"""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from needledrop.demo.films import Film, invent_films
from needledrop.demo.music.tracks import Track, make_track, plan_tracks
from needledrop.demo.posters.poster import save_poster
from needledrop.demo.wiki.articles import WITHOUT_POSTER, article, distractor_pages, plotless_films
from needledrop.demo.wiki.export import write_export
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
