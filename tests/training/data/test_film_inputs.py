"""What is read of a film: its parts, paragraphs and tags, drawn or all; and which tracks it has copies of."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from storage.datasets import versions as datasets
from storage.lake.lake import Lake
from training.data.batches import TrainingBatches, validation_batches
from training.data.film_inputs import Draw, FilmInputs, draw_film, query_text, tag_words
from training.data.splits import load_split
from training.data.tokenizer import build_tokenizer
from training.settings import Settings
from training.systems import ALL_PARTS, SYSTEMS, part_subsets
from training.training_runs import Data

TOKENIZER = build_tokenizer(["fear shadow wedding chase rain"] * 3, 200)
Inputs = Callable[..., FilmInputs]


@pytest.fixture
def inputs(shared: tuple[Lake, Data], quick: Settings) -> Inputs:
    """Return a function: the training films as a system reads them under changed settings."""

    def of(system: str = "All", **changes: Any) -> FilmInputs:
        settings = quick.changed({name.replace("__", "."): value for name, value in changes.items()})
        return FilmInputs(shared[1].train, SYSTEMS[system], settings, TOKENIZER)

    return of


def _draws(inputs: FilmInputs, film: int = 0, count: int = 300) -> list[Draw]:
    return [draw_film(inputs, film, np.random.default_rng([7, number])) for number in range(count)]


def test_a_model_for_any_parts_reads_texts_and_pixels_of_the_given_ones_alone(inputs: Inputs) -> None:
    made = inputs(data__modality_dropout=0.3)
    texts = {
        "".join(sorted(part[0] for part in parts)): made.texts(0, Draw(parts=parts))
        for parts in part_subsets(made.system)
    }
    assert texts["i"] == []
    assert texts["t"] == texts["it"] and texts["t"][0].startswith("<TAG> ") and "<PLOT>" not in texts["t"][0]
    assert texts["p"] == texts["ip"] and texts["p"][0].startswith("<PLOT> ") and "<TAG>" not in texts["p"][0]
    assert texts["pt"] == texts["ipt"] == [f"{texts['t'][0]} {texts['p'][0]}"]
    films = made.gather(np.array([0, 1]), [Draw(parts=frozenset({"image"})), Draw(parts=frozenset({"tags"}))])
    assert films.given is not None and films.given.tolist() == [[False, True], [True, False]]
    assert films.text_counts == (0, 1)
    assert made.gather(np.array([0]), [Draw(parts=frozenset({"tags"}))]).pixels is None


def test_other_models_are_given_every_part_whatever_is_asked(inputs: Inputs) -> None:
    made = inputs()
    assert made.texts(0, Draw(parts=frozenset({"image"}))) == made.texts(0, Draw())
    assert made.gather(np.array([0]), [Draw()]).given is None


def test_parts_are_dropped_at_the_given_rate_and_never_all_of_them(inputs: Inputs) -> None:
    draws = _draws(inputs(data__modality_dropout=0.5), count=2000)
    assert {draw.parts for draw in draws} == set(part_subsets(SYSTEMS["All"]))
    complete = sum(draw.parts == ALL_PARTS for draw in draws)
    assert complete / 2000 == pytest.approx(0.125, abs=0.025)  # 0.5 to the third power


def test_a_part_that_a_film_lacks_is_missing(lake: Lake, write_version: Callable[..., str], quick: Settings) -> None:
    version = write_version(films=1, change=lambda row: row.update(thumbnail=None, tags=["2020 films"]))
    settings = quick.changed({"data.modality_dropout": 0.3})
    made = FilmInputs(load_split(lake, version, "train"), SYSTEMS["All"], settings, TOKENIZER)
    assert made.parts(0, Draw()) == {"plot"}
    assert {draw.parts for draw in _draws(made)} == {frozenset({"plot"})}


def test_subsets_of_tags_have_every_size_and_evaluation_reads_all(inputs: Inputs) -> None:
    made = inputs("Ta", data__tag_subsets=True)
    count = len(made.split.tags[0])
    drawn = [draw.tags or () for draw in _draws(made)]
    assert {len(tags) for tags in drawn} == set(range(1, count + 1))
    assert all(list(tags) == sorted(set(tags)) for tags in drawn)
    assert made.texts(0, made.fixed_draw(0)) == inputs("Ta").texts(0, Draw())


def test_a_whole_plot_is_read_up_to_its_limit_in_evenly_spaced_paragraphs(inputs: Inputs) -> None:
    made = inputs("Plo", data__paragraphs="all", data__max_paragraphs=2)
    first, last = made.split.plots[0][0], made.split.plots[0][-1]
    assert made.whole_plot(0) == (0, 2)
    assert made.texts(0, draw_film(made, 0, np.random.default_rng(0))) == [first, last]
    films = made.gather(np.array([0, 3]), [made.fixed_draw(0), Draw()])
    assert films.text_counts == (2, 1) and films.text_film is not None and films.text_film.tolist() == [0, 0, 1]


def test_rows_of_films_keep_their_own_texts(inputs: Inputs) -> None:
    made = inputs(data__modality_dropout=0.3, data__paragraphs="all")
    draws = [made.fixed_draw(0), Draw(parts=frozenset({"image"})), made.fixed_draw(2)]
    films = made.gather(np.arange(3), draws)
    last = films.rows(1, 3)
    assert (len(films), len(last), last.text_counts) == (3, 2, (0, 3))
    assert last.text_film is not None and last.text_film.tolist() == [1, 1, 1]
    assert films.tokens is not None and last.tokens is not None and torch.equal(last.tokens, films.tokens[3:])


def test_switches_that_are_off_change_no_draw(inputs: Inputs) -> None:
    plain, switched = inputs(), inputs(data__modality_dropout=0.5, data__tag_subsets=True)
    for one, other in zip(_draws(plain, count=20), _draws(switched, count=20), strict=True):
        assert one == dataclasses.replace(other, tags=None, parts=ALL_PARTS)


def test_several_segments_of_a_track_are_different_ones_where_it_has_enough(
    shared: tuple[Lake, Data], inputs: Inputs
) -> None:
    train, made = shared[1].train, inputs("Ta", data__segments=3)
    batch = TrainingBatches(train, made, made.settings, 0, (0, 1)).make(0, 0)
    assert len(batch.tracks) == 3 * len(batch.owner)
    for track in batch.tracks.mels.view(len(batch.owner), 3, -1):
        assert len(track.unique(dim=0)) == 3
    more = inputs("Ta", data__segments=5)
    (validated,) = validation_batches(train, more, 16)
    assert len(validated.tracks) == 5 * 16  # of three segments each, some are taken twice


FIRST = "enwiki-2020000/music_folder:enwiki-2020000"
COPIES = [
    {"kind": "track", "item": "enwiki-2020001/other", "rule": "same_sound", "value": f"{FIRST}-0"},
    {"kind": "track", "item": "enwiki-2020002/x", "rule": "too_short", "value": f"{FIRST}-1"},
    {"kind": "track", "item": "enwiki-9/gone", "rule": "same_audio", "value": f"{FIRST}-1"},
]


def test_a_copy_that_curation_left_out_is_music_of_its_film_too(
    lake: Lake, write_version: Callable[..., str], quick: Settings
) -> None:
    version = write_version(films=3)
    lake.remove(datasets.FOLDER, version, datasets.EXCLUSIONS_FILE.name)
    excluded = pa.Table.from_pylist(COPIES, datasets.EXCLUSIONS_FILE.schema)
    lake.write_table(excluded, datasets.FOLDER, version, datasets.EXCLUSIONS_FILE.name)
    train, settings = load_split(lake, version, "train"), quick.changed({"data.mask_copies": True})
    assert train.copies.tolist() == [[0, 1]]  # the first film's first track, and the second film
    made = FilmInputs(train, SYSTEMS["Ta"], settings, TOKENIZER)
    batch = TrainingBatches(train, made, settings, 0, (0, 1)).make(0, 0)
    assert batch.copies is not None
    rows, columns = batch.copies.nonzero().T.tolist()
    assert rows == (batch.film_numbers == 1).nonzero()[:, 0].tolist() and len(set(columns)) == 1
    (column,) = set(columns)
    assert batch.film_numbers[column] == 0


@pytest.mark.parametrize(
    ("system", "text"),
    [
        ("All", "<TAG> drama <PLOT> He leaves."),
        ("TaPlo", "<TAG> drama <PLOT> He leaves."),
        ("AVCA", "<TAG> drama <PLOT> He leaves."),
        ("Ta", "drama"),
        ("ImTa", "drama"),
        ("Plo", "He leaves."),
        ("ImPlo", "He leaves."),
    ],
)
def test_each_system_reads_the_parts_of_a_film_that_it_uses(system: str, text: str) -> None:
    row = SYSTEMS[system]
    tags, plot = "drama" if row.tags else None, "He leaves." if row.plot else None
    assert query_text(row.markers, tags, plot) == text


def test_tag_words_leave_out_films_and_drop_years_unless_kept() -> None:
    tags = ["2023 films", "2020s drama films", "English-language films", "Indian drama films"]
    assert tag_words(tags, keep_years=False) == "drama English-language Indian"
    assert tag_words(tags, keep_years=True) == "2023 2020s drama English-language Indian"
    assert tag_words(tags, keep_years=False, keep_decades=True) == "2020s drama English-language Indian"
