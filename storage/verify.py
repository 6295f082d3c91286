"""Find damage: open every file of the lake and compare its metadata with its content and with the tables.

Quick: footers, names, references, and the hashes of the data-set versions. Deep: also every page's checksum,
which reads the whole lake once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from storage.audio_embeddings import AGAIN, embeddings_damage, list_embeddings
from storage.datasets import versions as datasets
from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import EXTRACT_AGAIN, film_id_of, list_shards
from storage.mels.verify_shards import TRACK_ROWS, Row, recorded_tracks, shard_damage, track_rows
from storage.metrics.database import FILE, is_locked, metrics_path
from storage.metrics.database_import import wanted_files
from storage.metrics.run_files import CONFIDENCE, RUNS, read_rows
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import TABLES, VERSIONS, Table
from storage.tables.tables import stored_parts


@dataclass(frozen=True)
class Damage:
    """One damaged or missing file, what is wrong with it, and what the user can do about it."""

    path: str
    what: str
    remedy: str


_REMEDIES = {
    RUNS: "restore it from a copy; or train the same system again, which continues or measures it",
    CONFIDENCE: "nothing: the next `needledrop train` computes it again",
}


def verify(lake: Lake, *, deep: bool = False, on_file: Callable[[str], None] = lambda _: None) -> Iterator[Damage]:
    """Yield all damage; `on_file` is called with each file that is checked. Changes nothing."""
    for table in TABLES.values():
        for path in _parts(lake, table):
            on_file(path)
            yield from _check_parquet(
                lake, path, "its rows are lost: delete it and collect what it held again", deep=deep
            )
    tracks = _recorded_tracks(lake)
    stored, intact = [TRACK_ROWS.empty_table()], {}
    for path in list_shards(lake):
        on_file(path)
        damages = list(_check_shard(lake, path, None if tracks is None else tracks.get(path, []), deep=deep))
        yield from damages
        if all(damage.remedy != EXTRACT_AGAIN for damage in damages):
            stored.append(track_rows(lake, path))
            intact[film_id_of(path)] = path
    yield from _check_embeddings(lake, intact, on_file, deep=deep)
    recorded = _recorded_manifests(lake)
    reported = set()
    for version in _version_names(lake):
        on_file(f"{datasets.FOLDER}/{version}")
        for damage in _check_version(lake, version, recorded.get(version), pa.concat_tables(stored)):
            reported.add(damage.path)
            yield damage
    for path in wanted_files(lake).values():
        on_file(path)
        yield from _check_measured(lake, path)
    if metrics_path(lake).exists():
        on_file(FILE)
        yield from _check_metrics(metrics_path(lake), deep=deep)
    for shard in sorted((tracks or {}).keys() - set(list_shards(lake)) - reported):
        yield Damage(shard, "is missing, but the table tracks lists it", "collect soundtracks again")


def file_count(lake: Lake) -> int:
    """Return how many times `verify` will call `on_file`."""
    parts = sum(len(_parts(lake, table)) for table in TABLES.values())
    metrics = int(metrics_path(lake).exists())
    films = len(list_shards(lake)) + len(list_embeddings(lake))
    return parts + films + len(_version_names(lake)) + len(wanted_files(lake)) + metrics


def _parts(lake: Lake, table: Table) -> list[str]:
    """Return the parts that count; all parts when a damaged one hides which do."""
    try:
        return tables.parts(lake, table)
    except LakeError:
        return [part.path for part in stored_parts(lake, table)]


def _version_names(lake: Lake) -> list[str]:
    return [path.split("/")[1] for path in lake.list(datasets.FOLDER, suffix=f"/{datasets.MANIFEST}")]


def _recorded_manifests(lake: Lake) -> dict[str, str]:
    """Return version -> SHA-256 of its manifest; empty if the table itself is damaged, which is reported separately."""
    try:
        return {row["version"]: row["manifest_sha256"] for row in tables.latest(lake, VERSIONS).to_pylist()}
    except LakeError:
        return {}


def _check_parquet(lake: Lake, path: str, remedy: str, *, deep: bool) -> Iterator[Damage]:
    try:
        with pq.ParquetFile(lake.local_path(path), page_checksum_verification=True) as file:
            for group in range(file.num_row_groups if deep else 0):
                file.read_row_group(group)
    except (pa.ArrowException, OSError) as error:
        yield Damage(path, str(error).splitlines()[0], remedy)


def _check_measured(lake: Lake, path: str) -> Iterator[Damage]:
    """Yield the damage of a file of runs or intervals, which is read completely: it is small."""
    try:
        read_rows(lake.read_bytes(path), path)
    except LakeError as error:
        yield Damage(path, str(error.__cause__ or error).splitlines()[0], _REMEDIES[path.split("/", maxsplit=1)[0]])


def _check_shard(lake: Lake, path: str, recorded: Sequence[Row] | None, *, deep: bool) -> Iterator[Damage]:
    for what, remedy in shard_damage(lake, path, recorded, deep=deep):
        yield Damage(path, what, remedy)


def _check_embeddings(
    lake: Lake, shards: Mapping[str, str], on_file: Callable[[str], None], *, deep: bool
) -> Iterator[Damage]:
    """Yield damage of the audio embeddings, and where they disagree with the intact shards (film_id -> shard)."""
    for path in list_embeddings(lake):
        on_file(path)
        for what in embeddings_damage(lake, path, shards, deep=deep):
            yield Damage(path, what, AGAIN)


def _recorded_tracks(lake: Lake) -> dict[str, list[Row]] | None:
    """Return the `tracks` rows by shard; None if the table itself is damaged, which is reported separately."""
    try:
        return recorded_tracks(lake)
    except LakeError:
        return None


def _check_metrics(path: Path, *, deep: bool) -> Iterator[Damage]:
    """Yield damage of the DuckDB file: it must open and, if deep, every row be readable. A file in use is skipped."""
    try:
        with duckdb.connect(str(path), read_only=True) as connection:
            names = connection.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall()
            for (name,) in names if deep else ():
                connection.execute(f'SELECT max(hash(read)) FROM "{name}" AS read').fetchall()
    except duckdb.Error as error:
        if not is_locked(error):
            remedy = "delete it: the next command makes it again from the files in runs/ and confidence/"
            yield Damage(FILE, str(error).splitlines()[0], remedy)


def _check_version(lake: Lake, version: str, recorded: str | None, stored: pa.Table) -> Iterator[Damage]:
    folder = f"{datasets.FOLDER}/{version}"
    remedy = f"delete the folder {folder} and run `needledrop curate` again, or restore it from a copy"
    try:
        files = {name: facts["sha256"] for name, facts in datasets.read_manifest(lake, version)["files"].items()}
    except (LakeError, KeyError, TypeError, AttributeError):
        yield Damage(f"{folder}/{datasets.MANIFEST}", "is not a manifest", remedy)
        return
    sha256 = hashlib.sha256(lake.read_bytes(folder, datasets.MANIFEST)).hexdigest()
    if recorded and recorded != sha256:  # so the hashes in it cannot be trusted either
        yield Damage(f"{folder}/{datasets.MANIFEST}", "has changed since it was written", remedy)
        return
    broken = {name: what for name, sha256 in files.items() if (what := _differs(lake, f"{folder}/{name}", sha256))}
    for name, what in broken.items():
        yield Damage(f"{folder}/{name}", what, remedy)
    if datasets.SEGMENTS_FILE.name not in broken:
        yield from _check_references(lake, version)
        yield from _check_rows(lake, version, stored)


def _differs(lake: Lake, path: str, sha256: str) -> str | None:
    if not lake.exists(path):
        return "is missing"
    return None if datasets.sha256_of(lake.local_path(path)) == sha256 else "has changed since it was written"


def _check_references(lake: Lake, version: str) -> Iterator[Damage]:
    """Yield the shards that the segments of a version name and the lake lacks."""
    shards = pa.table({"shard": pa.array(list_shards(lake), pa.string())})
    with duckdb_connection.connect(lake) as connection:
        connection.register("shards", shards)
        segments = datasets.file_uri(lake, version, datasets.SEGMENTS_FILE.name)
        query = "SELECT DISTINCT shard FROM read_parquet(?) ANTI JOIN shards USING (shard) ORDER BY shard"
        lost = connection.execute(query, [segments]).fetchall()
    for (shard,) in lost:
        yield Damage(shard, f"is missing, and version {version} needs it", "collect soundtracks again")


_MOVED = """
WITH indexed AS (
    SELECT shard, track_id, min(row - segment) AS first_row, max(row - segment) AS last, count(*) AS segments
    FROM read_parquet(?) SEMI JOIN stored USING (shard) GROUP BY shard, track_id
)
SELECT indexed.shard, count(*), min(indexed.track_id) FROM indexed LEFT JOIN stored
ON stored.shard = indexed.shard AND stored.track_id = indexed.track_id AND stored.first_row = indexed.first_row
WHERE stored.track_id IS NULL OR stored.segments < indexed.segments OR indexed.first_row <> last
GROUP BY indexed.shard ORDER BY indexed.shard
"""
"""Tracks that are not in the rows of their shard that a version names; damaged shards are reported separately."""


def _check_rows(lake: Lake, version: str, stored: pa.Table) -> Iterator[Damage]:
    """Yield the shards that were extracted again since, so that a version names rows of other recordings."""
    with duckdb_connection.connect(lake, duckdb_connection.SMALL_MEMORY_LIMIT) as connection:
        connection.register("stored", stored)
        segments = datasets.file_uri(lake, version, datasets.SEGMENTS_FILE.name)
        moved = connection.execute(_MOVED, [segments]).fetchall()
    remedy = f"restore the shard from a copy, or leave {version} and use a version made since: `needledrop curate`"
    for shard, count, example in moved:
        what = f"no longer holds {count} tracks where version {version} names their rows, such as {example}"
        yield Damage(shard, what, remedy)
