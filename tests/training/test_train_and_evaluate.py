"""The flow over systems and seeds: nothing is done twice, and what fails loses nothing but itself."""

import gc
import itertools
import logging

import pytest

from flows.train_and_evaluate import train_and_evaluate
from storage.errors import InputError
from storage.metrics.records import connect_metrics
from storage.tables.tables import open_tables
from training.data.splits import newest_version
from training.experiments import load_data, run_experiment
from training.model.retriever import Retriever


def test_every_system_and_seed_is_trained_once_and_again_only_if_asked(prefect_server, lake, write_version):
    asked = {"lake": lake.root, "dataset": write_version(films=3), "systems": ["Ta"], "seeds": [0, 1], "epochs": 1}
    first, second = train_and_evaluate(**asked), train_and_evaluate(**asked)
    assert (first["trained"], second["trained"], second["already_done"]) == (2, 0, 2)
    repeated = train_and_evaluate(**{**asked, "seeds": [0], "again": True})
    assert repeated["runs"] == [first["runs"][0] + "-2"]
    with connect_metrics(lake) as connection:
        assert connection.execute(
            "SELECT count(*) FROM runs WHERE state = 'completed' AND source = 'trained'"
        ).fetchall() == [(3,)]


def test_a_comparison_that_a_death_prevented_is_made_by_the_next_run(prefect_server, lake, write_version):
    asked = {"lake": lake.root, "dataset": write_version(films=3), "systems": ["Ta"], "epochs": 1}
    train_and_evaluate(**asked)
    with connect_metrics(lake, read_only=False) as connection:
        connection.execute("DELETE FROM intervals")
    assert train_and_evaluate(**asked)["trained"] == 0
    with connect_metrics(lake) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM intervals WHERE system = 'Ta'").fetchall() == [(True,)]


def test_a_system_that_fails_does_not_lose_the_others(prefect_server, lake, write_version):
    version = write_version(films=3, change=lambda row: row.update(thumbnail=b"no picture"))
    done = train_and_evaluate(lake=lake.root, dataset=version, systems=["Im", "Ta"], epochs=1)
    assert (done["trained"], done["failed"], len(done["runs"])) == (1, 1, 1)
    with connect_metrics(lake) as connection:
        states = connection.execute(
            "SELECT system, state FROM runs WHERE source = 'trained' ORDER BY system"
        ).fetchall()
    assert states == [("Im", "failed"), ("Ta", "completed")]


def test_a_system_that_fails_leaves_no_model_in_memory(prefect_server, lake, write_version, monkeypatch):
    version, in_memory = write_version(films=3, change=lambda row: row.update(thumbnail=b"no picture")), []

    def counted(*given, **named):
        gc.collect()
        in_memory.append(sum(type(kept) is Retriever for kept in gc.get_objects()))
        run_experiment(*given, **named)

    monkeypatch.setattr(logging.root.manager, "disable", logging.CRITICAL)  # pytest would keep the logged traceback
    monkeypatch.setattr("flows.train_and_evaluate.run_experiment", counted)
    train_and_evaluate(lake=lake.root, dataset=version, systems=["Im", "Ta"], epochs=1)
    assert in_memory[1] == in_memory[0]


def test_where_every_system_fails_the_first_reason_is_told(prefect_server, lake, write_version):
    version = write_version(films=3, change=lambda row: row.update(thumbnail=b"no picture"))
    with pytest.raises(InputError, match="is not a picture"):
        train_and_evaluate(lake=lake.root, dataset=version, systems=["Im", "ImTa"], epochs=1)


def test_no_film_and_no_recording_stands_in_two_splits(walked_lake):
    lake = open_tables(walked_lake)
    data = load_data(lake, newest_version(lake))
    sides = [(set(split.film_ids), set(split.track_ids)) for split in (data.train, data.valid, data.test)]
    for (films, tracks), (other_films, other_tracks) in itertools.combinations(sides, 2):
        assert films.isdisjoint(other_films) and tracks.isdisjoint(other_tracks)
