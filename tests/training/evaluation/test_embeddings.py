"""Embeddings reject what cannot be ranked, and keep their ids in a file."""

from pathlib import Path

import numpy as np
import pytest

from storage.errors import LakeError, NeedledropError
from storage.tables.tables import open_tables
from training.evaluation.embeddings import Embeddings, load_embeddings, save_embeddings


def test_nan_is_an_error_and_names_the_item() -> None:
    with pytest.raises(NeedledropError, match="embedding of b is not a number"):
        Embeddings(("a", "b"), np.array([[1, 2], [np.nan, 1]]))


def test_infinity_is_an_error() -> None:
    with pytest.raises(NeedledropError, match="not a number"):
        Embeddings(("a",), np.array([[np.inf, 1]]))


def test_a_duplicate_id_is_an_error() -> None:
    with pytest.raises(NeedledropError, match="a has two embeddings"):
        Embeddings(("a", "a"), np.ones((2, 3)))


def test_ids_that_do_not_match_the_vectors_are_an_error() -> None:
    with pytest.raises(NeedledropError, match="3 ids do not fit"):
        Embeddings(("a", "b", "c"), np.ones((2, 3)))


def test_a_file_returns_ids_and_vectors(tmp_path: Path) -> None:
    lake = open_tables(str(tmp_path))
    saved = Embeddings(("x:1", "x:2", "x:3"), np.random.default_rng(0).normal(size=(3, 5)))
    save_embeddings(lake, saved, "models/run/tracks.parquet")
    loaded = load_embeddings(lake, "models/run/tracks.parquet")
    assert loaded.ids == saved.ids and np.array_equal(loaded.vectors, saved.vectors)


def test_missing_embeddings_are_an_error_that_names_the_command(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="train and evaluate"):
        load_embeddings(open_tables(str(tmp_path)), "models/run/tracks.parquet")
