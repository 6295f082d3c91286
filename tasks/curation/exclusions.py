"""Exclude films, tracks and rare tags: the rules are rows of a table here, each exclusion is a row of the version.

A film or track is excluded by the first rule that applies, so every candidate is either in the version or in
`exclusions` exactly once, and the numbers add up.

A tag that only one film has identifies that film and does not generalise. Tags are counted by distinct films of the
version, after every other filter, as the MTG-Jamendo data set counts artists and not tracks.
"""

from __future__ import annotations

import duckdb

from tasks.curation.settings import CurationSettings

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
