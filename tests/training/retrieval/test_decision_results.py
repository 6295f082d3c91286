"""What users kept and rejected is a test set: the share of pairs in which the kept track ranks higher."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.libraries.decisions_and_shortlists import (
    AskedQuery,
    Decision,
    record_decision,
    record_query,
    record_result,
)
from storage.metrics.database import connect_metrics
from storage.tables.duckdb_connection import fetch_rows
from storage.views.lake_views import define_lake_views
from tests.training.retrieval.test_search_engines import PLOT, library
from training.data.splits import load_split
from training.evaluation.intervals_and_comparisons import ratio_interval
from training.loop.devices_and_torchrun import Machine
from training.presets import chosen_settings
from training.retrieval.decision_results import decided_tracks, measure_decisions
from training.retrieval.search_engines import Retriever
from training.systems import SYSTEMS
from training.training_runs import load_data, plan_jobs, run_experiment

ASKED = AskedQuery(plot=PLOT.plot)


def decide(lake: Lake, query_id: str, library: str, **verdicts: str) -> None:
    for track_id, verdict in verdicts.items():
        record_decision(lake, Decision(query_id, library, track_id, verdict), "test")  # type: ignore[arg-type]


@pytest.fixture
def decided(trained: Lake, retriever: Retriever, tmp_path: Path) -> Lake:
    """One query: kept is its own vector, rejected are the opposite one and a tie."""
    vector = retriever.embed(PLOT).vector
    tracks = {"like": [vector], "same": [vector], "unlike": [-vector]}
    library(trained, tmp_path / "decided", "decided", retriever.run_id, tracks)
    query_id = record_query(trained, ASKED, "test")
    decide(trained, query_id, "decided", like="keep", same="reject", unlike="reject")
    return trained


def test_a_tie_counts_half_and_what_was_not_heard_or_trained_on_is_left_out(
    decided: Lake,
    retriever: Retriever,
    machine: Machine,
) -> None:
    of_training = load_split(decided, retriever.version, "train").track_ids[0]
    decide(decided, ASKED.query_id, f"dataset:{retriever.version}", **{of_training: "keep"})
    decide(decided, ASKED.query_id, "gone", other="reject")
    found = measure_decisions(decided, retriever.run_id, machine)
    assert (found.queries, found.pairs, found.left_out, found.trained_on) == (1, 2, 2, 1)
    assert found.kept_before_rejected is not None
    assert vars(found.kept_before_rejected) == {"value": 0.75, "low": 0.75, "high": 0.75}
    record_result(decided, found.row(), "test")
    with connect_metrics(decided) as connection:
        define_lake_views(connection, decided, temporary=True)
        [row] = fetch_rows(connection, "SELECT model_run, pairs, kept_before_rejected FROM decision_results")
    assert row == {"model_run": retriever.run_id, "pairs": 2, "kept_before_rejected": 0.75}


def test_tracks_of_the_runs_test_films_count(decided: Lake, retriever: Retriever, machine: Machine) -> None:
    one, other = load_split(decided, retriever.version, "test").track_ids[:2]
    before = measure_decisions(decided, retriever.run_id, machine)
    query_id = record_query(decided, AskedQuery(tags=("Horror films",)), "test")
    decide(decided, query_id, f"dataset:{retriever.version}", **{one: "keep", other: "reject"})
    after = measure_decisions(decided, retriever.run_id, machine)
    assert (after.queries, after.pairs) == (before.queries + 1, before.pairs + 1)


def test_recordings_that_are_held_out_are_not_trained_on_and_count(
    trained: Lake, retriever: Retriever, machine: Machine
) -> None:
    version = retriever.version
    whole = load_data(trained, version)
    one, other = whole.train.track_ids[:2]  # all of one film
    assert whole.train.owner[:3].tolist() == [0, 0, 1]
    query_id = record_query(trained, AskedQuery(tags=("War films",)), "test")
    decide(trained, query_id, "dataset:an-earlier-version", **{one: "keep", other: "reject"})
    held_out = decided_tracks(trained, version)
    assert {one, other} <= set(held_out)
    settings = chosen_settings("small", epochs=1)
    [job] = plan_jobs(version, [SYSTEMS["Plo"]], settings, [0], held_out)
    [usual] = plan_jobs(version, [SYSTEMS["Plo"]], settings, [0])
    assert (usual.run_id, job.run_id != usual.run_id) == (retriever.run_id, True)
    data = load_data(trained, version, held_out=job.held_out)
    assert data.train.film_ids == whole.train.film_ids[1:]
    assert not set(held_out) & {*data.train.track_ids, *data.valid.track_ids}
    assert data.test.track_ids == whole.test.track_ids
    run_experiment(trained, data, job, machine)
    before, after = (measure_decisions(trained, run, machine) for run in (retriever.run_id, job.run_id))
    assert (before.trained_on >= len(held_out), after.trained_on) == (True, 0)  # a recording may be decided on twice
    assert after.pairs >= 1
    sounds = Retriever(trained, job.run_id, machine).sounds_of([one])
    assert np.linalg.norm(sounds[one]) == pytest.approx(1, abs=1e-5)


def test_what_is_held_out_is_not_typed_by_hand(retriever: Retriever) -> None:
    settings = chosen_settings("small").changed({"data.held_out": "abcd"})
    with pytest.raises(InputError, match="is set by --hold-out-decisions alone"):
        plan_jobs(retriever.version, [SYSTEMS["Plo"]], settings, [0])


def test_without_a_pair_there_is_no_figure(
    trained: Lake, tmp_path: Path, retriever: Retriever, machine: Machine
) -> None:
    lonely = record_query(trained, AskedQuery(plot=("Alone.",)), "test")
    vector = retriever.embed(PLOT).vector
    library(trained, tmp_path / "lonely", "lonely", retriever.run_id, {"only": [vector]})
    before = measure_decisions(trained, retriever.run_id, machine)
    decide(trained, lonely, "lonely", only="keep")
    after = measure_decisions(trained, retriever.run_id, machine)
    assert (after.pairs, after.left_out) == (before.pairs, before.left_out)


def test_an_interval_resamples_queries_and_not_pairs() -> None:
    wins, pairs = np.array([90.0, 0.0, 1.0]), np.array([100.0, 1.0, 1.0])
    found = ratio_interval(wins, pairs)
    assert found.value == pytest.approx(91 / 102)
    assert found.low == 0 and found.high == 1  # one query with most pairs is there or not
    same = ratio_interval(np.full(50, 3.0), np.full(50, 4.0))
    assert (same.value, same.low, same.high) == (0.75, 0.75, 0.75)
