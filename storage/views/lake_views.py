"""Define the SQL views over the lake's Parquet: films, tracks, outcomes, segments, versions, encoders, status.

DuckDB cannot define a view over no file, so a view of what does not exist yet is empty and has its columns. A view
names the parts that exist when it is defined, so `storage.metrics.database.refresh_views` is called after each step.
Binary columns (thumbnails, fingerprints) are left out. The status views (progress, failures, pace, waiting, missing,
dead tracks, runs, refreshes) select from the views of the tables, so `needledrop sql` and the status screen agree.

The views with one row per segment (`mels`, `audio_embeddings`) and that of the encoders which made these are defined
separately, because that lists every file and opens some. A damaged file is left out, so that the rest can still be
queried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import cache

import duckdb
import pyarrow as pa

from storage.audio_embeddings import COLUMNS as EMBEDDING_COLUMNS
from storage.audio_embeddings import embeddings_damage, list_embeddings, list_encoders, read_card
from storage.datasets import versions as datasets
from storage.lake.lake import Lake
from storage.libraries.library import create_library_tables, files_table, library_names, tracks_table
from storage.mels.settings_and_shard_format import COLUMNS, list_shards
from storage.mels.verify_shards import shard_damage
from storage.records.review_answers_and_agreement import REVIEW_VIEWS
from storage.tables import tables
from storage.tables.schemas import TABLES, Table

RECENT_ITEMS = 500
"""How many of the newest items of a stage give its pace."""

_PROGRESS = """
SELECT stage, count(*) AS items, count(*) FILTER (status = 'ok') AS ok, count(*) FILTER (status = 'skipped') AS skipped,
    count(*) FILTER (status = 'failed') AS failed, max(recorded_at) AS newest
FROM outcomes GROUP BY stage
ORDER BY list_position(['film', 'thumbnail', 'evidence', 'soundtrack', 'track', 'availability'], stage)
"""

_FAILURES = """
SELECT stage, reason, status, retry, count(*) AS items, sum(attempt) AS attempts, min(retry_at) AS next_retry,
    any_value(item ORDER BY item) AS example, any_value(message ORDER BY item) AS message
FROM outcomes WHERE status <> 'ok' GROUP BY stage, reason, status, retry
ORDER BY items DESC, stage, reason
"""

_PACE = f"""
WITH newest AS (
    SELECT stage, unnest(max(
        {{'at': recorded_at, 'item': item, 'seconds': seconds, 'audio': audio_seconds}}, {RECENT_ITEMS})) AS recent
    FROM outcomes WHERE status = 'ok' AND seconds IS NOT NULL GROUP BY stage
)
SELECT stage, count(*) AS items, avg(recent.seconds) AS seconds_each,
    sum(recent.audio) / nullif(sum(recent.seconds), 0) AS times_realtime
FROM newest GROUP BY stage
"""
"""`max` with a number keeps the newest items in a heap: sorting the outcomes of years would fill the memory."""

_WAITING = """
WITH untried AS (
    SELECT 'thumbnail' AS stage, film_id AS item FROM films WHERE coalesce(state, 'present') = 'present'
    UNION ALL
    SELECT 'soundtrack', film_id FROM films WHERE coalesce(state, 'present') = 'present' AND year IS NOT NULL
), tried AS (
    SELECT stage, item FROM outcomes WHERE stage IN ('thumbnail', 'soundtrack')
), waiting AS (
    SELECT stage, 'never_tried' AS state, NULL::TIMESTAMPTZ AS due FROM untried ANTI JOIN tried USING (stage, item)
    UNION ALL
    SELECT stage, CASE WHEN retry = 'soon' OR retry_at <= now() THEN 'due' ELSE 'later' END, retry_at
    FROM outcomes WHERE (status <> 'ok' OR stage = 'availability') AND retry <> 'never'
)
SELECT stage, state, count(*) AS items, min(due) AS next_due, any_value(seconds_each) * count(*) AS estimated_seconds
FROM waiting LEFT JOIN pace USING (stage) GROUP BY stage, state
ORDER BY list_position(['film', 'thumbnail', 'evidence', 'soundtrack', 'track', 'availability'], stage), state
"""

_MISSING = """
WITH described AS (
    SELECT film_id, title, year, coalesce(state, 'present') AS state, coalesce(len(plot), 0) > 0 AS has_plot FROM films
), with_tracks AS (
    SELECT film_id, count(*) AS candidates, count(*) FILTER (decision = 'taken' AND segments > 0) AS recordings
    FROM tracks GROUP BY film_id
), with_thumbnail AS (
    SELECT film_id FROM thumbnails WHERE width IS NOT NULL
), not_done AS (
    SELECT item AS film_id, any_value(reason) FILTER (stage = 'thumbnail') AS thumbnail_reason,
        any_value(reason) FILTER (stage = 'soundtrack') AS soundtrack_reason
    FROM outcomes WHERE stage IN ('thumbnail', 'soundtrack') AND status <> 'ok' GROUP BY item
)
SELECT described.*, with_thumbnail.film_id IS NOT NULL AS has_thumbnail, coalesce(recordings, 0) AS recordings,
    coalesce(candidates, 0) AS candidates, thumbnail_reason, soundtrack_reason
FROM described LEFT JOIN with_tracks USING (film_id) LEFT JOIN with_thumbnail USING (film_id)
    LEFT JOIN not_done USING (film_id)
WHERE state <> 'present' OR year IS NULL OR NOT has_plot OR NOT has_thumbnail
    OR coalesce(with_tracks.recordings, 0) = 0
ORDER BY film_id
"""

_DEAD_TRACKS = """
SELECT tracks.film_id, films.title AS film, outcomes.item AS track_id, tracks.title, tracks.url, outcomes.reason,
    outcomes.message, outcomes.recorded_at AS asked_at, outcomes.retry_at AS asked_again_at, versions
FROM outcomes JOIN tracks ON tracks.track_id = outcomes.item AND tracks.segments > 0
LEFT JOIN films USING (film_id)
LEFT JOIN (
    SELECT track_id, list(DISTINCT dataset_version ORDER BY dataset_version) AS versions
    FROM dataset_tracks GROUP BY track_id
) USING (track_id)
WHERE outcomes.stage = 'availability' AND outcomes.status = 'failed' ORDER BY tracks.film_id, track_id
"""

_VERSION_HISTORY = """
SELECT number, version, previous, films, tracks, segments, recorded_at, run_id,
    films - lag(films) OVER by_number AS films_more, tracks - lag(tracks) OVER by_number AS tracks_more
FROM versions WINDOW by_number AS (ORDER BY number) ORDER BY number
"""

_RUN_COUNTS = """
WITH runs AS (
    SELECT *, lag(flow_run_id) OVER (PARTITION BY flow ORDER BY recorded_at) AS previous
    FROM flow_runs WHERE state NOT IN ('running', 'crashed', 'skipped')
), counted AS (
    SELECT flow, flow_run_id, fullkey[3:] AS name, atom::DOUBLE AS value
    FROM runs, json_tree(runs.summary) AS entry WHERE entry.type IN ('UBIGINT', 'BIGINT', 'DOUBLE')
)
SELECT runs.flow, runs.flow_run_id, runs.recorded_at, runs.state, names.name, coalesce(this.value, 0) AS this_run,
    CASE WHEN runs.previous IS NOT NULL THEN coalesce(before.value, 0) END AS run_before,
    coalesce(this.value, 0) - CASE WHEN runs.previous IS NOT NULL THEN coalesce(before.value, 0) END AS more
FROM runs JOIN (SELECT DISTINCT flow, name FROM counted) AS names USING (flow)
LEFT JOIN counted AS this ON this.flow_run_id = runs.flow_run_id AND this.name = names.name
LEFT JOIN counted AS before ON before.flow_run_id = runs.previous AND before.name = names.name
WHERE this.value IS NOT NULL OR before.value IS NOT NULL
ORDER BY runs.recorded_at DESC, names.name
"""

_REFRESHES = """
SELECT recorded_at, state, summary->>'$.dataset.version' AS version,
    (summary->'$.dataset.new')::BOOLEAN AS is_new_version,
    (summary->'$.changes.films_new')::BIGINT AS films_new,
    (summary->'$.changes.films_changed')::BIGINT AS films_changed,
    (summary->'$.changes.films_gone')::BIGINT AS films_gone,
    (summary->'$.changes.tracks_new')::BIGINT AS tracks_new,
    (summary->'$.changes.tracks_dead')::BIGINT AS tracks_dead,
    (summary->'$.changes.tracks_back')::BIGINT AS tracks_back,
    list_sum(map_values((summary->'$.not_done')::MAP(VARCHAR, BIGINT))) AS not_done,
    (summary->'$.training.trained')::BIGINT AS trained, (summary->'$.training.runs')::VARCHAR[] AS runs,
    coalesce(summary->>'$.paused', summary->>'$.soundtracks.paused', summary->>'$.error') AS said, flow_run_id
FROM flow_runs WHERE flow = 'refresh' AND state <> 'running' ORDER BY recorded_at DESC
"""

STATUS_VIEWS: dict[str, str] = {
    "progress": _PROGRESS,
    "failures": _FAILURES,
    "pace": _PACE,
    "waiting": _WAITING,
    "missing": _MISSING,
    "dead_tracks": _DEAD_TRACKS,
    "version_history": _VERSION_HISTORY,
    "run_counts": _RUN_COUNTS,
    "refreshes": _REFRESHES,
}
"""View -> SELECT over the lake's tables, ordered so that the views it selects from come first."""

VERSION_VIEWS = {
    "dataset_films": datasets.FILMS_FILE,
    "dataset_tracks": datasets.TRACKS_FILE,
    "segments": datasets.SEGMENTS_FILE,
    "exclusions": datasets.EXCLUSIONS_FILE,
}
"""View -> the file of every data-set version that it reads; `dataset_version` names the version of each row."""

LIBRARY_VIEWS = {"library_files": files_table, "library_tracks": tracks_table}
"""View -> the table of every library that it reads; `library` names the library of each row."""

DAMAGED = (duckdb.InvalidInputException, duckdb.IOException, duckdb.SerializationException)
"""Raised for a file that cannot be read."""


def define_lake_views(connection: duckdb.DuckDBPyConnection, lake: Lake, *, temporary: bool = False) -> None:
    """Define the views over Parquet; temporary ones hide the stored ones and need no write access."""
    kind = "TEMP VIEW" if temporary else "VIEW"
    for table in TABLES.values():
        if tables.parts(lake, table):
            columns = ", ".join(_plain(table.schema))
            connection.execute(
                f"CREATE OR REPLACE {kind} {table.name} AS SELECT {columns} FROM {tables.latest_sql(lake, table)}"
            )
    versions = datasets.names(lake)
    for name, file in VERSION_VIEWS.items():
        select = _version_sql(lake, versions, file) if versions else _empty_version_sql(file)
        connection.execute(f"CREATE OR REPLACE {kind} {name} AS {select}")
    libraries = library_names(lake)
    for library in libraries:
        create_library_tables(lake, library)
    for name, table_of in LIBRARY_VIEWS.items():
        connection.execute(f"CREATE OR REPLACE {kind} {name} AS {_library_sql(lake, libraries, table_of)}")
    for name, select in {**STATUS_VIEWS, **REVIEW_VIEWS}.items():
        connection.execute(f"CREATE OR REPLACE {kind} {name} AS {select}")


def _version_sql(lake: Lake, versions: list[str], file: datasets.VersionFile) -> str:
    names = ", ".join("'" + datasets.file_uri(lake, v, file.name).replace("'", "''") + "'" for v in versions)
    return (
        f"SELECT regexp_extract(filename, '{datasets.FOLDER}/([^/]+)/[^/]+$', 1) AS dataset_version, "
        f"{', '.join(_plain(file.schema))} FROM read_parquet([{names}], filename=true, union_by_name=true)"
    )


def _empty_version_sql(file: datasets.VersionFile) -> str:
    return empty_select(
        pa.schema([("dataset_version", pa.string()), *(file.schema.field(n) for n in _plain(file.schema))])
    )


def _library_sql(lake: Lake, libraries: list[str], table_of: Callable[[str], Table]) -> str:
    columns = [(name, table_of("any").schema.field(name).type) for name in _plain(table_of("any").schema)]
    if not libraries:
        return empty_select(pa.schema([("library", pa.string()), *columns]))
    names = ", ".join(name for name, _ in columns)
    return " UNION ALL ".join(
        f"SELECT '{library}' AS library, {names} FROM {tables.latest_sql(lake, table_of(library))}"
        for library in libraries
    )


@cache
def empty_select(columns: pa.Schema) -> str:
    """Return a query without rows; DuckDB says which of its types each column has, once per process."""
    with duckdb.connect() as connection:
        empty = connection.from_arrow(columns.empty_table())
        typed = [f"CAST(NULL AS {kind}) AS {name}" for name, kind in zip(empty.columns, empty.types, strict=True)]
    return f"SELECT {', '.join(typed)} WHERE false"


def _plain(schema: pa.Schema) -> list[str]:
    return [field.name for field in schema if not pa.types.is_binary(field.type)]


def define_mel_view(
    connection: duckdb.DuckDBPyConnection, lake: Lake, *, temporary: bool = False, only_intact: bool = False
) -> list[str]:
    """Define `mels`: the plain columns of every shard, one row per segment; `shard` and `row` are those of `segments`.

    It is separate from the others because defining it lists every shard and opens one. When that one is damaged, or
    with `only_intact`, every shard is checked and the view covers the intact ones, so that the rest can still be
    queried. Returns the shards that it leaves out; `needledrop verify` reports what is wrong with each.
    """
    shards = list_shards(lake)
    if not only_intact:
        all_shards = [lake.uri("mels") + "/year=*/page=*.parquet"] if shards else []
        try:
            _define_mels(connection, all_shards, temporary=temporary)
        except DAMAGED:
            only_intact = True
        else:
            return []
    damaged = [shard for shard in shards if any(shard_damage(lake, shard, None, deep=False))]
    intact = [lake.uri(shard) for shard in shards if shard not in set(damaged)]
    _define_mels(connection, intact, temporary=temporary)
    return damaged


def _define_mels(connection: duckdb.DuckDBPyConnection, files: list[str], *, temporary: bool) -> None:
    measures = ", ".join(name for name in COLUMNS.names if name not in ("film_id", "track_id"))
    names = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    select = (
        "SELECT film_id, track_id, year::SMALLINT AS year, regexp_extract(filename, 'mels/[^/]+/[^/]+$') AS shard, "
        f"file_row_number::INTEGER AS row, {measures} FROM read_parquet("
        f"[{names}], filename=true, file_row_number=true, hive_partitioning=true)"
    )
    identifiers = [("film_id", pa.string()), ("track_id", pa.string()), ("year", pa.int16()), ("shard", pa.string())]
    if not files:
        select = empty_select(pa.schema([*identifiers, ("row", pa.int32()), *list(COLUMNS)[2:]]))
    connection.execute(f"CREATE OR REPLACE {'TEMP VIEW' if temporary else 'VIEW'} mels AS {select}")


def define_audio_views(
    connection: duckdb.DuckDBPyConnection, lake: Lake, *, temporary: bool = False, only_intact: bool = False
) -> list[str]:
    """Define `audio_embeddings`, one row per encoder and segment, and `audio_encoders`, what is known of each encoder.

    Like `define_mel_view`, of which it is the counterpart: returns the damaged files that the view leaves out.
    """
    _define_encoders(connection, lake, temporary=temporary)
    files = list_embeddings(lake)
    if not only_intact:
        try:
            _define_embeddings(connection, [lake.uri(file) for file in files], temporary=temporary)
        except DAMAGED:
            pass  # which file it is, is looked for below
        else:
            return []
    damaged = [file for file in files if any(embeddings_damage(lake, file, {}, deep=False))]
    intact = [lake.uri(file) for file in files if file not in set(damaged)]
    _define_embeddings(connection, intact, temporary=temporary)
    return damaged


def _define_embeddings(connection: duckdb.DuckDBPyConnection, files: list[str], *, temporary: bool) -> None:
    names = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    select = (
        "SELECT regexp_extract(filename, 'audio_embeddings/([^/]+)/[^/]+/[^/]+$', 1) AS encoder, film_id, track_id, "
        f"year::SMALLINT AS year, segment, start_seconds, embedding FROM read_parquet([{names}], filename=true, "
        "hive_partitioning=true)"
    )
    if not names:
        plain = [("encoder", pa.string()), ("film_id", pa.string()), ("track_id", pa.string()), ("year", pa.int16())]
        select = empty_select(pa.schema([*plain, *list(EMBEDDING_COLUMNS)[2:], ("embedding", pa.list_(pa.float32()))]))
    connection.execute(f"CREATE OR REPLACE {'TEMP VIEW' if temporary else 'VIEW'} audio_embeddings AS {select}")


def _define_encoders(connection: duckdb.DuckDBPyConnection, lake: Lake, *, temporary: bool) -> None:
    cards = [{"encoder": folder, **asdict(read_card(lake, folder))} for folder in list_encoders(lake)]
    rows = pa.Table.from_pylist(cards, schema=_ENCODERS)
    kind = "TEMP VIEW" if temporary else "VIEW"
    connection.execute(f"CREATE OR REPLACE {kind} audio_encoders AS {_literal_select(rows)}")


_ENCODERS = pa.schema(
    [
        ("encoder", pa.string()),
        ("name", pa.string()),
        ("model_type", pa.string()),
        ("licence", pa.string()),
        ("sample_rate_hz", pa.int32()),
        ("window_seconds", pa.float64()),
        ("dimensions", pa.int32()),
        ("has_text", pa.bool_()),
        ("revision", pa.string()),
        ("weights_sha256", pa.string()),
    ]
)
"""The columns of `audio_encoders`: the folder of an encoder's embeddings, and its card."""


def _literal_select(rows: pa.Table) -> str:
    """Return a few rows as SQL text, which a stored view may hold."""
    if not len(rows):
        return empty_select(rows.schema)
    with duckdb.connect() as connection:
        types = connection.from_arrow(rows).types
    lines = [
        ", ".join(
            f"{_literal(row[name])}::{kind} AS {name}" for name, kind in zip(rows.column_names, types, strict=True)
        )
        for row in rows.to_pylist()
    ]
    return " UNION ALL ".join(f"SELECT {line}" for line in lines)


def _literal(value: object) -> str:
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"
