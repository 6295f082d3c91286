"""Export a version for other tools: Parquet per split for `load_dataset` and DuckDB, or WebDataset tars.

An export is self-contained: mels are copied from the lake's shards, so it may be large. The files contain no dates,
so the same version exports to the same bytes.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
from storage.mels.settings_and_shard_format import read_settings
from storage.tables import duckdb_connection

TRACKS_PER_BATCH = 64
"""About 150 MB of mels for tracks of three minutes."""
TAR_BYTES = 500_000_000
"""One worker reads a tar from start to end; tars of half a gigabyte give a large version many workers."""
MEL_FILE_SEGMENTS = 4096
"""Half a gigabyte of mels per Parquet file, in row groups of 16 MB."""
MEL_GROUP_ROWS = 128
FORMS = ("parquet", "webdataset")
_SPLITS = ("train", "valid", "test")

_TRACKS_WITH_FILMS = """
SELECT tracks.*, films.title AS film, films.year, films.plot, films.tags, films.thumbnail, films.url AS film_url,
    batch.number
FROM (FROM tracks WHERE {films}) AS tracks JOIN batch USING (film_id, track_id)
JOIN (FROM films WHERE {films}) AS films USING (film_id) ORDER BY film_id, track_id
"""
_SEGMENTS = """
SELECT * FROM segments SEMI JOIN batch USING (film_id, track_id) WHERE {films} ORDER BY film_id, track_id, segment
"""

OnTracks = Callable[[int], None]


def export(
    lake: Lake, version: str, folder: Path, form: str, *, mels: bool = True, on_tracks: OnTracks = lambda _: None
) -> list[Path]:
    """Write a version to a new or empty folder; returns the files. `on_tracks` is called with numbers of tracks done.

    Raises `InputError` for an unknown version or form, and for a folder that is not empty.
    """
    datasets.read_manifest(lake, version)
    if form not in FORMS:
        raise InputError(f"Format {form!r} is unknown; use {' or '.join(FORMS)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} holds something already; give a new or empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb_connection.connect_alone(lake) as connection:
        for file in datasets.FILES:
            connection.execute(
                f"CREATE VIEW {_stem(file)} AS FROM read_parquet('{datasets.file_uri(lake, version, file.name)}')"
            )
        if form == "webdataset":
            return [path for split in _SPLITS for path in _write_tars(lake, connection, split, folder, on_tracks)]
        return _write_parquet(lake, version, connection, folder, mels=mels, on_tracks=on_tracks)


def _stem(file: datasets.VersionFile) -> str:
    return file.name.removesuffix(".parquet")


def _write_parquet(
    lake: Lake, version: str, connection: duckdb.DuckDBPyConnection, folder: Path, *, mels: bool, on_tracks: OnTracks
) -> list[Path]:
    """Write `films/SPLIT.parquet`, `tracks/SPLIT.parquet`, `segments/SPLIT-00000.parquet`, and the card."""
    paths = []
    for split in _SPLITS:
        paths.append(_write_split(connection, datasets.FILMS_FILE, split, folder / "films" / f"{split}.parquet"))
        paths.append(_write_split(connection, datasets.TRACKS_FILE, split, folder / "tracks" / f"{split}.parquet"))
        if mels:
            paths += _write_mels(lake, connection, split, folder / "segments", on_tracks)
        else:
            path = folder / "segments" / f"{split}-00000.parquet"
            paths.append(_write_split(connection, datasets.SEGMENTS_FILE, split, path))
    card = lake.read_bytes(datasets.FOLDER, version, "README.md").decode()
    (folder / "README.md").write_text(_card_with_splits(card))
    return [*paths, folder / "README.md"]


def _write_split(connection: duckdb.DuckDBPyConnection, file: datasets.VersionFile, split: str, path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    rows = connection.sql(f"SELECT * FROM {_stem(file)} WHERE split = '{split}'").to_arrow_table()
    pq.write_table(rows, path, compression="zstd", row_group_size=file.group_rows)
    return path


def _write_mels(
    lake: Lake, connection: duckdb.DuckDBPyConnection, split: str, folder: Path, on_tracks: OnTracks
) -> Iterator[Path]:
    """Write segments with their mels as bytes (bands × frames, row-major) and `ref_db`, 4,096 or more per file."""
    folder.mkdir(exist_ok=True)
    writer: pq.ParquetWriter | None = None
    rows_in_file = files = 0
    for batch in _mel_batches(lake, connection, split):
        mels = pa.array([mel.tobytes() for mel in batch.stored], pa.binary())
        rows = batch.segments.append_column("ref_db", pa.array(batch.ref_db)).append_column("mel", mels)
        if writer is not None and rows_in_file >= MEL_FILE_SEGMENTS:
            writer.close()
            writer = None
        if writer is None:
            path = folder / f"{split}-{files:05d}.parquet"
            writer = pq.ParquetWriter(path, rows.schema, compression="zstd")
            rows_in_file = 0
            files += 1
            yield path
        writer.write_table(rows, row_group_size=MEL_GROUP_ROWS)
        rows_in_file += rows.num_rows
        on_tracks(len(batch.tracks))
    if writer is not None:
        writer.close()


def _write_tars(
    lake: Lake, connection: duckdb.DuckDBPyConnection, split: str, folder: Path, on_tracks: OnTracks
) -> Iterator[Path]:
    """Write one sample per track: KEY.json (film and track), KEY.jpg (the thumbnail, if any), KEY.npy (its mels)."""
    tar: tarfile.TarFile | None = None
    files = 0
    for batch in _mel_batches(lake, connection, split):
        first_row = 0
        for track in batch.tracks:
            if tar is not None and tar.offset > TAR_BYTES:
                tar.close()
                tar = None
            if tar is None:
                path = folder / f"{split}-{files:06d}.tar"
                tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
                files += 1
                yield path
            rows = slice(first_row, first_row + track["segments"])
            first_row = rows.stop
            key = f"{track['film_id']}_{track.pop('number'):04d}"
            _add_sample(tar, key, track, batch.stored[rows], batch.ref_db[rows])
        on_tracks(len(batch.tracks))
    if tar is not None:
        tar.close()


def _add_sample(
    tar: tarfile.TarFile, key: str, track: dict[str, Any], stored: NDArray[Any], ref_db: NDArray[np.float32]
) -> None:
    """Add the files of one track to a tar, without times or owners."""
    thumbnail = track.pop("thumbnail")
    description = {**track, "ref_db": [round(float(value), 3) for value in ref_db]}
    array = io.BytesIO()
    np.save(array, stored)
    contents = {
        "json": json.dumps(description, ensure_ascii=False, sort_keys=True).encode(),
        "npy": array.getvalue(),
    }
    if thumbnail:
        contents["jpg"] = thumbnail
    for extension, content in contents.items():
        member = tarfile.TarInfo(f"{key.replace('.', '-')}.{extension}")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))


@dataclass(frozen=True)
class _MelBatch:
    """Tracks with the columns of their films; their segments in order, and of each the stored mel and `ref_db`."""

    tracks: list[dict[str, Any]]
    segments: pa.Table
    stored: NDArray[Any]
    ref_db: NDArray[np.float32]


def _mel_batches(lake: Lake, connection: duckdb.DuckDBPyConnection, split: str) -> Iterator[_MelBatch]:
    """Yield the tracks of a split in batches, ordered by film and track."""
    tracks = connection.sql(
        "SELECT film_id, track_id, row_number() OVER (PARTITION BY film_id ORDER BY track_id) AS number "
        f"FROM tracks WHERE split = '{split}' ORDER BY film_id, track_id"
    ).to_arrow_table()
    for start in range(0, tracks.num_rows, TRACKS_PER_BATCH):
        batch = tracks.slice(start, TRACKS_PER_BATCH)
        connection.register("batch", batch)
        # The files are ordered by film, so DuckDB reads only the row groups of these films.
        films = f"film_id BETWEEN '{batch['film_id'][0]}' AND '{batch['film_id'][-1]}'"
        rows = connection.sql(_TRACKS_WITH_FILMS.format(films=films)).to_arrow_table().to_pylist()
        segments = connection.sql(_SEGMENTS.format(films=films)).to_arrow_table()
        shards = sorted(set(segments["shard"].to_pylist()))
        settings = read_settings(lake, shards[0])
        reader = MelReader(lake, shards, settings)
        positions = reader.locate(segments["shard"], segments["row"].to_numpy())
        stored = np.empty((len(positions), *settings.shape), settings.dtype)
        reader.gather(positions, stored)
        yield _MelBatch(rows, segments, stored, reader.ref_db[positions])


def _card_with_splits(card: str) -> str:
    """Return the card with front matter that names one file per split."""
    lines = ["configs:"]
    for name in ("films", "tracks", "segments"):
        lines.append(f"- config_name: {name}")
        if name == "films":
            lines.append("  default: true")
        lines.append("  data_files:")
        for split in _SPLITS:
            lines += [f"  - split: {'validation' if split == 'valid' else split}", f"    path: {name}/{split}*.parquet"]
    return re.sub(r"configs:\n.*?\n---\n", "\n".join(lines) + "\n---\n", card, count=1, flags=re.DOTALL)
