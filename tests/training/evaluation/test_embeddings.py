"""Embeddings refuse what could not be ranked and keep ids through a file."""

import numpy as np
import pytest

from storage.errors import LakeError, NeedledropError
from storage.tables.tables import open_tables
from training.evaluation.embedding_files import Embeddings, load_embeddings, save_embeddings


def test_nan_is_an_error_and_names_the_item():
    with pytest.raises(NeedledropError, match="embedding of b is not a number"):
        Embeddings(("a", "b"), np.array([[1, 2], [np.nan, 1]]))


def test_infinity_is_an_error():
    with pytest.raises(NeedledropError, match="not a number"):
        Embeddings(("a",), np.array([[np.inf, 1]]))


def test_an_id_twice_is_an_error():
    with pytest.raises(NeedledropError, match="a has two embeddings"):
        Embeddings(("a", "a"), np.ones((2, 3)))


def test_ids_that_do_not_fit_the_vectors_are_an_error():
    with pytest.raises(NeedledropError, match="3 ids do not fit"):
        Embeddings(("a", "b", "c"), np.ones((2, 3)))


def test_a_file_gives_back_ids_and_vectors(tmp_path):
    lake = open_tables(str(tmp_path))
    kept = Embeddings(("x:1", "x:2", "x:3"), np.random.default_rng(0).normal(size=(3, 5)))
    save_embeddings(lake, kept, "models/run/tracks.parquet")
    found = load_embeddings(lake, "models/run/tracks.parquet")
    assert found.ids == kept.ids and np.array_equal(found.vectors, kept.vectors)


def test_missing_embeddings_say_what_to_run(tmp_path):
    with pytest.raises(LakeError, match="train and evaluate"):
        load_embeddings(open_tables(str(tmp_path)), "models/run/tracks.parquet")
