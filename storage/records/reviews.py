"""Reviews: people's answers whether recordings belong to their films, which every later run and version respects.

An answer is given in one of three ways: about one pair of film and recording (`reviews`, the last word), about all
recordings of an album (`album_reviews`), or by raters of a sample (`ratings`, one row per rater). `read_reviews`
reduces them to one answer per pair:

1. The answer of `needledrop review --yes` or `--no`.
2. Without one, the raters': a "no" of any rater counts, so pairs on which they disagree are left out until somebody
   answers as in 1. "unsure" counts for nothing.
3. Without either, the album's, by the same rules. A "yes" applies to what is taken or left for review; what the rule
   rejects for a reason of its own stays rejected.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from storage.lake.lake import Lake
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import ALBUM_REVIEWS, RATINGS, REVIEW_SAMPLES, REVIEWS, TRACKS, Table

YES, NO, UNSURE = "yes", "no", "unsure"

ANSWERS_SQL = """
WITH rated AS (
    SELECT film_id, track_id, count(*) AS raters,
        bool_and(answer = 'yes') FILTER (answer <> 'unsure') AS is_match,
        count(DISTINCT answer) FILTER (answer <> 'unsure') > 1 AS differ
    FROM {ratings} GROUP BY film_id, track_id
)
SELECT film_id, track_id, coalesce(answered.is_match, rated.is_match) AS is_match, coalesce(raters, 0) AS raters,
    answered.is_match IS NOT NULL AS is_final, coalesce(differ, false) AS raters_differ
FROM (SELECT film_id, track_id, is_match FROM {reviews}) AS answered
FULL JOIN rated USING (film_id, track_id)
"""
"""SQL: one row per pair with an answer: whether it is a match (null: all raters are unsure), and who says so."""

_ALBUM_ANSWERS_SQL = """
SELECT film_id, album, any_value(album_title) AS album_title,
    coalesce(bool_and(is_match) FILTER (rater = ''), bool_and(is_match)) AS is_match
FROM {albums} GROUP BY film_id, album
"""


def record_review(lake: Lake, film_id: str, track_id: str, *, is_match: bool, note: str, run_id: str) -> None:
    """Record the user's answer; a later answer for the same pair replaces it."""
    tables.append(
        lake, REVIEWS, [{"film_id": film_id, "track_id": track_id, "is_match": is_match, "note": note}], run_id
    )


def record_new_rows(lake: Lake, table: Table, rows: Sequence[Mapping[str, Any]], run_id: str) -> int:
    """Append the rows that say something else than the newest row of their key; return how many."""
    columns = [name for name in table.schema.names if name not in ("run_id", "recorded_at")]
    stored = {
        tuple(row[name] for name in table.key): row
        for row in _rows_of_films(lake, table, columns, (row["film_id"] for row in rows))
    }
    new = [row for row in rows if _differs(row, stored.get(tuple(row[name] for name in table.key)))]
    tables.append(lake, table, new, run_id)
    return len(new)


def _differs(row: Mapping[str, Any], stored: Mapping[str, Any] | None) -> bool:
    return stored is None or any(stored[name] != value for name, value in row.items())


def album_of_track(lake: Lake, film_id: str, track_id: str) -> dict[str, str] | None:
    """Return `album` and `album_title` of a recording's album, as `album_reviews` names it, or None if it has none."""
    rows = _rows_of_films(lake, TRACKS, ["track_id", "album_id", "album"], [film_id])
    row = next((row for row in rows if row["track_id"] == track_id), None)
    if row is None or not (row["album_id"] or row["album"]):
        return None
    return {"album": row["album_id"] or f"name:{_plain(row['album'])}", "album_title": row["album"] or ""}


def find_album(lake: Lake, film_id: str, album: str) -> dict[str, str] | None:
    """Return `album` and `album_title` of a film's album, given by its id or, where only one has it, by its name.

    Returns None if no recording of the film has such an album, or several albums have this name.
    """
    rows = _rows_of_films(lake, TRACKS, ["album_id", "album"], [film_id])
    found = {
        row["album_id"] or f"name:{_plain(row['album'])}": row["album"] or ""
        for row in rows
        if (row["album_id"] and row["album_id"] == album) or (row["album"] and _plain(row["album"]) == _plain(album))
    }
    if len(found) > 1:
        found = {key: title for key, title in found.items() if not key.startswith("name:")}
    return {"album": next(iter(found)), "album_title": found.popitem()[1]} if len(found) == 1 else None


def read_reviews(lake: Lake) -> dict[tuple[str, str], bool]:
    """Read the answers: (film_id, track_id) -> whether the recording belongs to the film.

    Albums' answers are there for each of their known recordings, and under `album_keys` for those found later.
    """
    with duckdb_connection.connect(lake, duckdb_connection.SMALL_MEMORY_LIMIT) as connection:
        latest = {table.name: tables.latest_sql(lake, table) for table in (REVIEWS, RATINGS, ALBUM_REVIEWS)}
        pairs = connection.execute(ANSWERS_SQL.format(reviews=latest["reviews"], ratings=latest["ratings"])).fetchall()
        albums = connection.execute(_ALBUM_ANSWERS_SQL.format(albums=latest["album_reviews"])).fetchall()
    answers: dict[tuple[str, str], bool] = {}
    for film_id, album, title, is_match in albums:
        answers |= dict.fromkeys(((film_id, key) for key in _keys_of_answer(album, title)), is_match)
    columns = ["film_id", "track_id", "album_id", "album", "decision"]
    for row in _rows_of_films(lake, TRACKS, columns, {film_id for film_id, *_ in albums}):
        is_match = album_answer(answers, row["film_id"], row["album_id"], row["album"])
        if is_match is False or (is_match and row["decision"] != "rejected"):
            answers[row["film_id"], row["track_id"]] = is_match
    return answers | {
        (film_id, track_id): is_match for film_id, track_id, is_match, *_ in pairs if is_match is not None
    }


def album_answer(
    reviews: Mapping[tuple[str, str], bool], film_id: str, album_id: str | None, album: str | None
) -> bool | None:
    """Return the answer about a recording's album, or None. An answer about its id counts before one about its name."""
    keys = ((film_id, key) for key in album_keys(album_id, album))
    return next((reviews[key] for key in keys if key in reviews), None)


def album_keys(album_id: str | None, album: str | None) -> list[str]:
    """Return under which keys the answers may have one for an album: its id as a source lists it, then its name.

    An answer about an id also counts for recordings of that name whose rows have no id, as older versions wrote them.
    """
    names = [f"name:{_plain(album)}"] if album else []
    return [f"youtube:{album_id}", *names] if album_id else [*names, *(f"without-id:{name}" for name in names)]


def _keys_of_answer(album: str, title: str | None) -> list[str]:
    if album.startswith("name:"):
        return [album]
    return [f"youtube:{album}", *([f"without-id:name:{_plain(title)}"] if title else [])]


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())


def answered_pairs(lake: Lake) -> pa.Table:
    """Return the pairs with an answer, also through their album, as a table (film_id, track_id)."""
    answers = read_reviews(lake)
    return pa.table({name: pa.array([pair[n] for pair in answers], pa.string()) for n, name in enumerate(REVIEWS.key)})


def refused_pairs(lake: Lake) -> frozenset[str]:
    """Return the pairs that are no match, as FILM_ID/TRACK_ID: no later version has them."""
    return frozenset(
        f"{film_id}/{track_id}" for (film_id, track_id), is_match in read_reviews(lake).items() if not is_match
    )


def sampled_pairs(lake: Lake) -> dict[str, dict[str, Any]]:
    """Return the pairs of all samples, as FILM_ID/TRACK_ID -> the titles that the sheet shows."""
    rows = tables.latest(lake, REVIEW_SAMPLES, ["film_id", "track_id", "film", "track"]).to_pylist()
    return {f"{row['film_id']}/{row['track_id']}": row for row in rows}


def _rows_of_films(lake: Lake, table: Table, columns: Sequence[str], films: Iterable[str]) -> list[dict[str, Any]]:
    """Return columns of the newest rows of these films, in the order of the key."""
    wanted = pa.table({"film_id": pa.array(sorted(set(films)), pa.string())})
    if not wanted.num_rows:
        return []
    with duckdb_connection.connect(lake) as connection:
        connection.register("wanted", wanted)
        newest = tables.latest_sql(lake, table, "film_id IN (FROM wanted)")
        result = connection.sql(f"SELECT {', '.join(columns)} FROM {newest} ORDER BY {', '.join(table.key)}")
        rows: list[dict[str, Any]] = result.to_arrow_table().to_pylist()
    return rows
