"""Two baselines per audio encoder: what its embeddings find without any training of ours.

zero-shot text-to-music  the film's plot through the text side of a model that reads and hears into one space
sound of nearest films   the mean music of the training films whose plots and tags are nearest by their words

Both rank the same tracks by the same policy as the trained systems. An encoder without embeddings of every such track
is left out, and the first row also where its model is not on this machine: a warning says so.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq
import scipy.sparse
import torch
from numpy.typing import NDArray

from storage.audio_embeddings.cards import EncoderCard, list_encoders, read_card
from storage.audio_embeddings.files import encoded_films, read_embeddings
from storage.datasets import versions as datasets
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics
from training.data.splits import even_numbers
from training.encoders.models import Encoder, open_known_encoder
from training.evaluation.embedding_files import Embeddings
from training.evaluation.exact_scores import Floats
from training.evaluation.ranking import Ranks, rank_tracks

ZERO_SHOT, NEAREST = "zero-shot text-to-music", "sound of nearest films"
NEAREST_FILMS = 5
"""One film's music is a matter of chance; of many films' music the mean is everybody's."""
_SEGMENTS = re.compile(r"segments(\d+)")

Control = tuple[str, EncoderCard, Ranks]
"""The name of a baseline, its encoder, and its ranks."""


@dataclass(frozen=True)
class _Films:
    """The films of a version with their split, the paragraphs of their plots, and their tags."""

    split: Mapping[str, str]
    plots: Mapping[str, Sequence[str]]
    tags: Mapping[str, Sequence[str]]

    def text(self, film_id: str) -> str:
        """Return a film's tags and plot as one text."""
        return " ".join([*self.tags[film_id], *self.plots[film_id]])


def rank_by_encoders(lake: Lake, version: str, policy: str, owners: Sequence[tuple[str, str]]) -> Iterator[Control]:
    """Yield the baselines of every encoder that are not recorded under this policy yet; `owners` are (track, film)."""
    recorded, films = _recorded(lake, version, policy), None
    for folder in list_encoders(lake):
        card = read_card(lake, folder)
        wanted = {ZERO_SHOT, NEAREST} if card.has_text else {NEAREST}
        wanted -= {system for system, digest in recorded if digest == digest_of(card)}
        if not wanted:
            continue
        films = films or _read_films(lake, version)
        sounds = _sounds(lake, card, films, policy)
        if lacking := {track for track, _film in owners} - {track for _film, track in sounds}:
            logging.getLogger(__name__).info(
                "%s lacks %d tracks of the test split of %s", folder, len(lacking), version
            )
            continue
        yield from _ranked(lake, card, wanted, films, sounds, owners)


def digest_of(card: EncoderCard) -> str:
    """Return what identifies an encoder where a run has the digest of its settings."""
    return card.weights_sha256[:8]


def _ranked(
    lake: Lake,
    card: EncoderCard,
    wanted: set[str],
    films: _Films,
    sounds: Mapping[tuple[str, str], Floats],
    owners: Sequence[tuple[str, str]],
) -> Iterator[Control]:
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
    try:
        return open_known_encoder(lake, card, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    except InputError as error:
        logging.getLogger(__name__).warning("%s; the row %r is left out", error, ZERO_SHOT)
        return None


def _nearest_sounds(
    films: _Films, queried: Sequence[str], sounds: Mapping[tuple[str, str], Floats]
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


def text_similarity(queries: Sequence[str], known: Sequence[str]) -> Floats:
    """Return the cosine of the texts' words, [queries, known], weighted by inverse document frequency in `known`."""
    bags = [Counter(re.findall(r"\w+", text.lower())) for text in known]
    frequency = Counter(word for bag in bags for word in bag)
    column = {word: number for number, word in enumerate(frequency)}
    weight = {word: np.log((1 + len(bags)) / (1 + count)) for word, count in frequency.items()}
    asked = [Counter(re.findall(r"\w+", text.lower())) for text in queries]
    similarity = _weighted(asked, column, weight) @ _weighted(bags, column, weight).T
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


def _sounds(lake: Lake, card: EncoderCard, films: _Films, policy: str) -> dict[tuple[str, str], Floats]:
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


def _read_films(lake: Lake, version: str) -> _Films:
    path = lake.local_path(datasets.FOLDER, version, datasets.FILMS_FILE.name)
    rows = pq.read_table(path, columns=["film_id", "split", "plot", "tags"]).to_pylist()
    return _Films(
        {row["film_id"]: row["split"] for row in rows},
        {row["film_id"]: row["plot"] or () for row in rows},
        {row["film_id"]: row["tags"] or () for row in rows},
    )


def _recorded(lake: Lake, version: str, policy: str) -> set[tuple[str, str]]:
    """Return (system, digest) of the controls that have ranks under a policy."""
    with connect_metrics(lake) as connection:
        rows = connection.execute(
            "SELECT DISTINCT system, settings_digest FROM ranks JOIN runs USING (run_id) "
            "WHERE dataset_version = ? AND policy = ? AND source = 'control' AND settings_digest IS NOT NULL",
            [version, policy],
        ).fetchall()
    return set(rows)
