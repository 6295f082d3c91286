"""Fingerprint recordings, so that copies of one recording are recognised whatever their encoding or their start.

Both parts of a fingerprint are made from the mean power of bands over two thirds of a second (words), or a third twice
(contours). Where the music is loud, an encoder keeps that to a few tenths of a decibel, also where it replaces noise by
other noise.

Words find candidates. A word is 48 signs of how differences between neighbouring bands change (Haitsma and Kalker,
ISMIR 2002) over two seconds, taken at every hundredth of a second, so that a copy which starts at any moment has the
same words; those with the smallest hash values are kept, which are the same ones in both copies wherever they begin.
The place of a word is kept with it but is no part of it.

The contour decides (`is_same_sound`). It is the levels of the bands six times per second, smooth enough
to be compared at any offset between its moments.

Two recordings are one if, over the time that both have, their levels are the same but for one gain wherever either is
loud. Other music on the same instruments, even with one of its parts taken from the same recording, differs by several
decibels wherever its other notes sound. Where nearly all of its notes are the same, the few moments decide that differ
most for as long as a note sounds.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, minimum_filter1d, uniform_filter1d

from storage.mels.reader import TrackMels, decibels
from storage.mels.settings_and_shard_format import MelSettings

VERSION = 4
"""1 was words of half a second without a header, compared at equal positions only; 2 had changes as its contour; 3 had
half as many moments in it, each over twice the time."""
FULL_SCALE_16_BIT = 32_767
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
STATIC_CONTOUR_DB = 0.3
"""Root mean square of a block of a contour about its mean below which nothing happens: silence, a chord, a drone."""
MIN_SECONDS = 6.5
"""Of music that changes, compared; less agrees by chance too often. A recording of one segment has 7.7 s of it."""
MIN_SHARE = 0.6
"""Of the shorter recording that must lie within the other: albums fade from one recording into the next."""
MARGIN = 4
"""Moments at either end of what both have that are not compared: the averages reach into what is before and after."""
LASTING_MOMENTS = 3
"""Differences are averaged over so many moments, half a second, before they are judged: what an encoder does to a band
changes its sign from moment to moment, another note does not."""
LASTING_SHARE = 0.95
"""Another note in one bar of four differs in few bands and moments, which a mean over all of them hides."""
MAX_MEAN_DB, MAX_LASTING_DB = 0.6, 0.85
"""Two copies differ by at most so much, on average moment by moment, and in `LASTING_SHARE` of what lasts.
docs/benchmarks.md has how many copies, and how many other themes over the same chords, lie on which side."""
MAX_UNEXPLAINED = 0.6
"""The mean difference in parts of how much the levels change: hiss agrees with other hiss as well as with itself."""
MAX_JUMP_DB = 20.0
"""Where the loudest band rises or falls so far within a second, levels between the moments are not known."""
BLOCK_SECONDS = 4.0
OTHER_DB, MAX_OTHER = 1.5, 0.15
"""A block that differs by more is other music, and so is a recording with more than this share of such blocks."""


class SampleHash:
    """A hash of a recording's samples with 16 bits each, so that tiny differences do not count."""

    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=16)

    def update(self, block: NDArray[np.float32]) -> None:
        """Add a block of mono samples of full scale 1."""
        self._digest.update(np.rint(np.clip(block, -1, 1) * FULL_SCALE_16_BIT).astype("<i2").tobytes())

    def hexdigest(self) -> str:
        """Return the hash of all blocks so far."""
        return self._digest.hexdigest()


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


def is_same_sound(one: Fingerprint, other: Fingerprint, shift: float) -> bool:
    """Return whether two fingerprints are of one recording, where `one` at a time is `other` `shift` frames later.

    Cheap conditions come first. Each one is necessary, so their order changes no answer; nearly all pairs of other
    recordings fail one of them, before any block is looked at.
    """
    first, last = _common(one.contour, other.contour, shift / CONTOUR_STEP)
    if last - first < MIN_SHARE * min(len(one.contour), len(other.contour)) or last - first <= 2 * MARGIN:
        return False
    left, right = one.contour[first:last], _interpolated(other.contour, first, last, shift / CONTOUR_STEP)
    left, right, is_loud = _at_one_level(left[MARGIN:-MARGIN], right[MARGIN:-MARGIN])
    difference = np.abs(left - right)
    loud = difference[is_loud]
    if not len(loud) or loud.mean() > MAX_MEAN_DB or _lasting_db(left - right, is_loud) > MAX_LASTING_DB:
        return False
    return _blocks_agree(left, difference, is_loud, float(loud.mean()))


def _lasting_db(difference: NDArray[np.float32], is_loud: NDArray[np.bool_]) -> float:
    """Return by how much two contours differ for half a second at most, but for the largest twentieth of differences.

    Infinite if nothing is loud for so long.
    """
    lasts = minimum_filter1d(is_loud, LASTING_MOMENTS, axis=0, mode="nearest")
    if not lasts.any():
        return np.inf
    lasting = uniform_filter1d(np.where(is_loud, difference, 0), LASTING_MOMENTS, axis=0, mode="nearest")
    return float(np.quantile(np.abs(lasting[lasts]), LASTING_SHARE))


def _blocks_agree(
    left: NDArray[np.float32], difference: NDArray[np.float32], is_loud: NDArray[np.bool_], mean: float
) -> bool:
    """Return whether enough of the time has music that changes, more than it differs, and nearly no other music."""
    step = round(BLOCK_SECONDS / FRAME_SECONDS / CONTOUR_STEP)
    starts = np.arange(0, max(1, len(left) - step // 2), step)
    cells = np.maximum(1, np.add.reduceat(is_loud.sum(axis=1), starts))
    by_block = np.add.reduceat((difference * is_loud).sum(axis=1), starts) / cells
    movement = np.array([_movement(block) for block in np.split(left, starts[1:])])
    moves = movement >= STATIC_CONTOUR_DB
    seconds = np.diff(np.append(starts, len(left))) * CONTOUR_STEP * FRAME_SECONDS
    return bool(
        seconds[moves].sum() >= MIN_SECONDS
        and mean <= MAX_UNEXPLAINED * movement[moves].mean()
        and np.mean(by_block[moves] > OTHER_DB) <= MAX_OTHER
    )


def _at_one_level(
    left: NDArray[np.float32], right: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Return both contours without the gain between them and what is too quiet in both, and where either is loud."""
    floors = [quiet_below(levels, MARGIN) for levels in (left, right)]
    in_both = (left > floors[0]) & (right > floors[1])
    gain = np.median((left - right)[in_both]) if in_both.any() else np.float32(0)
    floor = np.maximum(floors[0], floors[1] + gain)
    loudest = np.maximum(left, right + gain).max(axis=1)
    jump = maximum_filter1d(loudest, 2 * MARGIN + 1) - minimum_filter1d(loudest, 2 * MARGIN + 1)
    left, right = np.maximum(left, floor), np.maximum(right + gain, floor)
    return left, right, ((left > floor) | (right > floor)) & (jump < MAX_JUMP_DB)[:, None]


def _movement(levels: NDArray[np.float32]) -> float:
    """Return by how much the levels of a block change: the root mean square about each band's mean, in decibels."""
    return float(np.sqrt(np.mean((levels - levels.mean(axis=0)) ** 2)))


def _common(one: NDArray[np.float32], other: NDArray[np.float32], shift: float) -> tuple[int, int]:
    """Return the first moment of a contour that another one has `shift` moments later, and the one after the last."""
    whole = int(np.floor(shift))
    return max(0, 1 - whole), min(len(one), len(other) - 2 - whole)


def _interpolated(contour: NDArray[np.float32], first: int, last: int, shift: float) -> NDArray[np.float32]:
    """Return a contour at the moments from `first` to `last`, each `shift` moments later, between its own moments.

    The interpolation is Catmull and Rom's cubic, of amplitudes: power that was averaged twice rises with the square of
    the time where a sound begins, so its root rises in a line, and its decibels do not.
    """
    whole = int(np.floor(shift))
    t = np.float32(shift - whole)
    weights = (
        ((2 - t) * t - 1) * t / 2,
        ((3 * t - 5) * t * t + 2) / 2,
        ((4 - 3 * t) * t + 1) * t / 2,
        (t - 1) * t * t / 2,
    )
    amplitude = np.float32(10) ** (contour[first + whole - 1 : last + whole + 2] / np.float32(20))
    between = sum(weight * amplitude[at : at + last - first] for at, weight in enumerate(weights))
    lowest = 10 ** (LOWEST_LEVEL_DB / 20)
    return np.asarray(20 * np.log10(np.maximum(between, lowest)), np.float32)
