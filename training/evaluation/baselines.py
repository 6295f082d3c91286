"""Baselines without a trained model: rows of the leaderboard that show what a metric is worth.

random           every order equally likely: chance with its spread over films
mean query       one query for all films, the mean of a run's queries: what popularity among films achieves
language oracle  tracks of films in the query's language first, in random order: a system below it has shown no skill
                 within a language; not a competitor, as no system is given the language tag of a track's film
nearest tags     like the oracle, with the language of the training film whose tags are most similar to the query's
years dropped    a run's queries without the release years in their tags, where the run was trained with them
years kept       a run's queries with the years, where the run was trained without them and never saw such words

Two more for every audio encoder that has heard the test tracks are in `training.evaluation.encoder_baselines`.

Each is ranked like a system, over the films and tracks that the trained runs were ranked on. In the database their
source and preset are `control`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from storage.lake.lake import Lake
from storage.metrics import records as metrics
from storage.metrics.database import connect_metrics, refresh_views
from storage.metrics.records import Run
from training.data.text import tag_words
from training.evaluation.embedding_files import (
    BEST,
    PARAGRAPHS,
    PARITY_POLICY,
    PARITY_TRACKS_FILE,
    TRACKS_FILE,
    YEARS_FILE,
    Embeddings,
    films_file,
    load_embeddings,
)
from training.evaluation.exact_scores import Floats
from training.evaluation.ranking import Ranks, rank_tracks

SEEDS = range(10)
"""Random orders vary: the mean of ten is within a third of one order's spread of the expectation."""
SOURCE = PRESET = "control"
"""Stored values of the columns `source` and `preset`."""
OF_SYSTEM = "All"
"""The system whose queries are used for the baselines that need queries."""

_DIMENSIONS = 32
"""Random directions in 32 dimensions; any number from 3 on gives every order of a query's candidates."""
_WITHIN_LANGUAGE = 0.1
"""Weight of the random part: its cosine changes a score by 0.01, another language by 1."""
_NO_LANGUAGE = ""
"""Of a film that is similar to no training film."""

Key = tuple[str, str, int]
"""(system, preset, seed) of a baseline's run."""
OfSettings = tuple[str | None, str | None]
"""Label and digest of the settings of the run whose queries a baseline uses; none of a baseline without queries."""


@dataclass(frozen=True)
class HeldOut:
    """The test films of a version with their tracks, and the language tag of each film."""

    version: str
    policy: str
    owners: tuple[tuple[str, str], ...]
    """(track, film)."""
    language: dict[str, str]
    nearest_language: dict[str, str]
    """The language of the most similar training film, see `languages_of_nearest`."""
    recorded: frozenset[Key]
    """The baselines that are recorded already."""

    @property
    def films(self) -> tuple[str, ...]:
        """Return the films, in order of their ids."""
        return tuple(sorted({film for _, film in self.owners}))

    @property
    def tracks(self) -> tuple[str, ...]:
        """Return the tracks, in order of their ids."""
        return tuple(sorted({track for track, _ in self.owners}))


def record_baselines(lake: Lake, dataset_version: str) -> None:
    """Record the baselines of a version next to its trained runs; recorded ones without a model are not repeated."""
    from training.evaluation.encoder_baselines import digest_of, rank_by_encoders  # noqa: PLC0415  # the report needs no torch

    refresh_views(lake)
    for held_out in _held_out(lake, dataset_version):
        new = [
            ((system, PRESET, seed), (None, None), rank(held_out, seed))
            for seed in SEEDS
            for system, rank in WITHOUT_QUERIES.items()
            if (system, PRESET, seed) not in held_out.recorded
        ]
        by_encoders = (
            ((system, PRESET, 0), (card.folder, digest_of(card)), ranks)
            for system, card, ranks in rank_by_encoders(lake, dataset_version, held_out.policy, held_out.owners)
        )
        ranked = (*new, *_rank_with_queries(lake, held_out), *by_encoders)
        metrics.record_baselines(lake, dataset_version, [_run_and_ranks(held_out, *each) for each in ranked])


def random_order(held_out: HeldOut, seed: int) -> Ranks:
    """Rank the candidates of each film in a random order."""
    rng = np.random.default_rng(seed)
    return _ranked(held_out, _noise(rng, len(held_out.films)), _noise(rng, len(held_out.tracks)))


def language_oracle(held_out: HeldOut, seed: int) -> Ranks:
    """Rank the tracks of films in the query's own language first; randomly within both groups."""
    return _by_language(held_out, held_out.language, seed)


def nearest_tags(held_out: HeldOut, seed: int) -> Ranks:
    """Rank like the oracle, with the language of the training film whose tags are most similar to the query's."""
    return _by_language(held_out, held_out.nearest_language, seed)


def mean_query(films: Embeddings, tracks: Embeddings, held_out: HeldOut) -> Ranks:
    """Rank by the cosine to the mean of all queries of a run: the same order for every film."""
    unit = films.vectors / np.maximum(np.linalg.norm(films.vectors, axis=1, keepdims=True), 1e-12)
    mean = np.broadcast_to(unit.mean(axis=0), films.vectors.shape)
    return rank_tracks(Embeddings(films.ids, mean), tracks, held_out.owners)


def languages_of_nearest(
    tags: Mapping[str, Sequence[str]], known: Mapping[str, Sequence[str]], language: Mapping[str, str]
) -> dict[str, str]:
    """Return for each film of `tags` the language of the most similar film of `known`, or "" where none is similar.

    Similarity is the cosine of the two bags of tag words without years, weighted by inverse document frequency in
    `known`. Ties go to the first id.
    """
    ids = sorted(known)
    bags = [set(tag_words(known[film], keep_years=False).split()) for film in ids]
    column = {word: index for index, word in enumerate(sorted(set().union(*bags)))}
    weight = np.log((1 + len(ids)) / (1 + np.array([sum(word in bag for bag in bags) for word in column])))
    matrix = _weighted(bags, column, weight)
    films = list(tags)
    queries = _weighted([set(tag_words(tags[film], keep_years=False).split()) for film in films], column, weight)
    nearest = {}
    for film, query in zip(films, queries, strict=True):
        similarity = matrix @ query
        best = int(similarity.argmax()) if len(similarity) else -1
        nearest[film] = language[ids[best]] if best >= 0 and similarity[best] > 0 else _NO_LANGUAGE
    return nearest


WITHOUT_QUERIES = {"random": random_order, "language oracle": language_oracle, "nearest tags": nearest_tags}
"""Baselines that need no queries of a run, by name."""


def _rank_with_queries(lake: Lake, held_out: HeldOut) -> Iterator[tuple[Key, OfSettings, Ranks]]:
    """Yield the baselines made from the queries of trained runs, where their embeddings are in the lake."""
    with connect_metrics(lake) as connection:
        runs = connection.execute(
            "SELECT run_id, preset, seed, settings, settings_digest, "
            "coalesce(CAST(config_json ->> '$.keep_years' AS BOOLEAN), false) FROM latest_metrics "
            "JOIN runs USING (run_id, preset, settings, settings_digest, seed, dataset_version, system, source) "
            "WHERE dataset_version = ? AND policy = ? AND system = ? AND source = 'trained' ORDER BY run_id",
            [held_out.version, held_out.policy, OF_SYSTEM],
        ).fetchall()
    for run_id, preset, seed, label, digest, keeps_years in runs:
        parity = held_out.policy == PARITY_POLICY and lake.exists("models", run_id, PARITY_TRACKS_FILE)
        tracks_file = PARITY_TRACKS_FILE if parity else TRACKS_FILE
        if not lake.exists("models", run_id, tracks_file):
            continue
        tracks = load_embeddings(lake, "models", run_id, tracks_file)
        if lake.exists("models", run_id, films_file(held_out.policy)):
            films = load_embeddings(lake, "models", run_id, films_file(held_out.policy))
            yield ("mean query", preset, seed), (label, digest), mean_query(films, tracks, held_out)
        if held_out.policy.endswith(PARAGRAPHS):
            continue  # the file of the other queries has first paragraphs
        if lake.exists("models", run_id, YEARS_FILE):
            films = load_embeddings(lake, "models", run_id, YEARS_FILE)
            name = "years dropped" if keeps_years else "years kept"
            yield (name, preset, seed), (label, digest), rank_tracks(films, tracks, held_out.owners)


def _held_out(lake: Lake, dataset_version: str) -> list[HeldOut]:
    """Return one entry per policy under which trained runs of the version were ranked, by the mean over segments.

    A baseline has no best segment: what it reaches says the same next to rankings by the best one.
    """
    with connect_metrics(lake) as connection:
        films = connection.execute(
            "SELECT film_id, split, language, tags FROM film_languages WHERE dataset_version = ?", [dataset_version]
        ).fetchall()
        rows = connection.execute(
            "SELECT policy, list(DISTINCT (track_id, film_id)) FILTER (source = 'trained') AS owners, "
            f"list(DISTINCT (system, preset, seed)) FILTER (source = '{SOURCE}') "
            "FROM ranks JOIN runs USING (run_id) WHERE dataset_version = ? "
            "GROUP BY policy HAVING owners IS NOT NULL AND NOT ends_with(policy, ?) ORDER BY policy",
            [dataset_version, BEST],
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
            frozenset(recorded or ()),
        )
        for policy, owners, recorded in rows
    ]


def _run_and_ranks(held_out: HeldOut, key: Key, of_settings: OfSettings, ranks: Ranks) -> tuple[Run, pa.Table]:
    (system, preset, seed), (label, digest) = key, of_settings
    run_id = f"{held_out.version}-{system.replace(' ', '-')}-{preset}-s{seed}{f'-{digest}' if digest else ''}"
    run = Run(
        run_id, system, preset, seed, held_out.version, SOURCE, "completed", finished_at=datetime.now(UTC),
        settings=label, settings_digest=digest or "",
    )  # fmt: skip
    return run, ranks.to_arrow(held_out.policy)


def _by_language(held_out: HeldOut, guess: Mapping[str, str], seed: int) -> Ranks:
    """Rank the tracks of films in the language guessed for the query first."""
    rng = np.random.default_rng(seed)
    names = sorted({*held_out.language.values(), *guess.values()})
    one_hot = dict(zip(names, np.eye(len(names)), strict=True))
    owner = dict(held_out.owners)
    of_films = np.array([one_hot[guess[film]] for film in held_out.films])
    of_tracks = np.array([one_hot[held_out.language[owner[track]]] for track in held_out.tracks])
    return _ranked(
        held_out,
        np.hstack([of_films, _WITHIN_LANGUAGE * _noise(rng, len(of_films))]),
        np.hstack([of_tracks, _WITHIN_LANGUAGE * _noise(rng, len(of_tracks))]),
    )


def _noise(rng: np.random.Generator, count: int) -> Floats:
    """Return unit vectors in random directions, [count, dimensions]."""
    vectors: Floats = rng.normal(size=(count, _DIMENSIONS))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _ranked(held_out: HeldOut, films: Floats, tracks: Floats) -> Ranks:
    queries, candidates = films.astype(np.float32), tracks.astype(np.float32)
    return rank_tracks(Embeddings(held_out.films, queries), Embeddings(held_out.tracks, candidates), held_out.owners)


def _weighted(bags: Sequence[set[str]], column: Mapping[str, int], weight: Floats) -> Floats:
    """Return unit rows [bags, words]; a word outside `column` is ignored, a row without words stays zero."""
    rows: Floats = np.zeros((len(bags), len(column)))
    for row, bag in zip(rows, bags, strict=True):
        columns = [column[word] for word in bag if word in column]
        row[columns] = weight[columns]
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return rows
