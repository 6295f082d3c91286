"""A lake of made-up films for the benchmarks of training: shapes and sizes as real ones have, content drawn at random.

The cost of a step does not depend on the content of the data, so nothing has to be collected first. Run alone, it
prints how long such a lake takes to write:

    python -m benchmarks.made_up
"""

from __future__ import annotations

import io
import tempfile
import time
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from storage.datasets import versions as datasets
from storage.lake.lake import Lake
from storage.mels.reader import TrackMels
from storage.mels.settings_and_shard_format import MelSettings, shard_path
from storage.mels.writer import write_shard
from storage.tables.tables import open_tables

YEARS = {"train": 2020, "valid": 2022, "test": 2024}
WORDS = np.array([f"{a}{b}{c}" for a in ("ba", "ko", "mi", "ru") for b in "lmnrst" for c in ("an", "el", "or", "u")])
PARAGRAPHS, WORDS_EACH, TAGS_EACH = 3, 200, 12
"""About as many as a real plot and its categories have."""


def made_up_lake(folder: str, films: int = 48, tracks: int = 2, segments: int = 4) -> Lake:
    """A lake with one version: `films` to train on, four to validate and four to test, all with their shards."""
    lake, random = open_tables(folder), np.random.default_rng(0)
    rows: list[dict[str, Any]] = []
    index: list[dict[str, Any]] = []
    for split, year in YEARS.items():
        for number in range(films if split == "train" else 4):
            rows.append(_film(f"made-{year}{number:05}", year, split, random))
            index += _write_mels(lake, rows[-1], tracks, segments, random)
    owned = list({(row["film_id"], row["track_id"]): row for row in index}.values())
    for file, given in zip(datasets.FILES, (rows, index, owned, []), strict=True):
        columns = [{column: row.get(column) for column in file.schema.names} for row in given]
        lake.write_table(pa.Table.from_pylist(columns, file.schema), datasets.FOLDER, "made-up", file.name)
    counts = {"films": len(rows), "tracks": len(owned), "segments": len(index)}
    lake.write_json({"counts": counts, "parameters": {}}, datasets.FOLDER, "made-up", datasets.MANIFEST)
    datasets.make_current(lake, "made-up", "benchmark")
    return lake


def _film(film_id: str, year: int, split: str, random: np.random.Generator) -> dict[str, Any]:
    poster = io.BytesIO()
    Image.fromarray(random.integers(0, 256, (320, 224, 3), np.uint8)).save(poster, "JPEG", quality=80)
    plot = [" ".join(random.choice(WORDS, WORDS_EACH)) for _ in range(PARAGRAPHS)]
    tags = [f"{word} films" for word in random.choice(WORDS, TAGS_EACH, replace=False)]
    film = {"film_id": film_id, "title": film_id, "year": year, "split": split}
    return {**film, "plot": plot, "tags": tags, "thumbnail": poster.getvalue()}


def _write_mels(
    lake: Lake, film: dict[str, Any], tracks: int, segments: int, random: np.random.Generator
) -> list[dict[str, Any]]:
    zeros, rows = np.zeros(segments, np.float32), []
    path = shard_path(film["film_id"], film["year"])
    with write_shard(lake, film["film_id"], film["year"], MelSettings()) as writer:
        for number in range(tracks):
            ids = {"film_id": film["film_id"], "track_id": f"{film['film_id']}-{number}", "split": film["split"]}
            codes = random.integers(0, 256, (segments, *MelSettings().shape), np.uint8)
            first = writer.append(ids["track_id"], TrackMels(codes, zeros, zeros, zeros > 0, zeros, zeros))
            place = {**ids, "shard": path}
            rows += [{**place, "row": first + n, "segment": n, "start_seconds": 9.92 * n} for n in range(segments)]
        writer.finish([])
    return rows


def main() -> None:
    """Write one and say how long it took."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        made_up_lake(folder)
        print(f"a lake of 56 made-up films and 448 segments: {time.perf_counter() - began:.1f} s")


if __name__ == "__main__":
    main()
