"""The tables and views over ranks: golden values, ties, schema versions, several processes."""

from __future__ import annotations

import itertools
import json
import multiprocessing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics
from storage.metrics.record_measurements import Epoch, Run, record_epoch, record_ranks, record_run
from storage.metrics.run_files import RANKS_SCHEMA
from storage.tables.tables import open_tables

# The number of test tracks of each of the 207 films in the release that the paper's Table 1 was made with.
Rank = tuple[str, str, int, int]
"""Film, track, rank_lo, rank_hi."""
TRACKS_PER_FILM = json.loads((Path(__file__).parent / "tracks_per_film.json").read_text())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_tables(str(tmp_path / "lake"))


def ranks_table(rows: Sequence[Rank], candidates: int, policy: str = "segments8") -> pa.Table:
    return pa.Table.from_pylist(
        [
            {"film_id": f, "track_id": t, "policy": policy, "rank_lo": lo, "rank_hi": hi, "score": 0.0}
            | {"candidates": candidates}
            for f, t, lo, hi in rows
        ],
        schema=RANKS_SCHEMA,
    )


def record(lake: Lake, rows: Sequence[Rank], candidates: int, run_id: str = "run", **run: Any) -> None:
    record_run(lake, Run(run_id, **({"system": "All", "preset": "small", "seed": 0, "dataset_version": "v1"} | run)))
    record_ranks(lake, run_id, ranks_table(rows, candidates))


def one_row(lake: Lake, sql: str) -> dict[str, Any]:
    with connect_metrics(lake) as connection:
        cursor = connection.execute(sql)
        names = [column[0] for column in cursor.description]
        (row,) = cursor.fetchall()
    return dict(zip(names, row, strict=True))


@pytest.fixture
def released_films(lake: Lake) -> Lake:
    rows = [(f"f{i}", f"f{i}:{j}", j + 1, j + 1) for i, n in enumerate(TRACKS_PER_FILM) for j in range(n)]
    record(lake, rows, sum(TRACKS_PER_FILM))
    return lake


def test_chance_of_the_released_films_is_the_papers(released_films: Lake) -> None:
    row = one_row(released_films, "SELECT * FROM chance")
    recalls = [round(row[f"r_at_{k}"], 3) for k in (1, 5, 10, 20, 50, 100)]
    assert recalls == [0.051, 0.255, 0.509, 1.018, 2.546, 5.092]
    assert row["medr"] == 982.5 and (row["films"], row["tracks"]) == (207, 1964)


def test_ceiling_of_the_released_films_is_the_papers(released_films: Lake) -> None:
    row = one_row(released_films, "SELECT * FROM ceiling")
    recalls = [round(row[f"r_at_{k}"], 2) for k in (1, 5, 10, 20, 50, 100)]
    assert recalls == [10.54, 44.09, 63.09, 85.34, 99.90, 100.0]
    assert row["medr"] == 7


def test_a_perfect_run_reaches_the_ceiling_in_every_metric(released_films: Lake) -> None:
    ceiling = one_row(released_films, "SELECT * FROM ceiling")
    run = one_row(released_films, "SELECT * FROM metrics")
    assert {name: run[name] for name in ceiling} == pytest.approx(ceiling)


def test_chance_by_film_agrees_with_simulated_orders(released_films: Lake) -> None:
    row = one_row(released_films, "SELECT * FROM chance")
    # 60 draws of independent orders on these films gave 4.6 %, 33.0 %, .025, .0085 and .213
    assert row["hit_at_10"] == pytest.approx(4.6, abs=0.3)
    assert row["hit_at_100"] == pytest.approx(33.0, abs=1.0)
    assert row["mrr"] == pytest.approx(0.025, abs=0.002)
    assert row["map"] == pytest.approx(0.0085, abs=0.0005)
    assert row["ndcg"] == pytest.approx(0.213, abs=0.002)


def test_a_collapsed_model_scores_chance_not_one(lake: Lake) -> None:
    record(lake, [(f"f{i}", f"t{i}", 1, 1964) for i in range(10)], 1964)
    row = one_row(lake, "SELECT * FROM metrics")
    assert (row["medr"], row["r_at_100"]) == (982.5, 0)


def test_metrics_of_a_case_done_by_hand(lake: Lake) -> None:
    rows = [("a", "a1", 1, 1), ("a", "a2", 4, 4), ("b", "b1", 2, 2), ("c", "c1", 6, 6)]
    record(lake, rows, 6)
    row = one_row(lake, "SELECT * FROM metrics")
    assert (row["r_at_1"], row["r_at_5"], row["r_at_10"]) == (25, 75, 100)
    assert row["medr"] == 3 and (row["films"], row["tracks"]) == (3, 4)
    assert row["hit_at_1"] == pytest.approx(100 / 3)
    assert row["mrr"] == pytest.approx((1 + 1 / 2 + 1 / 6) / 3)
    assert row["map"] == pytest.approx(((1 + 2 / 4) / 2 + 1 / 2 + 1 / 6) / 3)


def test_own_tracks_tied_at_the_top_are_a_perfect_film(lake: Lake) -> None:
    record(lake, [("a", "a1", 1, 2), ("a", "a2", 1, 2)], 10)
    row = one_row(lake, "SELECT * FROM metrics")
    assert (row["map"], row["ndcg"], row["mrr"]) == (1, 1, 1)


@pytest.mark.parametrize(("own", "tied"), [(1, 4), (2, 5), (3, 7)])
def test_tied_tracks_have_the_mean_positions_of_a_shuffled_tie(lake: Lake, own: int, tied: int) -> None:
    record(lake, [("a", f"a{i}", 11, 10 + tied) for i in range(own)], 40)
    orders = [sorted(positions) for positions in itertools.combinations(range(11, 11 + tied), own)]
    with connect_metrics(lake) as connection:
        positions = [p for (p,) in connection.execute("SELECT position FROM ranked ORDER BY 1").fetchall()]
    assert positions == pytest.approx([sum(column) / len(orders) for column in zip(*orders, strict=True)])


def test_the_leaderboard_holds_runs_chance_ceiling_and_the_paper(lake: Lake) -> None:
    record(lake, [("a", "a1", 1, 1), ("b", "b1", 2, 2)], 2, "one", seed=0)
    record(lake, [("a", "a1", 2, 2), ("b", "b1", 2, 2)], 2, "two", seed=1)
    with connect_metrics(lake) as connection:
        rows = connection.execute("SELECT source, system, seeds, r_at_1 FROM leaderboard").fetchall()
    assert rows[:3] == [("ceiling", "ceiling", None, 100), ("trained", "All", 2, 25), ("chance", "chance", None, 50)]
    assert [row[0] for row in rows[3:]] == ["paper"] * 8


def test_seeds_of_different_settings_are_rows_of_their_own(lake: Lake) -> None:
    right, wrong = [("a", "a1", 1, 1), ("b", "b1", 1, 1)], [("a", "a1", 2, 2), ("b", "b1", 2, 2)]
    faster = {"settings": "small, optimiser.rate=1", "settings_digest": "22222222"}
    record(lake, right, 2, "v1-All-small-s0-11111111", seed=0, config={"learning_rate": 1e-3})
    record(lake, wrong, 2, "v1-All-small-s1-22222222", seed=1, config={"learning_rate": 1.0}, **faster)
    record(lake, wrong, 2, "v1-All-small-s0-22222222-2", seed=0, config={"learning_rate": 1.0})
    shown = "SELECT settings, settings_digest, seeds, r_at_1 FROM leaderboard WHERE source = 'trained'"
    with connect_metrics(lake) as connection:
        rows = connection.execute(shown).fetchall()
    assert rows == [("small", "11111111", 1, 100), ("small, optimiser.rate=1", "22222222", 2, 0)]


def test_runs_without_a_digest_are_known_by_their_configuration(lake: Lake) -> None:
    for seed, rate in enumerate((1e-3, 1e-3, 1.0)):
        record(lake, [("a", "a1", 1, 1)], 2, f"run{seed}", seed=seed, config={"learning_rate": rate})
    with connect_metrics(lake) as connection:
        rows = connection.execute("SELECT seeds FROM leaderboard WHERE source = 'trained' ORDER BY ALL").fetchall()
    assert rows == [(1,), (2,)]


def test_recall_by_film_counts_every_film_once_however_many_tracks_it_has(lake: Lake) -> None:
    record(lake, [("a", "a1", 1, 1), ("b", "b1", 20, 20), ("b", "b2", 21, 21), ("b", "b3", 9, 9)], 40)
    row = one_row(lake, "SELECT r_at_10, recall_at_10 FROM metrics")
    assert row == {"r_at_10": 50, "recall_at_10": pytest.approx((100 + 100 / 3) / 2)}
    assert one_row(lake, "SELECT recall_at_10 FROM ceiling") == {"recall_at_10": 100}
    assert one_row(lake, "SELECT recall_at_10 FROM chance") == {"recall_at_10": 25}


def test_recording_twice_changes_nothing(lake: Lake) -> None:
    for _ in range(2):
        record(lake, [("a", "a1", 1, 1)], 3)
        record_epoch(lake, Epoch("run", 0, train_loss=1.5))
    with connect_metrics(lake) as connection:
        counts = [connection.execute(f"SELECT count(*) FROM {t}").fetchall() for t in ("runs", "epochs", "ranks")]
    assert counts == [[(1,)]] * 3


def test_ranks_outside_the_candidates_are_refused(lake: Lake) -> None:
    with pytest.raises(LakeError, match="outside 1"):
        record_ranks(lake, "run", ranks_table([("a", "a1", 0, 0)], 3))
    with pytest.raises(LakeError, match="lack the column score"):
        record_ranks(lake, "run", ranks_table([("a", "a1", 1, 1)], 3).drop_columns("score"))


def test_a_reader_cannot_write(lake: Lake) -> None:
    with connect_metrics(lake) as connection, pytest.raises(duckdb.InvalidInputException):
        connection.execute("DELETE FROM runs")


def test_a_file_of_a_newer_version_is_refused(lake: Lake) -> None:
    with connect_metrics(lake, read_only=False) as connection:
        connection.execute("UPDATE metrics_schema SET version = 99")
    with pytest.raises(LakeError, match="version 99, newer"), connect_metrics(lake):
        pass


def test_a_file_of_other_views_gets_the_present_ones(lake: Lake) -> None:
    with connect_metrics(lake, read_only=False) as connection:
        connection.execute("DROP VIEW leaderboard; UPDATE metrics_schema SET views_hash = 'old'")
    assert one_row(lake, "SELECT count(*) AS rows FROM leaderboard") == {"rows": 8}


def write_epochs(root: str, run_id: str) -> None:
    for epoch in range(15):
        record_epoch(open_tables(root), Epoch(run_id, epoch, train_loss=1 / (epoch + 1)))


def test_two_processes_write_at_once_and_lose_nothing(lake: Lake) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=write_epochs, args=(lake.root, f"run{i}")) for i in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    with connect_metrics(lake) as connection:
        assert connection.execute("SELECT count(*) FROM epochs").fetchall() == [(30,)]
