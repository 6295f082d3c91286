"""The quality benchmark: its best possible ranking is the best, and its films have the sizes of the real ones."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from transformers import AutoTokenizer, BertModel

from benchmarks import quality
from benchmarks.best_ranking import film_posterior, likelihood_scores, mid_ranks, track_means
from benchmarks.latent_films import (
    GENRES,
    LANGUAGES,
    TEXT_WORDS,
    Films,
    Floats,
    World,
    draw_films,
    draw_world,
    write_lake,
)
from benchmarks.quality import RECIPES
from benchmarks.quality_results import film_results, plot_recall, print_table
from benchmarks.reading_towers import save_towers, word_vectors
from training.evaluation.intervals_and_comparisons import intervals
from training.training_runs import load_data


@pytest.fixture(scope="module")
def world() -> World:
    return draw_world()


@pytest.fixture(scope="module")
def films(world: World) -> Films:
    return draw_films(world, "test")


def recall_at_10(scores: Floats, films: Films) -> float:
    return float((mid_ranks(scores, films.owner) <= 10).mean())


def expected_music(world: World, films: Films) -> Floats:
    """The mean of a film's music under its posterior, [F, AUDIO_WIDTH]."""
    posterior, factors, _ = film_posterior(world, films)
    points = np.hstack([np.repeat(world.language_point, GENRES, 0), np.tile(world.genre_point, (LANGUAGES, 1))])
    classes = np.exp(posterior)
    return np.hstack([classes @ points, np.einsum("fc,fcd->fd", classes, factors)]) @ world.audio.T


def test_the_test_films_have_the_numbers_of_tracks_of_the_released_ones(films: Films) -> None:
    tracks = np.bincount(films.owner)
    assert (len(tracks), tracks.sum(), np.median(tracks), tracks.max()) == (207, 1964, 6, 52)


def test_no_other_score_of_pairs_ranks_better_than_the_likelihood(world: World, films: Films) -> None:
    mean, _ = track_means(world, films)
    music = expected_music(world, films)
    distance = -((music[:, None] - mean) ** 2).sum(axis=2)
    cosine = music @ (mean / np.linalg.norm(mean, axis=1, keepdims=True)).T
    language = (films.language[:, None] == films.language[films.owner]) + 1e-9 * distance
    best = recall_at_10(likelihood_scores(world, films), films)
    assert best > max(recall_at_10(other, films) for other in (distance, cosine, language)) + 0.02


def test_the_classes_of_films_are_as_probable_as_they_are_said_to_be(world: World) -> None:
    films = draw_films(world, "train", films=300)
    posterior = np.exp(film_posterior(world, films)[0])
    said = posterior.max(axis=1).mean()
    right = (posterior.argmax(axis=1) == films.language * GENRES + films.genre).mean()
    assert posterior.sum(axis=1) == pytest.approx(1) and right == pytest.approx(said, abs=0.05)


def test_a_constant_score_is_worth_chance(films: Films) -> None:
    ranks = mid_ranks(np.zeros((207, 1964)), films.owner)
    random = mid_ranks(np.random.default_rng(0).normal(size=(207, 1964)), films.owner)
    assert (ranks == 982.5).all() and (random <= 100).mean() == pytest.approx(100 / 1964, abs=0.02)


def test_the_interval_over_films_holds_every_seed(films: Films) -> None:
    ranks = np.random.default_rng(0).integers(1, 1965, (3, 1964)).astype(float)
    ten = intervals(film_results(ranks, films), draws=200)["r_at_100"]
    assert ten.low < ten.value < ten.high and ten.value == pytest.approx(100 * (ranks <= 100).mean())


def test_drawn_films_are_a_data_set_version_that_training_loads(world: World, tmp_path: Path) -> None:
    splits = [draw_films(world, split, films=2) for split in ("train", "valid", "test")]
    data = load_data(write_lake(str(tmp_path / "lake"), splits), "latent-films")
    assert [len(split.film_ids) for split in (data.train, data.valid, data.test)] == [2, 2, 2]
    assert len(data.test.track_ids) == len(splits[-1].owner) and len(data.test.plots[0]) == 3


def test_the_text_tower_says_the_level_of_a_word(world: World, tmp_path: Path) -> None:
    folder = save_towers(tmp_path, world)["text.pretrained"]
    tower = BertModel.from_pretrained(folder, add_pooling_layer=False).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    words = [str(word) for word in TEXT_WORDS[3]]
    states = [tower(**tokenizer(word, return_tensors="pt")).last_hidden_state[0, 1].detach().numpy() for word in words]
    levels = np.array(states) @ (word_vectors(world)[words[-1]] - word_vectors(world)[words[0]])
    assert (np.diff(levels) > 0).all()


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_recipe_is_shown_as_many_segments(recipe: quality.Recipe) -> None:
    settings = recipe.settings(segments=36_000, tracks=1_000)
    assert settings.training.epochs * settings.data.segments * 1_000 == 36_000
    assert settings.text.frozen and settings.audio.width == quality.TOWERS["audio.width"]


@pytest.mark.filterwarnings("error:constrained_layout")  # which the plot gave up where its labels were far outside
def test_a_run_ends_as_a_line_with_its_ranks_and_is_not_repeated(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    splits = [draw_films(world, split, films=3) for split in ("train", "valid", "test")]
    lake = write_lake(str(tmp_path / "lake"), splits)
    bench = quality.Bench(world, splits[-1], lake, save_towers(tmp_path, world), tmp_path / "results.jsonl", 1)
    for _ in range(2):
        quality.run_missing(bench, [(RECIPES[0], 0)])
    [row] = [json.loads(line) for line in bench.results.read_text().splitlines()]
    assert sorted(row["ranks"][row["policy"]])[0] >= 1 and len(row["ranks"]["segments1"]) == len(splits[-1].owner)
    print_table(bench.measured())
    plot_recall(bench.measured(), str(tmp_path / "recall.png"))
    assert "| paper | 1 |" in capsys.readouterr().out
    with Image.open(tmp_path / "recall.png") as plot:
        assert plot.size == (800, 300)


def test_another_drawing_has_other_films_of_the_same_sizes(world: World, films: Films) -> None:
    other = draw_films(draw_world(1), "test", 1)
    assert (np.bincount(other.owner) == np.bincount(films.owner)).all()
    assert not np.allclose(other.segments, films.segments) and (other.language != films.language).any()


def test_a_folder_keeps_one_drawing(tmp_path: Path) -> None:
    (tmp_path / "drawing").write_text("1")
    with pytest.raises(SystemExit, match="name another folder"):
        quality.open_bench(tmp_path, 0, 1)
