"""Decide which films, tracks and tags are in a version, by rules that a user may set, and in which split.

The rules are rows of a table here, each exclusion is a row of the version. A film or track is excluded by the first
rule that applies, so every candidate is either in the version or in `exclusions` exactly once, and the numbers add up.

A tag that only one film has identifies that film and does not generalise. Tags are counted by distinct films of the
version, after every other filter, as the MTG-Jamendo data set counts artists and not tracks.

Films are split chronologically: a model is tested on films released after everything it was trained on. By film, never
by track: the tracks of one film sound alike, so all of them must be in one split.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import duckdb

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.tables import duckdb_connection
from tasks.curation import duplicates
from tasks.curation.candidate_snapshot import Snapshot, load_candidates, take_snapshot
from tasks.options_and_defaults import DatasetOptions

_COLUMNS = "kind VARCHAR, item VARCHAR, rule VARCHAR, value VARCHAR"
_ITEM = "film_id || '/' || track_id"
FILM_RULES: tuple[tuple[str, str, str | None, str], ...] = (
    # rule, condition, the setting that switches it (None: always on), the value that is recorded
    ("gone", "state = 'gone'", None, "title"),
    ("asked_out", "list_contains($leave_out, film_id)", None, "title"),
    ("no_year", "year IS NULL", None, "title"),
    ("no_plot", "paragraphs = 0", "require_plot", "title"),
    ("no_thumbnail", "thumbnail_sha256 IS NULL", "require_thumbnail", "title"),
    ("no_track", "film_id NOT IN (SELECT film_id FROM usable_tracks)", "require_tracks", "search"),
)

TRACK_RULES: tuple[tuple[str, str, str], ...] = (
    # rule, condition, the value that is recorded
    (
        "asked_out",
        f"list_has_any($leave_out, [track_id, {_ITEM}, 'channel:' || channel_id])",
        "title",
    ),
    ("refused", f"{_ITEM} IN (SELECT item FROM refused_pairs)", "title"),
    ("not_taken", "decision IS DISTINCT FROM 'taken'", "concat_ws(': ', decision, reason)"),
    ("no_mels", "shard IS NULL OR coalesce(segments, 0) = 0", "reason"),
    ("silent", "is_silent", "title"),
    ("shard_missing", "NOT in_lake", "shard"),
)

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, kw_only=True)
class CurationSettings(DatasetOptions):
    """The rules of one version. They are part of its identity: other rules, another version."""

    def __post_init__(self) -> None:
        """Raise `InputError` for rules that no set of films could satisfy."""
        if self.test_from <= self.train_until:
            raise InputError(
                f"test_from={self.test_from} must be later than train_until={self.train_until}, "
                "because the split is chronological"
            )
        if self.test_from == self.train_until + 1:
            raise InputError(
                f"test_from={self.test_from} leaves no year after train_until={self.train_until} to validate on; "
                "lower train_until or raise test_from"
            )
        if self.min_films_per_tag < 1:
            raise InputError(f"min_films_per_tag={self.min_films_per_tag} must be at least 1")

    def as_parameters(self) -> dict[str, Any]:
        """Return the settings as the manifest records them."""
        return {**asdict(self), "leave_out": sorted(self.leave_out)}


def exclude_candidates(
    connection: duckdb.DuckDBPyConnection, settings: CurationSettings, takedowns: frozenset[str]
) -> None:
    """Create `usable_tracks` and `films` (those that satisfy every rule) and `exclusions` (the rest)."""
    leave_out = {"leave_out": sorted({*settings.leave_out, *takedowns})}
    connection.execute(f"CREATE TABLE exclusions ({_COLUMNS})")
    cases = " ".join(f"WHEN {condition} THEN '{rule}'" for rule, condition, _ in TRACK_RULES)
    values = " ".join(f"WHEN '{rule}' THEN {value}" for rule, _, value in TRACK_RULES)
    connection.execute(
        f"CREATE TABLE judged_tracks AS SELECT *, CASE rule {values} END AS value "
        f"FROM (SELECT *, CASE {cases} END AS rule FROM candidate_tracks)",
        leave_out,
    )
    connection.execute(
        "CREATE TABLE usable_tracks AS SELECT * EXCLUDE (rule, value) FROM judged_tracks WHERE rule IS NULL"
    )
    connection.execute(
        f"INSERT INTO exclusions SELECT 'track', {_ITEM}, rule, value FROM judged_tracks WHERE rule IS NOT NULL"
    )
    connection.execute("DROP TABLE judged_tracks")
    _exclude_films(connection, settings, leave_out)


def _exclude_films(
    connection: duckdb.DuckDBPyConnection, settings: CurationSettings, leave_out: dict[str, list[str]]
) -> None:
    rules = [rule for rule in FILM_RULES if rule[2] is None or getattr(settings, rule[2])]
    cases = " ".join(f"WHEN {condition} THEN '{name}'" for name, condition, _, _ in rules)
    connection.execute(
        "CREATE TABLE judged_films AS SELECT *, coalesce(searches.reason, 'not_tried') AS search, "
        f"CASE {cases} END AS rule FROM candidate_films LEFT JOIN searches USING (film_id)",
        leave_out,
    )
    values = " ".join(f"WHEN '{name}' THEN {value}" for name, _, _, value in rules)
    connection.execute(
        f"INSERT INTO exclusions SELECT 'film', film_id, rule, CASE rule {values} END FROM judged_films "
        "WHERE rule IS NOT NULL"
    )
    connection.execute(
        "CREATE TABLE films AS SELECT * EXCLUDE (paragraphs, state, reason, search, rule) "
        "FROM judged_films WHERE rule IS NULL"
    )
    connection.execute("DROP TABLE judged_films")


def drop_films(connection: duckdb.DuckDBPyConnection, rule: str, query: str) -> int:
    """Move the films that a later step rejects from `films` to `exclusions`; return how many.

    `query` is a SELECT of (film_id, value).
    """
    connection.execute(f"CREATE OR REPLACE TEMP TABLE dropped AS {query}")
    connection.execute("INSERT INTO exclusions SELECT 'film', film_id, ?, value FROM dropped", [rule])
    connection.execute("DELETE FROM films WHERE film_id IN (SELECT film_id FROM dropped)")
    [(count,)] = connection.execute("SELECT count(*) FROM dropped").fetchall()
    return int(count)


def exclude_tracks_without_film(connection: duckdb.DuckDBPyConnection) -> None:
    """Insert an exclusion for every usable track whose film is excluded."""
    connection.execute(
        f"""
        INSERT INTO exclusions
        SELECT 'track', {_ITEM}, 'film_excluded', coalesce(e.rule, 'unknown_film')
        FROM usable_tracks t LEFT JOIN exclusions e ON e.kind = 'film' AND e.item = t.film_id
        WHERE t.film_id NOT IN (SELECT film_id FROM films)
        """
    )


def count_tags(connection: duckdb.DuckDBPyConnection) -> None:
    """Create `tag_counts` (tag, films): how many distinct films of the version have each tag."""
    connection.execute(
        """
        CREATE OR REPLACE TABLE tag_counts AS
        SELECT tag, count(DISTINCT film_id) AS films
        FROM (SELECT film_id, unnest(tags) AS tag FROM films) GROUP BY tag ORDER BY tag
        """
    )


def films_without_tag(settings: CurationSettings) -> str:
    """Return a SELECT of the films all of whose tags are rare, with how many tags they had."""
    return f"""
        SELECT film_id, len(tags) || ' tags, all rare' AS value FROM films
        WHERE film_id NOT IN (
            SELECT film_id FROM (SELECT film_id, unnest(tags) AS tag FROM films)
            JOIN tag_counts USING (tag) WHERE tag_counts.films >= {settings.min_films_per_tag})
    """


def exclude_rare_tags(connection: duckdb.DuckDBPyConnection, settings: CurationSettings) -> None:
    """Keep only the common tags in `films`, each once and in the page's order; insert exclusions for the rest."""
    rare = f"films < {settings.min_films_per_tag}"
    connection.execute(f"INSERT INTO exclusions SELECT 'tag', tag, 'rare', films::VARCHAR FROM tag_counts WHERE {rare}")
    connection.execute(
        f"""
        CREATE TABLE kept_tags AS
        SELECT film_id, list(tag ORDER BY position) AS tags FROM (
            SELECT film_id, tag, min(position) AS position
            FROM (SELECT film_id, unnest(tags) AS tag, generate_subscripts(tags, 1) AS position FROM films)
            WHERE tag IN (SELECT tag FROM tag_counts WHERE NOT ({rare}))
            GROUP BY film_id, tag)
        GROUP BY film_id
        """
    )
    connection.execute(
        "CREATE OR REPLACE TABLE films AS SELECT f.* REPLACE (coalesce(k.tags, []) AS tags) "
        "FROM films f LEFT JOIN kept_tags k USING (film_id)"
    )


class NoVersionError(InputError):
    """No version can be made from the films of the lake: a split would be empty."""


def split_sql(settings: CurationSettings) -> str:
    """Return the split of a film as an SQL expression over its `year`."""
    return (
        f"CASE WHEN year <= {settings.train_until} THEN 'train' "
        f"WHEN year >= {settings.test_from} THEN 'test' ELSE 'valid' END"
    )


def check_splits(connection: duckdb.DuckDBPyConnection, settings: CurationSettings) -> None:
    """Raise `NoVersionError` if a split is empty, naming it, the years of the films and the parameter to change."""
    [(films,)] = connection.execute("SELECT count(*) FROM films").fetchall()
    if not films:
        raise NoVersionError(f"No film can be in a version: {_why_empty(connection)}")
    present = {split for (split,) in connection.execute(f"SELECT DISTINCT {split_sql(settings)} FROM films").fetchall()}
    for split in SPLITS:
        if split not in present:
            raise NoVersionError(
                f"The {split} split is empty: the {films} films of this version are of {_list_years(connection)}, "
                f"and {_how_to_fill(split, settings)}"
            )


def _how_to_fill(split: str, settings: CurationSettings) -> str:
    return {
        "train": f"train takes years up to train_until={settings.train_until}; raise train_until",
        "valid": f"valid takes the years after train_until={settings.train_until} and before "
        f"test_from={settings.test_from}; lower train_until or raise test_from",
        "test": f"test takes years from test_from={settings.test_from}; lower test_from",
    }[split]


def _list_years(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the years of the films: each if they are few, else as a range."""
    years = [year for (year,) in connection.execute("SELECT DISTINCT year FROM films ORDER BY year").fetchall()]
    return ", ".join(map(str, years)) if len(years) <= 12 else f"{years[0]} to {years[-1]}"


def _why_empty(connection: duckdb.DuckDBPyConnection) -> str:
    rules = connection.execute(
        "SELECT rule, count(*) FROM exclusions WHERE kind = 'film' GROUP BY rule ORDER BY count(*) DESC, rule"
    ).fetchall()
    if not rules:
        return "the lake has no films yet; collect films first"
    reasons = ", ".join(f"{rule} {count}" for rule, count in rules)
    return f"every film was excluded ({reasons}); collect what is missing or relax the requirement"


def what_is_missing(lake: Lake, settings: CurationSettings) -> list[str]:
    """Return what no film of the lake has: a year of each split, a recording. Empty where the rules exclude all."""
    with duckdb_connection.connect_alone(lake) as connection:
        load_candidates(connection, take_snapshot(lake))
        films = "candidate_films WHERE state = 'present' AND year IS NOT NULL"
        rows = connection.sql(f"SELECT DISTINCT {split_sql(settings)} FROM {films}").fetchall()
        recordings = connection.sql("SELECT 1 FROM candidate_tracks WHERE in_lake LIMIT 1").fetchall()
    splits = {split for (split,) in rows}
    first, last = settings.train_until + 1, settings.test_from - 1
    needed = {
        "train": f"no film before {first} to train on",
        "valid": f"no film of {first if first == last else f'{first} to {last}'} to validate on",
        "test": f"no film from {settings.test_from} on to test on",
    }
    missing = [sentence for split, sentence in needed.items() if split not in splits]
    return missing + ([] if recordings else ["no recording of any film"])


def select_films_and_tracks(
    connection: duckdb.DuckDBPyConnection, snapshot: Snapshot, settings: CurationSettings
) -> None:
    """Divide the candidates into `films`, `tracks` and `exclusions`; each candidate is in one of them.

    Excluding a film that lost its last recording or its last common tag can make another tag rare or give a recording
    back to another film; so the steps repeat until no film is excluded.
    """
    exclude_candidates(connection, settings, snapshot.takedowns)
    duplicates.find_recordings(connection, snapshot)
    while True:
        duplicates.find_duplicates(connection)
        count_tags(connection)
        excluded = 0
        if settings.require_tracks:
            excluded += drop_films(connection, "only_duplicates", duplicates.FILMS_WITHOUT_TRACK)
        if settings.require_tag and not excluded:
            excluded += drop_films(connection, "only_rare_tags", films_without_tag(settings))
        if not excluded:
            break
    duplicates.exclude_duplicates(connection)
    exclude_tracks_without_film(connection)
    exclude_rare_tags(connection, settings)
    check_splits(connection, settings)
    connection.execute(f"CREATE VIEW split_films AS SELECT *, {split_sql(settings)} AS split FROM films")
    connection.execute("CREATE VIEW split_tracks AS SELECT t.*, split FROM tracks t JOIN split_films USING (film_id)")
