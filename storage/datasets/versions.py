"""Versions of the data set: folders written once, named by their content, that a paper can cite.

    datasets/V/films.parquet  segments.parquet  tracks.parquet  exclusions.parquet  manifest.json  README.md

`manifest.json` is committed last, so a folder without one is not a version yet: a crash leaves nothing that
could be mistaken for one, and the next curation removes it. A process that writes or deletes a version holds the
lease on it, so that what another process is writing is never removed. The table `versions` records which
version is current, because file times are unreliable and earlier content may become current again.

`compare` tells which films, tracks and tags were added, removed or changed from one version to another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from storage.coordination.leases import describe_holder, leased, read_numbers
from storage.coordination.old_claims import claimed_items
from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import VERSIONS

FORMAT = 1
"""Incremented when the folder's layout changes; hashed into every version's name."""
FOLDER = "datasets"
MANIFEST = "manifest.json"
_LEASE_PREFIX = "dataset-"

_STRINGS = pa.list_(pa.string())

_FILM_COLUMNS = ("title", "year", "split", "plot", "tags", "thumbnail_sha256", "licence")
_TRACK_COLUMNS = ("split", "title", "artist", "album", "licence", "duration_seconds", "segments")
_CHANGES = """
SELECT '{kind}' AS kind, coalesce(new.item, old.item) AS item, coalesce(new.title, old.title) AS title,
       CASE WHEN old.item IS NULL THEN 'came' WHEN new.item IS NULL THEN 'went' ELSE 'changed' END AS change,
       CASE WHEN old.item IS NOT NULL AND new.item IS NOT NULL THEN concat_ws(', ', {differing}) ELSE '' END AS what
FROM (SELECT *, {item} AS item FROM read_parquet('{old}')) AS old
FULL JOIN (SELECT *, {item} AS item FROM read_parquet('{new}')) AS new USING (item)
WHERE old.item IS NULL OR new.item IS NULL OR what <> ''
"""

_TAGS = """
SELECT 'tag' AS kind, coalesce(old.tag, new.tag) AS item, coalesce(old.tag, new.tag) AS title,
       CASE WHEN old.tag IS NULL THEN 'came' ELSE 'went' END AS change, '' AS what
FROM (SELECT DISTINCT unnest(tags) AS tag FROM read_parquet('{old}')) AS old
FULL JOIN (SELECT DISTINCT unnest(tags) AS tag FROM read_parquet('{new}')) AS new USING (tag)
WHERE old.tag IS NULL OR new.tag IS NULL
"""


@dataclass(frozen=True)
class VersionFile:
    """One Parquet file of a version: its columns, the order of its rows, and rows per row group."""

    name: str
    schema: pa.Schema
    order: str
    group_rows: int


FILMS_FILE = VersionFile(
    "films.parquet",
    pa.schema(
        [
            ("film_id", pa.string()),
            ("title", pa.string()),
            ("year", pa.int16()),
            ("split", pa.string()),
            ("plot", _STRINGS),
            ("tags", _STRINGS),
            ("thumbnail", pa.binary()),
            ("thumbnail_sha256", pa.string()),
            ("url", pa.string()),
            ("revision_id", pa.int64()),
            ("licence", pa.string()),
        ]
    ),
    "film_id",
    256,  # about 4 MiB of thumbnails: readers that load whole row groups need little memory
)
SEGMENTS_FILE = VersionFile(
    "segments.parquet",
    pa.schema(
        [
            ("film_id", pa.string()),
            ("track_id", pa.string()),
            ("split", pa.string()),
            ("shard", pa.string()),
            ("row", pa.int32()),
            ("segment", pa.int32()),
            ("start_seconds", pa.float32()),
        ]
    ),
    "film_id, track_id, segment",
    131_072,
)
TRACKS_FILE = VersionFile(
    "tracks.parquet",
    pa.schema(
        [
            ("film_id", pa.string()),
            ("track_id", pa.string()),
            ("split", pa.string()),
            ("title", pa.string()),
            ("artist", pa.string()),
            ("album", pa.string()),
            ("source", pa.string()),
            ("url", pa.string()),
            ("licence", pa.string()),
            ("duration_seconds", pa.float64()),
            ("segments", pa.int32()),
        ]
    ),
    "film_id, track_id",
    16_384,
)
EXCLUSIONS_FILE = VersionFile(
    "exclusions.parquet",
    pa.schema([("kind", pa.string()), ("item", pa.string()), ("rule", pa.string()), ("value", pa.string())]),
    "kind, item, rule",
    65_536,
)
COPY_RULES = ("same_audio", "same_track", "same_sound")
"""Rules of `EXCLUSIONS_FILE` by which a track is a copy of another: item and value are FILM/TRACK, of the copy and of
the track that was kept."""
FILES = (FILMS_FILE, SEGMENTS_FILE, TRACKS_FILE, EXCLUSIONS_FILE)


def name_of(content: Mapping[str, Any]) -> str:
    """Return the name of a version with this content: the same content has the same name on any machine."""
    text = json.dumps({"format": FORMAT, **content}, sort_keys=True, ensure_ascii=False)
    return "v" + hashlib.sha256(text.encode()).hexdigest()[:12]


def exists(lake: Lake, version: str) -> bool:
    """Return whether the version is complete in the lake."""
    return lake.exists(FOLDER, version, MANIFEST)


@contextmanager
def exclusive_access(lake: Lake, version: str) -> Iterator[None]:
    """Hold the lease on a version while it is written or deleted. Raises `LakeError` when another process holds it."""
    with leased(lake, f"{_LEASE_PREFIX}{version}") as lease:
        if lease is None:
            holder = describe_holder(lake, f"{_LEASE_PREFIX}{version}")
            raise LakeError(
                f"Another process is writing version {version} ({holder}); wait until it ends and run this again"
            )
        yield


def sweep_unfinished(lake: Lake) -> list[str]:
    """Remove the folders without a manifest, which killed processes left; returns their versions.

    A version that a living process is writing is leased by it and stays.
    """
    return [version for version in unfinished(lake) if _remove_unfinished(lake, version)]


def unfinished(lake: Lake) -> list[str]:
    """Return the versions without a manifest: partly written, partly deleted, or being written now."""
    complete = set(_complete(lake))
    started = {path.split("/")[1] for path in lake.list(FOLDER) if path.count("/") > 1}
    leased_items = {*read_numbers(lake).newest, *claimed_items(lake)}
    started |= {name.removeprefix(_LEASE_PREFIX) for name in leased_items if name.startswith(_LEASE_PREFIX)}
    return sorted(started - complete)


def _remove_unfinished(lake: Lake, version: str) -> bool:
    with leased(lake, f"{_LEASE_PREFIX}{version}", on_wait=None) as lease:
        if lease is None or exists(lake, version):
            return False
        lake.remove(FOLDER, version)
        return True


def write_file(lake: Lake, version: str, file: VersionFile, *rows: duckdb.DuckDBPyRelation) -> dict[str, Any]:
    """Commit one Parquet file of a version from relations in the file's order, one row group at a time.

    The bytes depend on the rows only, not on threads or batch sizes. Returns rows, bytes and sha256.
    """
    count = 0
    with lake.staged(FOLDER, version, file.name) as path:
        with pq.ParquetWriter(path, file.schema, compression="zstd") as writer:
            for group in _row_groups(rows, file):
                count += group.num_rows
                writer.write_table(group, row_group_size=file.group_rows)
        return {"rows": count, "bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _row_groups(rows: Sequence[duckdb.DuckDBPyRelation], file: VersionFile) -> Iterator[pa.Table]:
    """Yield the relations as tables of exactly `group_rows` rows (the last may be shorter)."""
    waiting: list[pa.RecordBatch] = []
    waiting_rows = 0
    for batch in (batch for relation in rows for batch in relation.to_arrow_reader(file.group_rows)):
        waiting.append(batch)
        waiting_rows += batch.num_rows
        while waiting_rows >= file.group_rows:
            table = pa.Table.from_batches(waiting)
            yield _in_schema(table.slice(0, file.group_rows), file)
            waiting = table.slice(file.group_rows).to_batches()
            waiting_rows -= file.group_rows
    if waiting_rows:
        yield _in_schema(pa.Table.from_batches(waiting), file)


def _in_schema(table: pa.Table, file: VersionFile) -> pa.Table:
    return table.select(file.schema.names).cast(file.schema).combine_chunks()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(lake: Lake, version: str) -> dict[str, Any]:
    """Read the manifest of a version. Raises `InputError` if there is no such version, `LakeError` if it is damaged."""
    if not exists(lake, version):
        known = ", ".join(names(lake)) or "none yet: run `needledrop curate`"
        raise InputError(f"{version!r} is not a version of this lake; there are: {known}")
    try:
        manifest: dict[str, Any] = json.loads(lake.read_bytes(FOLDER, version, MANIFEST))
    except ValueError as error:
        raise LakeError(f"The manifest of {version} is damaged ({error}); run `needledrop verify`") from error
    return manifest


def names(lake: Lake) -> list[str]:
    """Return every complete version, the oldest first, the current one last."""
    order = {row["version"]: row["number"] for row in tables.latest(lake, VERSIONS, ["version", "number"]).to_pylist()}
    return sorted(_complete(lake), key=lambda name: (order.get(name, 0), name))


def _complete(lake: Lake) -> list[str]:
    return [path.split("/")[1] for path in lake.list(FOLDER, suffix=f"/{MANIFEST}")]


def current(lake: Lake) -> str | None:
    """Return the current version, or None if there is none yet."""
    rows = tables.latest(lake, VERSIONS, ["version", "number"]).to_pylist()
    existing = [row for row in rows if exists(lake, row["version"])]
    return max(existing, key=lambda row: row["number"])["version"] if existing else None


def make_current(lake: Lake, version: str, run_id: str) -> str | None:
    """Record this version as the current one; returns the previous one, or None if it was current already.

    One that was current is recorded again if its manifest was written again since.
    """
    previous, manifest = current(lake), read_manifest(lake, version)
    sha256 = hashlib.sha256(lake.read_bytes(FOLDER, version, MANIFEST)).hexdigest()
    recorded = {row["version"]: row for row in tables.latest(lake, VERSIONS).to_pylist()}
    was_current = previous == version
    if was_current and recorded[version]["manifest_sha256"] == sha256:
        return None
    newest = max((row["number"] for row in recorded.values()), default=0)
    row = {
        "version": version,
        "number": newest + (not was_current),
        "previous": recorded[version]["previous"] if was_current else previous,
        **{name: manifest["counts"][name] for name in ("films", "tracks", "segments")},
        "recordings_joined": manifest.get("recordings", {}).get("joined"),
        "joined_in_test": manifest.get("recordings", {}).get("in_test"),
        "parameters": json.dumps(manifest["parameters"], sort_keys=True),
        "manifest_sha256": sha256,
    }
    tables.append(lake, VERSIONS, [row], run_id)
    return None if was_current else previous


def why_needed(lake: Lake, runs: Mapping[str, int]) -> dict[str, str]:
    """Return the versions that something needs, and why: the current one, and those with training runs."""
    latest = current(lake)
    reasons = {version: f"{count} training runs" for version, count in runs.items()}
    return reasons | ({latest: "it is the current version"} if latest else {})


def delete(lake: Lake, version: str, runs: Mapping[str, int]) -> None:
    """Delete a version; `runs` are the training runs of each version (`storage.metrics.database.count_runs`).

    Raises `InputError` when something needs it or it does not exist. The manifest is removed first, so that a
    half-deleted version counts as none.
    """
    read_manifest(lake, version)
    reasons = why_needed(lake, runs)
    if version in reasons:
        raise InputError(f"{version} stays, because something needs it: {reasons[version]}")
    with exclusive_access(lake, version):
        lake.remove(FOLDER, version, MANIFEST)
        lake.remove(FOLDER, version)


def file_uri(lake: Lake, version: str, file: str) -> str:
    """Return the full path of one file of a version, as DuckDB and pyarrow read it."""
    return lake.uri(FOLDER, version, file)


@dataclass(frozen=True)
class Change:
    """One film, track or tag that was added (`came`), removed (`went`) or changed, with the columns that differ."""

    kind: str
    item: str
    title: str
    change: str
    what: str


def compare(lake: Lake, old: str, new: str) -> list[Change]:
    """Return every difference in content from one version to another, ordered by kind, change and item.

    Raises `InputError` for a version that does not exist.
    """
    read_manifest(lake, old)
    read_manifest(lake, new)
    films = [file_uri(lake, version, FILMS_FILE.name) for version in (old, new)]
    tracks = [file_uri(lake, version, TRACKS_FILE.name) for version in (old, new)]
    queries = [
        _query("film", "film_id", _FILM_COLUMNS, films),
        _query("track", "film_id || '/' || track_id", _TRACK_COLUMNS, tracks),
        _TAGS.format(old=films[0], new=films[1]),
    ]
    with duckdb_connection.connect(lake) as connection:
        rows = connection.execute(" UNION ALL ".join(f"({q})" for q in queries) + " ORDER BY kind, change, item")
        return [Change(*row) for row in rows.fetchall()]


def _query(kind: str, item: str, columns: tuple[str, ...], files: list[str]) -> str:
    differing = ", ".join(f"CASE WHEN old.{name} IS DISTINCT FROM new.{name} THEN '{name}' END" for name in columns)
    return _CHANGES.format(kind=kind, item=item, differing=differing, old=files[0], new=files[1])


def counted(changes: list[Change]) -> dict[tuple[str, str], int]:
    """Count changes by (kind, change)."""
    counts: dict[tuple[str, str], int] = {}
    for change in changes:
        counts[change.kind, change.change] = counts.get((change.kind, change.change), 0) + 1
    return counts
