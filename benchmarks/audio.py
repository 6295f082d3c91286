"""From a file to a committed shard: CPU time compared with bare decoding and with librosa.

    python benchmarks/audio.py                       # three minutes of made-up music, about a minute
    python benchmarks/audio.py --music FOLDER        # your own webm, m4a, mp3 and ogg files
    python benchmarks/audio.py --encoders            # what audio left for encoders of 16 and 48 kHz costs more

Each round decodes each file three ways in turn, so that a busy machine slows all alike; the table holds
medians of rounds, that of encoders the least of them. "Bare" is PyAV decoding every frame and dropping it.
"librosa" is `librosa.load`, a mel-spectrogram a segment and `np.save`; without an ffmpeg program it cannot
open webm and m4a, and then PyAV decodes for it, which costs less than the pipe it would use. CPU time is that
of the process and its children, in the environment that extraction gives its workers.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tasks.soundtracks.extraction.process_pool import WORKER_ENVIRONMENT

if __name__ == "__main__" and any(os.environ.get(name) != value for name, value in WORKER_ENVIRONMENT.items()):
    # Libraries and the allocator read these when a process begins, so it begins again.
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, **WORKER_ENVIRONMENT})

import av
import librosa
import numpy as np
from rich.console import Console
from rich.table import Table

from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import MelSettings
from storage.tables.tables import open_tables
from tasks.soundtracks.candidate_recordings import Recording
from tasks.soundtracks.extraction.extract_film import extract_film
from tasks.soundtracks.extraction.film_jobs import FilmJob

SETTINGS = MelSettings()
CODECS = {"webm": ("libopus", 48_000, 128_000), "m4a": ("aac", 44_100, 128_000), "mp3": ("libmp3lame", 44_100, 192_000)}


def main() -> None:
    """Measure every file and print a table by format."""
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        files = _own_files(options.music) if options.music else made_up_files(Path(folder))
        lake = open_tables(f"{folder}/lake")
        routes = {
            "bare": _decode,
            "ours": lambda path: _extract(lake, path),
            "librosa": lambda path: _librosa(path, Path(folder, "mels.npy")),
        }
        if options.encoders:
            _print_encoders(files, _measure(files, _routes_of_encoders(lake, Path(folder)), options.rounds))
        else:
            _print(files, _measure(files, routes, options.rounds))


def _routes_of_encoders(lake: Lake, folder: Path) -> dict[str, Callable[[Path], None]]:
    """Extraction with decoded audio left at the rates of encoders, on the disk of the temporary folder."""

    def route(*rates: int) -> Callable[[Path], None]:
        return lambda path: _extract(lake, path, str(folder / "to-embed"), rates)

    return {"no encoder": route(), "16 kHz": route(16_000), "48 kHz": route(48_000), "both": route(16_000, 48_000)}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--music", type=Path, help="a folder of recordings to use instead of made-up ones")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--encoders", action="store_true", help="measure the audio left for encoders instead")
    return parser.parse_args()


def _own_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in {".webm", ".m4a", ".mp3", ".ogg", ".opus"})


def made_up_files(folder: Path, seconds: int = 180) -> list[Path]:
    """Chords, a beat and wide-band noise, so that the encoders have something to keep."""
    files = []
    for suffix, (codec, rate, bit_rate) in CODECS.items():
        rng, t = np.random.default_rng(0), np.arange(seconds * rate) / rate
        chord = rng.choice([110.0, 146.8, 196.0, 261.6, 329.6], (seconds, 4))[t.astype(int)]
        tones = np.sin(2 * np.pi * np.cumsum(chord, axis=0) / rate) * np.exp(-6 * (t * 2 % 1))[:, None]
        sides = tones @ rng.uniform(0.02, 0.2, (4, 2)) + 0.02 * rng.standard_normal((len(t), 2))
        files.append(folder / f"music.{suffix}")
        with av.open(str(files[-1]), "w") as container:
            stream = container.add_stream(codec, rate=rate, layout="stereo", bit_rate=bit_rate)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(sides.T, np.float32), "fltp", "stereo")
            frame.sample_rate = rate
            context = stream.codec_context
            shape = av.AudioResampler(context.format, "stereo", rate, context.frame_size)
            for piece in [*shape.resample(frame), *shape.resample(None), None]:
                container.mux(stream.encode(piece))
    return files


def _decode(path: Path) -> None:
    with av.open(str(path), metadata_errors="ignore") as container:
        for _ in container.decode(audio=0):
            pass


def _extract(lake: Lake, path: Path, pending: str = "", rates_hz: tuple[int, ...] = ()) -> None:
    job = FilmJob(
        "enwiki-1", 2020, (Recording("music:1", str(path)),), ({"film_id": "enwiki-1", "track_id": "music:1"},),
        pending=pending, rates_hz=rates_hz,
    )  # fmt: skip
    assert extract_film(lake, job, SETTINGS, "benchmark").shard


def _librosa(path: Path, output: Path) -> None:
    samples, length = _librosa_load(path), SETTINGS.segment_samples
    mels = []
    for start in range(0, len(samples) - length + 1, length):
        power = librosa.feature.melspectrogram(
            y=samples[start : start + length], sr=22_050, n_fft=1024, hop_length=220, n_mels=128, pad_mode="reflect"
        )
        mels.append(librosa.power_to_db(power, top_db=None))
    np.save(output, np.stack(mels))


def _librosa_load(path: Path) -> np.ndarray:
    import audioread

    if path.suffix in {".mp3", ".ogg"} or audioread.ffdec.available():
        return librosa.load(path, sr=22_050)[0]
    with av.open(str(path)) as container:
        rate = container.streams.audio[0].rate
        samples = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
    return librosa.resample(librosa.to_mono(samples), orig_sr=rate, target_sr=22_050)


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _measure(
    files: list[Path], routes: dict[str, Callable[[Path], None]], rounds: int
) -> dict[tuple[Path, str], list[float]]:
    """CPU milliseconds of every file and route, a list of rounds; one round before them warms up."""
    found: dict[tuple[Path, str], list[float]] = {}
    for number in range(rounds + 1):
        for path in files:
            for name, route in routes.items():
                before = _cpu_seconds()
                route(path)
                if number:
                    found.setdefault((path, name), []).append(1000 * (_cpu_seconds() - before))
    return found


def _print(files: list[Path], cpu_ms: dict[tuple[Path, str], list[float]]) -> None:
    table = Table("format", "bare ms", "ours ms", "librosa ms", "ours / bare", "librosa / ours", title="CPU a file")
    for suffix in sorted({path.suffix for path in files}):
        mine = [path for path in files if path.suffix == suffix]
        series = {
            name: [sum(r) / len(mine) for r in zip(*(cpu_ms[p, name] for p in mine), strict=True)]
            for name in ("bare", "ours", "librosa")
        }
        middle = {name: statistics.median(values) for name, values in series.items()}
        over = statistics.median(a / b for a, b in zip(series["ours"], series["bare"], strict=True))
        faster = statistics.median(a / b for a, b in zip(series["librosa"], series["ours"], strict=True))
        table.add_row(suffix[1:], *(f"{middle[name]:.0f}" for name in series), f"{over:.2f}", f"{faster:.2f}")
    Console().print(table)


def _print_encoders(files: list[Path], cpu_ms: dict[tuple[Path, str], list[float]]) -> None:
    """Print what audio for encoders costs more: the least of all rounds, as what disturbs a round only adds to it."""
    routes = ("16 kHz", "48 kHz", "both")
    table = Table("format", "files", "mels alone, ms", *(f"+ {name}" for name in routes), title="CPU a file")
    for suffix in sorted({path.suffix for path in files}):
        mine = [path for path in files if path.suffix == suffix]
        least = {name: sum(min(cpu_ms[path, name]) for path in mine) / len(mine) for name in ("no encoder", *routes)}
        ratios = [f"x {least[name] / least['no encoder']:.2f}" for name in routes]
        table.add_row(suffix[1:], str(len(mine)), f"{least['no encoder']:.0f}", *ratios)
    Console().print(table)


if __name__ == "__main__":
    main()
