"""A compact fingerprint of a recording, alike for re-encodings of it and unlike for other music.

The idea is Haitsma and Kalker's (ISMIR 2002): the sign of how the energy difference between
neighbouring bands changes from one moment to the next survives coding, equalising and level. Here
the bands come from the mels that the shard already holds, and a moment is half a second, so that a
few milliseconds of encoder delay do not matter; four minutes are 2 kB.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.mels.writer import TrackMels

MOMENTS_A_SEGMENT = 20
"""A moment is 0.496 s; encoders shift a recording by up to 0.05 s."""
LOWEST_BAND, HIGHEST_BAND = 4, 103
"""About 90 Hz to 6 kHz: what every codec keeps. 99 mel bands make 33 of three."""
BITS = 32
WIDEST_SHIFT = 20
"""Moments by which two encodings of one recording may start apart: one segment, 9.92 s."""
SHORTEST_OVERLAP = 16
"""Moments that must overlap: fewer bits than 512 agree by chance too often."""


def fingerprint(mels: TrackMels) -> bytes:
    """One little-endian 32-bit word a moment after the first; empty for silence."""
    if mels.silent.all():
        return b""
    energy = np.concatenate([_moments(segment) for segment in mels.stored])
    bits = np.diff(np.diff(energy, axis=1), axis=0) > 0
    return np.packbits(bits, axis=1, bitorder="little").tobytes()


def _moments(stored: NDArray[Any]) -> NDArray[np.float32]:
    """Mean stored values of one segment, shape (20 moments, 33 bands).

    Stored steps serve as well as decibels: they differ by a factor and by the segment's own maximum,
    and neither changes the sign of a difference between bands.
    """
    bands = stored[LOWEST_BAND:HIGHEST_BAND].reshape(BITS + 1, -1, stored.shape[1]).sum(axis=1, dtype=np.float32)
    edges = np.linspace(0, bands.shape[1], MOMENTS_A_SEGMENT + 1).astype(int)
    sums = np.add.reduceat(bands, edges[:-1], axis=1)
    return np.asarray(sums.T / np.diff(edges)[:, None], np.float32)


def similarity(one: bytes, other: bytes) -> float:
    """How alike two fingerprints are at their best alignment: 1 the same, about 0 unrelated.

    The share of equal bits, stretched so that chance is 0. Below 8 s of overlap it is 0.
    """
    a, b = np.frombuffer(one, "<u4"), np.frombuffer(other, "<u4")
    best = 0.0
    for shift in range(-WIDEST_SHIFT, WIDEST_SHIFT + 1):
        left, right = a[max(0, shift) :], b[max(0, -shift) :]
        count = min(len(left), len(right))
        if count >= SHORTEST_OVERLAP:
            different = np.bitwise_count(left[:count] ^ right[:count]).sum()
            best = max(best, 1.0 - 2.0 * float(different) / (BITS * count))
    return best
