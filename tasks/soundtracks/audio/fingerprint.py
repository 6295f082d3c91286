"""Fingerprint recordings, so that copies of one recording are recognised whatever their encoding or their start.

Both parts of a fingerprint are made from how the spectrum's shape changes: the sign of the energy difference between
neighbouring bands, differenced over time (Haitsma and Kalker, ISMIR 2002), survives coding, equalising and level.

Words find candidates. A word is 48 such signs over two seconds, taken at every hundredth of a second, so that a copy
which starts at any moment has the same words; those with the smallest hash values are kept, which are the same ones in
both copies wherever they begin. The place of a word is kept with it but is no part of it.

The contour decides. It is the changes themselves, coarsely quantised, five times per second: smooth enough to be
compared at any offset between its moments. Two recordings are one if their contours correlate, over the time that both
have, as only copies do.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d

from storage.mels.settings import MelSettings, decibels
from storage.mels.writer import TrackMels

VERSION = 2
"""1 was words of half a second without a header, which were compared at equal positions only."""
HEADER = struct.Struct("<3sBH")
"""`MAGIC`, version and number of words. Six bytes, so the length is never a multiple of four as version 1's was."""
MAGIC = b"NDF"

FRAME_SECONDS = 220 / 22_050
"""The unit of all times below: one frame of the mels."""
LOWEST_BAND = 4
"""About 90 Hz: what is below depends on the encoder."""
BANDS = 17
WORD_MELS, CONTOUR_MELS = 4, 6
"""Mel bands per band: words reach 2.3 kHz, where codecs agree best, and contours 6 kHz, where voices differ."""
WORD_SPAN, CONTOUR_SPAN = 64, 48
"""Frames that are averaged, and frames between the two averages whose difference is a change."""
WORD_PARTS = (0, 64, 128)
"""Frames from a word's start to each of its three sets of 16 signs."""
FLOOR_DB = 45.0
"""What is so far below the loudest band of the second around it is not compared: codecs remove it."""
SILENCE_DB = -40.0
"""Mel power of a tone of about -60 dB of full scale."""
MAX_WORDS = 512
"""Words kept per recording, of four minutes one in twelve."""
MAX_REPEATS = 3
"""Kept places of one word: a loop repeats it."""
TIME_BITS = 24
"""Of a word's 64 bits; the other 40 are its hash. 46 hours of frames."""
CONTOUR_STEP = 20
"""Frames between two moments of the contour."""
LEVELS_DB = np.array([0, 0.5, 1.25, 2.25, 3.5, 5.5, 8.5, 13.0], np.float32)
"""Sizes of a change that a contour distinguishes, with either sign: four bits."""

MAX_SEGMENTS = 181
"""Half an hour: a longer recording is known by its beginning, or the memory that it takes would have no limit."""

MIN_SECONDS = 8.0
"""Of music that changes, compared; less agrees by chance too often."""
MIN_SHARE = 0.6
"""Of the shorter recording that must lie within the other: albums fade from one recording into the next."""
BLOCK_SECONDS = 4.0
STATIC_DB = 0.6
"""Root mean square of the changes of a block below which nothing happens in it: silence, a held chord, a drone."""
MIN_CORRELATION = 0.8
"""Over all blocks. The lowest of 279 copies had 0.80; of themes of one film on the same instruments some exceed 0.9."""
MIN_BLOCK_CORRELATION = 0.7
"""In all blocks but the worst seventh: an arrangement with another melody in places is another recording."""
WORST_BLOCKS = 0.15
MAX_DIFFERENCE, DIFFERENT_MOMENTS = 1.3, 0.03
"""In all but so many changes two copies differ by at most so much of a change's root mean square: an encoder errs a
little everywhere, another note much in one place. 98 % of copies are below it, two in three such themes above."""


@dataclass(frozen=True)
class Fingerprint:
    """A decoded fingerprint.

    `words`: uint64 [n], the hash of each above `TIME_BITS` of its place in frames, ordered by place.
    `contour`: float32 [moments, 16], changes in decibels every `CONTOUR_STEP` frames.
    """

    words: NDArray[np.uint64]
    contour: NDArray[np.float32]


def fingerprint(mels: TrackMels, settings: MelSettings) -> bytes:
    """Return the fingerprint of a recording as it is stored; nothing for silence."""
    if mels.silent.all():
        return b""
    mels = _beginning(mels)
    words = _kept_words(_changes(_band_levels(mels, settings, WORD_MELS), WORD_SPAN))
    contour = _changes(_band_levels(mels, settings, CONTOUR_MELS), CONTOUR_SPAN)[::CONTOUR_STEP]
    return HEADER.pack(MAGIC, VERSION, len(words)) + words.astype("<u8").tobytes() + _quantise(contour)


IS_CURRENT = f"(hex(fingerprint[1:4]) = '{(MAGIC + bytes([VERSION])).hex().upper()}')"
"""SQL: whether a column `fingerprint` is of this version. Silence has none in any version."""


def decode(stored: bytes) -> Fingerprint | None:
    """Return a stored fingerprint; None for silence, and for one of another version or length."""
    if not stored.startswith(MAGIC + bytes([VERSION])):
        return None
    words = stored_words(stored)
    nibbles = np.frombuffer(stored, np.uint8, offset=HEADER.size + words.nbytes)
    if len(nibbles) % (BANDS // 2):
        return None
    codes = np.stack([nibbles & 15, nibbles >> 4], axis=1).reshape(-1, BANDS - 1)
    return Fingerprint(words, np.concatenate([LEVELS_DB, -LEVELS_DB])[codes])


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


def _band_levels(mels: TrackMels, settings: MelSettings, width: int) -> NDArray[np.float32]:
    """Return decibels of `BANDS` bands of so many mel bands, one row per frame of the recording as a whole.

    Segments are 994.25 frames long, so each frame of the whole is the nearest one of its segment: a recording whose
    start lies elsewhere in its segment has the same levels, to half a frame.
    """
    chosen = mels.stored[:, LOWEST_BAND : LOWEST_BAND + BANDS * width]
    means = chosen.reshape(len(mels), BANDS, width, -1).mean(axis=2, dtype=np.float32)
    levels = decibels(means, mels.ref_db, settings)
    frames_per_segment = settings.segment_samples / settings.hop_samples
    frame = np.arange(int(len(mels) * frames_per_segment))
    segment = np.minimum((frame / frames_per_segment).astype(np.int64), len(mels) - 1)
    within = np.minimum(np.rint(frame - segment * frames_per_segment).astype(np.int64), levels.shape[2] - 1)
    return np.asarray(levels.transpose(0, 2, 1)[segment, within], np.float32)


def _changes(levels: NDArray[np.float32], span: int) -> NDArray[np.float32]:
    """Return how the differences between neighbouring bands change over `span` frames, shape (frames, BANDS - 1)."""
    second = 2 * round(1 / FRAME_SECONDS) + 1
    floor = maximum_filter1d(levels.max(axis=1), second) - np.float32(FLOOR_DB)
    audible = np.maximum(levels, np.maximum(floor, np.float32(SILENCE_DB))[:, None])
    shape = np.diff(audible, axis=1).astype(np.float64)
    total = np.concatenate([np.zeros((1, BANDS - 1)), np.cumsum(shape, axis=0)])
    smooth = ((total[span:] - total[:-span]) / span).astype(np.float32)
    return np.asarray(smooth[span:] - smooth[:-span], np.float32)


def _kept_words(changes: NDArray[np.float32]) -> NDArray[np.uint64]:
    """Return the words with the smallest hash values, each with its place, ordered by place.

    A word that lasts is one word, in the middle of the time that it lasts.
    """
    signs = (changes > 0) @ (1 << np.arange(BANDS - 1, dtype=np.uint64))
    moves = np.sqrt(np.mean(changes**2, axis=1)) >= STATIC_DB
    count = max(0, len(signs) - WORD_PARTS[-1])
    word, is_alive = np.zeros(count, np.uint64), np.ones(count, np.bool_)
    for start in WORD_PARTS:
        word = (word << np.uint64(BANDS - 1)) | signs[start : start + count]
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


def _quantise(contour: NDArray[np.float32]) -> bytes:
    """Return the nearest of `LEVELS_DB`, and the sign in the fourth bit, two changes per byte."""
    limits = (LEVELS_DB[1:] + LEVELS_DB[:-1]) / 2
    codes = np.searchsorted(limits, np.abs(contour)).astype(np.uint8) | ((contour < 0).astype(np.uint8) << 3)
    return (codes[:, 0::2] | (codes[:, 1::2] << 4)).tobytes()


def is_same_sound(one: Fingerprint, other: Fingerprint, shift: float) -> bool:
    """Return whether two fingerprints are of one recording, where `one` at a time is `other` `shift` frames later."""
    left, right = _overlap(one.contour, other.contour, shift / CONTOUR_STEP)
    shorter = min(len(one.contour), len(other.contour))
    if len(left) < MIN_SHARE * shorter:
        return False
    block = round(BLOCK_SECONDS / FRAME_SECONDS / CONTOUR_STEP)
    starts = np.arange(0, max(1, len(left) - block // 2), block)
    products = np.array([left * right, left**2, right**2]).sum(axis=2)
    both, lefts, rights = np.add.reduceat(products, starts, axis=1) if len(left) else np.zeros((3, 1))
    length = np.diff(np.append(starts, len(left))) * (BANDS - 1)
    moves = np.maximum(lefts, rights) >= STATIC_DB**2 * length
    if length[moves].sum() * CONTOUR_STEP * FRAME_SECONDS < MIN_SECONDS * (BANDS - 1):
        return False
    both, energy = both[moves], np.sqrt(lefts[moves] * rights[moves])
    correlations = both / np.maximum(energy, 1e-9)
    total = both.sum() / np.sqrt(lefts[moves].sum() * rights[moves].sum())
    difference = np.quantile(np.abs(left - right), 1 - DIFFERENT_MOMENTS) / np.sqrt(np.mean(left**2))
    return bool(
        total >= MIN_CORRELATION
        and difference <= MAX_DIFFERENCE
        and np.quantile(correlations, WORST_BLOCKS) >= MIN_BLOCK_CORRELATION
    )


def _overlap(
    one: NDArray[np.float32], other: NDArray[np.float32], shift: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the moments that both contours have: of the first as they are, of the second interpolated between its own.

    `shift` is in moments. The interpolation is Catmull and Rom's cubic.
    """
    whole = int(np.floor(shift))
    first = max(0, 1 - whole)
    last = min(len(one), len(other) - 2 - whole)
    if last <= first:
        return one[:0], other[:0]
    t = np.float32(shift - whole)
    weights = (
        ((2 - t) * t - 1) * t / 2,
        ((3 * t - 5) * t * t + 2) / 2,
        ((4 - 3 * t) * t + 1) * t / 2,
        (t - 1) * t * t / 2,
    )
    near = (
        weight * other[first + whole + at : last + whole + at]
        for weight, at in zip(weights, (-1, 0, 1, 2), strict=True)
    )
    return one[first:last], np.asarray(sum(near), np.float32)
