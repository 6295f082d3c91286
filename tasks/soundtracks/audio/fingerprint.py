"""Fingerprint recordings, so that copies of one recording are recognised whatever their encoding or their start.

Both parts of a fingerprint are made from the mean power of bands over two thirds of a second (words), or a third twice
(contours). Where the music is loud, an encoder keeps that to a few tenths of a decibel, also where it replaces noise by
other noise.

Words find candidates. A word is 48 signs of how differences between neighbouring bands change (Haitsma and Kalker,
ISMIR 2002) over two seconds, taken at every hundredth of a second, so that a copy which starts at any moment has the
same words; those with the smallest hash values are kept, which are the same ones in both copies wherever they begin.
The place of a word is kept with it but is no part of it.

The contour decides (`fingerprint_comparison.py`). It is the levels of the bands six times per second, smooth enough
to be compared at any offset between its moments.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from storage.mels.reader import TrackMels, decibels
from storage.mels.settings_and_shard_format import MelSettings

VERSION = 4
"""1 was words of half a second without a header, compared at equal positions only; 2 had changes as its contour; 3 had
half as many moments in it, each over twice the time."""
HEADER = struct.Struct("<3sBH")
"""`MAGIC`, version and number of words. Six bytes, so that no fingerprint of version 1 begins like one."""
MAGIC = b"NDF"

FRAME_SECONDS = 220 / 22_050
"""The unit of all times below: one frame of the mels."""
WORD_BANDS = np.arange(4, 107, 6)
CONTOUR_BANDS = np.array([*range(1, 38, 3), 44, 51, 59, 68, 78, 91, 106])
"""The mel bands at which bands begin, and where the last one ends: 17 bands for words, 19 for contours, up to 6 kHz.
Above, encoders with few bits leave out what they can. Those of contours are narrow where the notes of melodies are."""
WORD_SPAN = 64
"""Frames whose power is averaged, and frames between the two levels whose difference is a change."""
SIGNS, WORD_PARTS = 16, (0, 64, 128)
"""Signs in each of a word's three sets, and frames from its start to each of them."""
FLOOR_DB = 20.0
"""What is so far below the loudest band of the second around it is not compared: codecs change it."""
SILENCE_DB = -40.0
"""Mel power of a tone of about -60 dB of full scale."""
MAX_WORDS = 512
"""Words kept per recording, of four minutes one in twelve."""
MAX_REPEATS = 3
"""Kept places of one word: a loop repeats it."""
TIME_BITS = 24
"""Of a word's 64 bits; the other 40 are its hash. 46 hours of frames."""
CONTOUR_SPAN, CONTOUR_STEP = 32, 16
"""Frames over which the contour's power is averaged, twice, and frames between two of its moments."""
LEVEL_STEP_DB, LOWEST_LEVEL_DB = 0.5, -80.0
"""Of a contour's levels, one byte each."""

MAX_SEGMENTS = 181
"""Half an hour: a longer recording is known by its beginning, or the memory that it takes would have no limit."""

STATIC_DB = 0.6
"""Root mean square of the changes of a word's signs below which nothing happens: silence, a held chord, a drone."""


@dataclass(frozen=True)
class Fingerprint:
    """A decoded fingerprint.

    `words`: uint64 [n], the hash of each above `TIME_BITS` of its place in frames, ordered by place.
    `contour`: float32 [moments, 19], the bands' levels in decibels every `CONTOUR_STEP` frames.
    """

    words: NDArray[np.uint64]
    contour: NDArray[np.float32]


def fingerprint(mels: TrackMels, settings: MelSettings) -> bytes:
    """Return the fingerprint of a recording as it is stored; nothing for silence."""
    if mels.silent.all():
        return b""
    power = _power(_beginning(mels), settings)
    words = _kept_words(_changes(_levels(_mean(_in_bands(power, WORD_BANDS), WORD_SPAN))))
    smooth = _mean(_mean(_in_bands(power, CONTOUR_BANDS), CONTOUR_SPAN), CONTOUR_SPAN)
    levels = _levels(smooth[::CONTOUR_STEP])
    contour = (levels - LOWEST_LEVEL_DB) / LEVEL_STEP_DB
    codes: NDArray[np.uint8] = np.rint(contour).clip(0, 255).astype(np.uint8)
    return HEADER.pack(MAGIC, VERSION, len(words)) + words.astype("<u8").tobytes() + codes.tobytes()


IS_CURRENT = f"(hex(fingerprint[1:4]) = '{(MAGIC + bytes([VERSION])).hex().upper()}')"
"""SQL: whether a column `fingerprint` is of this version. Silence has none in any version."""


def decode(stored: bytes) -> Fingerprint | None:
    """Return a stored fingerprint; None for silence, and for one of another version or length."""
    if not stored.startswith(MAGIC + bytes([VERSION])):
        return None
    words = stored_words(stored)
    codes = np.frombuffer(stored, np.uint8, offset=HEADER.size + words.nbytes)
    bands = len(CONTOUR_BANDS) - 1
    if len(codes) % bands:
        return None
    return Fingerprint(words, codes.reshape(-1, bands) * np.float32(LEVEL_STEP_DB) + np.float32(LOWEST_LEVEL_DB))


def stored_words(stored: bytes) -> NDArray[np.uint64]:
    """Return the words of a stored fingerprint of this version, without its contour; none if it is cut short."""
    count = HEADER.unpack_from(stored)[2] if len(stored) >= HEADER.size else 0
    is_complete = len(stored) >= HEADER.size + 8 * count
    return np.frombuffer(stored, "<u8", count if is_complete else 0, HEADER.size if is_complete else 0).astype(
        np.uint64
    )


def _beginning(mels: TrackMels) -> TrackMels:
    """Return the first `MAX_SEGMENTS` of a recording."""
    return TrackMels(**{field.name: getattr(mels, field.name)[:MAX_SEGMENTS] for field in fields(TrackMels)})


def _power(mels: TrackMels, settings: MelSettings) -> NDArray[np.float32]:
    """Return the power of each mel band that is used, one row per frame of the recording as a whole.

    Segments are 994.25 frames long, so each frame of the whole is the nearest one of its segment: a recording whose
    start lies elsewhere in its segment has the same levels, to half a frame.
    """
    chosen = decibels(mels.stored[:, : WORD_BANDS[-1]], mels.ref_db, settings)
    power = np.exp(chosen * np.float32(np.log(10) / 10))
    frames_per_segment = settings.segment_samples / settings.hop_samples
    frame = np.arange(int(len(mels) * frames_per_segment))
    segment = np.minimum((frame / frames_per_segment).astype(np.int64), len(mels) - 1)
    within = np.minimum(np.rint(frame - segment * frames_per_segment).astype(np.int64), power.shape[2] - 1)
    return np.asarray(power.transpose(0, 2, 1)[segment, within], np.float32)


def _in_bands(power: NDArray[np.float32], bands: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return the mean power of the mel bands of each band, shape (frames, len(bands) - 1)."""
    return np.asarray(np.add.reduceat(power, bands[:-1], axis=1)[:, : len(bands) - 1] / np.diff(bands), np.float32)


def _mean(power: NDArray[Any], span: int) -> NDArray[np.float64]:
    """Return the mean over `span` frames from each frame on."""
    total = np.concatenate([np.zeros((1, power.shape[1])), np.cumsum(power, axis=0, dtype=np.float64)])
    return np.asarray((total[span:] - total[:-span]) / span)


def _levels(power: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return power in decibels."""
    return np.asarray(10 * np.log10(np.maximum(power, 10 ** (LOWEST_LEVEL_DB / 10))), np.float32)


def _changes(levels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how the differences between neighbouring bands change over `WORD_SPAN` frames, shape (frames, 16)."""
    floor = quiet_below(levels, round(1 / FRAME_SECONDS))
    shape = np.diff(np.maximum(levels, floor), axis=1)
    return np.asarray(shape[WORD_SPAN:] - shape[:-WORD_SPAN], np.float32)


def quiet_below(levels: NDArray[np.float32], around: int) -> NDArray[np.float32]:
    """Return below which level nothing is compared at each moment, shape (moments, 1)."""
    loudest = maximum_filter1d(levels.max(axis=1), 2 * around + 1)
    return np.asarray(np.maximum(loudest - FLOOR_DB, SILENCE_DB)[:, None], np.float32)


def _kept_words(changes: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return the words with the smallest hash values, each with its place, ordered by place.

    A word that lasts is one word, in the middle of the time that it lasts.
    """
    signs = (changes > 0) @ (1 << np.arange(SIGNS, dtype=np.uint64))
    moves = np.sqrt(np.mean(changes**2, axis=1)) >= STATIC_DB
    count = max(0, len(signs) - WORD_PARTS[-1])
    word, is_alive = np.zeros(count, np.uint64), np.ones(count, np.bool_)
    for start in WORD_PARTS:
        word = (word << np.uint64(SIGNS)) | signs[start : start + count]
        is_alive &= moves[start : start + count]
    first = np.flatnonzero(np.diff(word, prepend=~word[:1]) != 0)
    middle = (first + np.append(first[1:], count)) // 2
    middle = middle[is_alive[middle]]
    mixed = _mix(word[middle])
    order = np.lexsort((middle, mixed))
    starts = np.flatnonzero(np.diff(mixed[order], prepend=~mixed[order][:1]) != 0)
    repeat = np.arange(len(order)) - np.repeat(starts, np.diff(np.append(starts, len(order))))
    kept = np.sort(order[repeat < MAX_REPEATS][:MAX_WORDS])
    hashes = mixed[kept] << np.uint64(TIME_BITS)
    return np.asarray(hashes | middle[kept].astype(np.uint64))


def _mix(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return hash values that order the words as if by chance: the finaliser of SplitMix64 (Steele et al., 2014)."""
    mixed = words.copy()
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    return np.asarray(mixed ^ (mixed >> np.uint64(31)))
