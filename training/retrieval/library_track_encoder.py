"""Embed the recordings of a library, to index it: with the model of a run, or with an audio encoder that also reads.

A run embeds them as evaluation embeds those of a data set.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.libraries.library_embeddings import TrackEmbedding
from storage.mels.reader import MelReader, TrackMels
from storage.mels.settings_and_shard_format import MelSettings, read_settings
from training.audio_encoders.embed_audio_and_text import Encoder, check_reads_text
from training.data.batches import Tracks
from training.evaluation.embed_films_and_tracks import SEGMENTS_AT_ONCE
from training.loop.checkpoint import Job, load_model
from training.loop.devices_and_torchrun import Machine
from training.loop.micro_batches_and_out_of_memory import halve_until_it_fits
from training.model.attention_and_pooling import weights_within
from training.model.retrieval_model import Model, score_and_embed
from training.retrieval.choose_run import run_mel_settings
from training.retrieval.query_and_filters import normalised


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


def load_library_encoder(name: str, machine: Machine) -> Encoder:
    """Return the encoder of a hub name or folder, to index a library with.

    Raises `InputError` when it cannot be an encoder, or reads no text.
    """
    encoder = Encoder(name, machine.device)
    check_reads_text(encoder.card)
    return encoder


def embed_recording(encoder: Encoder, path: str, segments: int) -> TrackEmbedding:
    """Return the embedding of a recording whose decoded audio is in a file; all segments count alike.

    Raises as `Encoder.embed_file` does, and `InputError` for weights that make numbers that are not finite.
    """
    vectors = encoder.embed_file(path, segments)
    if not np.isfinite(vectors).all():
        raise InputError(f"The encoder {encoder.card.name} gave numbers that are not finite; use other weights")
    return TrackEmbedding(normalised(vectors.astype(np.float32)), np.full(segments, 1 / segments, np.float32))
