"""Writing a version out for other tools: Parquet files a split for `load_dataset` and DuckDB, or WebDataset tars.

An export stands alone: mels are copied from the lake's shards, so it may be large. Files have no dates in them,
so the same version exports to the same bytes.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.datasets import versions as datasets
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.mels.reader import MelReader
from storage.mels.settings import MelSettings, read_settings
from storage.tables import tables

TRACKS_AT_ONCE = 64
"""About 150 MB of mels for tracks of three minutes."""
TAR_BYTES = 500_000_000
"""A tar is read from end to end by one worker; half a gigabyte gives a large version many of them."""
MEL_FILE_SEGMENTS = 4096
"""Half a gigabyte of mels a Parquet file, in row groups of 16 MB."""
MEL_GROUP_ROWS = 128
FORMS = ("parquet", "webdataset")
_SPLITS = ("train", "valid", "test")

_DESCRIBED = """
SELECT t.*, f.title AS film, f.year, f.plot, f.tags, f.thumbnail, f.url AS film_url, batch.place
FROM (FROM tracks WHERE {films}) t JOIN batch USING (film_id, track_id)
JOIN (FROM films WHERE {films}) f USING (film_id) ORDER BY film_id, track_id
"""
_SEGMENTS = """
SELECT * FROM segments SEMI JOIN batch USING (film_id, track_id) WHERE {films} ORDER BY film_id, track_id, segment
"""

OnTracks = Callable[[int], None]


def export(
    lake: Lake, version: str, folder: Path, form: str, *, mels: bool = True, on_tracks: OnTracks = lambda _: None
) -> list[Path]:
    """Write a version to a new or empty folder; returns the files. `on_tracks` hears how many tracks are done.

    Raises `InputError` for an unknown version or form, and for a folder that holds something.
    """
    datasets.read_manifest(lake, version)
    if form not in FORMS:
        raise InputError(f"Format {form!r} is unknown; use {' or '.join(FORMS)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} holds something already; give a new or empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    with tables.connect(lake) as connection:
        for file in datasets.FILES:
            name, uri = file.name.removesuffix(".parquet"), datasets.file_uri(lake, version, file.name)
            connection.execute(f"CREATE VIEW {name} AS FROM read_parquet('{uri}')")
        if form == "webdataset":
            return [path for split in _SPLITS for path in _write_tars(lake, connection, split, folder, on_tracks)]
        return _write_parquet(lake, version, connection, folder, mels=mels, on_tracks=on_tracks)


def _write_parquet(
    lake: Lake, version: str, connection: duckdb.DuckDBPyConnection, folder: Path, *, mels: bool, on_tracks: OnTracks
) -> list[Path]:
    """`films/SPLIT.parquet`, `tracks/SPLIT.parquet`, `segments/SPLIT-00000.parquet`, and the card."""
    written = []
    for split in _SPLITS:
        for name, group_rows in (("films", 256), ("tracks", 16_384), *(() if mels else (("segments", 131_072),))):
            path = folder / name / f"{split}{'-00000' if name == 'segments' else ''}.parquet"
            path.parent.mkdir(exist_ok=True)
            rows = connection.sql(f"SELECT * FROM {name} WHERE split = '{split}'").to_arrow_table()
            pq.write_table(rows, path, compression="zstd", row_group_size=group_rows)
            written.append(path)
        if mels:
            written += _write_mels(lake, connection, split, folder, on_tracks)
    card = lake.read_bytes(datasets.FOLDER, version, "README.md").decode()
    (folder / "README.md").write_text(_for_splits(card))
    return [*written, folder / "README.md"]


def _write_mels(
    lake: Lake, connection: duckdb.DuckDBPyConnection, split: str, folder: Path, on_tracks: OnTracks
) -> Iterator[Path]:
    """Segments with their mels as bytes (bands × frames, row-major) and `ref_db`, a file for every 4,096."""
    (folder / "segments").mkdir(exist_ok=True)
    writer, written, number = None, 0, 0
    for tracks, segments, stored, ref_db in _with_mels(lake, connection, split):
        flat = pa.array([mel.tobytes() for mel in stored], pa.binary())
        rows = segments.append_column("ref_db", pa.array(ref_db)).append_column("mel", flat)
        if writer is None or written >= MEL_FILE_SEGMENTS:
            if writer:
                writer.close()
            path = folder / "segments" / f"{split}-{number:05d}.parquet"
            writer, written, number = pq.ParquetWriter(path, rows.schema, compression="zstd"), 0, number + 1
            yield path
        writer.write_table(rows, row_group_size=MEL_GROUP_ROWS)
        written += rows.num_rows
        on_tracks(len(tracks))
    if writer:
        writer.close()


def _write_tars(
    lake: Lake, connection: duckdb.DuckDBPyConnection, split: str, folder: Path, on_tracks: OnTracks
) -> Iterator[Path]:
    """One sample a track: KEY.json (film and track), KEY.jpg (the film's picture, if any), KEY.npy (its mels)."""
    tar: tarfile.TarFile | None = None
    number = 0
    for tracks, _, stored, ref_db in _with_mels(lake, connection, split):
        first = 0
        for track in tracks:
            if tar is None or tar.offset > TAR_BYTES:
                if tar:
                    tar.close()
                path = folder / f"{split}-{number:06d}.tar"
                tar, number = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT), number + 1  # noqa: SIM115
                yield path
            rows = slice(first, first := first + track["segments"])
            _add_sample(tar, f"{track['film_id']}_{track.pop('place'):04d}", track, stored[rows], ref_db[rows])
        on_tracks(len(tracks))
    if tar:
        tar.close()


def _add_sample(
    tar: tarfile.TarFile, key: str, track: dict[str, Any], stored: NDArray[Any], ref_db: NDArray[np.float32]
) -> None:
    picture = track.pop("thumbnail")
    described = json.dumps(
        {**track, "ref_db": [round(float(v), 3) for v in ref_db]}, ensure_ascii=False, sort_keys=True
    )
    array = io.BytesIO()
    np.save(array, stored)
    contents = {"json": described.encode(), "npy": array.getvalue()} | ({"jpg": picture} if picture else {})
    for extension, content in contents.items():
        member = tarfile.TarInfo(f"{key.replace('.', '-')}.{extension}")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))


def _with_mels(
    lake: Lake, connection: duckdb.DuckDBPyConnection, split: str
) -> Iterator[tuple[list[dict[str, Any]], pa.Table, NDArray[Any], NDArray[np.float32]]]:
    """Tracks of a split in batches: their rows with those of their films, segments, stored mels, and `ref_db`."""
    tracks = connection.sql(
        "SELECT film_id, track_id, row_number() OVER (PARTITION BY film_id ORDER BY track_id) AS place "
        f"FROM tracks WHERE split = '{split}' ORDER BY film_id, track_id"
    ).to_arrow_table()
    settings: MelSettings | None = None
    for start in range(0, tracks.num_rows, TRACKS_AT_ONCE):
        batch = tracks.slice(start, TRACKS_AT_ONCE)
        connection.register("batch", batch)
        # The files are ordered by film, so the first and the last film are all that is read of them.
        films = f"film_id BETWEEN '{batch['film_id'][0]}' AND '{batch['film_id'][-1]}'"
        described = connection.sql(_DESCRIBED.format(films=films)).to_arrow_table()
        segments = connection.sql(_SEGMENTS.format(films=films)).to_arrow_table()
        shards = sorted(set(segments["shard"].to_pylist()))
        settings = settings or read_settings(lake, shards[0])
        reader = MelReader(lake, shards, settings)
        positions = reader.locate(segments["shard"], segments["row"].to_numpy())
        stored = np.empty((len(positions), *settings.shape), settings.dtype)
        reader.gather(positions, stored)
        yield described.to_pylist(), segments, stored, reader.ref_db[positions]


def _for_splits(card: str) -> str:
    """The card with front matter that names a file a split."""
    lines = ["configs:"]
    for name in ("films", "tracks", "segments"):
        lines += [f"- config_name: {name}", *(["  default: true"] if name == "films" else []), "  data_files:"]
        for split in _SPLITS:
            lines += [f"  - split: {'validation' if split == 'valid' else split}", f"    path: {name}/{split}*.parquet"]
    return re.sub(r"configs:\n.*?\n---\n", "\n".join(lines) + "\n---\n", card, count=1, flags=re.DOTALL)
