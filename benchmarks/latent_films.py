"""Films and music drawn from a known distribution, so that the best possible ranking is known too.

A film has a language, a genre and latent factors: three of mood and eight of its own, all standard normal. With
z = (point of the language, point of the genre, factors), each modality is a noisy, partial, linear view of z:

    tags     the language of nine films in ten, the genre (one in five is wrong), and each mood factor in five levels
    plot     three paragraphs, each a view of genre and factors with noise of its own; a word in nine levels for every
             coordinate, and in two films of three a place of the language
    image    a view of genre, mood and four of the other factors, shown as the strength of patterns
    music    a view of z with noise per track and per segment, shown as levels of sixteen groups of mel bands; one
             segment in three, an opening that is 15 dB quieter, has four times the noise

Rendering (words, JPEG, mels with noise and a beat) can only lose information, so no ranking of pairs is better in
expectation than one by the likelihood of the views (`benchmarks.best_ranking`). The rendering is easy to read on
purpose: recipes are compared here, not towers. The test films have the numbers of tracks of the released 207.

    python -m benchmarks.latent_films          # the sizes, and how long writing takes
"""

from __future__ import annotations

import argparse
import functools
import io
import json
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from storage.datasets import versions as datasets
from storage.lake.lake import Lake
from storage.mels.reader import TrackMels
from storage.mels.settings_and_shard_format import MelSettings, shard_path
from storage.mels.writer import write_shard
from storage.tables.tables import open_tables
from training.settings import IMAGE_PIXELS

HISTOGRAM = Path(__file__).parent.parent / "tests" / "storage" / "metrics" / "tracks_per_film.json"
"""The number of tracks of each of the 207 released test films."""
VERSION = "latent-films"
YEARS = {"train": (2000, 2021), "valid": (2022, 2022), "test": (2023, 2024)}
TRAIN_FILMS, VALID_FILMS = 360, 24
LANGUAGES, GENRES = 24, 6
LANGUAGE_WIDTH, GENRE_WIDTH, MOOD, OWN = 6, 4, 3, 8
FACTORS = MOOD + OWN
PARAGRAPHS, SEGMENTS = 3, 2
TEXT_WIDTH, IMAGE_WIDTH, AUDIO_WIDTH = 16, 12, 16

LEVEL_STEP, TEXT_LEVELS, MOOD_LEVELS = 0.8, 9, 5
_FILLERS_EACH = 4
TILE_PIXELS, _FIELDS = 56, 7
"""An image is 4 x 4 equal tiles, and each pattern 7 x 7 fields in three colours."""
_IMAGE_GAIN, _IMAGE_NOISE = 8.0, 25.0
_MEL_CENTRE, _MEL_GAIN, _MEL_BEAT, _MEL_NOISE = 125.0, 18.0, 12.0, 20.0
_QUIETER_DB = 15.0

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def _invented_words(first: int, *shape: int) -> NDArray[np.str_]:
    """Return words of two syllables, distinct for distinct places in the list of all."""
    syllables = [a + b for a in "bdfgklmnprstv" for b in "aeiou"]
    words = np.random.default_rng(0).permutation([a + b for a in syllables for b in syllables])
    return words[first : first + int(np.prod(shape))].reshape(shape)


TEXT_WORDS = _invented_words(0, TEXT_WIDTH, TEXT_LEVELS)
MOOD_WORDS = _invented_words(1000, MOOD, MOOD_LEVELS)
GENRE_WORDS, LANGUAGE_NAMES = _invented_words(1100, GENRES), _invented_words(1200, LANGUAGES)
PLACES, FILLERS = _invented_words(1300, LANGUAGES), _invented_words(1400, 120)


@dataclass(frozen=True)
class World:
    """The parameters of the distribution; every noise is a standard deviation per coordinate."""

    language_share: Floats
    """[LANGUAGES]: a few large ones and a long tail."""
    language_point: Floats  # [LANGUAGES, LANGUAGE_WIDTH]
    genre_point: Floats  # [GENRES, GENRE_WIDTH]
    text: Floats  # [TEXT_WIDTH, GENRE_WIDTH + FACTORS]: what a paragraph sees
    image: Floats  # [IMAGE_WIDTH, GENRE_WIDTH + FACTORS]
    audio: Floats  # [AUDIO_WIDTH, LANGUAGE_WIDTH + GENRE_WIDTH + FACTORS]
    text_noise: float = 1.2
    image_noise: float = 1.0
    tag_noise: float = 0.7
    track_noise: float = 0.6
    segment_noise: float = 0.4
    opening_noise: float = 1.6
    opening_share: float = 1 / 3
    tagged_language: float = 0.9
    """Share of films whose tags name the language."""
    language_in_plot: float = 2 / 3
    right_genre: float = 0.8


@dataclass(frozen=True)
class Films:
    """F films of one split: what is hidden, and the views that are shown of each."""

    split: str
    years: Ints  # [F]
    language: Ints  # [F]
    genre: Ints  # [F]
    tagged_language: Ints  # [F]: -1 where the tags name none
    plot_language: Ints  # [F]: -1 where the plot names none
    tagged_genre: Ints  # [F]
    mood_tags: Floats  # [F, MOOD]
    paragraphs: Floats  # [F, PARAGRAPHS, TEXT_WIDTH]
    image: Floats  # [F, IMAGE_WIDTH]
    owner: Ints  # [T]: the film of each track
    segments: Floats  # [T, SEGMENTS, AUDIO_WIDTH]
    opening: NDArray[np.bool_]  # [T, SEGMENTS]


def draw_world(seed: int = 0) -> World:
    """Return the parameters; rows of the views have unit length, so that a coordinate has a variance of about one."""
    rng = np.random.default_rng([seed, 0])
    share = 1 / np.arange(2, LANGUAGES + 2)
    image = _view(rng, IMAGE_WIDTH, GENRE_WIDTH + FACTORS)
    image[:, GENRE_WIDTH + MOOD + 4 :] = 0  # four of the film's own factors are invisible
    return World(
        language_share=share / share.sum(),
        language_point=rng.normal(size=(LANGUAGES, LANGUAGE_WIDTH)),
        genre_point=rng.normal(size=(GENRES, GENRE_WIDTH)),
        text=_view(rng, TEXT_WIDTH, GENRE_WIDTH + FACTORS),
        image=image,
        audio=_view(rng, AUDIO_WIDTH, LANGUAGE_WIDTH + GENRE_WIDTH + FACTORS),
    )


def _view(rng: np.random.Generator, rows: int, columns: int) -> Floats:
    view: Floats = rng.normal(size=(rows, columns))
    return view / np.linalg.norm(view, axis=1, keepdims=True)


def draw_films(world: World, split: str, seed: int = 0, films: int | None = None) -> Films:
    """Draw the films of a split with their tracks; `films` fewer than the benchmark has, for a test."""
    rng = np.random.default_rng([seed, 1, list(YEARS).index(split)])
    histogram = np.array(json.loads(HISTOGRAM.read_text()))
    count = films or {"train": TRAIN_FILMS, "valid": VALID_FILMS, "test": len(histogram)}[split]
    tracks = histogram[:count] if split == "test" else rng.choice(histogram, count)
    language = rng.choice(LANGUAGES, count, p=world.language_share)
    genre, factors = rng.integers(GENRES, size=count), rng.normal(size=(count, FACTORS))
    seen = np.hstack([world.genre_point[genre], factors])
    owner = np.repeat(np.arange(count), tracks)
    music = np.hstack([world.language_point[language], seen])[owner] @ world.audio.T
    music += world.track_noise * rng.normal(size=music.shape)
    opening = rng.random((len(owner), SEGMENTS)) < world.opening_share
    noise = np.where(opening, world.opening_noise, world.segment_noise)[:, :, None]
    wrong = (genre + rng.integers(1, GENRES, count)) % GENRES
    text, image = seen @ world.text.T, seen @ world.image.T
    return Films(
        split=split,
        years=rng.integers(YEARS[split][0], YEARS[split][1] + 1, count),
        language=language,
        genre=genre,
        tagged_language=np.where(rng.random(count) < world.tagged_language, language, -1),
        plot_language=np.where(rng.random(count) < world.language_in_plot, language, -1),
        tagged_genre=np.where(rng.random(count) < world.right_genre, genre, wrong),
        mood_tags=factors[:, :MOOD] + world.tag_noise * rng.normal(size=(count, MOOD)),
        paragraphs=text[:, None] + world.text_noise * rng.normal(size=(count, PARAGRAPHS, TEXT_WIDTH)),
        image=image + world.image_noise * rng.normal(size=image.shape),
        owner=owner,
        segments=music[:, None] + noise * rng.normal(size=(len(owner), SEGMENTS, AUDIO_WIDTH)),
        opening=opening,
    )


def write_lake(folder: str, splits: list[Films]) -> Lake:
    """Return a lake with one version of these films, rendered, with all their mel shards."""
    lake = open_tables(folder)
    rows: list[dict[str, Any]] = []
    index: list[dict[str, Any]] = []
    for films in splits:
        rng = np.random.default_rng([2, list(YEARS).index(films.split)])
        first = np.searchsorted(films.owner, np.arange(len(films.years) + 1))
        for film in range(len(films.years)):
            rows.append(_film_row(films, film, rng))
            index += _write_shard(lake, rows[-1], films, range(first[film], first[film + 1]), rng)
    owned = list({(row["film_id"], row["track_id"]): row for row in index}.values())
    for file, given in zip(datasets.FILES, (rows, index, owned, []), strict=True):
        columns = [{column: row.get(column) for column in file.schema.names} for row in given]
        lake.write_table(pa.Table.from_pylist(columns, file.schema), datasets.FOLDER, VERSION, file.name)
    counts = {"films": len(rows), "tracks": len(owned), "segments": len(index)}
    lake.write_json({"counts": counts, "parameters": {}}, datasets.FOLDER, VERSION, datasets.MANIFEST)
    datasets.make_current(lake, VERSION, "benchmark")
    return lake


def film_id(films: Films, film: int) -> str:
    """Return the id of a film; ids sort in the order of the films."""
    return f"{films.split}-{film:05}"


def _film_row(films: Films, film: int, rng: np.random.Generator) -> dict[str, Any]:
    year, language = int(films.years[film]), films.tagged_language[film]
    tags = [f"{year} films", f"{year // 10 * 10}s films", f"{GENRE_WORDS[films.tagged_genre[film]]} films"]
    levels = _levels(films.mood_tags[film], MOOD_LEVELS)
    tags += [f"{MOOD_WORDS[factor, level]} films" for factor, level in enumerate(levels)]
    if language >= 0:
        tags.append(f"{LANGUAGE_NAMES[language].title()}-language films")
    row = {"film_id": film_id(films, film), "title": film_id(films, film), "year": year, "split": films.split}
    return {**row, "plot": _plot(films, film, rng), "tags": tags, "thumbnail": _image(films.image[film], rng)}


def _plot(films: Films, film: int, rng: np.random.Generator) -> list[str]:
    """Return three paragraphs: a word per coordinate, words without a meaning, and one of the language's places."""
    place = films.plot_language[film]
    plot = []
    for view in films.paragraphs[film]:
        words = [TEXT_WORDS[coordinate, level] for coordinate, level in enumerate(_levels(view, TEXT_LEVELS))]
        words += list(rng.choice(FILLERS, _FILLERS_EACH)) + ([PLACES[place]] if place >= 0 else [])
        plot.append(" ".join(rng.permutation(words)) + ".")
    return plot


def _levels(view: Floats, levels: int) -> Ints:
    """Return each coordinate's level, 0 to levels - 1; the outer ones are open."""
    numbers: Ints = np.clip(np.round(view / LEVEL_STEP) + levels // 2, 0, levels - 1).astype(np.int64)
    return numbers


def _image(view: Floats, rng: np.random.Generator) -> bytes:
    """Return a JPEG of 224 x 224 pixels: each coordinate is the strength of a pattern that all tiles show."""
    tile = np.tensordot(_IMAGE_GAIN * view, image_patterns(), 1)
    pixels = 128 + np.tile(tile, (IMAGE_PIXELS // TILE_PIXELS,) * 2 + (1,))
    pixels += rng.normal(0, _IMAGE_NOISE, pixels.shape)
    file = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=80)
    return file.getvalue()


def image_patterns() -> Floats:
    """Return the pattern of each coordinate of an image, [IMAGE_WIDTH, TILE_PIXELS, TILE_PIXELS, 3] of -1 and 1."""
    fields = np.random.default_rng(4).choice((-1.0, 1.0), (IMAGE_WIDTH, _FIELDS, _FIELDS, 3))
    side = TILE_PIXELS // _FIELDS
    return fields.repeat(side, 1).repeat(side, 2)


def _write_shard(
    lake: Lake, film: dict[str, Any], films: Films, tracks: range, rng: np.random.Generator
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    place = {"film_id": film["film_id"], "split": film["split"], "shard": shard_path(film["film_id"], film["year"])}
    with write_shard(lake, film["film_id"], film["year"], MelSettings()) as writer:
        for track in tracks:
            ids = {**place, "track_id": f"{films.split}:{track:06}"}
            codes = np.array([_mel(view, rng) for view in films.segments[track]])
            zeros = np.zeros(SEGMENTS, np.float32)
            ref_db = rng.normal(20, 3, SEGMENTS) - _QUIETER_DB * films.opening[track]
            first = writer.append(
                ids["track_id"], TrackMels(codes, ref_db.astype(np.float32), zeros, zeros > 0, zeros, zeros)
            )
            rows += [{**ids, "row": first + n, "segment": n, "start_seconds": 9.92 * n} for n in range(SEGMENTS)]
        writer.finish([])
    return rows


def _mel(view: Floats, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return one segment, [128, 995] steps: a level per group of bands, a beat that means nothing, and noise."""
    bands, frames = MelSettings().shape
    noise = _mel_noise()
    levels = np.repeat(_MEL_CENTRE + _MEL_GAIN * view, bands // AUDIO_WIDTH)[:, None]
    beat = _MEL_BEAT * np.sin(2 * np.pi * (np.arange(frames) / rng.uniform(20, 90) + rng.random()))
    start = rng.integers(len(noise) - bands * frames)
    steps = levels + beat + noise[start : start + bands * frames].reshape(bands, frames)
    return np.clip(steps, 0, 255).astype(np.uint8)


@functools.cache
def _mel_noise() -> Floats:
    """Return the noise that segments take pieces of: drawing it for each would take most of the time."""
    return np.random.default_rng(3).normal(0, _MEL_NOISE, 1_000_000)


def main() -> None:
    """Print how large such a data set is and how long it takes to write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    splits = [draw_films(draw_world(), split) for split in YEARS]
    for films in splits:
        print(f"{films.split:6s} {len(films.years):5,} films {len(films.owner):6,} tracks")
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        write_lake(folder, splits)
        print(f"written in {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
