"""Embeddings of what was taken down are blanked in every model folder, and the others stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from storage.lake.lake import Lake
from storage.tables import tables
from storage.takedown_list_and_erasure import blank_embeddings
from training.evaluation.embeddings import Embeddings, load_embeddings, save_embeddings


def lake_with_models(folder: Path) -> Lake:
    lake = tables.open_tables(str(folder / "lake"))
    for run in ("one", "two"):
        save_embeddings(lake, Embeddings(("a", "b"), np.ones((2, 4), np.float32)), "models", run, "test-tracks.parquet")
    return lake


def test_the_embeddings_of_a_track_are_blanked_in_every_run(tmp_path: Path) -> None:
    lake = lake_with_models(tmp_path)
    assert blank_embeddings(lake, {"b", "c"}) == 2
    left = load_embeddings(lake, "models", "two", "test-tracks.parquet")
    assert left.ids == ("a", "b")
    assert left.vectors.any(axis=1).tolist() == [True, False]


def test_blanking_again_writes_nothing(tmp_path: Path) -> None:
    lake = lake_with_models(tmp_path)
    blank_embeddings(lake, {"b"})
    assert blank_embeddings(lake, {"b"}) == 0
