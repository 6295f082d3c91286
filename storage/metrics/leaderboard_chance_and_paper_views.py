"""The SQL views of `needledrop.duckdb`: ranks to metrics, the leaderboard, chance, ceiling, the paper's table, slices.

Every metric is a view over the ranks. Recalls and hit rates are in percent, as in the paper's Table 1; MRR, mAP and
nDCG are shares of 1.

Ties: a track that shares its score with others has the ranks `rank_lo` … `rank_hi`. Recall and the median
rank use the middle of the two, so a model that gives every track the same score is worth chance, not rank 1.
The metrics per film need one position per track: m tracks of a film that are tied over g ranks are
at `rank_lo - 1 + i (g + 1) / (m + 1)`, i = 1 … m, where shuffling the tie puts them on average.
"""

from __future__ import annotations

RECALL_AT = (1, 5, 10, 20, 50, 100)
"""The K of the paper's Table 1."""

# The policy that a run's settings ask for: whole plots only where the model was trained with them and reads plots.
_RUN_POLICIES = """
SELECT run_id, first_paragraphs || CASE WHEN config_json ->> '$."data.paragraphs"' = 'all' AND EXISTS (
    FROM ranks WHERE ranks.run_id = asked.run_id AND policy = first_paragraphs || '-paragraphs'
) THEN '-paragraphs' ELSE '' END AS policy
FROM (
    SELECT run_id, config_json, 'segments' || coalesce(config_json ->> '$.eval_segments', '8') AS first_paragraphs
    FROM runs WHERE source = 'trained'
) AS asked
"""

_RANKED = """
SELECT run_id, policy, film_id, track_id, rank_lo, rank_hi, (rank_lo + rank_hi) / 2 AS rank, score, candidates,
    rank_lo - 1 + row_number() OVER ordered_tie * (rank_hi - rank_lo + 2) / (count(*) OVER tie + 1) AS position
FROM ranks
WINDOW tie AS (PARTITION BY run_id, policy, film_id, rank_lo),
    ordered_tie AS (PARTITION BY run_id, policy, film_id, rank_lo ORDER BY track_id)
"""

_FILM_METRICS = f"""
WITH numbered AS (
    SELECT *, row_number() OVER (PARTITION BY run_id, policy, film_id ORDER BY position, track_id) AS nth_hit
    FROM ranked
)
SELECT run_id, policy, film_id, count(*) AS tracks, any_value(candidates) AS candidates,
    {", ".join(f"count(*) FILTER (rank <= {k}) AS tracks_at_{k}" for k in RECALL_AT)},
    100 * tracks_at_10 / tracks AS recall_at_10,
    min(position) AS best_rank, median(rank) AS medr,
    {", ".join(f"CASE WHEN min(position) <= {k} THEN 100.0 ELSE 0.0 END AS hit_at_{k}" for k in RECALL_AT)},
    1 / min(position) AS mrr,
    avg(nth_hit / position) AS map,
    sum(1 / log2(position + 1)) / sum(1 / log2(nth_hit + 1)) AS ndcg
FROM numbered GROUP BY run_id, policy, film_id
"""

_METRICS = f"""
WITH by_track AS (
    SELECT run_id, policy, count(*) AS tracks, any_value(candidates) AS candidates,
        {", ".join(f"100 * avg(CAST(rank <= {k} AS DOUBLE)) AS r_at_{k}" for k in RECALL_AT)},
        quantile_cont(rank, 0.5) AS medr
    FROM ranked GROUP BY run_id, policy
), by_film AS (
    SELECT run_id, policy, count(*) AS films, {", ".join(f"avg(hit_at_{k}) AS hit_at_{k}" for k in RECALL_AT)},
        avg(recall_at_10) AS recall_at_10, avg(mrr) AS mrr, avg(map) AS map, avg(ndcg) AS ndcg
    FROM film_metrics GROUP BY run_id, policy
)
SELECT run_id, system, preset, settings, settings_digest, seed, dataset_version, source, policy, films,
    by_track.* EXCLUDE (run_id, policy),
    by_film.* EXCLUDE (run_id, policy, films)
FROM by_track JOIN by_film USING (run_id, policy) JOIN runs USING (run_id)
"""

_TEST_FILMS = """
WITH one_run AS (
    SELECT DISTINCT ON (dataset_version) dataset_version, run_id, policy
    FROM (SELECT DISTINCT run_id, policy FROM ranks) JOIN runs USING (run_id)
    ORDER BY dataset_version, run_id, policy
)
SELECT dataset_version, film_id, count(*) AS tracks, any_value(candidates) AS candidates
FROM ranks JOIN one_run USING (run_id, policy) GROUP BY dataset_version, film_id
"""


def _hit_probability(k: int) -> str:
    """Return SQL for the chance that K of N candidates hold at least one of a film's n: 1 - C(N-n, K) / C(N, K)."""
    return (
        f"CASE WHEN {k} > candidates - tracks THEN 100 ELSE 100 * (1 - exp(lgamma(candidates - tracks + 1) "
        f"- lgamma(candidates - tracks - {k} + 1) - lgamma(candidates + 1) + lgamma(candidates - {k} + 1))) END"
    )


# Expectations over a random order of N candidates, n of which belong to the film. By linearity:
#   E[AP]   = (H_N + (n - 1) / (N - 1) (N - H_N)) / N,  H_N = 1 + 1/2 + … + 1/N
#   E[nDCG] = n/N sum_{r<=N} 1/log2(r+1)  /  sum_{r<=n} 1/log2(r+1)
#   E[1/best] = sum_r C(N-r, n-1) / C(N, n) / r
_CHANCE = f"""
WITH film_sizes AS (
    SELECT DISTINCT tracks, candidates FROM test_films
), expected AS (
    SELECT tracks, candidates,
        {", ".join(f"{_hit_probability(k)} AS hit_at_{k}" for k in RECALL_AT)},
        list_sum(list_transform(range(1, candidates - tracks + 2), lambda r: exp(lgamma(candidates - r + 1)
            - lgamma(tracks) - lgamma(candidates - r - tracks + 2) - lgamma(candidates + 1) + lgamma(tracks + 1)
            + lgamma(candidates - tracks + 1)) / r)) AS mrr,
        list_sum(list_transform(range(1, candidates + 1), lambda r: 1 / r)) AS harmonic,
        (harmonic + (tracks - 1) / greatest(candidates - 1, 1) * (candidates - harmonic)) / candidates AS map,
        tracks / candidates * list_sum(list_transform(range(1, candidates + 1), lambda r: 1 / log2(r + 1)))
            / list_sum(list_transform(range(1, tracks + 1), lambda r: 1 / log2(r + 1))) AS ndcg
    FROM film_sizes
)
SELECT dataset_version, count(*) AS films, sum(tracks) AS tracks, any_value(candidates) AS candidates,
    {", ".join(f"100 * least({k}, any_value(candidates)) / any_value(candidates) AS r_at_{k}" for k in RECALL_AT)},
    (any_value(candidates) + 1) / 2 AS medr,
    {", ".join(f"avg(hit_at_{k}) AS hit_at_{k}" for k in RECALL_AT)},
    100 * least(10, any_value(candidates)) / any_value(candidates) AS recall_at_10,
    avg(mrr) AS mrr, avg(map) AS map, avg(ndcg) AS ndcg
FROM test_films JOIN expected USING (tracks, candidates) GROUP BY dataset_version
"""

_CEILING = f"""
WITH best_ranks AS (
    SELECT dataset_version, unnest(range(1, tracks + 1)) AS rank FROM test_films
), medians AS (
    SELECT dataset_version, quantile_cont(rank, 0.5) AS medr FROM best_ranks GROUP BY dataset_version
)
SELECT dataset_version, count(*) AS films, sum(tracks) AS tracks, any_value(candidates) AS candidates,
    {", ".join(f"100 * sum(least(tracks, {k})) / sum(tracks) AS r_at_{k}" for k in RECALL_AT)},
    any_value(medr) AS medr, {", ".join(f"100.0 AS hit_at_{k}" for k in RECALL_AT)},
    100 * avg(least(tracks, 10) / tracks) AS recall_at_10, 1.0 AS mrr, 1.0 AS map, 1.0 AS ndcg
FROM test_films JOIN medians USING (dataset_version) GROUP BY dataset_version
"""

_PAPER = """
SELECT * FROM (VALUES
    ('All', 0.41, 1.58, 2.65, 5.55, 14.61, 26.17, 227.0),
    ('AVCA', 0.05, 0.41, 1.07, 2.19, 5.45, 9.88, 527.5),
    ('Im', 0.15, 0.51, 1.02, 1.83, 4.79, 10.74, 658.0),
    ('Plo', 0.25, 1.37, 2.19, 3.77, 8.50, 14.41, 405.0),
    ('Ta', 0.15, 0.41, 0.61, 1.22, 3.51, 7.54, 668.0),
    ('ImPlo', 0.15, 1.32, 2.75, 5.24, 13.29, 23.12, 272.5),
    ('ImTa', 0.15, 0.81, 1.37, 3.05, 7.33, 12.73, 461.5),
    ('TaPlo', 0.25, 1.32, 2.55, 5.14, 12.83, 26.73, 227.0)
) AS table_1(system, r_at_1, r_at_5, r_at_10, r_at_20, r_at_50, r_at_100, medr)
"""

_LATEST_RUNS = """
SELECT dataset_version, policy, preset, settings_digest, system, seed, run_id, ranks_digest
FROM (SELECT DISTINCT run_id, policy FROM ranks) JOIN runs USING (run_id)
QUALIFY row_number() OVER (
    PARTITION BY dataset_version, system, preset, settings_digest, seed, policy
    ORDER BY started_at DESC NULLS LAST, run_id DESC) = 1
"""

_LATEST_METRICS = "SELECT * FROM metrics SEMI JOIN latest_runs USING (run_id, policy)"

# What intervals and comparisons were computed from: a digest of the ranks of a system's seeds, and of all systems'.
_BASES = """
SELECT dataset_version, policy, preset, settings_digest, system,
    md5(string_agg(concat_ws(' ', run_id, ranks_digest), ',' ORDER BY run_id)) AS basis
FROM latest_runs GROUP BY dataset_version, policy, preset, settings_digest, system
"""

_VERSION_BASES = """
SELECT dataset_version, md5(string_agg(basis, ',' ORDER BY policy, preset, system, settings_digest)) AS basis
FROM bases GROUP BY dataset_version
"""

_TABLE_1 = [f"r_at_{k}" for k in RECALL_AT] + ["medr"]
_COLUMNS = _TABLE_1 + [f"hit_at_{k}" for k in RECALL_AT] + ["recall_at_10", "mrr", "map", "ndcg"]

_BOUNDS = ("low", "high")
_GROUP = "source, system, preset, settings_digest, dataset_version, policy"

# Rounded because sums in another order differ in the last bit: the same ranks give the same figures every time.
# The median rank is that of the ranks of all seeds together, as its interval is.
_LEADERBOARD = f"""
WITH measured AS (
    SELECT {_GROUP}, max(settings) AS settings, count(*) AS seeds, any_value(films) AS films,
        any_value(tracks) AS tracks, any_value(candidates) AS candidates,
        {", ".join(f"round(avg({column}), 9) AS {column}" for column in _COLUMNS if column != "medr")},
        round(stddev_samp(r_at_10), 9) AS r_at_10_sd, round(stddev_samp(medr), 9) AS medr_sd
    FROM latest_metrics GROUP BY {_GROUP}
), medians AS (
    SELECT {_GROUP}, quantile_cont(rank, 0.5) AS medr
    FROM latest_metrics JOIN ranked USING (run_id, policy) GROUP BY {_GROUP}
), bounds AS (
    SELECT dataset_version, policy, preset, settings_digest, system,
        {", ".join(f"any_value({b}) FILTER (metric = '{m}') AS {m}_{b}" for m in ("r_at_10", "medr") for b in _BOUNDS)}
    FROM intervals GROUP BY ALL
), all_systems AS (
    SELECT * FROM measured JOIN medians USING ({_GROUP})
        LEFT JOIN bounds USING (dataset_version, policy, preset, settings_digest, system)
    UNION ALL BY NAME SELECT 'chance' AS source, 'chance' AS system, * FROM chance
    UNION ALL BY NAME SELECT 'ceiling' AS source, 'ceiling' AS system, * FROM ceiling
    UNION ALL BY NAME SELECT 'paper' AS source, *, 'paper' AS dataset_version, 'segments1' AS policy,
        207 AS films, 1964 AS tracks, 1964 AS candidates FROM paper
)
SELECT system, preset, settings, source, policy, seeds, r_at_1, r_at_5, r_at_10, r_at_10_low, r_at_10_high,
    r_at_20, r_at_50, r_at_100, medr, medr_low, medr_high,
    {", ".join(c for c in _COLUMNS if c not in _TABLE_1)}, r_at_10_sd, medr_sd,
    dataset_version, all_systems.films, all_systems.tracks, candidates, recordings_joined, joined_in_test,
    nullif(settings_digest, '') AS settings_digest
FROM all_systems LEFT JOIN versions ON versions.version = dataset_version
ORDER BY dataset_version = 'paper', dataset_version,
    list_position(['ceiling', 'trained', 'control', 'chance', 'paper'], source), policy DESC, r_at_10 DESC, medr,
    system, preset, settings, settings_digest
"""

_FILM_LANGUAGES = """
SELECT dataset_version, film_id, split, year, tags,
    coalesce(list_filter(list_transform(tags, lambda tag: regexp_extract(tag, '(\\pL+)-language', 1)),
        lambda language: language <> '')[1], 'no language tag') AS language
FROM dataset_films
"""

_FILM_SLICES = """
SELECT dataset_version, film_id, CAST(year AS VARCHAR) AS year, language,
    CASE WHEN tracks <= 2 THEN '1 to 2' WHEN tracks <= 5 THEN '3 to 5' WHEN tracks <= 10 THEN '6 to 10'
        WHEN tracks <= 20 THEN '11 to 20' ELSE 'over 20' END AS number_of_tracks
FROM test_films JOIN film_languages USING (dataset_version, film_id)
"""

_SLICES = f"""
WITH sliced AS (
    UNPIVOT film_slices ON year, language, number_of_tracks INTO NAME slice_by VALUE slice
)
SELECT run_id, system, preset, settings, settings_digest, seed, runs.dataset_version, policy, slice_by, slice,
    count(DISTINCT ranked.film_id) AS films, count(*) AS tracks,
    {", ".join(f"100 * avg(CAST(rank <= {k} AS DOUBLE)) AS r_at_{k}" for k in RECALL_AT)},
    quantile_cont(rank, 0.5) AS medr
FROM ranked JOIN runs USING (run_id)
    JOIN sliced ON sliced.dataset_version = runs.dataset_version AND sliced.film_id = ranked.film_id
GROUP BY ALL
"""

VIEWS: dict[str, str] = {
    "run_policies": _RUN_POLICIES,
    "ranked": _RANKED,
    "film_metrics": _FILM_METRICS,
    "metrics": _METRICS,
    "latest_runs": _LATEST_RUNS,
    "bases": _BASES,
    "version_bases": _VERSION_BASES,
    "latest_metrics": _LATEST_METRICS,
    "test_films": _TEST_FILMS,
    "chance": _CHANCE,
    "ceiling": _CEILING,
    "paper": _PAPER,
    "leaderboard": _LEADERBOARD,
    "film_languages": _FILM_LANGUAGES,
    "film_slices": _FILM_SLICES,
    "slices": _SLICES,
}
"""View name -> SELECT, ordered so that the views it selects from come first."""
