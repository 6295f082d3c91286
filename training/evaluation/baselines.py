"""Controls: rows of the leaderboard that show what a number is worth without any understanding of music.

random           every order equally likely; what chance looks like with its own spread over films
mean query       one query for all films, the mean of a run's queries: how far popularity among films carries
language oracle  knows the language tag of each track's film, and nothing else: a model that stays below it has
                 shown no skill within a language. Not a competitor: the tags of the answer are not given to one
nearest tags     as the oracle, but the language it looks for is that of the training film with the likest tags
years dropped    a run's own queries without the years in their tags, which a run that was trained with them
years kept       meets as words it has never seen; and for a run trained without them, its queries with them

Each is ranked like a system, on the very films and tracks that the trained runs were measured on.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pyarrow as pa

from storage.lake.lake import Lake
from storage.metrics.records import Run, connect_metrics, record_measured, refresh_views
from training.evaluation.baseline_rankings import (
    HeldOut,
    language_oracle,
    languages_of_nearest,
    mean_query,
    nearest_tags,
    random_order,
)
from training.evaluation.embeddings import (
    FILMS_FILE,
    PARITY_POLICY,
    PARITY_TRACKS_FILE,
    TRACKS_FILE,
    YEARS_FILE,
    load_embeddings,
)
from training.evaluation.ranking import Ranks, rank_tracks

SEEDS = range(10)
"""Random orders vary: the mean of ten lies within a third of one order's spread of what chance gives."""
PRESET = "control"
OF_SYSTEM = "All"
"""The system whose runs lend their queries to the controls that need some."""
ORDERS = {"random": random_order, "language oracle": language_oracle, "nearest tags": nearest_tags}


def record_controls(lake: Lake, dataset_version: str) -> None:
    """Record the controls of a version beside its trained runs; those that stand already are left as they are."""
    refresh_views(lake)
    for held_out in _held_out(lake, dataset_version):
        found = [
            ((system, PRESET, seed), order(held_out, seed))
            for seed in SEEDS
            for system, order in ORDERS.items()
            if (system, PRESET, seed) not in held_out.done
        ]
        measured = [_measured(held_out, control, ranks) for control, ranks in (*found, *_of_runs(lake, held_out))]
        record_measured(lake, measured)


def _of_runs(lake: Lake, held_out: HeldOut) -> Iterator[tuple[tuple[str, str, int], Ranks]]:
    """The controls that are made from the embeddings of trained runs, where those are kept."""
    with connect_metrics(lake) as connection:
        runs = connection.execute(
            "SELECT run_id, preset, seed, coalesce(CAST(config_json ->> '$.keep_years' AS BOOLEAN), false) "
            "FROM latest_metrics JOIN runs USING (run_id, preset, seed, dataset_version, system, source) "
            "WHERE dataset_version = ? AND policy = ? AND system = ? AND source = 'trained' ORDER BY run_id",
            [held_out.version, held_out.policy, OF_SYSTEM],
        ).fetchall()
    for run_id, preset, seed, keeps_years in runs:
        parity = held_out.policy == PARITY_POLICY and lake.exists("models", run_id, PARITY_TRACKS_FILE)
        tracks_file = PARITY_TRACKS_FILE if parity else TRACKS_FILE
        if not lake.exists("models", run_id, tracks_file):
            continue
        tracks = load_embeddings(lake, "models", run_id, tracks_file)
        if lake.exists("models", run_id, FILMS_FILE):
            films = load_embeddings(lake, "models", run_id, FILMS_FILE)
            yield ("mean query", preset, seed), mean_query(films, tracks, held_out)
        if lake.exists("models", run_id, YEARS_FILE):
            films = load_embeddings(lake, "models", run_id, YEARS_FILE)
            name = "years dropped" if keeps_years else "years kept"
            yield (name, preset, seed), rank_tracks(films, tracks, held_out.owners)


def _held_out(lake: Lake, dataset_version: str) -> list[HeldOut]:
    """One a policy under which trained runs of the version were ranked."""
    with connect_metrics(lake) as connection:
        films = connection.execute(
            "SELECT film_id, split, language, tags FROM film_languages WHERE dataset_version = ?", [dataset_version]
        ).fetchall()
        rows = connection.execute(
            "SELECT policy, list(DISTINCT (track_id, film_id)) FILTER (source = 'trained') AS owners, "
            "list(DISTINCT (system, preset, seed)) FILTER (source = 'control') "
            "FROM ranks JOIN runs USING (run_id) WHERE dataset_version = ? "
            "GROUP BY policy HAVING owners IS NOT NULL ORDER BY policy",
            [dataset_version],
        ).fetchall()
    language = {film: name for film, _, name, _ in films}
    tags = {film: words or () for film, split, _, words in films if split == "test"}
    known = {film: words or () for film, split, _, words in films if split == "train"}
    nearest = languages_of_nearest(tags, known, language)
    return [
        HeldOut(
            dataset_version,
            policy,
            tuple(sorted(owners)),
            {film: language.get(film, "unknown") for _, film in owners},
            {film: nearest.get(film, "unknown") for _, film in owners},
            frozenset(done or ()),
        )
        for policy, owners, done in rows
    ]


def _measured(held_out: HeldOut, control: tuple[str, str, int], ranks: Ranks) -> tuple[Run, pa.Table]:
    system, preset, seed = control
    name = f"{held_out.version}-{system.replace(' ', '-')}-{preset}-s{seed}"
    run = Run(name, system, preset, seed, held_out.version, "control", "completed", finished_at=datetime.now(UTC))
    return run, ranks.to_arrow(held_out.policy)
