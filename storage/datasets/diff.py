"""What came, went and changed between two versions of the data set, and which versions nobody needs."""

from __future__ import annotations

from dataclasses import dataclass

from storage.datasets import versions as datasets
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.metrics.records import connect_metrics
from storage.tables import tables

_FILM_ASPECTS = ("title", "year", "split", "plot", "tags", "thumbnail_sha256", "licence")
_TRACK_ASPECTS = ("split", "title", "artist", "album", "licence", "duration_seconds", "segments")

_CHANGES = """
SELECT '{kind}' AS kind, coalesce(n.item, o.item) AS item, coalesce(n.title, o.title) AS title,
       CASE WHEN o.item IS NULL THEN 'came' WHEN n.item IS NULL THEN 'went' ELSE 'changed' END AS change,
       CASE WHEN o.item IS NOT NULL AND n.item IS NOT NULL THEN concat_ws(', ', {aspects}) ELSE '' END AS what
FROM (SELECT *, {item} AS item FROM read_parquet('{old}')) o
FULL JOIN (SELECT *, {item} AS item FROM read_parquet('{new}')) n USING (item)
WHERE o.item IS NULL OR n.item IS NULL OR what <> ''
"""

_TAGS = """
SELECT 'tag' AS kind, coalesce(o.tag, n.tag) AS item, coalesce(o.tag, n.tag) AS title,
       CASE WHEN o.tag IS NULL THEN 'came' ELSE 'went' END AS change, '' AS what
FROM (SELECT DISTINCT unnest(tags) AS tag FROM read_parquet('{old}')) o
FULL JOIN (SELECT DISTINCT unnest(tags) AS tag FROM read_parquet('{new}')) n USING (tag)
WHERE o.tag IS NULL OR n.tag IS NULL
"""


@dataclass(frozen=True)
class Change:
    """One film, track or tag that came, went or changed; `what` names the columns that differ."""

    kind: str
    item: str
    title: str
    change: str
    what: str


def compare(lake: Lake, old: str, new: str) -> list[Change]:
    """Every difference in content from one version to another, ordered by kind, change and item."""
    datasets.read_manifest(lake, old)
    datasets.read_manifest(lake, new)
    films = [datasets.file_uri(lake, version, datasets.FILMS_FILE.name) for version in (old, new)]
    tracks = [datasets.file_uri(lake, version, datasets.TRACKS_FILE.name) for version in (old, new)]
    queries = [
        _query("film", "film_id", _FILM_ASPECTS, films),
        _query("track", "film_id || '/' || track_id", _TRACK_ASPECTS, tracks),
        _TAGS.format(old=films[0], new=films[1]),
    ]
    with tables.connect(lake) as connection:
        rows = connection.execute(" UNION ALL ".join(f"({q})" for q in queries) + " ORDER BY kind, change, item")
        return [Change(*row) for row in rows.fetchall()]


def _query(kind: str, item: str, columns: tuple[str, ...], files: list[str]) -> str:
    aspects = ", ".join(f"CASE WHEN o.{name} IS DISTINCT FROM n.{name} THEN '{name}' END" for name in columns)
    return _CHANGES.format(kind=kind, item=item, aspects=aspects, old=files[0], new=files[1])


def counted(changes: list[Change]) -> dict[tuple[str, str], int]:
    """(kind, change) -> how many."""
    counts: dict[tuple[str, str], int] = {}
    for change in changes:
        counts[change.kind, change.change] = counts.get((change.kind, change.change), 0) + 1
    return counts


def referenced(lake: Lake) -> dict[str, str]:
    """The versions that something needs, and what: the current one, and those that a run was trained on."""
    with connect_metrics(lake) as connection:
        rows = connection.execute("SELECT dataset_version, count(*) FROM runs GROUP BY ALL").fetchall()
    needed = {version: f"{count} training runs" for version, count in rows}
    current = datasets.current(lake)
    return needed | ({current: "it is the current version"} if current else {})


def delete(lake: Lake, version: str) -> None:
    """Delete a version that nothing refers to; raises `InputError` when something does.

    The manifest goes first: what is half deleted is no version.
    """
    datasets.read_manifest(lake, version)
    needed = referenced(lake)
    if version in needed:
        raise InputError(f"{version} stays, because something needs it: {needed[version]}")
    with datasets.being_written(lake, version):
        lake.remove(datasets.FOLDER, version, datasets.MANIFEST)
        lake.remove(datasets.FOLDER, version)
