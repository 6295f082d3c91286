"""Random segments into a training batch: from our shards, warm and cold, compared with other stores and decoding.

    python benchmarks/mel_reads.py                   # 4,096 made-up segments, half a gigabyte of disk
    python benchmarks/mel_reads.py --folder /data/x  # on the disk that will hold the shards

MosaicML streaming (MDS) and Hugging Face datasets take part when they can be imported; they are no
dependencies of Needledrop. Every store holds the same rows, every reader fills the same buffer of 64
segments, they take turns batch by batch, and what they read is compared. "Cold" asks the system to forget
the files first (posix_fadvise) and measures wall time; the rival there reads the same byte ranges with
`pread`, after asking for the next batch by `posix_fadvise`, as our reader does by `madvise`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
from rich.console import Console
from rich.table import Table

from storage.lake.lake import Lake
from storage.mels.reader import MelReader, TrackMels
from storage.mels.settings_and_shard_format import MelSettings, shard_path
from storage.mels.writer import write_shard
from storage.tables.tables import open_tables
from tasks.soundtracks.audio.decode import AudioFile
from tasks.soundtracks.audio.melspectrogram import segment_mels

SETTINGS = MelSettings()
BATCH = 64
SEGMENTS_A_FILM = 256
Reader = Callable[[np.ndarray, np.ndarray], None]
"""Takes positions and fills a buffer of shape (64, 128, 995)."""


def main() -> None:
    """Write the stores, read them, print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--segments", type=int, default=4096)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--folder", type=Path, help="where to write (default: the system's temporary folder)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows = np.random.default_rng(0).integers(0, 256, (options.segments, *SETTINGS.shape), np.uint8)
        lake = open_tables(f"{folder}/lake")
        ours = _write_shards(lake, rows)
        readers: dict[str, Reader] = {"needledrop shards": ours.gather, **dict(_others(Path(folder), rows))}
        warm = _warm(readers, rows, options.rounds)
        warm["decoding the file"] = _decoding(Path(folder))
        _print(f"random segments/s of CPU time, warm, batches of {BATCH}", warm)
        shards = ours.shards
        del ours, readers
        _print(f"random segments/s of wall time, cold, batches of {BATCH}", _cold(lake, shards, options.rounds // 10))
        size = sum(lake.size_bytes(shard) for shard in shards) / options.segments
        Console().print(f"{size:,.0f} bytes a segment")


def _write_shards(lake: Lake, rows: np.ndarray) -> MelReader:
    shards = []
    for start in range(0, len(rows), SEGMENTS_A_FILM):
        part, film_id = rows[start : start + SEGMENTS_A_FILM], f"enwiki-{start}"
        zeros = np.zeros(len(part), np.float32)
        with write_shard(lake, film_id, 2020, SETTINGS) as writer:
            writer.append("music:1", TrackMels(part, zeros, zeros, zeros > 0, zeros, zeros))
            writer.finish([])
        shards.append(shard_path(film_id, 2020))
    return MelReader(lake, shards, SETTINGS)


def _others(folder: Path, rows: np.ndarray) -> Iterator[tuple[str, Reader]]:
    """The stores that are installed, written with the same rows."""
    try:
        yield "MosaicML streaming", _mosaic(folder / "mds", rows)
    except ImportError:
        Console(stderr=True).print("mosaicml-streaming is not installed: left out")
    try:
        yield "HF datasets", _hugging_face(folder / "hf", rows)
    except ImportError:
        Console(stderr=True).print("datasets is not installed: left out")


def _mosaic(folder: Path, rows: np.ndarray) -> Reader:
    from streaming import LocalDataset, MDSWriter

    with MDSWriter(
        out=str(folder), columns={"mel": f"ndarray:uint8:{SETTINGS.shape[0]},{SETTINGS.shape[1]}"}
    ) as writer:
        for row in rows:
            writer.write({"mel": row})
    store = LocalDataset(str(folder))

    def read(positions: np.ndarray, out: np.ndarray) -> None:
        for i, position in enumerate(positions.tolist()):
            out[i] = store[position]["mel"]

    return read


def _hugging_face(folder: Path, rows: np.ndarray) -> Reader:
    import datasets

    schema = datasets.Features({"mel": datasets.Value("binary")})
    made = datasets.Dataset.from_generator(
        lambda: ({"mel": row.tobytes()} for row in rows), features=schema, cache_dir=str(folder / "cache")
    )
    made.save_to_disk(str(folder / "saved"))
    store: Any = datasets.load_from_disk(str(folder / "saved")).with_format("arrow")

    def read(positions: np.ndarray, out: np.ndarray) -> None:
        flat = out.reshape(len(out), -1)
        for i, value in enumerate(store[positions.tolist()]["mel"]):
            flat[i] = np.frombuffer(value.as_buffer(), np.uint8)

    return read


def _warm(readers: dict[str, Reader], rows: np.ndarray, rounds: int) -> dict[str, float]:
    rng, out = np.random.default_rng(1), np.empty((BATCH, *SETTINGS.shape), np.uint8)
    seconds: dict[str, list[float]] = {name: [] for name in readers}
    for _ in range(rounds):
        positions = rng.integers(0, len(rows), BATCH)
        for name, read in readers.items():
            out.fill(0)
            begun = time.thread_time()
            read(positions, out)
            seconds[name].append(time.thread_time() - begun)
            assert np.array_equal(out[::9], rows[positions[::9]]), name
    return {name: BATCH / statistics.median(spent) for name, spent in seconds.items()}


def _decoding(folder: Path) -> float:
    """Return segments per second if the three-minute file is decoded for each, as the paper's loader does."""
    path, rate = folder / "music.mp3", 44_100
    samples = 0.1 * np.random.default_rng(0).standard_normal((2, 180 * rate)).astype(np.float32)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libmp3lame", rate=rate, layout="stereo", bit_rate=192_000)
        frame = av.AudioFrame.from_ndarray(samples, "fltp", "stereo")
        frame.sample_rate = rate
        shape = av.AudioResampler(stream.codec_context.format, "stereo", rate, stream.codec_context.frame_size)
        for piece in [*shape.resample(frame), *shape.resample(None), None]:
            container.mux(stream.encode(piece))
    spent = []
    for _ in range(5):
        begun = time.thread_time()
        samples_mono = np.concatenate(list(AudioFile(str(path), SETTINGS.sample_rate_hz).blocks()))
        segment_mels([samples_mono[: SETTINGS.segment_samples]], SETTINGS, path.name)
        spent.append(time.thread_time() - begun)
    return 1 / statistics.median(spent)


def _cold(lake: Lake, shards: list[str], rounds: int) -> dict[str, float]:
    """Segments a second of wall time; each round forgets the files, then reads eight batches."""
    files = [os.open(lake.local_path(shard), os.O_RDONLY) for shard in shards]
    routes = {
        "needledrop, one batch ahead": lambda reader: (reader.gather, reader.read_ahead),
        "posix_fadvise and pread, one batch ahead": lambda reader: _positioned_reads(reader, files),
        "needledrop, not ahead": lambda reader: (reader.gather, lambda _positions: None),
    }
    rng, out = np.random.default_rng(2), np.empty((BATCH, *SETTINGS.shape), np.uint8)
    seconds: dict[str, list[float]] = {name: [] for name in routes}
    for _ in range(rounds):
        batches = rng.permutation(len(shards) * SEGMENTS_A_FILM)[: 8 * BATCH].reshape(8, BATCH)
        for name, route in routes.items():
            for file in files:
                os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            gather, ahead = route(MelReader(lake, shards, SETTINGS))
            begun = time.perf_counter()
            ahead(batches[0])
            for number, positions in enumerate(batches):
                if number + 1 < len(batches):
                    ahead(batches[number + 1])
                gather(positions, out)
            seconds[name].append(time.perf_counter() - begun)
            del gather, ahead  # a mapped page is not forgotten
    return {name: 8 * BATCH / statistics.median(spent) for name, spent in seconds.items()}


def _positioned_reads(reader: MelReader, files: list[int]) -> tuple[Reader, Callable[[np.ndarray], None]]:
    """The same byte ranges by `pread` into the same buffer, and the advice for them."""
    file_of, offset_of, size = reader._file, reader._offset, SETTINGS.segment_bytes

    def read(positions: np.ndarray, out: np.ndarray) -> None:
        flat = out.reshape(len(out), -1)
        for i, (file, offset) in enumerate(
            zip(file_of[positions].tolist(), offset_of[positions].tolist(), strict=True)
        ):
            os.preadv(files[file], [flat[i]], offset)

    def advise(positions: np.ndarray) -> None:
        for file, offset in zip(file_of[positions].tolist(), offset_of[positions].tolist(), strict=True):
            os.posix_fadvise(files[file], offset, size, os.POSIX_FADV_WILLNEED)

    return read, advise


def _print(title: str, rates: dict[str, float]) -> None:
    ours = next(iter(rates.values()))
    table = Table("reader", "segments/s", "needledrop is", title=title, title_justify="left")
    for name, rate in rates.items():
        table.add_row(name, f"{rate:,.0f}", "" if rate == ours else f"{ours / rate:,.2f} x")
    Console().print(table)


if __name__ == "__main__":
    main()
