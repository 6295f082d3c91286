"""Every system can overfit: it retrieves the track of each of 32 films within a minute on a CPU.

By default for two systems, one with each loss; NEEDLEDROP_OVERFIT=all runs all nine, in about two minutes.
"""

import io
import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from storage.lake.lake import Lake
from training.data.film_inputs import FilmInputs
from training.data.splits import Split, load_split
from training.evaluation.embed_films_and_tracks import embed_films, embed_tracks, track_owners
from training.evaluation.ranking import rank_tracks
from training.loop.checkpoint import Job, save_config
from training.loop.devices_and_torchrun import Machine
from training.loop.train import EpochReport, LoopInputs, train
from training.model.retrieval_model import build_model
from training.presets import chosen_settings
from training.systems import SYSTEMS

FILMS = 32
CHOSEN = SYSTEMS if os.environ.get("NEEDLEDROP_OVERFIT") == "all" else ("All", "AVCA-tuned")
only_on_request = pytest.mark.skip(reason="takes ten seconds; NEEDLEDROP_OVERFIT=all runs every system")
WORDS = np.array([f"{first}{second}" for first in ("bo", "ka", "li", "mu") for second in ("ra", "sel", "tin", "wo")])


def _make_distinct(row: dict[str, Any]) -> None:
    """Give each film distinct words, tags and colours: identical films could not be distinguished."""
    rng = np.random.default_rng(row["number"])
    own = rng.choice(WORDS, 4, replace=False)
    colours = rng.integers(0, 256, (2, 2, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(colours).resize((224, 224), Image.Resampling.NEAREST).save(buffer, "JPEG")
    row.update(tags=[f"{word} films" for word in own], plot=[" ".join(own)], thumbnail=buffer.getvalue())


@pytest.fixture
def splits(lake: Lake, write_version: Callable[..., str]) -> list[Split]:
    """The films to overfit, and a validation split of one track, which is too small for a loss."""
    version = write_version(films={"train": FILMS, "valid": 1, "test": 1}, tracks=1, segments=1, change=_make_distinct)
    return [load_split(lake, version, name) for name in ("train", "valid")]


class _Overfitted(Exception):
    """Every own track has rank 1."""


@pytest.mark.parametrize(
    "name", [name if name in CHOSEN else pytest.param(name, marks=only_on_request) for name in SYSTEMS]
)
def test_a_system_overfits_32_films(name: str, lake: Lake, splits: list[Split], machine: Machine) -> None:
    settings, system, films = chosen_settings("small", epochs=80), SYSTEMS[name], splits[0]
    started, job = time.process_time(), Job(name, system, settings, 0, "overfit")
    built = build_model(system, settings, films, 0)
    save_config(lake, job, built)
    inputs = [FilmInputs(split, system, settings, built.tokenizer) for split in splits]

    def stop_at_full_recall(report: EpochReport) -> None:
        if report.epoch % 5 == 4:
            query = embed_films(built.model, films, inputs[0], machine)
            audio = embed_tracks(built.model, films, 1, machine)
            if (rank_tracks(query, audio, track_owners(films)).rank_hi == 1).all():  # R@1 is 100 %
                raise _Overfitted

    with pytest.raises(_Overfitted):
        train(lake, LoopInputs(job, built.model, *splits, *inputs), machine, stop_at_full_recall)
    assert time.process_time() - started < 60
