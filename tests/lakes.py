"""Lakes of twelve invented films, copied from an empty one, for tests of curation and of what is made from versions."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from storage.lake.lake import Lake
from storage.mels.reader import TrackMels
from storage.mels.settings_and_shard_format import MelSettings, shard_path
from storage.mels.writer import write_shard
from storage.tables import tables
from storage.tables.schemas import FILMS, THUMBNAILS, TRACKS


def _jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (224, 336), "teal").save(file, "JPEG")
    return file.getvalue()


JPEG = _jpeg()


class SmallLake:
    """Twelve films of 2015 to 2026, each with a plot, an image, two tags and two recordings of three segments.

    The rows are in `films`, `images` and `tracks`; `committed` writes them to the lake.
    """

    def __init__(self, lake: Lake) -> None:
        self.lake = lake
        self.films: dict[str, dict[str, Any]] = {}
        self.images: dict[str, dict[str, Any]] = {}
        self.tracks: dict[tuple[str, str], dict[str, Any]] = {}
        for number in range(12):
            self.add_film(f"wiki-{number:02d}", 2015 + number)

    def add_film(self, film_id: str, year: int) -> None:
        number = int(film_id.split("-")[1])
        self.films[film_id] = {
            "film_id": film_id,
            "title": f"Film {number}",
            "year": year,
            "plot": ["A beginning.", "An end."],
            "tags": ["Drama films", f"{2000 + number // 2} films"],
            "state": "present",
            "licence": "CC BY-SA 4.0",
        }
        self.images[film_id] = {"film_id": film_id, "sha256": f"image{number}", "width": 224, "jpeg": JPEG}
        for index in range(2):
            self.add_track(film_id, f"folder:{number}-{index}", index * 3)

    def add_track(self, film_id: str, track_id: str, first_row: int = 0) -> None:
        self.tracks[film_id, track_id] = {
            "film_id": film_id,
            "track_id": track_id,
            "title": track_id,
            "decision": "taken",
            "audio_sha256": f"sound of {film_id} {track_id}",
            "shard": shard_path(film_id, self.films[film_id]["year"]),
            "first_row": first_row,
            "segments": 3,
            "decoded_seconds": 31.0,
        }

    def committed(self, run_id: str = "first") -> Lake:
        """Commit all rows, and the shards that are missing; return the lake."""
        tables.append(self.lake, FILMS, list(self.films.values()), run_id)
        tables.append(self.lake, THUMBNAILS, list(self.images.values()), run_id)
        tables.append(self.lake, TRACKS, list(self.tracks.values()), run_id)
        for shard in {row["shard"] for row in self.tracks.values() if row["shard"]}:
            if not self.lake.exists(shard):
                self.write_shard(shard)
        return self.lake

    def write_shard(self, shard: str) -> None:
        """Write a file without mels: curation only looks whether a shard exists."""
        file = Path(self.lake.root, shard)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"mels")


class LakeWithMels(SmallLake):
    """The same with readable shards: every value of a segment is the segment's row number."""

    def write_shard(self, shard: str) -> None:
        rows = [row for row in self.tracks.values() if row["shard"] == shard]
        film = self.films[rows[0]["film_id"]]
        settings = MelSettings()
        with write_shard(self.lake, film["film_id"], film["year"], settings) as writer:
            for row in rows:
                numbers = np.arange(row["first_row"], row["first_row"] + row["segments"])
                stored = np.broadcast_to(numbers[:, None, None], (len(numbers), *settings.shape)).astype(np.uint8)
                zeros = np.zeros(len(numbers), np.float32)
                writer.append(row["track_id"], TrackMels(stored, zeros, zeros, zeros.astype(bool), zeros, zeros))
            writer.finish(rows)


@pytest.fixture(scope="session")
def copy_of_empty_lake(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Lake]:
    """Return a function that copies a lake with empty tables, which is faster than creating one."""
    empty = tmp_path_factory.mktemp("empty") / "lake"
    tables.open_tables(str(empty))

    def copy() -> Lake:
        return Lake(str(shutil.copytree(empty, tmp_path_factory.mktemp("copy") / "lake")))

    return copy


@pytest.fixture(scope="session")
def new_small_lake(copy_of_empty_lake: Callable[[], Lake]) -> Callable[[], SmallLake]:
    return lambda: SmallLake(copy_of_empty_lake())


@pytest.fixture(scope="session")
def new_lake_with_mels(copy_of_empty_lake: Callable[[], Lake]) -> Callable[[], LakeWithMels]:
    return lambda: LakeWithMels(copy_of_empty_lake())


@pytest.fixture
def small_lake(new_small_lake: Callable[[], SmallLake]) -> SmallLake:
    return new_small_lake()


@pytest.fixture
def lake_with_mels(new_lake_with_mels: Callable[[], LakeWithMels]) -> LakeWithMels:
    return new_lake_with_mels()
