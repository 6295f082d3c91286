"""The orders of the controls: how each ranks the test tracks for every film without having learned anything.

random           every order equally likely
language oracle  first the tracks of films in the query's own language, in random order
nearest tags     first the tracks of films in the language of the training film whose tags are most like the query's
mean query       one query for all films, the mean of a run's queries

Oracle and nearest tags are told the language tag of each track's film, which no system is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from training.data.text import tag_words
from training.evaluation.embeddings import Embeddings
from training.evaluation.ranking import Floats, Ranks, rank_tracks

_DIMENSIONS = 32
"""Random directions in 32 dimensions; any number from 3 on gives every order of a query's candidates."""
_WITHIN_LANGUAGE = 0.1
"""Weight of the random part: its cosine moves a score by 0.01, one language or another by 1."""
_NO_FILM_IS_LIKE_IT = ""


@dataclass(frozen=True)
class HeldOut:
    """Who owns what among the test films of a version, and the language tag of each film."""

    version: str
    policy: str
    owners: tuple[tuple[str, str], ...]
    """(track, film)."""
    language: dict[str, str]
    nearest_language: dict[str, str]
    """Of the training film whose tags are most like the test film's, see `languages_of_nearest`."""
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


def random_order(held_out: HeldOut, seed: int) -> Ranks:
    """Every order of the candidates equally likely, another for each film."""
    random = np.random.default_rng(seed)
    return _ranked(held_out, _noise(random, len(held_out.films)), _noise(random, len(held_out.tracks)))


def language_oracle(held_out: HeldOut, seed: int) -> Ranks:
    """First the tracks of films in the query's own language, in random order, then the others, likewise."""
    return _by_language(held_out, held_out.language, seed)


def nearest_tags(held_out: HeldOut, seed: int) -> Ranks:
    """As the oracle, but the query's language is read off the training film with the most similar tags."""
    return _by_language(held_out, held_out.nearest_language, seed)


def mean_query(films: Embeddings, tracks: Embeddings, held_out: HeldOut) -> Ranks:
    """The same order for every film: by closeness to the mean of all queries of a run."""
    unit = films.vectors / np.maximum(np.linalg.norm(films.vectors, axis=1, keepdims=True), 1e-12)
    same = np.broadcast_to(unit.mean(axis=0), films.vectors.shape)
    return rank_tracks(Embeddings(films.ids, same), tracks, held_out.owners)


def languages_of_nearest(
    tags: Mapping[str, Sequence[str]], known: Mapping[str, Sequence[str]], language: Mapping[str, str]
) -> dict[str, str]:
    """For each film of `tags`, the language of the film of `known` that is nearest: no language where none is alike.

    Nearness is the cosine of the two bags of tag words without years, a word counting less the more films of
    `known` have it (the logarithm of their share, inverted). Of equals the first by id.
    """
    ids = sorted(known)
    bags = [set(tag_words(known[film], keep_years=False).split()) for film in ids]
    column = {word: index for index, word in enumerate(sorted(set().union(*bags)))}
    weight = np.log((1 + len(ids)) / (1 + np.array([sum(word in bag for bag in bags) for word in column])))
    matrix = _weighted(bags, column, weight)
    films = list(tags)
    queries = _weighted([set(tag_words(tags[film], keep_years=False).split()) for film in films], column, weight)
    found = {}
    for film, query in zip(films, queries, strict=True):
        likeness = matrix @ query
        best = int(likeness.argmax()) if len(likeness) else -1
        found[film] = language[ids[best]] if best >= 0 and likeness[best] > 0 else _NO_FILM_IS_LIKE_IT
    return found


def _weighted(bags: Sequence[set[str]], column: Mapping[str, int], weight: Floats) -> Floats:
    """Unit rows [bags, words]; a word outside `column` is not counted, a row without words stays zero."""
    rows: Floats = np.zeros((len(bags), len(column)))
    for row, bag in zip(rows, bags, strict=True):
        places = [column[word] for word in bag if word in column]
        row[places] = weight[places]
    rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return rows


def _by_language(held_out: HeldOut, guess: Mapping[str, str], seed: int) -> Ranks:
    """First the tracks whose film has the language that is guessed for the query."""
    random = np.random.default_rng(seed)
    names = sorted({*held_out.language.values(), *guess.values()})
    one_hot = dict(zip(names, np.eye(len(names)), strict=True))
    owner = dict(held_out.owners)
    of_films = np.array([one_hot[guess[film]] for film in held_out.films])
    of_tracks = np.array([one_hot[held_out.language[owner[track]]] for track in held_out.tracks])
    return _ranked(
        held_out,
        np.hstack([of_films, _WITHIN_LANGUAGE * _noise(random, len(of_films))]),
        np.hstack([of_tracks, _WITHIN_LANGUAGE * _noise(random, len(of_tracks))]),
    )


def _noise(random: np.random.Generator, count: int) -> Floats:
    """Unit vectors in random directions, [count, dimensions]."""
    drawn: Floats = random.normal(size=(count, _DIMENSIONS))
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return drawn


def _ranked(held_out: HeldOut, films: Floats, tracks: Floats) -> Ranks:
    queries, candidates = films.astype(np.float32), tracks.astype(np.float32)
    return rank_tracks(Embeddings(held_out.films, queries), Embeddings(held_out.tracks, candidates), held_out.owners)
