"""Baselines and confidence on a small version: recorded like systems, once, and compared with them."""

import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics
from storage.metrics.record_measurements import Run, record_ranks, record_run
from storage.metrics.run_files import RANKS_SCHEMA
from storage.tables.tables import open_tables
from training.evaluation.baselines import (
    HeldOut,
    language_oracle,
    languages_of_nearest,
    mean_query,
    nearest_tags,
    random_order,
)
from training.evaluation.embeddings import Embeddings, load_embeddings, save_embeddings
from training.evaluation.intervals_and_comparisons import compare, record_confidence
from training.evaluation.record_baselines import record_baselines


def rows(lake: Lake, sql: str) -> list[tuple[Any, ...]]:
    with connect_metrics(lake) as connection:
        return connection.execute(sql).fetchall()


def test_random_rankings_have_the_median_rank_of_chance(held_out: HeldOut) -> None:
    medians = [np.median(random_order(held_out, seed).rank_lo) for seed in range(10)]
    assert np.mean(medians) == pytest.approx((len(held_out.tracks) + 1) / 2, rel=0.15)


def test_the_language_oracle_ranks_tracks_of_the_films_language_first(held_out: HeldOut) -> None:
    ranks = np.concatenate([language_oracle(held_out, seed).rank_lo for seed in range(10)])
    in_language = len(held_out.tracks) / 3
    assert ranks.max() == in_language and ranks.mean() == pytest.approx((in_language + 1) / 2, rel=0.05)


def test_the_nearest_film_shares_rare_tags_and_not_the_year() -> None:
    known = {
        "a": ["2023 drama films", "Films about trains"],
        "b": ["1999 drama films", "Films about ships"],
        "c": ["1999 drama films"],
    }
    language = {"a": "Tamil", "b": "Hindi", "c": "English"}
    tags = {"x": ["2023 drama films", "Films about ships"], "y": ["2023 films"], "z": ["Opera films"]}
    assert languages_of_nearest(tags, known, language) == {"x": "Hindi", "y": "", "z": ""}
    assert languages_of_nearest(tags, {}, {}) == {"x": "", "y": "", "z": ""}


def test_of_films_with_the_same_tags_the_first_is_the_nearest_in_whatever_order_they_are() -> None:
    words = [f"w{number}" for number in range(300)]
    drawn = [random.Random(number).sample(words, 12) for number in range(200)]
    known = {f"{number}-first": tags for number, tags in enumerate(drawn)}
    known |= {f"{number}-second": tags[::-1] for number, tags in enumerate(drawn)}
    language = {film: "Tamil" if film.endswith("first") else "Hindi" for film in known}
    asked = {str(number): tags[:6] for number, tags in enumerate(drawn)}
    assert set(languages_of_nearest(asked, known, language).values()) == {"Tamil"}


def test_a_film_without_a_similar_film_has_a_random_ranking(held_out: HeldOut) -> None:
    dissimilar = replace(held_out, nearest_language=dict.fromkeys(held_out.films, ""))
    medians = [np.median(nearest_tags(dissimilar, seed).rank_lo) for seed in range(10)]
    assert np.mean(medians) == pytest.approx((len(held_out.tracks) + 1) / 2, rel=0.15)
    assert nearest_tags(held_out, 3).rank_lo.tolist() == language_oracle(held_out, 3).rank_lo.tolist()


def test_the_mean_query_gives_every_film_the_same_ranking(held_out: HeldOut) -> None:
    random = np.random.default_rng(1)
    films = Embeddings(held_out.films, random.normal(size=(len(held_out.films), 8)))
    ranks = mean_query(films, Embeddings(held_out.tracks, random.normal(size=(len(held_out.tracks), 8))), held_out)
    assert sorted(ranks.rank_lo) == list(range(1, len(held_out.tracks) + 1))


def test_baselines_are_rows_of_the_leaderboard_with_their_seeds(measured: Lake) -> None:
    actual = rows(measured, "SELECT system, seeds, policy FROM leaderboard WHERE source = 'control' ORDER BY 3, 1")
    expected = [("language oracle", 10), ("mean query", 1), ("nearest tags", 10), ("random", 10), ("years kept", 1)]
    assert actual == [(*row, policy) for policy in ("segments1", "segments8") for row in expected]


def test_one_segment_and_several_are_separate_rows_of_one_run(measured: Lake) -> None:
    actual = rows(measured, "SELECT policy, r_at_10 FROM leaderboard WHERE system = 'All' AND source = 'trained'")
    assert [policy for policy, _ in actual] == ["segments8", "segments1"] and actual[0][1] > actual[1][1]
    assert rows(measured, "SELECT DISTINCT policy FROM comparisons ORDER BY 1") == [("segments1",), ("segments8",)]


def test_the_baseline_of_the_years_is_named_by_what_it_does_with_them(measured: Lake) -> None:
    kept = "SELECT count(*) FROM leaderboard WHERE system = 'years kept'"
    dropped = "SELECT r_at_10 FROM leaderboard WHERE system = 'years dropped' AND policy = 'segments8'"
    assert rows(measured, kept) == [(2,)] and rows(measured, dropped) == []


def test_a_run_trained_with_years_is_also_ranked_without_them(measured: Lake, tmp_path: Path) -> None:
    shutil.copytree(measured.root, tmp_path / "lake")
    lake = open_tables(str(tmp_path / "lake"))
    films = load_embeddings(lake, "models/All-run/test-films.parquet")
    save_embeddings(lake, Embeddings(films.ids, -films.vectors), "models/All-run/test-films-years.parquet")
    record_run(lake, Run("All-run", "All", "released", 0, "v1", state="completed", config={"keep_years": True}))
    record_baselines(lake, "v1")
    query = "SELECT system, r_at_10 FROM leaderboard WHERE preset = 'released' AND policy = 'segments8' ORDER BY ALL"
    names, values = zip(*rows(lake, query), strict=True)
    assert names == ("All", "mean query", "years dropped") and values[2] < 1 < values[0]


def test_the_mean_query_is_ranked_against_the_tracks_of_its_policy(measured: Lake, held_out: HeldOut) -> None:
    films, tracks = (
        load_embeddings(measured, f"models/All-run/test-{kind}.parquet") for kind in ("films", "tracks-segments1")
    )
    actual = rows(
        measured,
        "SELECT film_id, track_id, rank_lo FROM ranks JOIN runs USING (run_id) WHERE system = 'mean query' "
        "AND policy = 'segments1' ORDER BY ALL",
    )
    ranks = mean_query(films, tracks, held_out)
    assert actual == sorted(zip(ranks.film_ids, ranks.track_ids, ranks.rank_lo.tolist(), strict=True))


def test_recording_baselines_again_changes_nothing(measured: Lake) -> None:
    query = "SELECT run_id, finished_at FROM runs WHERE preset = 'control' ORDER BY 1"
    before, ranks = rows(measured, query), rows(measured, "SELECT * FROM ranks ORDER BY ALL")
    record_baselines(measured, "v1")
    assert rows(measured, query) == before
    assert rows(measured, "SELECT * FROM ranks ORDER BY ALL") == ranks


def test_every_system_gets_intervals_and_a_difference_from_all(measured: Lake) -> None:
    record_confidence(measured, "v1", draws=300)
    low, value, high = rows(
        measured,
        "SELECT r_at_10_low, r_at_10, r_at_10_high FROM leaderboard WHERE system = 'All' AND source = 'trained' "
        "AND policy = 'segments8'",
    )[0]
    assert low < value < high
    compared = rows(
        measured,
        "SELECT system, difference, p_holm FROM comparisons WHERE metric = 'r_at_10' AND policy = 'segments8' "
        "ORDER BY 1",
    )
    baselines = ["language oracle", "mean query", "nearest tags", "random", "years kept"]
    assert [system for system, _, _ in compared] == ["Im", *baselines]
    assert all(difference < 0 and p < 0.05 for system, difference, p in compared if system in ("Im", "random"))


def test_recording_confidence_again_replaces_it(measured: Lake) -> None:
    for _ in range(2):
        record_confidence(measured, "v1", draws=50)
    assert rows(measured, "SELECT count(*), count(DISTINCT (policy, preset, system, metric)) FROM intervals") == [
        (238, 238)
    ]


def test_any_two_systems_are_compared(measured: Lake) -> None:
    found = compare(measured, "v1", "Im", "language oracle", draws=300)
    of_im, of_oracle, difference = found.values["r_at_10"]
    assert (found.policy, found.other) == ("segments8", "language oracle") and found.one.startswith("Im@")
    assert difference.value == pytest.approx(of_im - of_oracle) and difference.low <= difference.value
    assert compare(measured, "v1", "All", "Im", draws=300).values["r_at_10"][2].p < 0.05
    assert compare(measured, "v1", "All@small", "Im", "segments1", draws=9).policy == "segments1"


def test_a_name_that_is_no_system_or_several_is_refused_with_those_there_are(measured: Lake, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Img is not a measured system of v1; give one of All@.*; language oracle"):
        compare(measured, "v1", "Img", "All")
    with pytest.raises(InputError, match=r"under the policy 'segment8'; give one of segments1, segments8"):
        compare(measured, "v1", "Im", "All", "segment8")
    with pytest.raises(InputError, match="No system was measured on 'v9'; train one"):
        compare(measured, "v9", "Im", "All")
    shutil.copytree(measured.root, tmp_path / "lake")
    lake = open_tables(str(tmp_path / "lake"))
    ranks = rows(lake, "SELECT * EXCLUDE run_id FROM ranks WHERE run_id = 'All-run'")
    table = pa.Table.from_pylist([dict(zip(RANKS_SCHEMA.names, row, strict=True)) for row in ranks], RANKS_SCHEMA)
    label = "small, optimiser.rate=1, " + ", ".join(f"text.width={number}" for number in range(30))
    record_run(lake, Run("other", "All", "small", 0, "v1", state="completed", settings=label, settings_digest="aaaa"))
    record_ranks(lake, "other", table)
    with pytest.raises(InputError, match="All is several systems of v1; give one of") as refused:
        compare(lake, "v1", "All", "Im")
    assert "All@aaaa (small, optimiser.rate=1, text.width=0, " in str(refused.value) and len(str(refused.value)) < 300
    assert compare(lake, "v1", f"All@{label}", "All@small", draws=99).values["medr"][2].p == 1


def test_slices_group_films_by_year_language_and_number_of_tracks(measured: Lake) -> None:
    actual = rows(
        measured, "SELECT slice_by, slice, films FROM slices WHERE system = 'All' AND policy = 'segments1' ORDER BY ALL"
    )
    assert ("language", "Hindi", 8) in actual and ("year", "2024", 12) in actual
    assert ("number_of_tracks", "3 to 5", 24) in actual
