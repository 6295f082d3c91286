"""A small data-set version with structure: each film's mood shapes its plot, tags, poster and mels."""

import dataclasses
import io
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from storage.datasets import versions as datasets
from storage.lake.lake import Lake
from storage.mels.reader import TrackMels, decibels
from storage.mels.settings_and_shard_format import MelSettings, shard_path
from storage.mels.writer import write_shard
from storage.tables.tables import open_tables
from training.loop.devices_and_torchrun import Machine, open_machine
from training.presets import chosen_settings
from training.settings import AudioSettings, ImageSettings, Settings, TextSettings
from training.training_runs import Data, load_data

MOODS = {
    "dread": ("fear shadow cellar scream knife", "horror thriller", (40, 10, 60), 20.0, 5),
    "joy": ("dance laughter wedding sunshine party", "comedy musical", (250, 200, 60), 90.0, 60),
    "grief": ("funeral tears letter rain farewell", "drama tragedy", (60, 80, 140), 45.0, 9),
    "speed": ("chase engine race bullet escape", "action heist", (220, 40, 30), 70.0, 110),
}
SPLIT_YEARS = {"train": 2020, "valid": 2022, "test": 2024}


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_tables(str(tmp_path / "lake"))


@pytest.fixture
def write_version(lake: Lake) -> Callable[..., str]:
    """Writes a version into `lake` and returns its name; takes what `_write_version` takes."""
    return lambda **given: _write_version(lake, **given)


@pytest.fixture(scope="session")
def write_into() -> Callable[..., str]:
    """Return a function that writes a version into a given lake and returns its name."""
    return _write_version


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Data]:
    """One version for tests that only read it: 8 films a split, 2 tracks a film, 3 segments a track."""
    lake = open_tables(str(tmp_path_factory.mktemp("shared") / "lake"))
    return lake, load_data(lake, _write_version(lake, films=8, segments=3))


@pytest.fixture(scope="session")
def quick() -> Settings:
    """Towers as small as they go: a run of two epochs takes a second."""
    return dataclasses.replace(
        chosen_settings("small", batch=8, epochs=2),
        text=TextSettings(width=32, layers=1, heads=2, mlp=32, vocabulary=400, max_tokens=48),
        image=ImageSettings(patch_pixels=56, width=32, layers=1, heads=2, mlp=32),
        audio=AudioSettings(stem=(8, 16), channels=8, blocks=2, width=32, layers=1, heads=2, mlp=32),
    )


@pytest.fixture
def switched(quick: Settings) -> Settings:
    """Those settings with every switch of data and pooling on."""
    return quick.changed(
        {
            "text.paragraph_pooling": "attention",
            "audio.segment_pooling": "attention",
            "data.mask_copies": True,
            "data.segments": 2,
            "data.paragraphs": "all",
            "data.max_paragraphs": 2,
            "data.modality_dropout": 0.4,
            "data.tag_subsets": True,
        }
    )


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    with open_machine() as machine:
        yield machine


def _write_version(
    lake: Lake,
    films: int | dict[str, int] = 6,
    tracks: int = 2,
    segments: int = 2,
    change: Callable[[dict], object] = lambda _row: None,
    encoding: str = "uint8",
) -> str:
    """A version of `films` films a split; `change` may edit a film's row before it is kept."""
    counts = films if isinstance(films, dict) else dict.fromkeys(SPLIT_YEARS, films)
    rows, index = [], []
    for split, count in counts.items():
        for number in range(count):
            row = _film(split, number)
            change(row)
            rows.append(row)
            index += _write_mels(lake, row, tracks, segments, MelSettings(row.get("encoding", encoding)))
    return _commit(lake, rows, index)


def _film(split: str, number: int) -> dict:
    rng = np.random.default_rng([SPLIT_YEARS[split], number])
    mood = list(MOODS)[number % len(MOODS)]
    words, tags, colour, _, _ = MOODS[mood]
    names = [f"hero{split}{number}", "town", "night", "friend"]
    plot = [" ".join(rng.permutation(words.split() * 2 + names)) + "." for _ in range(3)]
    picture = np.clip(rng.normal(colour, 25, (260, 230, 3)), 0, 255).astype(np.uint8)
    return {
        "film_id": f"enwiki-{SPLIT_YEARS[split] * 1000 + number}",
        "title": f"{mood} {number}",
        "year": SPLIT_YEARS[split],
        "split": split,
        "plot": plot,
        "tags": [f"{SPLIT_YEARS[split]} films", *(f"English {tag} films" for tag in tags.split())],
        "thumbnail": _jpeg(picture),
        "mood": mood,
        "number": number,
    }


def _jpeg(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def _write_mels(lake: Lake, film: dict, tracks: int, segments: int, settings: MelSettings) -> list[dict]:
    """A film's shard; the mood sets the loudest band and the beat, the film a band of its own."""
    _, _, _, band, beat = MOODS[film["mood"]]
    rng = np.random.default_rng([film["year"], film["number"], 7])
    own, rows = rng.uniform(0, 128), []
    bands, frames = np.arange(128)[:, None], np.arange(995)[None]
    with write_shard(lake, film["film_id"], film["year"], settings) as writer:
        for track in range(tracks):
            tone = 120 * np.exp(-(((bands - band) / 15) ** 2)) + 60 * np.exp(-(((bands - own) / 4) ** 2))
            pulse = 40 * (np.sin(2 * np.pi * frames / beat) > 0.5)
            noise = rng.integers(30, 90, (segments, 128, 995))
            codes = np.clip(tone + pulse + noise, 0, 255).astype(np.uint8)
            track_id = f"music_folder:{film['film_id']}-{track}"
            first = writer.append(track_id, _mels(codes, rng, settings))
            path = shard_path(film["film_id"], film["year"])
            ids = {"film_id": film["film_id"], "track_id": track_id, "split": film["split"], "shard": path}
            rows += [{**ids, "row": first + n, "segment": n, "start_seconds": 9.92 * n} for n in range(segments)]
        writer.finish([])
    return rows


def _mels(codes: np.ndarray, rng: np.random.Generator, settings: MelSettings) -> TrackMels:
    zeros, ref_db = np.zeros(len(codes), np.float32), rng.normal(20, 3, len(codes)).astype(np.float32)
    stored = decibels(codes, ref_db, MelSettings()).astype(np.float16) if settings.encoding == "float16" else codes
    return TrackMels(stored, ref_db, zeros, zeros > 0, zeros, zeros)


def _commit(lake: Lake, films: list[dict], segments: list[dict]) -> str:
    name = datasets.name_of({"films": [film["film_id"] for film in films], "segments": len(segments)})
    tracks = list({(row["film_id"], row["track_id"]): row for row in segments}.values())
    for file, rows in zip(datasets.FILES, (films, segments, tracks, []), strict=True):
        columns = [{column: row.get(column) for column in file.schema.names} for row in rows]
        lake.write_table(pa.Table.from_pylist(columns, file.schema), datasets.FOLDER, name, file.name)
    counts = {"films": len(films), "tracks": len(tracks), "segments": len(segments)}
    lake.write_json({"counts": counts, "parameters": {}}, datasets.FOLDER, name, datasets.MANIFEST)
    datasets.make_current(lake, name, "test")
    return name
