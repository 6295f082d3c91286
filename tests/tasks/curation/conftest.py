"""A lake of invented films, in which a test changes what it is about."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from storage.lake.lake import Lake
from storage.mels.settings import MelSettings
from storage.mels.writer import TrackMels, write_shard
from storage.tables import tables
from storage.tables.schemas import FILMS, THUMBNAILS, TRACKS


def _jpeg() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (224, 336), "teal").save(file, "JPEG")
    return file.getvalue()


JPEG = _jpeg()


class SmallLake:
    """Twelve films of 2015 to 2026, each with a plot, a picture, two tags and two recordings of three segments."""

    def __init__(self, root: str) -> None:
        self.lake: Lake = tables.open_tables(root)
        self.films: dict[str, dict[str, Any]] = {}
        self.pictures: dict[str, dict[str, Any]] = {}
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
        self.pictures[film_id] = {"film_id": film_id, "sha256": f"picture{number}", "width": 224, "jpeg": JPEG}
        for position in range(2):
            self.add_track(film_id, f"folder:{number}-{position}", position * 3)

    def add_track(self, film_id: str, track_id: str, first_row: int = 0) -> None:
        self.tracks[film_id, track_id] = {
            "film_id": film_id,
            "track_id": track_id,
            "title": track_id,
            "decision": "taken",
            "audio_sha256": f"sound of {film_id} {track_id}",
            "shard": f"mels/year={self.films[film_id]['year']}/page={film_id}.parquet",
            "first_row": first_row,
            "segments": 3,
            "decoded_seconds": 31.0,
        }

    def committed(self, run_id: str = "first") -> Lake:
        """The lake with everything in it."""
        tables.append(self.lake, FILMS, list(self.films.values()), run_id)
        tables.append(self.lake, THUMBNAILS, list(self.pictures.values()), run_id)
        tables.append(self.lake, TRACKS, list(self.tracks.values()), run_id)
        for shard in {row["shard"] for row in self.tracks.values() if row["shard"]}:
            if not self.lake.exists(shard):
                self.write_shard(shard)
        return self.lake

    def write_shard(self, shard: str) -> None:
        """A file in its place: curation does not look into shards."""
        self.lake.write_bytes(b"mels", shard)


class LakeWithMels(SmallLake):
    """The same with mels that can be read: each segment is full of one number."""

    def write_shard(self, shard: str) -> None:
        rows = [row for row in self.tracks.values() if row["shard"] == shard]
        film = self.films[rows[0]["film_id"]]
        settings = MelSettings()
        with write_shard(self.lake, film["film_id"], film["year"], settings) as writer:
            for row in rows:
                numbers = np.arange(row["first_row"], row["first_row"] + row["segments"])
                stored = np.broadcast_to(numbers[:, None, None], (len(numbers), *settings.shape)).astype(np.uint8)
                facts = np.zeros(len(numbers), np.float32)
                writer.append(row["track_id"], TrackMels(stored, facts, facts, facts.astype(bool), facts, facts))
            writer.finish(rows)


@pytest.fixture
def small_lake(tmp_path) -> SmallLake:
    return SmallLake(str(tmp_path / "lake"))


@pytest.fixture
def lake_with_mels(tmp_path) -> LakeWithMels:
    return LakeWithMels(str(tmp_path / "lake"))


@pytest.fixture
def exclusions() -> Callable[[Lake, str], dict[tuple[str, str], tuple[str, str]]]:
    """The exclusions of a version: (kind, item) -> (rule, value)."""

    def read(lake: Lake, version: str) -> dict[tuple[str, str], tuple[str, str]]:
        with tables.connect(lake) as connection:
            rows = connection.execute(
                f"SELECT kind, item, rule, value FROM '{lake.root}/datasets/{version}/exclusions.parquet'"
            ).fetchall()
        assert len({row[:2] for row in rows}) == len(rows), "a film, track or tag is excluded once"
        return {(kind, item): (rule, value) for kind, item, rule, value in rows}

    return read


@pytest.fixture
def column() -> Callable[[Lake, str, str, str], list[Any]]:
    """One column of a file of a version, in the file's order."""

    def read(lake: Lake, version: str, file: str, expression: str) -> list[Any]:
        with tables.connect(lake) as connection:
            rows = connection.execute(f"SELECT {expression} FROM '{lake.root}/datasets/{version}/{file}.parquet'")
            return [value for (value,) in rows.fetchall()]

    return read
