"""Load a pretrained audio model and embed segments of sound, and texts where it reads them into the same space.

A segment lasts 9.92 s. A model whose window is longer gets it padded as its own feature extractor pads; one whose
window is shorter hears it in windows spread evenly from its first sample to its last, whose mean is the embedding.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoFeatureExtractor, AutoTokenizer

from storage.audio_embeddings import EncoderCard, Vectors
from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import MelSettings
from training.audio_encoders.model_files import (
    JOINT,
    POOLED,
    TYPES,
    EncoderFiles,
    check_weights,
    find_encoder,
    known_model,
)
from training.loop.micro_batches_and_out_of_memory import halve_until_it_fits
from training.model.pretrained_weights import Modality, pretrained_tower

AUDIO = Modality("audio", "--audio-encoder", dict.fromkeys(TYPES, ""))
SEGMENT_SECONDS = MelSettings().segment_seconds
SAMPLE = np.dtype("<i2")
"""Decoded audio as extraction leaves it: mono, without a header."""
SEGMENTS_AT_ONCE = 16
"""Two and a half minutes of sound; fewer windows are tried at once where the GPU is full."""
RATES_HZ = (4_000, 192_000)
"""The sampling rates that a model may ask for; the encoders that are known want 16,000 to 48,000."""
NO_TEXT = "The encoder {name} reads no text, so it can answer neither a plot nor tags; give a CLAP model"
CHUNK_TOKENS = 77
"""The longest text that CLAP was trained on; a plot is read in chunks of so many tokens."""


class Encoder:
    """One loaded model on one device."""

    def __init__(self, name: str, device: torch.device) -> None:
        """Load a model by hub name or folder. Raises `InputError` when it cannot be an encoder."""
        files = find_encoder(name)
        self.device = device
        self._model: Any = pretrained_tower(str(files.folder), AUDIO).eval().to(device)
        self._extract = _feature_extractor(files)
        self._folder = files.folder
        self._type = files.model_type
        rate = int(self._extract.sampling_rate)
        self._window_samples = _checked_window(files, self._extract)
        self.card = EncoderCard(
            name=files.name,
            model_type=files.model_type,
            sample_rate_hz=rate,
            window_seconds=self._window_samples / rate if self._window_samples else None,
            dimensions=self._dimensions(files.name, rate),
            has_text=files.model_type == JOINT,
            weights_sha256=files.weights_sha256,
            revision=files.revision,
            licence=files.licence,
        )

    def _dimensions(self, name: str, rate_hz: int) -> int:
        """Return the width of the embeddings, by embedding silence; raises `InputError` for files that do not fit."""
        silence = np.zeros(segment_samples(rate_hz), np.float32)
        try:
            embedded = self._embed_windows(self._windows(silence)[:1])
            if not embedded.half().isfinite().all():  # as it is stored
                raise ValueError("what it embeds has values that are no numbers")
        except (RuntimeError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError) as error:
            raise InputError(
                f"The preprocessor_config.json of the encoder {name!r} does not fit its weights "
                f"({next(iter(str(error).splitlines()), '')}); restore its files"
            ) from error
        return embedded.shape[1]

    def embed_file(self, path: str, segments: int) -> Vectors:
        """Return the embeddings of a recording's segments, float16 [segments, dimensions].

        Raises `LakeError` when the decoded audio is missing or shorter than its segments.
        """
        size = segment_samples(self.card.sample_rate_hz)
        try:
            samples = np.memmap(path, SAMPLE, "r")  # an hour at 48 kHz is 346 MB: read as it is needed
        except (OSError, ValueError) as error:
            raise LakeError(f"Decoded audio cannot be read ({error}); run the same command again") from error
        if len(samples) <= (segments - 1) * size:
            raise LakeError(f"{path} is too short for {segments} segments; run the same command again")
        return self.embed_samples(samples, segments)

    def embed_samples(self, samples: NDArray[np.int16], segments: int) -> Vectors:
        """Return the embeddings of the first segments of mono samples at the model's rate, as `embed_file` does."""
        size = segment_samples(self.card.sample_rate_hz)
        starts = range(0, segments, SEGMENTS_AT_ONCE)
        groups = [samples[start * size : min(start + SEGMENTS_AT_ONCE, segments) * size] for start in starts]
        return np.concatenate([self._embed_segments(group, size) for group in groups])

    def _embed_segments(self, samples: NDArray[np.int16], size: int) -> Vectors:
        """Return the embeddings of consecutive segments; the last one is padded with silence as its mel is."""
        segments = math.ceil(len(samples) / size)
        padded = np.zeros(segments * size, np.float32)
        padded[: len(samples)] = samples / np.float32(32768)
        windows = [self._windows(segment) for segment in padded.reshape(segments, size)]
        owner = torch.repeat_interleave(torch.tensor([len(own) for own in windows]))
        vectors = self._embed_windows(list(itertools.chain.from_iterable(windows)))
        sums = torch.zeros(segments, vectors.shape[1]).index_add_(0, owner, vectors)
        result: Vectors = (sums / torch.bincount(owner)[:, None]).numpy().astype(np.float16)
        return result

    def _windows(self, segment: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return a segment as windows that the model hears at once: itself where it fits."""
        size = self._window_samples
        if not size or len(segment) <= size:
            return [segment]
        starts = np.linspace(0, len(segment) - size, math.ceil(len(segment) / size)).round().astype(int)
        return [segment[start : start + size] for start in starts]

    def _embed_windows(self, windows: Sequence[NDArray[np.float32]]) -> Tensor:
        """Return one vector per window, float32 [n, dimensions] on the CPU."""
        inputs = self._extract(list(windows), sampling_rate=self._extract.sampling_rate, return_tensors="pt")
        vectors: list[Tensor] = []

        def encode(start: int, stop: int) -> None:
            part = {name: value[start:stop].to(self.device) for name, value in inputs.items()}
            with torch.no_grad():
                vectors.append(self._pooled(part).float().cpu())

        halve_until_it_fits(encode, len(windows), len(windows))
        return torch.cat(vectors)

    def _pooled(self, inputs: dict[str, Tensor]) -> Tensor:
        if self._type == JOINT:
            joint: Tensor = self._model.get_audio_features(**inputs).pooler_output
            return joint
        output = self._model(**inputs)
        pooled: Tensor = output.pooler_output if self._type == POOLED else output.last_hidden_state.mean(1)
        return pooled

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return texts in the space of the sounds, [n, dimensions]: the mean of their chunks, of length 1.

        Raises `InputError` for a model without a text side, or without its tokenizer.
        """
        check_reads_text(self.card)
        tokenizer = _tokenizer(self._folder)
        limit = min(CHUNK_TOKENS, self._model.config.text_config.max_position_embeddings - 2)
        embedded = []
        for text in texts:
            chunks = tokenizer(
                text, truncation=True, max_length=limit, return_overflowing_tokens=True, padding=True,
                return_tensors="pt",
            )  # fmt: skip
            with torch.no_grad():
                inputs = {name: chunks[name].to(self.device) for name in ("input_ids", "attention_mask")}
                features = self._model.get_text_features(**inputs).pooler_output.float().cpu()
            embedded.append(F.normalize(F.normalize(features, dim=-1).mean(0), dim=-1))
        return torch.stack(embedded).numpy()


def open_known_encoder(lake: Lake, card: EncoderCard, device: torch.device, given: str | None = None) -> Encoder:
    """Load the model of embeddings, from where this machine has it or from the folder `given`.

    Raises `InputError` when it is not on this machine, or has other weights than those that made the embeddings.
    """
    name = given or known_model(lake, card)
    if name is None:
        raise InputError(
            f"The model of {card.folder} is not on this machine; copy it here, and name it where it embeds"
        )
    encoder = Encoder(name, device)
    check_weights(encoder.card, card)
    return encoder


def check_reads_text(card: EncoderCard) -> None:
    """Raise `InputError` for an encoder without a text side."""
    if not card.has_text:
        raise InputError(NO_TEXT.format(name=card.name))


def segment_samples(sample_rate_hz: int) -> int:
    """Return the samples of one segment at a rate: a whole number at every common one."""
    return round(SEGMENT_SECONDS * sample_rate_hz)


def _feature_extractor(files: EncoderFiles) -> Any:
    try:
        extractor = AutoFeatureExtractor.from_pretrained(str(files.folder), trust_remote_code=False)
        low, high = RATES_HZ
        if extractor.sampling_rate not in range(low, high + 1):
            raise ValueError(f"its sampling_rate is {extractor.sampling_rate!r}, no whole number of {low} to {high}")
    except (OSError, ValueError, KeyError, AttributeError, TypeError, ImportError) as error:
        message = next(iter(str(error).splitlines()), type(error).__name__)
        raise InputError(
            f"The preprocessor_config.json of the encoder {files.name!r} is of no audio model ({message}); restore it"
        ) from error
    return extractor


def _checked_window(files: EncoderFiles, extractor: Any) -> int | None:
    """Return the longest input of a model, in samples. Raises `InputError` where its files give none."""
    try:
        samples = _window_samples(files.model_type, extractor)
        if samples is not None and samples <= 0:
            raise ValueError(f"its window has {samples} samples")
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"The preprocessor_config.json of the encoder {files.name!r} gives no window ({error}); restore it"
        ) from error
    return samples


def _window_samples(model_type: str, extractor: Any) -> int | None:
    """Return the longest input of a model, in samples; None where any length will do."""
    if model_type == JOINT:
        return int(extractor.nb_max_samples)
    if model_type == POOLED:
        rate = int(extractor.sampling_rate)
        # Kaldi's frames: 25 ms long, one each 10 ms (transformers.ASTFeatureExtractor).
        return round(((int(extractor.max_length) - 1) * 0.010 + 0.025) * rate)
    return None


def _tokenizer(folder: Path) -> Any:
    try:
        return AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"The encoder in {folder.name!r} has no tokenizer; restore its files") from error
