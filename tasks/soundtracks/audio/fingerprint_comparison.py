"""Compare the contours of two fingerprints at an offset: whether they are one recording.

Two recordings are one if, over the time that both have, their levels are the same but for one gain wherever either is
loud. Other music on the same instruments, even with one of its parts taken from the same recording, differs by several
decibels wherever its other notes sound. Where nearly all of its notes are the same, the few moments decide that differ
most for as long as a note sounds.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, minimum_filter1d, uniform_filter1d

from tasks.soundtracks.audio.fingerprint import CONTOUR_STEP, FRAME_SECONDS, LOWEST_LEVEL_DB, Fingerprint, quiet_below

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
