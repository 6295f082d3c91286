"""Define the SQL views over people's answers: precision by stratum with intervals, agreement of raters, disagreements.

Precision is the share of a sample's pairs that are right, each weighted by how many pairs of the lake it represents, so
that it holds for all that was taken and not for the sample's mix of scores. Pairs that are unrated or unsure are
replaced by the others of their stratum (band of the score and kind of source), whose weights are raised.

Intervals are Wilson's (E. B. Wilson, JASA 22, 1927) at 95 %, for the effective number of pairs (sum w)² / sum w²
(L. Kish, Survey Sampling, 1965, §11.7): with equal weights that is their number. Agreement is Cohen's kappa (J. Cohen,
Educ. Psychol. Meas. 20, 1960) of two raters over the pairs to which both said yes or no; it is null where chance alone
would agree always, as when both only said yes.
"""

from __future__ import annotations

from typing import Any

from storage.lake.lake import Lake
from storage.records.reviews import ANSWERS_SQL
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import RATINGS, REVIEW_SAMPLES, REVIEWS

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
