"""Baselines without a trained model: rows of the leaderboard that show what a metric is worth.

random           every order equally likely: chance with its spread over films
mean query       one query for all films, the mean of a run's queries: what popularity among films achieves
language oracle  tracks of films in the query's language first, in random order: a system below it has shown no skill
                 within a language; not a competitor, as no system is given the language tag of a track's film
nearest tags     like the oracle, with the language of the training film whose tags are most similar to the query's
years dropped    a run's queries without the release years in their tags, where the run was trained with them
years kept       a run's queries with the years, where the run was trained without them and never saw such words

Two more for every audio encoder that has heard the test tracks, by what its embeddings find without any training:

zero-shot text-to-music  the film's plot through the text side of a model that reads and hears into one space
sound of nearest films   the mean music of the training films whose plots and tags are nearest by their words

Each is ranked like a system, over the films and tracks that the trained runs were ranked on. The report imports this:
torch is loaded by what needs an encoder alone.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow.parquet as pq
import scipy.sparse
from numpy.typing import NDArray

from storage.audio_embeddings import EncoderCard, encoded_films, read_embeddings
from storage.datasets import versions as datasets
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics
from training.data.splits import even_numbers
from training.evaluation.embeddings import (
    PARAGRAPHS,
    PARITY_POLICY,
    PARITY_TRACKS_FILE,
    TRACKS_FILE,
    YEARS_FILE,
    Embeddings,
    films_file,
    load_embeddings,
)
from training.evaluation.ranking import Floats, Ranks, rank_tracks

if TYPE_CHECKING:
    from training.audio_encoders.embed_audio_and_text import Encoder

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
ZERO_SHOT, NEAREST = "zero-shot text-to-music", "sound of nearest films"
NEAREST_FILMS = 5
"""One film's music is a matter of chance; of many films' music the mean is everybody's."""
_SEGMENTS = re.compile(r"segments(\d+)")
Control = tuple[str, EncoderCard, Ranks]
"""The name of a baseline, its encoder, and its ranks."""


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
    from training.data.film_inputs import tag_words  # noqa: PLC0415 - it needs torch

    ids, films = sorted(known), list(tags)
    asked, bags = (
        [Counter(sorted(set(tag_words(of[film], keep_years=False).split()))) for film in names]
        for of, names in ((tags, films), (known, ids))
    )
    nearest = {}
    for film, row in zip(films, bag_similarity(asked, bags), strict=True):
        best = int(row.argmax()) if len(row) else -1
        nearest[film] = language[ids[best]] if best >= 0 and row[best] > 0 else _NO_LANGUAGE
    return nearest


WITHOUT_QUERIES = {"random": random_order, "language oracle": language_oracle, "nearest tags": nearest_tags}
"""Baselines that need no queries of a run, by name."""


def rank_with_queries(lake: Lake, held_out: HeldOut) -> Iterator[tuple[Key, OfSettings, Ranks]]:
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


@dataclass(frozen=True)
class Films:
    """The films of a version with their split, the paragraphs of their plots, and their tags."""

    split: Mapping[str, str]
    plots: Mapping[str, Sequence[str]]
    tags: Mapping[str, Sequence[str]]

    def text(self, film_id: str) -> str:
        """Return a film's tags and plot as one text."""
        return " ".join([*self.tags[film_id], *self.plots[film_id]])


def read_films(lake: Lake, version: str) -> Films:
    """Return the films of a version, without their images."""
    path = lake.local_path(datasets.FOLDER, version, datasets.FILMS_FILE.name)
    rows = pq.read_table(path, columns=["film_id", "split", "plot", "tags"]).to_pylist()
    return Films(
        {row["film_id"]: row["split"] for row in rows},
        {row["film_id"]: row["plot"] or () for row in rows},
        {row["film_id"]: row["tags"] or () for row in rows},
    )


def rank_by_encoder(
    lake: Lake,
    card: EncoderCard,
    wanted: set[str],
    films: Films,
    sounds: Mapping[tuple[str, str], Floats],
    owners: Sequence[tuple[str, str]],
) -> Iterator[Control]:
    """Yield those baselines of an encoder that are wanted; `sounds` are by (film, track), `owners` (track, film)."""
    queried, own = sorted({film for _track, film in owners}), {track for track, _film in owners}
    vectors = {track: vector for (_film, track), vector in sorted(sounds.items()) if track in own}
    candidates = Embeddings(tuple(vectors), np.stack(list(vectors.values())).astype(np.float32))
    if NEAREST in wanted:
        queries = _nearest_sounds(films, queried, sounds)
        if queries is not None:
            yield NEAREST, card, rank_tracks(Embeddings(tuple(queried), queries), candidates, owners)
    if ZERO_SHOT in wanted and (encoder := _load(lake, card)) is not None:
        texts = [" ".join(films.plots[film]) for film in queried]
        queries = encoder.embed_texts(texts)
        yield ZERO_SHOT, card, rank_tracks(Embeddings(tuple(queried), queries), candidates, owners)


def _load(lake: Lake, card: EncoderCard) -> Encoder | None:
    """Return the model of an encoder if it is on this machine with the weights of its embeddings; else warn."""
    import torch  # noqa: PLC0415 - the report needs none, and it takes seconds to load

    from training.audio_encoders.embed_audio_and_text import open_known_encoder  # noqa: PLC0415

    try:
        return open_known_encoder(lake, card, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    except InputError as error:
        logging.getLogger(__name__).warning("%s; the row %r is left out", error, ZERO_SHOT)
        return None


def _nearest_sounds(
    films: Films, queried: Sequence[str], sounds: Mapping[tuple[str, str], Floats]
) -> NDArray[np.float32] | None:
    """Return for each film the mean sound of the training films with the nearest text; None without any of these."""
    of_film: dict[str, list[Floats]] = {}
    for (film, _track), sound in sounds.items():
        if films.split[film] == "train":
            of_film.setdefault(film, []).append(sound)
    known = sorted(of_film)
    if not known:
        return None
    means = _unit(np.stack([np.mean(of_film[film], axis=0) for film in known]))
    similarity = text_similarity([films.text(film) for film in queried], [films.text(film) for film in known])
    nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :NEAREST_FILMS]
    result: NDArray[np.float32] = _unit(means[nearest].mean(axis=1)).astype(np.float32)
    return result


def sounds_of(lake: Lake, card: EncoderCard, films: Films, policy: str) -> dict[tuple[str, str], Floats]:
    """Return (film, track) -> the mean of the normalised segments that the policy takes, of length 1."""
    match = _SEGMENTS.match(policy)
    count = int(match[1]) if match else None
    sounds = {}
    for film_id, file in encoded_films(lake, card.folder).items():
        for track_id, vectors in read_embeddings(lake, file).items() if film_id in films.split else ():
            taken = vectors if count is None else vectors[even_numbers(len(vectors), count)]
            sounds[film_id, track_id] = _unit(_unit(taken.astype(np.float64)).mean(axis=0, keepdims=True))[0]
    return sounds


def _unit(vectors: Floats) -> Floats:
    result: Floats = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return result


def text_similarity(queries: Sequence[str], known: Sequence[str]) -> Floats:
    """Return the cosine of the texts' words, [queries, known], weighted by inverse document frequency in `known`."""
    asked, bags = ([Counter(re.findall(r"\w+", text.lower())) for text in texts] for texts in (queries, known))
    return bag_similarity(asked, bags)


def bag_similarity(asked: Sequence[Counter[str]], known: Sequence[Counter[str]]) -> Floats:
    """Return the cosine of bags of words, [asked, known], weighted by inverse document frequency in `known`."""
    frequency = Counter(word for bag in known for word in bag)
    column = {word: number for number, word in enumerate(frequency)}
    weight = {word: np.log((1 + len(known)) / (1 + count)) for word, count in frequency.items()}
    similarity = _weighted(asked, column, weight) @ _weighted(known, column, weight).T
    return np.asarray(similarity.todense(), np.float64)


def _weighted(
    bags: Sequence[Mapping[str, int]], column: Mapping[str, int], weight: Mapping[str, float]
) -> scipy.sparse.csr_matrix:
    """Return unit rows [bags, words] of log-damped counts; a word outside `column` is ignored."""
    rows, columns, values = [], [], []
    for row, bag in enumerate(bags):
        own = {word: weight[word] * (1 + np.log(count)) for word, count in bag.items() if word in column}
        length = float(np.sqrt(sum(value**2 for value in own.values()))) or 1.0
        for word, value in own.items():
            rows.append(row)
            columns.append(column[word])
            values.append(value / length)
    return scipy.sparse.csr_matrix((values, (rows, columns)), shape=(len(bags), len(column)))
