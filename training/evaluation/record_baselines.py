"""Record the baselines of a version next to its trained runs, each once.

In the database their source and preset are `control`. An encoder without embeddings of every test track is left out,
and its zero-shot row also where its model is not on this machine: a warning says so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import pyarrow as pa

from storage.audio_embeddings import EncoderCard, list_encoders, read_card
from storage.lake.lake import Lake
from storage.metrics import record_measurements as metrics
from storage.metrics.database import connect_metrics, refresh_views
from storage.metrics.record_measurements import Run
from training.evaluation.baselines import (
    NEAREST,
    PRESET,
    SEEDS,
    SOURCE,
    WITHOUT_QUERIES,
    ZERO_SHOT,
    Control,
    HeldOut,
    Key,
    OfSettings,
    languages_of_nearest,
    rank_by_encoder,
    rank_with_queries,
    read_films,
    sounds_of,
)
from training.evaluation.embeddings import BEST
from training.evaluation.ranking import Ranks


def record_baselines(lake: Lake, dataset_version: str) -> None:
    """Record the baselines of a version next to its trained runs; recorded ones without a model are not repeated."""
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
        ranked = (*new, *rank_with_queries(lake, held_out), *by_encoders)
        metrics.record_baselines(lake, dataset_version, [_run_and_ranks(held_out, *each) for each in ranked])


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


def rank_by_encoders(lake: Lake, version: str, policy: str, owners: Sequence[tuple[str, str]]) -> Iterator[Control]:
    """Yield the baselines of every encoder that are not recorded under this policy yet; `owners` are (track, film)."""
    recorded, films = _recorded(lake, version, policy), None
    for folder in list_encoders(lake):
        card = read_card(lake, folder)
        wanted = {ZERO_SHOT, NEAREST} if card.has_text else {NEAREST}
        wanted -= {system for system, digest in recorded if digest == digest_of(card)}
        if not wanted:
            continue
        films = films or read_films(lake, version)
        sounds = sounds_of(lake, card, films, policy)
        if lacking := {track for track, _film in owners} - {track for _film, track in sounds}:
            logging.getLogger(__name__).info(
                "%s lacks %d tracks of the test split of %s", folder, len(lacking), version
            )
            continue
        yield from rank_by_encoder(lake, card, wanted, films, sounds, owners)


def digest_of(card: EncoderCard) -> str:
    """Return what identifies an encoder where a run has the digest of its settings."""
    return card.weights_sha256[:8]


def _recorded(lake: Lake, version: str, policy: str) -> set[tuple[str, str]]:
    """Return (system, digest) of the controls that have ranks under a policy."""
    with connect_metrics(lake) as connection:
        rows = connection.execute(
            "SELECT DISTINCT system, settings_digest FROM ranks JOIN runs USING (run_id) "
            "WHERE dataset_version = ? AND policy = ? AND source = 'control' AND settings_digest IS NOT NULL",
            [version, policy],
        ).fetchall()
    return set(rows)
