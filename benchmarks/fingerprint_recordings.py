"""The recordings that `benchmarks.fingerprints` compares: originals, their copies, and distractors.

The copies are of pieces of real recordings and of the demo's music: each is put behind a lead-in (silence, hiss or
other music), cut, made louder or softer, resampled or mixed to mono, then encoded and decoded.
"""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import soxr

from needledrop.demo.films import Film, invent_films
from needledrop.demo.music.score import Score, compose
from needledrop.demo.music.synthesis import perform
from storage.mels.settings_and_shard_format import MelSettings
from tasks.soundtracks.audio.decode import AudioFile

SETTINGS = MelSettings()
RATE, MEL_RATE = 44_100, SETTINGS.sample_rate_hz
PIECE_SECONDS = 24.0
COPIES = 8
"""Rounds: copies of each original."""
ENCODINGS = {
    "mp3 64": ("libmp3lame", "mp3", 64_000, {"compression_level": "7"}),
    "mp3 128": ("libmp3lame", "mp3", 128_000, {"compression_level": "7"}),
    "mp3 320": ("libmp3lame", "mp3", 320_000, {"compression_level": "7"}),
    "aac 128": ("aac", "ipod", 128_000, {"aac_coder": "fast"}),
    "opus 48": ("libopus", "opus", 48_000, {"compression_level": "4"}),
    "opus 96": ("libopus", "opus", 96_000, {"compression_level": "4"}),
    "vorbis q4": ("vorbis", "ogg", 0, {"strict": "-2", "global_quality": "480", "flags": "+qscale"}),
}
LEAD_INS = (0.05, 0.0637, 0.1, 0.25, 0.333, 0.5, 0.9, 1.5, 2.2, 3.3, 4.71, 6.1, 7.777, 10.0)
RATES = (None, None, 48_000, 32_000)
CUTS = ((0.0, 0.0), (0.0, 1.5), (0.8, 0.0), (0.4, 1.1))
"""Seconds cut from the start and the end."""
GAINS_DB = (-3.0, 0.0, 3.0)
REAL_ORIGINALS, INVENTED_ORIGINALS = 110, 30
SEEDS = {"development": range(21, 26), "held-out": range(31, 36)}
"""Of the invented films; there are not titles enough for 660 films of one seed."""
FASTER = "2 % faster"
MUSIC_SUFFIXES = {".mp3", ".ogg", ".opus", ".wav", ".flac"}
SAME_STEM = 0.7
"""Correlation from which two stems of a family are too much alike: the demo composes from few chord progressions."""
Samples = np.ndarray[Any, np.dtype[np.float32]]
Maker = Callable[[], Samples]
"""Makes the mono samples of one recording at `MEL_RATE`."""


@dataclass(frozen=True)
class Recording:
    """One recording to be compared: what it is, the original that it is of, and its round (None: in every round)."""

    kind: str
    name: str
    make: Maker
    original: str | None = None
    round: int | None = None


def real_pieces(folders: Sequence[Path]) -> list[tuple[str, Path, float]]:
    """Return the pieces of all real recordings that are long enough in a random order: name, file, start in s."""
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.suffix in MUSIC_SUFFIXES]
    pieces = []
    for path in files:
        try:
            with av.open(str(path), metadata_errors="ignore") as container:
                seconds = float(container.duration or 0) / 1e6
        except av.FFmpegError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        starts = np.arange(0, seconds - PIECE_SECONDS, PIECE_SECONDS)
        pieces += [(f"{path.stem} at {start:.0f} s", path, float(start)) for start in starts]
    return [pieces[at] for at in np.random.default_rng(0).permutation(len(pieces))]


@lru_cache(maxsize=8)
def read_piece(path: Path, start: float) -> Samples:
    """Return one piece of a file, stereo at `RATE`."""
    frames = []
    with av.open(str(path), metadata_errors="ignore") as container:
        container.seek(int(max(0.0, start - 2) * 1e6))
        resampler = av.AudioResampler("fltp", "stereo", RATE)
        first = None
        for frame in container.decode(audio=0):
            first = float(frame.time or 0.0) if first is None else first
            frames += [made.to_ndarray() for made in resampler.resample(frame)]
            if float(frame.time or 0.0) > start + PIECE_SECONDS + 0.5:
                break
    skipped = round((start - (first or 0.0)) * RATE)
    return np.concatenate(frames, axis=1)[:, max(0, skipped) :][:, : int(PIECE_SECONDS * RATE)].astype(np.float32)


@lru_cache(maxsize=16)
def demo_piece(half: str, film: int, number: int) -> Samples:
    """Return one theme of an invented film, stereo at `RATE`."""
    return perform(compose(_films(half)[film], number, PIECE_SECONDS), RATE)


@cache
def _films(half: str) -> tuple[Film, ...]:
    """Return the 660 invented films of a half."""
    return tuple(film for seed in SEEDS[half] for film in invent_films(seed, 12))


def mono(stereo: Samples, rate: int = RATE) -> Samples:
    """Return stereo samples as mono at the rate of the mels."""
    return np.asarray(soxr.resample(stereo.mean(axis=0), rate, MEL_RATE), np.float32)


def make_original(read: Callable[[], Samples]) -> Samples:
    """Return a piece as it is."""
    return mono(read())


def make_copy(read: Callable[[], Samples], seed: int, encoding: str, lead_in: float, speed: float = 1.0) -> Samples:
    """Return a piece behind a lead-in, cut, at another level, resampled or mixed to mono, encoded and decoded."""
    rng = np.random.default_rng(seed)
    piece, (start, end) = read(), CUTS[rng.integers(len(CUTS))]
    piece = piece[:, int(start * RATE) : piece.shape[1] - int(end * RATE)]
    before = np.zeros((2, round(lead_in * RATE)), np.float32)
    kind = rng.integers(3)
    if kind == 1:
        before += rng.normal(0, 0.003, before.shape).astype(np.float32)
    elif kind == 2:
        before = demo_piece("development", int(rng.integers(8)), 3)[:, : before.shape[1]]
    sound = np.concatenate([before, piece], axis=1) * np.float32(10 ** (GAINS_DB[rng.integers(3)] / 20))
    if rng.random() < 0.5:
        sound = sound.mean(axis=0, keepdims=True)
    if speed != 1.0:
        sound = soxr.resample(sound.T, RATE * speed, RATE).T
    return _encoded(np.clip(sound, -1, 1), encoding, RATES[rng.integers(len(RATES))])


def _encoded(sound: Samples, encoding: str, rate: int | None) -> Samples:
    codec, container_format, bit_rate, options = ENCODINGS[encoding]
    rate = 48_000 if codec == "libopus" else rate or RATE
    if codec == "vorbis":  # FFmpeg's own encoder has two channels only
        sound = np.broadcast_to(sound, (2, sound.shape[1]))
    layout = "stereo" if len(sound) == 2 else "mono"
    pcm = np.asarray(np.round(soxr.resample(sound.T, RATE, rate) * 32767).clip(-32768, 32767), np.int16)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm).reshape(1, -1), format="s16", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "copy"))
        with av.open(path, "w", format=container_format) as container:
            stream = container.add_stream(codec, rate=rate, layout=layout, options=options)
            if bit_rate:
                stream.bit_rate = bit_rate
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return np.concatenate(list(AudioFile(path, MEL_RATE).blocks()))


def make_arrangement(half: str, family: int, melody: int, chords: int) -> Samples:
    """Return one of a family's sixteen arrangements: its drums follow from melody and accompaniment."""
    drums = (melody + chords) % 4
    chosen = (("melody", melody), ("chords", chords), ("drums", drums))
    parts = [_stems(half, family, part)[number] for part, number in chosen]
    return np.asarray(np.tanh(0.08 * np.sum(parts, axis=0)), np.float32)


@lru_cache(maxsize=6)
def _stems(half: str, family: int, part: str) -> tuple[Samples, ...]:
    """Return four stems of one part of a film's score, equally loud, no two of which are nearly the same."""
    chosen: list[Samples] = []
    for number in itertools.count():
        stem = _stem(half, family, part, number)
        loudness = float(np.sqrt(np.mean(stem**2)))
        made = stem / max(1e-6, loudness)
        if loudness > 0 and all(abs(float(np.mean(made * other))) < SAME_STEM for other in chosen):
            chosen.append(made)
        if len(chosen) == 4:
            return tuple(chosen)
    raise AssertionError("itertools.count does not end")


def _stem(half: str, family: int, part: str, number: int) -> Samples:
    """Return one part of a score; the later the number, the farther its key from the film's."""
    films = _films(half)
    film = films[(family + (number if part == "drums" else 0)) % len(films)]
    key = (film.key + number // 2) % 12
    score: Score = compose(replace(film, seed=f"{film.seed}/{family}/{part}/{number}", key=key), 1, PIECE_SECONDS)
    is_melody = part == "melody"
    notes = tuple(note for note in score.notes if (note.gain == 0.55) == is_melody) if part != "drums" else ()
    hits = score.hits if part == "drums" else ()
    return perform(replace(score, notes=notes, hits=hits, textures=()), MEL_RATE).mean(axis=0)


def make_theme(half: str, film: int, number: int) -> Samples:
    """Return one theme of an invented film, mono."""
    return perform(compose(_films(half)[film], number, PIECE_SECONDS), MEL_RATE).mean(axis=0)


def make_static(kind: str, number: int) -> Samples:
    """Return sound in which nothing happens."""
    rng, time_s = np.random.default_rng(number), np.arange(int(PIECE_SECONDS * MEL_RATE)) / MEL_RATE
    hertz = 40.0 * 2 ** (rng.integers(24) / 12)
    harmonics = sum(np.sin(2 * np.pi * hertz * n * time_s + rng.random()) / n for n in range(1, 9))
    made = {
        "silence": lambda: np.zeros(len(time_s)),
        "dither": lambda: rng.normal(0, 2e-5, len(time_s)),
        "hiss": lambda: rng.normal(0, 0.02, len(time_s)),
        "hum": lambda: 0.05 * np.sin(2 * np.pi * 50 * time_s) + rng.normal(0, 1e-4, len(time_s)),
        "tone": lambda: 0.3 * np.sin(2 * np.pi * 1000 * time_s),
        "drone": lambda: 0.1 * harmonics,
        "swelling drone": lambda: 0.1 * harmonics * (1.2 + np.sin(2 * np.pi * time_s / rng.uniform(5, 12))),
        "chord that fades": lambda: 0.2 * harmonics * np.exp(-time_s / rng.uniform(4, 12)),
    }
    return np.asarray(made[kind](), np.float32)


STATIC = ("silence", "dither", "hiss", "hum", "tone", "drone", "swelling drone", "chord that fades")


def plan(music: Sequence[Path], half: str, families: int, themes: int, copies: int) -> Iterator[Recording]:
    """Yield every recording: originals, copies, copies that are 2 % faster, and distractors."""
    pieces = real_pieces(music)
    readers: list[tuple[str, Callable[[], Samples]]] = [
        (name, partial(read_piece, path, start)) for name, path, start in pieces[:REAL_ORIGINALS]
    ]
    readers += [(f"theme {5 * film}", partial(demo_piece, half, 5 * film, 1)) for film in range(INVENTED_ORIGINALS)]
    encodings = list(ENCODINGS)
    for index, (name, read) in enumerate(readers):
        yield Recording("original", name, partial(make_original, read))
        for turn in range(copies):
            encoding, lead_in = encodings[(index + turn) % 7], LEAD_INS[(3 * index + turn) % len(LEAD_INS)]
            make = partial(make_copy, read, 1000 * index + turn, encoding, lead_in)
            yield Recording(f"copy, {encoding}", f"{lead_in:g} s before {name} ({turn})", make, name, turn)
        faster = partial(make_copy, read, 1000 * index, encodings[index % 7], 0.5, 1.02)
        yield Recording(FASTER, f"{name} faster", faster, name, copies)
    for name, path, start in pieces[REAL_ORIGINALS:]:
        yield Recording("other piece", name, partial(make_original, partial(read_piece, path, start)))
    for family, melody, chords in itertools.product(range(families), range(4), range(4)):
        make_one = partial(make_arrangement, half, family, melody, chords)
        yield Recording("arrangement", f"{family}/{melody}/{chords}", make_one)
    for film, number in itertools.product(range(themes // 3), range(1, 4)):
        film_index = len(_films(half)) - 1 - film
        yield Recording("theme", f"{film_index}/{number}", partial(make_theme, half, film_index, number))
    for kind, number in itertools.product(STATIC, range(25)):
        yield Recording("static", f"{kind} {number}", partial(make_static, kind, number))
