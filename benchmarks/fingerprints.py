"""Measure how well copies of a recording are found at any offset, and what the comparison costs.

    python -m benchmarks.fingerprints --music FOLDER … [--half development] [--folder DIR]   # found, false pairs
    python -m benchmarks.fingerprints --times 10000 100000 1000000                           # time and memory

The copies are of pieces of the real recordings in the folders and of the demo's music: each is put behind a lead-in
(silence, hiss or other music), cut, made louder or softer, resampled or mixed to mono, then encoded and decoded. Each
round compares all originals and one copy of each among all distractors, by the function that curation uses:

- other pieces of the real recordings;
- arrangements: sixteen of each family, in which any two share the drum loop, the accompaniment or the melody to the
  sample, never two of them;
- themes of one film on the same instruments, as the demo composes them;
- silence, hiss, hum, drones, held chords and test tones, several of each.

A false pair is any that is not an original with its copy. Pieces of one recording that repeats itself may share their
samples; whether a false pair does is looked up in the waveforms and stated.

The thresholds were chosen on the development half: other recordings and other invented films than the held-out half,
which only measures. Who changes a threshold after that gives the held-out half new seeds and new recordings. The mels
are made once, in parts of 64 recordings that a later run finds again, so a run can be
interrupted, and another version of the fingerprint needs seconds.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Any

import av
import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soxr
from scipy.signal import fftconvolve
from scipy.stats import binomtest

from needledrop.demo.films import Film, invent_films
from needledrop.demo.music.score import Score, compose
from needledrop.demo.music.synthesis import perform
from storage.mels.settings import MelSettings
from storage.mels.writer import TrackMels
from tasks.curation.same_sound import find_same_sound
from tasks.soundtracks.audio.decode import AudioFile
from tasks.soundtracks.audio.fingerprint import (
    CONTOUR_BANDS,
    CONTOUR_STEP,
    HEADER,
    MAGIC,
    MAX_WORDS,
    TIME_BITS,
    VERSION,
    fingerprint,
)
from tasks.soundtracks.audio.melspectrogram import segment_mels

SETTINGS = MelSettings()
RATE, MEL_RATE = 44_100, SETTINGS.sample_rate_hz
PIECE_SECONDS = 24.0
COPIES = 8
"""Rounds: copies of each original."""
MOMENTS = 4 * 60 * MEL_RATE // SETTINGS.hop_samples // CONTOUR_STEP
"""Of the contour of a recording of four minutes."""
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
PART = 64
"""Recordings whose mels are in one file."""
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


def in_parts(recordings: Sequence[Recording]) -> list[list[Recording]]:
    """Return the recordings in the order of work: originals first, the rest so that a part of it is a fair sample."""
    groups = [recordings[start : start + 16] for start in range(0, len(recordings), 16)]  # of one piece, or family
    np.random.default_rng(0).shuffle(groups)  # type: ignore[arg-type]
    ordered = sorted(itertools.chain(*groups), key=lambda recording: recording.kind != "original")
    return [ordered[start : start + PART] for start in range(0, len(ordered), PART)]


def make_mels(recording: Recording) -> dict[str, Any]:
    """Make one recording and its mels."""
    mels = segment_mels([recording.make()], SETTINGS, recording.name)
    facts = {name: getattr(recording, name) for name in ("kind", "name", "original", "round")}
    arrays = {field.name: getattr(mels, field.name).tobytes() for field in fields(TrackMels)}
    return {**facts, **arrays, "segments": len(mels)}


def stored_mels(row: dict[str, Any]) -> TrackMels:
    """Return the mels of a row of a part."""
    count = row["segments"]
    shapes = {"stored": (count, *SETTINGS.shape)}
    types = {"stored": SETTINGS.dtype, "silent": np.bool_}
    return TrackMels(
        **{
            field.name: np.frombuffer(row[field.name], types.get(field.name, np.float32)).reshape(
                shapes.get(field.name, (count,))
            )
            for field in fields(TrackMels)
        }
    )


def collect(recordings: Sequence[Recording], folder: Path, workers: int) -> list[Path]:
    """Make the mels of all recordings, and return their files; those that an interrupted run made are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with ProcessPoolExecutor(workers) as pool:
        for number, part in enumerate(in_parts(recordings)):
            paths.append(folder / f"{number:04d}.parquet")
            if not paths[-1].exists():
                made = list(pool.map(make_mels, part, chunksize=16))
                pq.write_table(pa.Table.from_pylist(made), paths[-1].with_suffix(".part"), compression="zstd")
                paths[-1].with_suffix(".part").rename(paths[-1])
                print(f"{number + 1} of {-(-len(recordings) // PART)} parts", file=sys.stderr, flush=True)
    return paths


def fingerprints_of(part: Path) -> list[dict[str, Any]]:
    """Return the recordings of a part with their fingerprints; seconds are CPU time."""
    rows = []
    for row in pq.read_table(part).to_pylist():
        mels, started = stored_mels(row), time.process_time()
        made = fingerprint(mels, SETTINGS)
        facts = {name: row[name] for name in ("kind", "name", "original", "round", "segments")}
        rows.append({**facts, "fingerprint": made, "seconds": time.process_time() - started})
    return rows


def new_pairs(rows: list[dict[str, Any]]) -> set[tuple[int, int]]:
    """Return the pairs that curation would join."""
    table = pa.table(
        {"item": pa.array(range(1, len(rows) + 1), pa.int32()), "fingerprint": [row["fingerprint"] for row in rows]}
    )
    with duckdb.connect() as connection:
        connection.register("rows", table)
        pairs = find_same_sound(connection, "SELECT item, fingerprint FROM rows").to_pylist()
    return {(pair["one"] - 1, pair["other"] - 1) for pair in pairs}


def judge(rows: list[dict[str, Any]]) -> tuple[dict[str, list[bool]], set[tuple[str, str]]]:
    """Compare round by round; return which copies are found, by kind, and the false pairs."""
    rounds = sorted({row["round"] for row in rows if row["round"] is not None})
    found: dict[str, list[bool]] = {}
    false: set[tuple[str, str]] = set()
    for number in rounds:
        present = [row for row in rows if row["round"] in (None, number)]
        joined = {_in_order(present[one]["name"], present[other]["name"]) for one, other in new_pairs(present)}
        true = {_in_order(row["name"], row["original"]): row["kind"] for row in present if row["original"]}
        for pair, kind in true.items():
            found.setdefault(kind, []).append(pair in joined)
            if pair not in joined:
                print("missed:", *pair, kind, sep=" | ", file=sys.stderr)
        false |= joined - set(true)
    return found, false


def _in_order(one: str, other: str) -> tuple[str, str]:
    return (one, other) if one < other else (other, one)


def share_samples(one: Recording, other: Recording) -> bool:
    """Return whether two waveforms are the same, at some offset, for five seconds of the first."""
    sound, whole = one.make(), other.make()
    energy = np.cumsum(np.concatenate([[0.0], whole.astype(np.float64) ** 2]))
    for start in range(0, len(sound) - 5 * MEL_RATE, 5 * MEL_RATE):
        part = sound[start : start + 5 * MEL_RATE]
        norm = np.sqrt((energy[len(part) :] - energy[: -len(part)]) * float(np.sum(part.astype(np.float64) ** 2)))
        products = fftconvolve(whole, part[::-1], "valid")
        if float(np.max(np.abs(products) / np.maximum(norm, 1e-6))) > 0.9:
            return True
    return False


def with_interval(found: int, of: int) -> str:
    """Return a share with its 95 % interval (Wilson)."""
    low, high = binomtest(found, of).proportion_ci(method="wilson")
    return f"{found:,} of {of:,}, {found / of:.2%} ({low:.2%} to {high:.2%})"


def print_results(rows: list[dict[str, Any]], found: dict[str, list[bool]], false: dict[tuple[str, str], bool]) -> bool:
    """Print the table of docs/benchmarks.md; return whether both bars are met."""
    distractors = sum(row["original"] is None and row["kind"] != "original" for row in rows)
    kinds = {row["name"]: row["kind"] for row in rows}
    print("| kind | found |\n|---|---|")
    for kind in sorted(found):
        print(f"| {kind} | {with_interval(sum(found[kind]), len(found[kind]))} |")
    copies = [hit for kind, hits in found.items() if kind.startswith("copy") for hit in hits]
    print(f"copies found: {with_interval(sum(copies), len(copies))}")
    for pair, shares in sorted(false.items()):
        print("false:", *pair, kinds[pair[0]], kinds[pair[1]], "same samples" * shares, sep=" | ", file=sys.stderr)
    wrong = sum(not shares for shares in false.values())
    print(f"{wrong} false pairs among {distractors:,} distractors, {len(false) - wrong} more share their samples: "
          f"{dict(Counter(' / '.join(sorted(kinds[name] for name in pair)) for pair in false))}")  # fmt: skip
    seconds = sum(row["seconds"] for row in rows) / sum(row["segments"] for row in rows)
    size = np.mean([len(row["fingerprint"]) for row in rows if row["fingerprint"]])
    print(f"CPU per segment {1000 * seconds:.1f} ms, {size:,.0f} bytes per recording of {PIECE_SECONDS:.0f} s")
    return bool(np.mean(copies) >= 0.99 and wrong <= distractors / 10_000)


def write_made_up(path: Path, tracks: int) -> None:
    """Write invented fingerprints of four minutes: one word in four is common, each hundredth track is a copy."""
    rng, schema = np.random.default_rng(0), pa.schema([("item", pa.int32()), ("fingerprint", pa.binary())])
    common = rng.integers(0, 1 << 40, 1_000_000, dtype=np.uint64)
    earlier: list[bytes] = []
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, tracks, 5_000):
            made = [made_up(rng, common, MOMENTS) for _ in range(min(5_000, tracks - start))]
            for number in range(99, len(made), 100):
                made[number] = (earlier or made)[number - 99]
            earlier = earlier or made
            items = pa.array(range(start + 1, start + len(made) + 1), pa.int32())
            writer.write_table(pa.table({"item": items, "fingerprint": pa.array(made, pa.binary())}))


def made_up(rng: np.random.Generator, common: Any, moments: int) -> bytes:
    """Return an invented fingerprint with so many moments of contour; `common` are the hashes of common words."""
    count = min(MAX_WORDS, moments * CONTOUR_STEP // 4)
    hashes = rng.integers(0, 1 << 40, count, dtype=np.uint64)
    is_common = rng.random(count) < 0.25
    rank = np.minimum(len(common) ** rng.random(count), len(common) - 1).astype(np.int64)  # Zipf's law
    hashes[is_common] = common[rank[is_common]]
    places = np.sort(rng.integers(0, CONTOUR_STEP * moments, count)).astype(np.uint64)
    contour = rng.integers(0, 256, moments * (len(CONTOUR_BANDS) - 1), dtype=np.uint8)
    words = (hashes << np.uint64(TIME_BITS) | places).astype("<u8")
    return HEADER.pack(MAGIC, VERSION, count) + words.tobytes() + contour.tobytes()


def run_here(call: str) -> None:
    """Run a call of this module in a process of its own, whose memory is not counted."""
    code = f"from pathlib import Path; from benchmarks.fingerprints import *; {call}"
    subprocess.run([sys.executable, "-c", code], check=True)


def measure_scale(tracks: int) -> None:
    """Compare so many invented tracks in this process; print time, memory and pairs as JSON."""
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as connection:
        path = Path(folder, "fingerprints.parquet")
        run_here(f"write_made_up(Path({str(path)!r}), {tracks})")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        connection.execute("SET memory_limit = '1GB'; SET enable_progress_bar = false")
        started, worked = time.monotonic(), time.process_time()
        pairs = len(find_same_sound(connection, f"SELECT item, fingerprint FROM '{path}'"))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        facts = {"tracks": tracks, "pairs": pairs, "peak_MiB": peak // 1024, "before_MiB": before // 1024}
        facts["wall_s"], facts["cpu_s"] = round(time.monotonic() - started, 1), round(time.process_time() - worked, 1)
        print(json.dumps(facts))


def main() -> None:
    """Measure what the options name, and fail when a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--music", type=Path, nargs="+", default=[], help="Folders of recordings.")
    parser.add_argument("--half", choices=sorted(SEEDS), default="held-out")
    parser.add_argument("--folder", type=Path, default=Path("bench-out/fingerprints"))
    parser.add_argument("--families", type=int, default=520)
    parser.add_argument("--themes", type=int, default=1_500)
    parser.add_argument("--copies", type=int, default=COPIES)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--times", type=int, nargs="*", default=[])
    options = parser.parse_args()
    for tracks in options.times:
        run_here(f"measure_scale({tracks})")
    if options.times:
        return
    if not options.music:
        parser.error("name folders of recordings with --music")
    recordings = list(plan(options.music, options.half, options.families, options.themes, options.copies))
    parts = collect(recordings, options.folder / options.half, options.workers)
    with ProcessPoolExecutor(options.workers) as pool:
        rows = [row for part in pool.map(fingerprints_of, parts) for row in part]
        found, false = judge(rows)
        # A copy that is 2 % faster has no equal samples with anything, but what its original shares it has as well.
        by_name = {recording.name: recording for recording in recordings}
        by_name |= {one.name: by_name[one.original] for one in recordings if one.kind == FASTER and one.original}
        pairs = sorted(false)
        shares = pool.map(share_samples, *([by_name[pair[n]] for pair in pairs] for n in (0, 1)))
        is_shared = dict(zip(pairs, shares, strict=True))
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    if not print_results(rows, found, is_shared):
        sys.exit("A bar is missed: 99 % of copies found, at most 1 false pair per 10,000 distractors")


if __name__ == "__main__":
    main()
