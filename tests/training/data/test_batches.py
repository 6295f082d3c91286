"""Batches depend on seed, epoch and step alone; a film may lack tags, plot or image."""

import dataclasses
import io
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from storage.errors import InputError
from storage.lake.lake import Lake
from training.data.batches import FILMS, ORDER, SEGMENTS, Batch, TrainingBatches, validation_batches
from training.data.film_inputs import FilmInputs
from training.data.negatives import draw_negatives
from training.data.splits import load_split, newest_version
from training.data.tokenizer import build_tokenizer
from training.presets import with_options
from training.settings import Settings
from training.systems import SYSTEMS, System
from training.training_runs import Data, load_data

ALL = SYSTEMS["All"]
TOKENIZER = build_tokenizer(["fear shadow wedding chase rain"] * 3, 200)


@pytest.fixture
def batches(shared: tuple[Lake, Data], quick: Settings) -> Callable[..., TrainingBatches]:
    def make(seed: int = 0, share: tuple[int, int] = (0, 1), system: System = ALL, **changes: Any) -> TrainingBatches:
        train, settings = shared[1].train, with_options(quick, changes)
        return TrainingBatches(train, FilmInputs(train, system, settings, TOKENIZER), settings, seed, share)

    return make


def _same(a: Batch, b: Batch) -> bool:
    pairs = [(a.films.tokens, b.films.tokens), (a.films.pixels, b.films.pixels), (a.tracks.mels, b.tracks.mels)]
    return all(torch.equal(x, y) for x, y in [*pairs, (a.owner, b.owner), (a.film_numbers, b.film_numbers)])


def test_a_batch_does_not_depend_on_when_or_by_which_object_it_is_made(batches: Callable[..., TrainingBatches]) -> None:
    first, second = batches(), batches()
    expected = [first.make(0, step) for step in range(2)]
    assert _same(second.make(0, 1), expected[1])  # without having made step 0 before
    assert all(_same(a, b) for a, b in zip(second.epoch(0, 0), expected, strict=True))
    assert _same(next(second.epoch(0, 1)), expected[1])


def test_seed_epoch_and_step_each_change_the_batch(batches: Callable[..., TrainingBatches]) -> None:
    base = batches().make(0, 0)
    assert not _same(base, batches(seed=1).make(0, 0))
    assert not _same(base, batches().make(1, 0))
    assert not _same(base, batches().make(0, 1))


@pytest.mark.parametrize(("separate", "coincide"), [(False, True), (True, False)])
def test_random_streams_coincide_only_as_the_first_versions_drew_them(
    batches: Callable[..., TrainingBatches], separate: bool, coincide: bool
) -> None:
    made = batches(**{"data.separate_streams": separate})
    order, segments, film = made.stream(ORDER, 0), made.stream(SEGMENTS, 0, 0), made.stream(FILMS, 0, 0, 0)
    drawn = [rng.integers(2**60) for rng in (order, segments, film)]
    assert (len(set(drawn)) == 1, len(set(drawn)) == 3) == (coincide, not coincide)


def test_an_epoch_has_every_track_once_and_each_film_once_per_batch(batches: Callable[..., TrainingBatches]) -> None:
    made = batches(batch=8)
    taken = torch.cat([made.make(0, step).film_numbers for step in range(made.steps)])
    assert made.steps == 2
    assert torch.bincount(taken).tolist() == [2] * 8
    batch = made.make(0, 0)
    assert len(batch.films.pixels) == len(batch.film_numbers.unique()) < 8


@pytest.mark.parametrize("ranks", [2, 4])
def test_the_shares_of_all_ranks_are_the_batch_of_one_rank(ranks: int, batches: Callable[..., TrainingBatches]) -> None:
    complete, shares = batches().make(0, 1), [batches(share=(rank, ranks)).make(0, 1) for rank in range(ranks)]
    for part in ("mels", "ref_db"):
        assert torch.equal(torch.cat([getattr(share.tracks, part) for share in shares]), getattr(complete.tracks, part))
    for share, items in zip(shares, torch.arange(8).split(8 // ranks), strict=True):
        assert torch.equal(share.films.pixels[share.owner], complete.films.pixels[complete.owner[items]])
        length = share.films.tokens.shape[1]  # a share may fit a shorter bucket; the rest is padding
        assert torch.equal(share.films.tokens[share.owner], complete.films.tokens[complete.owner[items], :length])


def test_more_ranks_than_tracks_in_a_batch_are_refused(batches: Callable[..., TrainingBatches]) -> None:
    with pytest.raises(InputError, match="too small for 9 processes"):
        batches(share=(0, 9))


def test_negatives_are_other_films_with_few_shared_tags(
    batches: Callable[..., TrainingBatches], shared: tuple[Lake, Data]
) -> None:
    of_system = partial(batches, system=SYSTEMS["AVCA"], batch=16)
    every, one = (of_system(**{"data.triplet_negatives": how}).make(0, 0) for how in ("all", "one"))
    tags = [set(own) for own in shared[1].train.tags]
    for item, other in every.negatives.nonzero():
        film, negative = every.film_numbers[item], every.film_numbers[other]
        assert film != negative
        assert len(tags[film] & tags[negative]) <= 0.7 * len(tags[film])
    assert (one.negatives.sum(1) == 1).all() and (every.negatives.sum(1) > 1).all()
    assert not (one.negatives & ~every.negatives).any()


def test_any_other_film_is_a_negative_where_all_films_share_their_tags(
    lake: Lake, write_version: Callable[..., str], quick: Settings
) -> None:
    version = write_version(films=3, change=lambda row: row.update(tags=["Same films"]))
    train = load_split(lake, version, "train")
    inputs = FilmInputs(train, SYSTEMS["AVCA"], quick, TOKENIZER)
    chosen = draw_negatives(inputs, np.array([0, 0, 1, 2]), np.random.default_rng(0))
    assert chosen.tolist() == [[False, False, True, True]] * 2 + [[True, True, False, True], [True, True, True, False]]


def test_validation_takes_the_first_paragraph_and_the_middle_segment(
    shared: tuple[Lake, Data], quick: Settings
) -> None:
    valid = shared[1].valid
    inputs = FilmInputs(valid, SYSTEMS["Plo"], quick, TOKENIZER)
    (once,), (again,) = (list(validation_batches(valid, inputs, 16)) for _ in range(2))
    assert torch.equal(once.tracks.mels, again.tracks.mels)
    film = int(once.film_numbers[0])
    first = TOKENIZER.encode(valid.plots[film][0]).ids
    assert once.films.tokens[once.owner[0]][: len(first)].tolist() == first
    assert valid.even_segments(0, 1).tolist() == [int(valid.positions[1])]


def test_even_segments_include_both_ends_and_all_segments_of_a_short_track(shared: tuple[Lake, Data]) -> None:
    test = dataclasses.replace(shared[1].test, first_segment=np.array([0, 10, 13]), positions=np.arange(13))
    assert test.even_segments(0, 4).tolist() == [0, 3, 6, 9]
    assert test.even_segments(0, 1).tolist() == [4]
    assert test.even_segments(1, 8).tolist() == [10, 11, 12]


def _jpeg(mode: str, size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.mark.parametrize(
    "lacking",
    [
        {"tags": []},
        {"plot": []},
        {"plot": ["", "  "]},
        {"tags": [], "plot": []},
        {"thumbnail": None},
        {"thumbnail": _jpeg("L", (1, 1))},
        {"thumbnail": _jpeg("CMYK", (30, 400))},
    ],
)
def test_a_film_without_tags_plot_or_image_has_inputs(
    lacking: dict[str, Any], lake: Lake, write_version: Callable[..., str], quick: Settings
) -> None:
    version = write_version(films=2, change=lambda row: row.update(lacking))
    train = load_data(lake, version).train
    inputs = FilmInputs(train, ALL, quick, TOKENIZER)
    batch = TrainingBatches(train, inputs, quick, 0, (0, 1)).make(0, 0)
    assert batch.films.tokens.shape[0] == batch.films.pixels.shape[0] == 2


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_a_version_with_an_empty_split_is_an_error(split: str, lake: Lake, write_version: Callable[..., str]) -> None:
    version = write_version(films={name: 0 if name == split else 2 for name in ("train", "valid", "test")})
    with pytest.raises(InputError, match=f"The {split} split of {version} has no film with music"):
        load_data(lake, version)


def test_a_missing_version_is_an_error_that_names_those_there_are(
    lake: Lake, write_version: Callable[..., str]
) -> None:
    with pytest.raises(InputError, match="needledrop curate"):
        newest_version(lake)
    known = write_version(films=1)
    with pytest.raises(InputError, match=known):
        load_data(lake, "v000000000000")


def test_wrong_films_of_the_whole_set_follow_the_items_of_each_rank(shared: tuple[Lake, Data], quick: Settings) -> None:
    train, settings = shared[1].train, quick.changed({"data.triplet_negatives": "set", "training.batch": 4})
    inputs = FilmInputs(train, SYSTEMS["AVCA"], settings, TOKENIZER)
    whole = TrainingBatches(train, inputs, settings, 0, (0, 1)).make(0, 0)
    films = whole.film_numbers.numpy()
    tags = [set(train.tags[film]) for film in films]
    assert len(films) == len(whole.tracks.mels) == 8 and not whole.negatives[4:].any()
    assert whole.negatives[:4].nonzero().tolist() == [[0, 4], [1, 5], [2, 6], [3, 7]]
    assert all(len(tags[n] & tags[n + 4]) <= 0.7 * min(len(tags[n]), len(tags[n + 4])) for n in range(4))
    assert set(films[4:]) - set(films[:4])  # films that the batch does not have
    ranks = [TrainingBatches(train, inputs, settings, 0, (rank, 2)).make(0, 0) for rank in (0, 1)]
    assert ranks[1].negatives[:2].nonzero().tolist() == [[0, 6], [1, 7]]
    assert np.concatenate([rank.film_numbers[:2] for rank in ranks]).tolist() == films[:4].tolist()
    assert np.concatenate([rank.film_numbers[2:] for rank in ranks]).tolist() == films[4:].tolist()
