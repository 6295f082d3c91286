"""Controls and confidence on a small version: recorded like systems, once, and compared with them."""

import numpy as np
import pyarrow as pa
import pytest

from storage import datasets
from storage.metrics import Run, connect_metrics, record_ranks, record_run
from storage.tables import open_tables
from training.confidence import record_confidence
from training.controls import HeldOut, language_oracle, mean_query, random_order, record_controls
from training.embeddings import Embeddings, save_embeddings
from training.ranking import rank_tracks

FILMS, TRACKS_EACH = 24, 4
LANGUAGES = ("Tamil", "Hindi", "English")


@pytest.fixture(scope="module")
def held_out():
    owners = tuple((f"t{i}-{j}", f"f{i}") for i in range(FILMS) for j in range(TRACKS_EACH))
    language = {f"f{i}": LANGUAGES[i % 3] for i in range(FILMS)}
    return HeldOut("v1", "segments8", tuple(sorted(owners)), language, frozenset())


def write_version(lake):
    films = [
        {"film_id": f"f{i}", "year": 2023 + i % 2, "split": "test", "tags": [f"2023 {LANGUAGES[i % 3]}-language films"]}
        for i in range(FILMS)
    ]
    for file in datasets.FILES:
        rows = films if file is datasets.FILMS_FILE else []
        lake.write_table(pa.Table.from_pylist(rows, file.schema), f"datasets/v1/{file.name}")
    lake.write_json({}, "datasets/v1/manifest.json")


@pytest.fixture(scope="module")
def lake(tmp_path_factory, held_out):
    """A version with two systems: All finds the film's own corner of the space, Im is noise."""
    lake = open_tables(str(tmp_path_factory.mktemp("controls")))
    write_version(lake)
    random = np.random.default_rng(0)
    corner = {film: random.normal(size=16) for film in held_out.films}
    tracks = np.array([corner[film] + 1.5 * random.normal(size=16) for _, film in held_out.owners])
    for system in ("All", "Im"):
        queries = [corner[film] if system == "All" else random.normal(size=16) for film in held_out.films]
        embedded = Embeddings(held_out.films, np.array(queries)), Embeddings(held_out.tracks, tracks)
        for kind, embeddings in zip(("films", "tracks"), embedded, strict=True):
            save_embeddings(lake, embeddings, f"models/{system}-run/test-{kind}.parquet")
        record_run(lake, Run(f"{system}-run", system, "small", 0, "v1", state="completed"))
        record_ranks(lake, f"{system}-run", rank_tracks(*embedded, held_out.owners).to_arrow("segments8"))
    record_controls(lake, "v1")
    return lake


def rows(lake, sql):
    with connect_metrics(lake) as connection:
        return connection.execute(sql).fetchall()


def test_random_orders_have_the_median_rank_of_chance(held_out):
    medians = [np.median(random_order(held_out, seed).rank_lo) for seed in range(10)]
    assert np.mean(medians) == pytest.approx((FILMS * TRACKS_EACH + 1) / 2, rel=0.15)


def test_the_language_oracle_ranks_its_own_language_first_and_evenly(held_out):
    ranks = np.concatenate([language_oracle(held_out, seed).rank_lo for seed in range(10)])
    in_language = FILMS * TRACKS_EACH / 3
    assert ranks.max() == in_language and ranks.mean() == pytest.approx((in_language + 1) / 2, rel=0.05)


def test_the_mean_query_gives_every_film_the_same_order(held_out):
    random = np.random.default_rng(1)
    films = Embeddings(held_out.films, random.normal(size=(FILMS, 8)))
    ranks = mean_query(films, Embeddings(held_out.tracks, random.normal(size=(FILMS * TRACKS_EACH, 8))), held_out)
    assert sorted(ranks.rank_lo) == list(range(1, FILMS * TRACKS_EACH + 1))


def test_controls_are_rows_of_the_leaderboard_with_their_seeds(lake):
    found = rows(lake, "SELECT system, seeds FROM leaderboard WHERE source = 'control' ORDER BY 1")
    assert found == [("language oracle", 5), ("mean query", 1), ("random", 5)]


def test_recording_controls_again_changes_nothing(lake):
    before = rows(lake, "SELECT run_id, finished_at FROM runs WHERE system <> 'mean query' ORDER BY 1")
    record_controls(lake, "v1")
    assert rows(lake, "SELECT run_id, finished_at FROM runs WHERE system <> 'mean query' ORDER BY 1") == before


def test_every_system_gets_intervals_and_a_difference_from_all(lake):
    record_confidence(lake, "v1", draws=300)
    low, value, high = rows(
        lake, "SELECT r_at_10_low, r_at_10, r_at_10_high FROM leaderboard WHERE system = 'All' AND source = 'trained'"
    )[0]
    assert low < value < high
    compared = rows(lake, "SELECT system, difference, p_holm FROM comparisons WHERE metric = 'r_at_10' ORDER BY 1")
    assert [system for system, _, _ in compared] == ["Im", "language oracle", "mean query", "random"]
    assert all(difference < 0 and p < 0.05 for system, difference, p in compared if system in ("Im", "random"))


def test_recording_confidence_again_replaces_it(lake):
    for _ in range(2):
        record_confidence(lake, "v1", draws=50)
    assert rows(lake, "SELECT count(*), count(DISTINCT (policy, preset, system, metric)) FROM intervals") == [(80, 80)]


def test_slices_split_films_by_year_language_and_number_of_tracks(lake):
    found = rows(lake, "SELECT slice_by, slice, films FROM slices WHERE system = 'All' ORDER BY ALL")
    assert ("language", "Hindi", 8) in found and ("year", "2024", 12) in found
    assert ("number_of_tracks", "3 to 5", FILMS) in found
