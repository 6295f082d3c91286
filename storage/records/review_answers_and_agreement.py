"""Reviews: people's answers whether recordings belong to their films, which every later run and version respects.

An answer is given in one of three ways: about one pair of film and recording (`reviews`, the last word), about all
recordings of an album (`album_reviews`), or by raters of a sample (`ratings`, one row per rater). `read_reviews`
reduces them to one answer per pair:

1. The answer of `needledrop review --yes` or `--no`.
2. Without one, the raters': a "no" of any rater counts, so pairs on which they disagree are left out until somebody
   answers as in 1. "unsure" counts for nothing.
3. Without either, the album's, by the same rules. A "yes" applies to what is taken or left for review; what the rule
   rejects for a reason of its own stays rejected.

The views over the answers say how precise the collection is and how far raters agree.

Precision is the share of a sample's pairs that are right, each weighted by how many pairs of the lake it represents, so
that it holds for all that was taken and not for the sample's mix of scores. Pairs that are unrated or unsure are
replaced by the others of their stratum (band of the score and kind of source), whose weights are raised.

Intervals are Wilson's (E. B. Wilson, JASA 22, 1927) at 95 %, for the effective number of pairs (sum w)² / sum w²
(L. Kish, Survey Sampling, 1965, §11.7): with equal weights that is their number. Agreement is Cohen's kappa (J. Cohen,
Educ. Psychol. Meas. 20, 1960) of two raters over the pairs to which both said yes or no; it is null where chance alone
would agree always, as when both only said yes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from storage.lake.lake import Lake
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import ALBUM_REVIEWS, FILMS, RATINGS, REVIEW_SAMPLES, REVIEWS, TRACKS, Table

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

Z = 1.959964
"""The 97.5 % quantile of the normal distribution: intervals of 95 %."""
_PRECISION = f"""
WITH answered AS (
    SELECT film_id, track_id, is_match, raters_differ AND NOT is_final AS is_disputed
    FROM review_answers WHERE raters > 0
), sampled AS (
    SELECT review_samples.*, is_match, is_disputed, answered.film_id IS NOT NULL AS is_rated,
        sum(weight) OVER stratum / nullif(count(is_match) OVER stratum, 0) AS raised_weight
    FROM review_samples LEFT JOIN answered USING (film_id, track_id)
    WINDOW stratum AS (PARTITION BY sample, band, kind)
), sliced AS (
    SELECT *, unnest([
        {{'slice_by': 'all', 'slice': 'all'}}, {{'slice_by': 'band', 'slice': band}},
        {{'slice_by': 'kind', 'slice': kind}}, {{'slice_by': 'decade', 'slice': decade}},
        {{'slice_by': 'language', 'slice': language}}], recursive := true)
    FROM sampled
), counted AS (
    SELECT sample, decision, slice_by, slice, round(sum(weight))::BIGINT AS pairs, count(*) AS sampled,
        count(*) FILTER (is_rated) AS rated, count(*) FILTER (is_match) AS matches,
        count(*) FILTER (NOT is_match) AS wrong, count(*) FILTER (is_rated AND is_match IS NULL) AS unsure,
        count(*) FILTER (is_disputed) AS disputed,
        sum(raised_weight) FILTER (is_match) AS weight_right,
        sum(raised_weight) FILTER (is_match IS NOT NULL) AS weight_decided,
        sum(raised_weight ** 2) FILTER (is_match IS NOT NULL) AS squares,
        max(recorded_at) AS drawn_at
    FROM sliced GROUP BY sample, decision, slice_by, slice
), estimated AS (
    SELECT * EXCLUDE (weight_right, weight_decided, squares),
        coalesce(weight_right, 0) / weight_decided AS precision, weight_decided ** 2 / squares AS n
    FROM counted
)
SELECT sample, decision, slice_by, slice, pairs, sampled, rated, matches, wrong, unsure, disputed,
    round(precision, 9) AS precision,
    round((precision + {Z**2 / 2} / n - {Z} * sqrt(precision * (1 - precision) / n + {Z**2 / 4} / n ** 2))
        / (1 + {Z**2} / n), 9) AS low,
    round((precision + {Z**2 / 2} / n + {Z} * sqrt(precision * (1 - precision) / n + {Z**2 / 4} / n ** 2))
        / (1 + {Z**2} / n), 9) AS high,
    round(n, 3) AS effective_pairs, drawn_at
FROM estimated
ORDER BY drawn_at DESC, sample, list_position(['all', 'band', 'kind', 'decade', 'language'], slice_by), slice
"""

_AGREEMENT = """
WITH both_rated AS (
    SELECT one.rater AS rater, other.rater AS other_rater, one.answer AS answer, other.answer AS other_answer
    FROM ratings AS one JOIN ratings AS other USING (film_id, track_id) WHERE one.rater < other.rater
), counted AS (
    SELECT rater, other_rater, count(*) AS pairs,
        count(*) FILTER (answer = 'yes' AND other_answer = 'yes') AS both_yes,
        count(*) FILTER (answer = 'no' AND other_answer = 'no') AS both_no,
        count(*) FILTER (answer = 'yes' AND other_answer = 'no') AS yes_and_no,
        count(*) FILTER (answer = 'no' AND other_answer = 'yes') AS no_and_yes,
        count(*) FILTER ('unsure' IN (answer, other_answer)) AS unsure
    FROM both_rated GROUP BY rater, other_rater
), shares AS (
    SELECT *, (both_yes + both_no) / nullif(pairs - unsure, 0) AS agreement,
        ((both_yes + yes_and_no) * (both_yes + no_and_yes) + (both_no + no_and_yes) * (both_no + yes_and_no))
            / nullif((pairs - unsure) ** 2, 0) AS by_chance
    FROM counted
)
SELECT rater, other_rater, pairs, both_yes, both_no, yes_and_no, no_and_yes, unsure, round(agreement, 9) AS agreement,
    round((agreement - by_chance) / nullif(1 - by_chance, 0), 9) AS kappa
FROM shares ORDER BY rater, other_rater
"""

_DISAGREEMENTS = """
SELECT film_id || '/' || track_id AS pair, films.title AS film, films.year, tracks.title AS track, tracks.album,
    tracks.url, answers, notes
FROM (FROM review_answers WHERE raters_differ AND NOT is_final)
JOIN (
    SELECT film_id, track_id, string_agg(rater || ': ' || answer, ', ' ORDER BY rater) AS answers,
        string_agg(nullif(note, ''), '; ' ORDER BY rater) AS notes
    FROM ratings GROUP BY film_id, track_id
) USING (film_id, track_id)
LEFT JOIN films USING (film_id) LEFT JOIN tracks USING (film_id, track_id)
ORDER BY film, track, pair
"""

_ANSWERS = ANSWERS_SQL.format(reviews="reviews", ratings="ratings")
REVIEW_VIEWS: dict[str, str] = {
    "review_answers": _ANSWERS,
    "review_precision": _PRECISION,
    "review_agreement": _AGREEMENT,
    "review_disagreements": _DISAGREEMENTS,
}
"""View -> SELECT over the lake's tables, ordered so that the views it selects from come first."""


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


_LISTED = """
FROM tracks JOIN films USING (film_id) ANTI JOIN answered USING (film_id, track_id)
WHERE tracks.decision = {decision} AND (tracks.decision = 'review' OR tracks.segments > 0)
"""


def matches_without_answer(
    lake: Lake, count: int, seed: int | None, *, is_taken: bool
) -> tuple[int, list[tuple[Any, ...]]]:
    """Return how many doubtful or collected matches have no answer, and some as text: the best first, or at random."""
    source = _LISTED.format(decision="'taken'" if is_taken else "'review'")
    order = "tracks.score DESC, 1" if seed is None else f"md5('{seed}/' || film_id || '/' || track_id)"
    with duckdb_connection.connect(lake) as connection:
        for table in (TRACKS, FILMS):
            connection.execute(f"CREATE TEMP VIEW {table.name} AS FROM {tables.latest_sql(lake, table)}")
        connection.register("answered", answered_pairs(lake))
        total = connection.execute(f"SELECT count(*) {source}").fetchall()[0][0]
        rows = connection.execute(
            "SELECT film_id || '/' || track_id, concat_ws('  ', format('{:.2f}', tracks.score), "
            "replace(tracks.reason, '_', ' ')), films.title || coalesce(' (' || films.year || ')', ''), "
            "concat_ws(' · ', tracks.title, coalesce(tracks.artist, tracks.uploader)), "
            f"concat_ws('  ', tracks.album, '[' || tracks.album_id || ']'), tracks.url {source} "
            f"ORDER BY {order} LIMIT {count}"
        ).fetchall()
    return total, rows


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


def read_precision(lake: Lake) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of `review_precision` for the newest rated sample of what was taken, and of `review_agreement`.

    Both lists are empty while nobody has rated any.
    """
    with duckdb_connection.connect(lake, duckdb_connection.SMALL_MEMORY_LIMIT) as connection:
        for table in (REVIEWS, RATINGS, REVIEW_SAMPLES):
            connection.execute(f"CREATE TEMP VIEW {table.name} AS FROM {tables.latest_sql(lake, table)}")
        connection.execute(f"CREATE TEMP VIEW review_answers AS {_ANSWERS}")
        precision = duckdb_connection.fetch_rows(connection, f"{NEWEST_RATED.format(precision=f'({_PRECISION})')}")
        agreement = duckdb_connection.fetch_rows(connection, _AGREEMENT)
    return {"precision": precision, "agreement": agreement if precision else []}


NEWEST_RATED = """
WITH newest AS (
    SELECT sample FROM {precision} WHERE slice_by = 'all' AND decision = 'taken' AND rated > 0
    ORDER BY drawn_at DESC, sample LIMIT 1
)
SELECT * EXCLUDE (drawn_at) FROM {precision} SEMI JOIN newest USING (sample)
ORDER BY list_position(['all', 'band', 'kind', 'decade', 'language'], slice_by), slice
"""
"""SQL: the rows of the newest sample of what was taken that somebody rated; `precision` names the view."""
