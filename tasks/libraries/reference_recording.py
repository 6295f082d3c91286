"""Decode a recording that music should sound like: it is in no library, and nothing of it is kept.

Both functions raise `ItemError`, with a reason and a sentence, for a file that cannot be listened to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from storage.errors import ItemError
from storage.mels.reader import TrackMels
from storage.mels.settings_and_shard_format import MelSettings
from tasks.soundtracks.audio.decode import SAMPLE, AudioFile, Samples, as_samples
from tasks.soundtracks.audio.melspectrogram import segment_mels

MOST_MINUTES = 20
"""What is kept of a recording while it is searched by is 15 MB then, and who waits for it waits for seconds."""


def reference_mels(path: str, settings: MelSettings, name: str) -> tuple[TrackMels, float]:
    """Return a recording's mels, a short one padded with silence, and its length in seconds; errors call it `name`."""
    padded = replace(settings, short_tracks="pad")
    audio = AudioFile(path, padded.sample_rate_hz)
    mels = segment_mels(_bounded(audio, name), padded, name)
    return mels, audio.decoded_seconds


def reference_samples(path: str, rate_hz: int) -> tuple[NDArray[np.int16], float]:
    """Return a recording's samples, mono with 16 bits at a rate, and its length in seconds."""
    name = Path(path).name
    audio = AudioFile(path, rate_hz)
    blocks = [as_samples(block) for block in _bounded(audio, name)]
    return np.concatenate([np.empty(0, SAMPLE), *blocks]), audio.decoded_seconds


def _bounded(audio: AudioFile, name: str) -> Iterator[Samples]:
    """Yield the blocks of a recording, and end with an error as soon as it is too long."""
    for block in audio.blocks():
        if audio.decoded_seconds > 60 * MOST_MINUTES:
            raise ItemError(
                "too_long", f"{name} is longer than {MOST_MINUTES} minutes; give the part of it that counts"
            )
        yield block
