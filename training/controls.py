"""Controls: rows of the leaderboard that show what a number is worth without any understanding of music.

random           every order equally likely; what chance looks like with its own spread over films
mean query       one query for all films, the mean of a run's queries: how far popularity among films carries
language oracle  knows the language tag of each track's film, and nothing else: a model that stays below it has
                 shown no skill within a language. Not a competitor: the tags of the answer are not given to one

Each is ranked like a system, on the very films and tracks that the trained runs were measured on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from storage.lake import Lake
from storage.metrics import Run, connect_metrics, record_ranks, record_run, refresh_views
from training.embeddings import (
    FILMS_FILE,
    PARITY_POLICY,
    PARITY_TRACKS_FILE,
    TRACKS_FILE,
    Embeddings,
    load_embeddings,
)
from training.ranking import Floats, Ranks, rank_tracks

SEEDS = range(10)
"""Random orders vary: the mean of ten lies within a third of one order's spread of what chance gives."""
PRESET = "control"
MEAN_QUERY_OF = "All"
_DIMENSIONS = 32
"""Random directions in 32 dimensions; any number from 3 on gives every order of a query's candidates."""
_WITHIN_LANGUAGE = 0.1
"""Weight of the random part: its cosine moves a score by 0.01, one language or another by 1."""


@dataclass(frozen=True)
class HeldOut:
    """Who owns what among the test films of a version, and the language tag of each film."""

    version: str
    policy: str
    owners: tuple[tuple[str, str], ...]
    """(track, film)."""
    language: dict[str, str]
    done: frozenset[tuple[str, str, int]]
    """The controls that stand already: system, preset, seed."""

    @property
    def films(self) -> tuple[str, ...]:
        """The films, in order of their ids."""
        return tuple(sorted({film for _, film in self.owners}))

    @property
    def tracks(self) -> tuple[str, ...]:
        """The tracks, in order of their ids."""
        return tuple(sorted({track for track, _ in self.owners}))


def record_controls(lake: Lake, dataset_version: str) -> None:
    """Record the controls of a version beside its trained runs; those that stand already are left as they are."""
    refresh_views(lake)
    for held_out in _held_out(lake, dataset_version):
        for seed in SEEDS:
            for system, order in (("random", random_order), ("language oracle", language_oracle)):
                if (system, PRESET, seed) not in held_out.done:
                    _record(lake, held_out, (system, PRESET, seed), order(held_out, seed))
        for run_id, preset, seed in _runs(lake, held_out):
            parity = held_out.policy == PARITY_POLICY and lake.exists("models", run_id, PARITY_TRACKS_FILE)
            files = (FILMS_FILE, PARITY_TRACKS_FILE if parity else TRACKS_FILE)
            if all(lake.exists("models", run_id, file) for file in files):
                films, tracks = (load_embeddings(lake, "models", run_id, file) for file in files)
                _record(lake, held_out, ("mean query", preset, seed), mean_query(films, tracks, held_out))


def random_order(held_out: HeldOut, seed: int) -> Ranks:
    """Every order of the candidates equally likely, another for each film."""
    random = np.random.default_rng(seed)
    return _ranked(held_out, _noise(random, len(held_out.films)), _noise(random, len(held_out.tracks)))


def language_oracle(held_out: HeldOut, seed: int) -> Ranks:
    """First the tracks of films in the query's own language, in random order, then the others, likewise."""
    random = np.random.default_rng(seed)
    column = {language: index for index, language in enumerate(sorted(set(held_out.language.values())))}
    one_hot = np.eye(len(column))
    owner = dict(held_out.owners)
    of_films = one_hot[[column[held_out.language[film]] for film in held_out.films]]
    of_tracks = one_hot[[column[held_out.language[owner[track]]] for track in held_out.tracks]]
    return _ranked(
        held_out,
        np.hstack([of_films, _WITHIN_LANGUAGE * _noise(random, len(of_films))]),
        np.hstack([of_tracks, _WITHIN_LANGUAGE * _noise(random, len(of_tracks))]),
    )


def mean_query(films: Embeddings, tracks: Embeddings, held_out: HeldOut) -> Ranks:
    """The same order for every film: by closeness to the mean of all queries of a run."""
    unit = films.vectors / np.maximum(np.linalg.norm(films.vectors, axis=1, keepdims=True), 1e-12)
    same = np.broadcast_to(unit.mean(axis=0), films.vectors.shape)
    return rank_tracks(Embeddings(films.ids, same), tracks, held_out.owners)


def _noise(random: np.random.Generator, count: int) -> Floats:
    """Unit vectors in random directions, [count, dimensions]."""
    drawn: Floats = random.normal(size=(count, _DIMENSIONS))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return drawn


def _ranked(held_out: HeldOut, films: Floats, tracks: Floats) -> Ranks:
    queries, candidates = films.astype(np.float32), tracks.astype(np.float32)
    return rank_tracks(Embeddings(held_out.films, queries), Embeddings(held_out.tracks, candidates), held_out.owners)


def _held_out(lake: Lake, dataset_version: str) -> list[HeldOut]:
    """One a policy under which trained runs of the version were ranked."""
    with connect_metrics(lake) as connection:
        language = dict(
            connection.execute(
                "SELECT film_id, language FROM film_slices WHERE dataset_version = ?", [dataset_version]
            ).fetchall()
        )
        rows = connection.execute(
            "SELECT policy, list(DISTINCT (track_id, film_id)) FILTER (source = 'trained') AS owners, "
            "list(DISTINCT (system, preset, seed)) FILTER (source = 'control') "
            "FROM ranks JOIN runs USING (run_id) WHERE dataset_version = ? "
            "GROUP BY policy HAVING owners IS NOT NULL ORDER BY policy",
            [dataset_version],
        ).fetchall()
    found = []
    for policy, owners, done in rows:
        tags = {film: language.get(film, "unknown") for _, film in owners}
        found.append(HeldOut(dataset_version, policy, tuple(sorted(owners)), tags, frozenset(done or ())))
    return found


def _runs(lake: Lake, held_out: HeldOut) -> Sequence[tuple[str, str, int]]:
    with connect_metrics(lake) as connection:
        return connection.execute(
            "SELECT run_id, preset, seed FROM latest_metrics WHERE dataset_version = ? AND policy = ? AND system = ? "
            "AND source = 'trained' ORDER BY run_id",
            [held_out.version, held_out.policy, MEAN_QUERY_OF],
        ).fetchall()


def _record(lake: Lake, held_out: HeldOut, control: tuple[str, str, int], ranks: Ranks) -> None:
    system, preset, seed = control
    name = f"{held_out.version}-{system.replace(' ', '-')}-{preset}-s{seed}"
    run = Run(name, system, preset, seed, held_out.version, source="control")
    record_ranks(lake, run.run_id, ranks.to_arrow(held_out.policy))
    record_run(lake, replace(run, state="completed", finished_at=datetime.now(UTC)))
