"""Compare two versions of the data set: films, tracks and tags that were added, removed or changed."""

from __future__ import annotations

from dataclasses import dataclass

from storage.datasets import versions as datasets
from storage.lake.lake import Lake
from storage.tables import duckdb_connection

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
    datasets.read_manifest(lake, old)
    datasets.read_manifest(lake, new)
    films = [datasets.file_uri(lake, version, datasets.FILMS_FILE.name) for version in (old, new)]
    tracks = [datasets.file_uri(lake, version, datasets.TRACKS_FILE.name) for version in (old, new)]
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
