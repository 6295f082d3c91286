"""Embed the tracks of a library with the model of a run, as evaluation embeds those of a data set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

from storage.datasets import versions as datasets
from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from storage.libraries.embeddings import TrackEmbedding
from storage.mels.reader import MelReader
from storage.mels.settings import MelSettings, lake_settings, read_settings
from storage.mels.writer import TrackMels
from training.config import Job
from training.data.batches import Tracks
from training.evaluation.embeddings import SEGMENTS_AT_ONCE
from training.loop.checkpoint import load_model
from training.loop.devices import Machine, halve_until_it_fits
from training.model.pooling import weights_within
from training.model.retrievers import Model, score_and_embed


class TrackEncoder:
    """The audio side of a model, for recordings that belong to no data set."""

    def __init__(self, model: Model, machine: Machine) -> None:
        self._machine = machine
        self._model = model.to(machine.device).eval()

    def embed_shard(self, mels: Lake, shard: str) -> TrackEmbedding:
        """Embed every segment of the track of a shard."""
        reader = MelReader(mels, [shard], read_settings(mels, shard))
        return self.embed_segments(reader, np.arange(len(reader)))

    def embed_segments(self, reader: MelReader, positions: NDArray[np.int64]) -> TrackEmbedding:
        """Embed those segments of one track that are at these positions of a reader."""

        def read(start: int, stop: int) -> Tracks:
            chosen = positions[start:stop]
            stored = np.empty((len(chosen), *reader.settings.shape), reader.settings.dtype)
            reader.gather(chosen, stored)
            return Tracks(torch.from_numpy(stored), torch.from_numpy(reader.ref_db[chosen]))

        return self._embed(read, len(positions))

    def embed_mels(self, mels: TrackMels) -> TrackEmbedding:
        """Embed every segment of a recording whose mels are in memory."""
        return self._embed(
            lambda start, stop: Tracks(
                torch.from_numpy(mels.stored[start:stop]), torch.from_numpy(mels.ref_db[start:stop])
            ),
            len(mels),
        )

    def _embed(self, read: Callable[[int, int], Tracks], count: int) -> TrackEmbedding:
        vectors, scores = [], list[torch.Tensor]()

        def encode(start: int, stop: int) -> None:
            with torch.no_grad(), self._machine.autocast():
                embedded, scored = score_and_embed(self._model, self._machine.move(read(start, stop)))
            vectors.append(embedded.cpu())
            if scored is not None:
                scores.append(scored.cpu())

        halve_until_it_fits(encode, count, SEGMENTS_AT_ONCE)
        owner = torch.zeros(count, dtype=torch.int64)
        weights = weights_within(owner, 1, torch.cat(scores) if scores else None)
        return TrackEmbedding(torch.cat(vectors).numpy(), weights.numpy())


def load_encoder(lake: Lake, run_id: str, machine: Machine) -> tuple[TrackEncoder, MelSettings]:
    """Return the encoder of a run, and the parameters of the mels that it hears.

    Raises `InputError` for a run that hears no mels: a library has no audio embeddings.
    """
    job, built = load_model(lake, run_id)
    check_hears_mels(job)
    return TrackEncoder(built.model, machine), run_mel_settings(lake, job.dataset)


def check_hears_mels(job: Job) -> None:
    """Raise `InputError` for a run that was trained on audio embeddings: a library has none."""
    if job.settings.audio.encoder:
        raise InputError(
            f"{job.run_id} hears music through the audio encoder {job.settings.audio.encoder}, and a library has mels "
            "alone; name a run that reads mels with --run"
        )


def run_mel_settings(lake: Lake, version: str) -> MelSettings:
    """Return the mel parameters of a version's shards, on which its runs were trained.

    Where they were deleted, those of the lake's other shards, which are all alike; without any the usual ones.
    """
    try:
        path = lake.local_path(datasets.FOLDER, version, datasets.SEGMENTS_FILE.name)
        shards = pq.read_table(path, columns=["shard"])["shard"].unique().to_pylist()
    except (OSError, LakeError):
        shards = []  # the version was deleted
    for shard in sorted(shards):
        if lake.exists(shard):
            return read_settings(lake, shard)
    return lake_settings(lake) or MelSettings()
