"""Measure how well copies of a recording are found at any offset, and what the comparison costs.

    python -m benchmarks.fingerprints --music FOLDER [--earlier COMMIT] [--folder DIR]   # found, false pairs
    python -m benchmarks.fingerprints --times 10000 100000                              # time and memory

The copies are of pieces of the real recordings in FOLDER and of the demo's music: each is put behind a lead-in
(silence, hiss or other music), cut, made louder or softer, resampled or mixed to mono, then encoded and decoded. Each
round compares all originals and one copy of each among all distractors, by the function that curation uses:

- other pieces of the real recordings;
- arrangements: sixteen of each family, in which any two share the drum loop, the accompaniment or the melody to the
  sample, never two of them;
- themes of one film on the same instruments, as the demo composes them;
- silence, hiss, hum, drones, held chords and test tones, several of each.

A false pair is any that is not an original with its copy. `--earlier` measures the comparison of an earlier commit on
the same recordings, with its own code.
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
import types
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
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

from needledrop.demo.films import Film, invent_films
from needledrop.demo.music.score import Score, compose
from needledrop.demo.music.tracks import perform
from storage.mels.settings import MelSettings
from tasks.curation.same_sound import find_same_sound
from tasks.soundtracks.audio.decode import AudioFile
from tasks.soundtracks.audio.fingerprint import BANDS, HEADER, MAGIC, TIME_BITS, VERSION, fingerprint
from tasks.soundtracks.audio.melspectrogram import segment_mels

SETTINGS = MelSettings()
RATE, MEL_RATE = 44_100, SETTINGS.sample_rate_hz
PIECE_SECONDS = 24.0
COPIES = 17
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


def real_pieces(music: Path) -> list[tuple[str, Path, float]]:
    """Return the pieces of all real recordings that are long enough: name, file, start in seconds."""
    files = [path for path in sorted(music.rglob("*")) if path.suffix in {".mp3", ".ogg", ".wav", ".flac"}]
    pieces = []
    for path in files:
        with av.open(str(path)) as container:
            seconds = float(container.duration or 0) / 1e6
        starts = np.arange(0, seconds - PIECE_SECONDS, PIECE_SECONDS)
        pieces += [(f"{path.stem} at {start:.0f} s", path, float(start)) for start in starts]
    return pieces


@lru_cache(maxsize=8)
def read_piece(path: Path, start: float) -> Samples:
    """Return one piece of a file, stereo at `RATE`."""
    frames = []
    with av.open(str(path)) as container:
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
def demo_piece(film: int, number: int) -> Samples:
    """Return one theme of an invented film, stereo at `RATE`."""
    return perform(compose(_films()[film], number, PIECE_SECONDS), RATE)


@cache
def _films() -> tuple[Film, ...]:
    """Return 660 invented films; there are not titles enough for so many of one seed."""
    return tuple(film for seed in range(7, 12) for film in invent_films(seed, 12))


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
        before = demo_piece(int(rng.integers(8)), 3)[:, : before.shape[1]]
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


def make_arrangement(family: int, melody: int, chords: int) -> Samples:
    """Return one of a family's sixteen arrangements: its drums follow from melody and accompaniment."""
    drums = (melody + chords) % 4
    parts = [_stem(family, melody, "melody"), _stem(family, chords, "chords"), _stem(family, drums, "drums")]
    loudness = [part / max(1e-6, float(np.sqrt(np.mean(part**2)))) for part in parts]
    return np.asarray(np.tanh(0.08 * np.sum(loudness, axis=0)), np.float32)


@lru_cache(maxsize=32)
def _stem(family: int, number: int, part: str) -> Samples:
    """Return one part of a film's score at the family's tempo, or of another film's drums."""
    films = _films()
    film = films[family % len(films)]
    score: Score = compose(replace(film, seed=f"{film.seed}/{family}/{part}/{number}"), 1, PIECE_SECONDS)
    is_melody = part == "melody"
    notes = tuple(note for note in score.notes if (note.gain == 0.55) == is_melody) if part != "drums" else ()
    hits = score.hits if part == "drums" else ()
    if part == "drums" and not hits:
        hits = next(s.hits for f in films[number:] if (s := compose(f, 1, PIECE_SECONDS)).hits)
    return perform(replace(score, notes=notes, hits=hits, textures=()), MEL_RATE).mean(axis=0)


def make_theme(film: int, number: int) -> Samples:
    """Return one theme of an invented film, mono."""
    return perform(compose(_films()[film], number, PIECE_SECONDS), MEL_RATE).mean(axis=0)


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


def plan(music: Path, families: int, themes: int, copies: int) -> Iterator[Recording]:
    """Yield every recording: originals, copies, copies that are 2 % faster, and distractors."""
    pieces = real_pieces(music)
    readers: list[tuple[str, Callable[[], Samples]]] = [
        (name, partial(read_piece, path, start)) for name, path, start in pieces[::2]
    ]
    readers += [(f"theme {film}", partial(demo_piece, film, 1)) for film in range(0, 150, 6)]
    encodings = list(ENCODINGS)
    for index, (name, read) in enumerate(readers):
        yield Recording("original", name, partial(make_original, read))
        for turn in range(copies):
            encoding, lead_in = encodings[(index + turn) % 7], LEAD_INS[(3 * index + turn) % len(LEAD_INS)]
            make = partial(make_copy, read, 1000 * index + turn, encoding, lead_in)
            yield Recording(f"copy, {encoding}", f"{lead_in:g} s before {name} ({turn})", make, name, turn)
        faster = partial(make_copy, read, 1000 * index, encodings[index % 7], 0.5, 1.02)
        yield Recording("2 % faster", f"{name} faster", faster, name, copies)
    for name, path, start in pieces[1::2]:
        yield Recording("other piece", name, partial(make_original, partial(read_piece, path, start)))
    for family, melody, chords in itertools.product(range(families), range(4), range(4)):
        yield Recording("arrangement", f"{family}/{melody}/{chords}", partial(make_arrangement, family, melody, chords))
    for film, number in itertools.product(range(themes // 3), range(1, 4)):
        film_index = len(_films()) - 1 - film
        yield Recording("theme", f"{film_index}/{number}", partial(make_theme, film_index, number))
    for kind, number in itertools.product(STATIC, range(25)):
        yield Recording("static", f"{kind} {number}", partial(make_static, kind, number))


def make_fingerprints(recording: Recording, earlier: str | None) -> dict[str, Any]:
    """Make one recording and its fingerprints; seconds of the new one are CPU time."""
    mels = segment_mels([recording.make()], SETTINGS, recording.name)
    started = time.process_time()
    made = fingerprint(mels, SETTINGS)
    seconds = time.process_time() - started
    old = _module(earlier).fingerprint(mels) if earlier else b""
    facts = {name: getattr(recording, name) for name in ("kind", "name", "original", "round")}
    return {**facts, "fingerprint": made, "earlier": old, "seconds": seconds, "segments": len(mels)}


_MODULES: dict[str, Any] = {}


def _module(commit: str) -> Any:
    """Return the fingerprint module of an earlier commit, whose words are compared position by position."""
    if commit not in _MODULES:
        path = "tasks/soundtracks/audio/fingerprint.py"
        code = subprocess.run(["git", "show", f"{commit}:{path}"], check=True, capture_output=True, text=True).stdout
        module = types.ModuleType("earlier")
        exec(compile(code, path, "exec"), module.__dict__)
        _MODULES[commit] = module
    return _MODULES[commit]


def collect(recordings: list[Recording], earlier: str | None, cache: Path, workers: int) -> pa.Table:
    """Return the fingerprints of all recordings; those that an earlier, interrupted run made are kept."""
    cache.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    with ProcessPoolExecutor(workers) as pool:
        for part in range(0, len(recordings), 512):
            path = cache / f"{part:06d}.parquet"
            if not path.exists():
                batch = recordings[part : part + 512]
                made = list(pool.map(partial(make_fingerprints, earlier=earlier), batch, chunksize=16))
                pq.write_table(pa.Table.from_pylist(made), path)
            rows += pq.read_table(path).to_pylist()
            print(f"{len(rows):,} of {len(recordings):,}", file=sys.stderr, flush=True)
    return pa.Table.from_pylist(rows)


def new_pairs(rows: list[dict[str, Any]]) -> set[tuple[int, int]]:
    """Return the pairs that curation would join."""
    table = pa.table(
        {"item": pa.array(range(1, len(rows) + 1), pa.int32()), "fingerprint": [row["fingerprint"] for row in rows]}
    )
    with duckdb.connect() as connection:
        connection.register("rows", table)
        pairs = find_same_sound(connection, "SELECT item, fingerprint FROM rows").to_pylist()
    return {(pair["one"] - 1, pair["other"] - 1) for pair in pairs}


def earlier_pairs(rows: list[dict[str, Any]], commit: str) -> set[tuple[int, int]]:
    """Return the pairs that share a word at a position and are one sound by the earlier rule."""
    module, first, pairs = _module(commit), {}, set()
    words = [np.frombuffer(row["earlier"], "<u4") for row in rows]
    for item, own in enumerate(words):
        for key in {(place, int(word)) for place, word in enumerate(own) if word}:
            one = first.setdefault(key, item)
            if one != item and (one, item) not in pairs and module.is_same_sound(words[one], own):
                pairs.add((one, item))
    return pairs


def judge(table: pa.Table, compare: Callable[[list[dict[str, Any]]], set[tuple[int, int]]]) -> dict[str, Any]:
    """Compare round by round; return how many copies are found, by kind, and the false pairs by kind."""
    rows = table.to_pylist()
    rounds = sorted({row["round"] for row in rows if row["round"] is not None})
    found: dict[str, list[int]] = {}
    false: dict[tuple[str, str], str] = {}
    for number in rounds:
        present = [row for row in rows if row["round"] in (None, number)]
        joined = {tuple(sorted((present[one]["name"], present[other]["name"]))) for one, other in compare(present)}
        kinds = {row["name"]: row["kind"] for row in present}
        true = {tuple(sorted((row["name"], row["original"]))): row["kind"] for row in present if row["original"]}
        for pair, kind in true.items():
            found.setdefault(kind, []).append(pair in joined)
            if pair not in joined:
                print("missed:", pair, kind, file=sys.stderr)
        for pair in joined - set(true):
            false[pair] = " / ".join(sorted(kinds[name].split(",")[0] for name in pair))
    for pair, kind in sorted(false.items()):
        print("false:", pair, kind, file=sys.stderr)
    return {"found": {kind: (sum(hits), len(hits)) for kind, hits in found.items()}, "false": list(false.values())}


def print_results(table: pa.Table, results: dict[str, dict[str, Any]]) -> None:
    """Print the tables of docs/benchmarks.md."""
    rows = table.to_pylist()
    distractors = sum(row["original"] is None and row["kind"] != "original" for row in rows)
    names = list(results)
    print(f"| | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
    for kind in sorted({kind for result in results.values() for kind in result["found"]}):
        cells = ["{} of {}".format(*result["found"][kind]) for result in results.values()]
        print(f"| found, {kind} | {' | '.join(cells)} |")
    for name, result in results.items():
        copies = [count for kind, count in result["found"].items() if kind.startswith("copy")]
        hits, total = (sum(count[at] for count in copies) for at in (0, 1))
        print(f"{name}: {hits} of {total} copies found, {hits / total:.2%}; {len(result['false'])} false pairs among "
              f"{distractors:,} distractors: {sorted(set(result['false']))}")  # fmt: skip
    seconds = sum(row["seconds"] for row in rows) / sum(row["segments"] for row in rows)
    size = np.mean([len(row["fingerprint"]) for row in rows if row["fingerprint"]])
    print(f"CPU per segment {1000 * seconds:.1f} ms, {size:,.0f} bytes per recording of {PIECE_SECONDS:.0f} s")


def write_made_up(path: Path, tracks: int) -> None:
    """Write invented fingerprints of four minutes: one word in four is common, each hundredth track is a copy."""
    rng, schema = np.random.default_rng(0), pa.schema([("item", pa.int32()), ("fingerprint", pa.binary())])
    common = rng.integers(0, 1 << 40, 1_000_000, dtype=np.uint64)
    earlier: list[bytes] = []
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, tracks, 5_000):
            made = [made_up(rng, common, 1_200) for _ in range(min(5_000, tracks - start))]
            for number in range(99, len(made), 100):
                made[number] = (earlier or made)[number - 99]
            earlier = earlier or made
            items = pa.array(range(start + 1, start + len(made) + 1), pa.int32())
            writer.write_table(pa.table({"item": items, "fingerprint": pa.array(made, pa.binary())}))


def made_up(rng: np.random.Generator, common: Any, moments: int) -> bytes:
    """Return an invented fingerprint with so many moments of contour; `common` are the hashes of common words."""
    count = min(512, 8 * moments)
    hashes = rng.integers(0, 1 << 40, count, dtype=np.uint64)
    is_common = rng.random(count) < 0.25
    rank = np.minimum(len(common) ** rng.random(count), len(common) - 1).astype(np.int64)  # Zipf's law
    hashes[is_common] = common[rank[is_common]]
    places = np.sort(rng.integers(0, 20 * moments, count)).astype(np.uint64)
    contour = rng.integers(0, 256, moments * (BANDS - 1) // 2, dtype=np.uint8)
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
    data = os.environ.get("NEEDLEDROP_TEST_DATA")
    parser.add_argument("--music", type=Path, default=Path(data, "audio", "music") if data else None)
    parser.add_argument("--earlier", help="A commit whose comparison is measured too.")
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
    if options.music is None:
        parser.error("name a folder of recordings with --music, or set NEEDLEDROP_TEST_DATA")
    recordings = list(plan(options.music, options.families, options.themes, options.copies))
    parts = [recordings[start : start + 16] for start in range(0, len(recordings), 16)]  # of one piece, or family
    np.random.default_rng(0).shuffle(parts)
    recordings = sorted(itertools.chain(*parts), key=lambda recording: recording.kind != "original")
    table = collect(recordings, options.earlier, options.folder, options.workers)
    results = {"this commit": judge(table, new_pairs)}
    if options.earlier:
        results[options.earlier] = judge(table, partial(earlier_pairs, commit=options.earlier))
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print_results(table, results)
    counts = [count for kind, count in results["this commit"]["found"].items() if kind.startswith("copy")]
    hits, total = (sum(count[at] for count in counts) for at in (0, 1))
    if hits < 0.99 * total or len(results["this commit"]["false"]) > len(recordings) / 10_000:
        sys.exit("A bar is missed: 99 % of copies found, at most 1 false pair per 10,000 recordings")


if __name__ == "__main__":
    main()
