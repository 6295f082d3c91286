"""Measure a trained model on the test films, under every policy and for every choice of parts.

A policy says what was embedded, and is part of each rank:

    segments8              eight segments of each track; of each plot its first paragraph, as in the paper
    segments1              the middle segment alone, as in the paper's Table 1
    segments8-paragraphs   all paragraphs of each plot, by the function that search calls; systems with a plot only
    segments8-best         the queries of segments8; of a track not the mean of its eight segments but the best of them
    segments8-paragraphs-best  the same with whole plots, as `needledrop search --by best` reads them

A model that answers for any parts of a film (`data.modality_dropout`) is measured once for each choice of parts. What
it reaches from the image alone is recorded as a run of its own: its system is "Im by All", its id that of the model's
run with "Im-by-" before it, and its folder is the model's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pyarrow as pa

from storage.lake.lake import Lake
from storage.metrics import record_measurements as metrics
from training.data.film_inputs import FilmInputs
from training.data.splits import Split
from training.evaluation.embed_films_and_tracks import (
    Paragraphs,
    embed_films,
    embed_segments,
    mean_of_segments,
    track_owners,
)
from training.evaluation.embeddings import (
    BEST,
    FILMS_FILE,
    PARAGRAPHS,
    PARAGRAPHS_FILE,
    PARITY_TRACKS_FILE,
    TRACKS_FILE,
    YEARS_FILE,
    Embeddings,
    SegmentEmbeddings,
    save_embeddings,
)
from training.evaluation.ranking import rank_tracks
from training.loop.checkpoint import FOLDER, Job, load_model
from training.loop.devices_and_torchrun import Machine
from training.model.retrieval_model import Built
from training.settings import Settings, answers_any_parts
from training.systems import ALL_PARTS, Parts, part_subsets, row_of_parts

Ranked = tuple[Embeddings, Embeddings | SegmentEmbeddings]
"""Queries, and what they rank."""
OnProgress = Callable[[int, int], None]
"""Progress callback (embedded segments, total segments)."""


@dataclass(frozen=True)
class Evaluation:
    """A trained model and the films that it is measured on."""

    lake: Lake
    job: Job
    built: Built
    test: Split
    machine: Machine

    def queries(self, paragraphs: Paragraphs = "first", parts: Parts = ALL_PARTS) -> Embeddings:
        """Return the test films' queries."""
        return self._queries(self.job.settings, paragraphs, parts)

    def queries_by_years(self) -> Embeddings:
        """Return the queries with release years in the tags where training dropped them, without where it kept them."""
        return self._queries(self.job.settings.changed({"data.keep_years": not self.job.settings.data.keep_years}))

    def _queries(self, settings: Settings, paragraphs: Paragraphs = "first", parts: Parts = ALL_PARTS) -> Embeddings:
        inputs = FilmInputs(self.test, self.job.system, settings, self.built.tokenizer, self.built.image_format.pixels)
        return embed_films(self.built.model, self.test, inputs, self.machine, paragraphs=paragraphs, parts=parts)

    def ranks(self, queries: dict[str, Ranked]) -> pa.Table:
        """Return the ranks of queries among tracks, both by policy, as `record_ranks` takes them."""
        owners, device = track_owners(self.test), str(self.machine.device)
        return pa.concat_tables(
            rank_tracks(films, tracks, owners, device).to_arrow(policy) for policy, (films, tracks) in queries.items()
        )


def measure(
    lake: Lake, test: Split, job: Job, run: metrics.Run, machine: Machine, on_progress: OnProgress | None = None
) -> None:
    """Embed the test films with a run's best weights, rank them, and record the ranks under the run.

    The embeddings are committed to the model folder.
    """
    _, built = load_model(lake, job.run_id)
    built.model.to(machine.device)
    evaluation = Evaluation(lake, job, built, test, machine)
    tracks = _embed_tracks(evaluation, on_progress)
    films = {"first": evaluation.queries()}
    save_embeddings(lake, films["first"], FOLDER, job.run_id, FILMS_FILE)
    if job.system.plot:
        films["all"] = evaluation.queries("all")
        save_embeddings(lake, films["all"], FOLDER, job.run_id, PARAGRAPHS_FILE)
    if job.system.tags:
        save_embeddings(lake, evaluation.queries_by_years(), FOLDER, job.run_id, YEARS_FILE)
    metrics.record_ranks(lake, job.run_id, evaluation.ranks(_by_policy(films, tracks)))
    if answers_any_parts(job.system, job.settings):
        _measure_parts(evaluation, run, tracks)


@dataclass(frozen=True)
class EmbeddedTracks:
    """The test tracks: the mean over their segments, by how many they are, and the segments of the larger number."""

    means: dict[int, Embeddings]
    """From the smaller number to the larger."""
    segments: SegmentEmbeddings


def _embed_tracks(evaluation: Evaluation, on_progress: OnProgress | None) -> EmbeddedTracks:
    """Return the test tracks from one segment and from the settings' number of them, and commit both means."""
    test, settings, done = evaluation.test, evaluation.job.settings, 0
    files = {1: PARITY_TRACKS_FILE} | {settings.evaluation.segments: TRACKS_FILE}
    total = sum(len(test.even_segments(track, count)) for track in range(len(test.track_ids)) for count in files)

    def on_done(count: int) -> None:
        nonlocal done
        done += count
        if on_progress:
            on_progress(min(done, total), total)

    means = {}
    for count, file in files.items():
        segments = embed_segments(evaluation.built.model, test, count, evaluation.machine, on_done)
        means[count] = mean_of_segments(segments)
        save_embeddings(evaluation.lake, means[count], FOLDER, evaluation.job.run_id, file)
    return EmbeddedTracks(means, segments)


def _by_policy(films: dict[str, Embeddings], tracks: EmbeddedTracks) -> dict[str, Ranked]:
    """Return what is ranked under each policy; whole plots and best segments only with the larger number."""
    ranked: dict[str, Ranked] = {f"segments{count}": (films["first"], mean) for count, mean in tracks.means.items()}
    most = list(tracks.means)[-1]
    if "all" in films:
        ranked[f"segments{most}{PARAGRAPHS}"] = (films["all"], tracks.means[most])
    if most > 1:
        several = {name: queries for name, (queries, _) in ranked.items() if name.startswith(f"segments{most}")}
        ranked |= {f"{name}{BEST}": (queries, tracks.segments) for name, queries in several.items()}
    return ranked


def _measure_parts(evaluation: Evaluation, run: metrics.Run, tracks: EmbeddedTracks) -> None:
    """Record a run for each choice of fewer parts, under the policies of the model's own run."""
    system = evaluation.job.system
    readings: tuple[Paragraphs, ...] = ("first", "all") if system.plot else ("first",)
    for parts in part_subsets(system)[1:]:
        films: dict[str, Embeddings] = {reading: evaluation.queries(reading, parts) for reading in readings}
        name, ended = row_of_parts(system, parts), datetime.now(UTC)
        own = replace(run, run_id=f"{name.replace(' ', '-').removesuffix(system.name)}{run.run_id}", system=name)
        metrics.record_ranks(evaluation.lake, own.run_id, evaluation.ranks(_by_policy(films, tracks)))
        metrics.record_run(evaluation.lake, replace(own, state="completed", finished_at=ended))
