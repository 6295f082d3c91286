"""Fingerprint recordings, so that re-encodings of one recording are recognised as the same sound.

The idea is Haitsma and Kalker's (ISMIR 2002): the sign of how the energy difference between neighbouring bands changes
over time survives coding, equalising and level changes. Here the bands are taken from the mels that the shard already
holds, and a frame is half a second, so that a few milliseconds of encoder delay do not matter; four minutes are 2 kB.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.mels.writer import TrackMels

WORDS_PER_SEGMENT = 20
WORD_SECONDS = 0.496
"""A twentieth of a segment of 9.92 s; encoders shift a recording by up to 0.05 s."""
LOWEST_BAND, HIGHEST_BAND = 4, 103
"""About 90 Hz to 6 kHz, which every codec keeps. 99 mel bands make 33 of three."""
WORD_BITS = 32
MIN_WORDS = 16
"""Eight seconds must be compared: fewer bits agree by chance too often, and padding adds no bits."""
MIN_EQUAL_BITS = 0.82
"""Below the worst encoding (0.86), above two themes of one composer on the same instruments (0.77)."""


def fingerprint(mels: TrackMels) -> bytes:
    """Return one little-endian 32-bit word per `WORD_SECONDS` after the first; nothing for silence."""
    if mels.silent.all():
        return b""
    energy = np.concatenate([_band_energy(segment) for segment in mels.stored])
    bits = np.diff(np.diff(energy, axis=1), axis=0) > 0
    return np.packbits(bits, axis=1, bitorder="little").tobytes()


def _band_energy(stored: NDArray[Any]) -> NDArray[np.float32]:
    """Return the mean stored values of one segment, shape (20 words, 33 bands).

    Quantised mels serve as well as decibels: they differ by a factor and by the segment's maximum, and neither changes
    the sign of a difference between bands.
    """
    bands = stored[LOWEST_BAND:HIGHEST_BAND].reshape(WORD_BITS + 1, -1, stored.shape[1]).sum(axis=1, dtype=np.float32)
    edges = np.linspace(0, bands.shape[1], WORDS_PER_SEGMENT + 1).astype(int)
    sums = np.add.reduceat(bands, edges[:-1], axis=1)
    return np.asarray(sums.T / np.diff(edges)[:, None], np.float32)


def is_same_sound(one: NDArray[np.uint32], other: NDArray[np.uint32]) -> bool:
    """Return whether two fingerprints are of one recording, compared from the start to the end of the shorter.

    The words are compared position by position: a recording that starts half a second later is not recognised.
    """
    shorter = min(len(one), len(other))
    left, right = one[:shorter], other[:shorter]
    audible = int(np.count_nonzero(left | right))
    different = int(np.bitwise_count(left ^ right).sum())
    return audible >= MIN_WORDS and different < (1 - MIN_EQUAL_BITS) * WORD_BITS * audible
