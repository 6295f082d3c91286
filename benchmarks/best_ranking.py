"""The best possible ranking of the films of `benchmarks.latent_films`, in closed form.

The score of track t for film f is the log of p(a | q) / p(a), where q are the film's views and a the track's segments.
By Neyman and Pearson no other score of a single pair puts a film's own tracks before others more often: for equal
chances it orders pairs by the probability of belonging together. (A ranking that looks at several tracks together could
know more, since tracks of one film resemble each other; no system here does.)

All of it is Gaussian given the class c = (language, genre). The views of tags, plot and image are joined as
x = V e_c + W u + noise of variance N, with u standard normal, e_c the genre's point, V and W the columns of both. Then

    p(c | q)     is proportional to p(c) p(tags and language words | c) Normal(x; V e_c, W W' + N)
    u | q, c     is Normal(m_c, C) with C = (1 + W' N^-1 W)^-1 and m_c = C W' N^-1 (x - V e_c)
    a | u, c     with a the mean of the segments, weighted by the inverse of their variances, of which S_t is the
                 variance left, is Normal(A (language point, genre point, u), track noise² + S_t)
    p(a | q)     = sum over c of p(c | q) Normal(a; A (points of c, m_c), A_u C A_u' + track noise² + S_t)
    p(a)         the same with the prior: p(c), m = 0, C = 1
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.latent_films import (
    FACTORS,
    GENRE_WIDTH,
    GENRES,
    LANGUAGE_WIDTH,
    LANGUAGES,
    MOOD,
    PARAGRAPHS,
    Films,
    Floats,
    World,
)

_NEGLIGIBLE = 40.0
"""A class whose log weight is this far below the best changes no score by more than rounding does."""


def likelihood_scores(world: World, films: Films) -> Floats:
    """Return log p(a | q) - log p(a) of every film and track, [F, T]."""
    posterior, means, spread = film_posterior(world, films)
    mean, variance = track_means(world, films)
    prior = np.log(np.repeat(world.language_share, GENRES) / GENRES)
    unconditional = _log_mixture(world, mean, variance, prior, np.zeros((LANGUAGES * GENRES, FACTORS)), np.eye(FACTORS))
    return np.array(
        [
            _log_mixture(world, mean, variance, weights, of_classes, spread) - unconditional
            for weights, of_classes in zip(posterior, means, strict=True)
        ]
    )


def film_posterior(world: World, films: Films) -> tuple[Floats, Floats, Floats]:
    """Return log p(c | q) [F, classes], the factors' means m_c [F, classes, FACTORS] and their covariance C.

    A class is language number times GENRES plus genre number.
    """
    of_genre, of_factors, noise = _joined_views(world)
    seen = np.hstack([films.mood_tags, films.paragraphs.mean(axis=1), films.image])
    rest = seen[:, None] - world.genre_point @ of_genre.T  # [F, GENRES, views]
    spread = np.linalg.inv(np.eye(FACTORS) + (of_factors.T / noise) @ of_factors)
    means = rest / noise @ of_factors @ spread
    by_genre = _log_normal(rest, of_factors @ of_factors.T + np.diag(noise))
    right, wrong = np.log(world.right_genre), np.log((1 - world.right_genre) / (GENRES - 1))
    by_genre += np.where(films.tagged_genre[:, None] == np.arange(GENRES), right, wrong)
    known = np.maximum(films.tagged_language, films.plot_language)[:, None]
    possible = (known < 0) | (known == np.arange(LANGUAGES))
    by_language = np.where(possible, np.log(world.language_share), -np.inf)
    classes = (by_language[:, :, None] + by_genre[:, None]).reshape(len(known), -1)
    return classes - _log_sum(classes)[:, None], np.tile(means, (1, LANGUAGES, 1)), spread


def _joined_views(world: World) -> tuple[Floats, Floats, Floats]:
    """Return V [views, GENRE_WIDTH], W [views, FACTORS] and the variances N [views] of all views of a film."""
    tags = np.hstack([np.zeros((MOOD, GENRE_WIDTH)), np.eye(MOOD, FACTORS)])
    views = np.vstack([tags, world.text, world.image])
    deviations = (world.tag_noise, world.text_noise / np.sqrt(PARAGRAPHS), world.image_noise)
    noise = np.repeat(np.square(deviations), (MOOD, len(world.text), len(world.image)))
    return views[:, :GENRE_WIDTH], views[:, GENRE_WIDTH:], noise


def track_means(world: World, films: Films) -> tuple[Floats, Floats]:
    """Return the weighted mean of each track's segments [T, AUDIO_WIDTH] and its variance S per coordinate [T]."""
    precision = np.where(films.opening, world.opening_noise, world.segment_noise) ** -2.0
    total = precision.sum(axis=1)
    return (precision[:, :, None] * films.segments).sum(axis=1) / total[:, None], 1 / total


def _log_mixture(
    world: World, mean: Floats, variance: Floats, weights: Floats, of_classes: Floats, spread: Floats
) -> Floats:
    """Return the log density of each track [T] under a mixture over classes with log weights [classes]."""
    of_factors = world.audio[:, LANGUAGE_WIDTH + GENRE_WIDTH :]
    points = np.hstack([np.repeat(world.language_point, GENRES, 0), np.tile(world.genre_point, (LANGUAGES, 1))])
    likely = weights > weights.max() - _NEGLIGIBLE
    centres = np.hstack([points, of_classes])[likely] @ world.audio.T
    values, axes = np.linalg.eigh(
        of_factors @ spread @ of_factors.T
    )  # there the covariance is diagonal for every track
    precision = 1 / (values + world.track_noise**2 + variance[:, None])  # [T, AUDIO_WIDTH]
    x, m = mean @ axes, centres @ axes
    squares = (precision * x**2).sum(axis=1)[:, None] - 2 * (precision * x) @ m.T + precision @ (m**2).T
    logs = weights[likely] + (np.log(precision / (2 * np.pi)).sum(axis=1)[:, None] - squares) / 2
    return _log_sum(logs)


def _log_normal(rest: Floats, covariance: Floats) -> Floats:
    """Return the log density of a centred Normal at [..., d]."""
    factor = np.linalg.cholesky(covariance)
    white = np.linalg.solve(factor, rest.reshape(-1, len(factor)).T)
    logs: Floats = -(white**2).sum(axis=0) / 2 - np.log(np.diag(factor)).sum() - len(factor) * np.log(2 * np.pi) / 2
    return logs.reshape(rest.shape[:-1])


def _log_sum(logs: Floats) -> Floats:
    """Return log(sum(exp(logs))) over the last axis."""
    highest = logs.max(axis=-1)
    total: Floats = highest + np.log(np.exp(logs - highest[..., None]).sum(axis=-1))
    return total


def mid_ranks(scores: Floats, owner: NDArray[np.int64]) -> Floats:
    """Return the rank of each track [T] among all tracks for its own film; the middle one of tied ranks."""
    own = scores[owner]
    level = scores[owner, np.arange(len(owner))][:, None]
    ranks: Floats = 1 + (own > level).sum(axis=1) + ((own == level).sum(axis=1) - 1) / 2
    return ranks
