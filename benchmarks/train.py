"""Training items per second of `small`, compared with the same model fed as the released loop feeds it.

The released loader decodes a track's whole file for every item, cuts a random 9.92 s out of it, and leaves
the mel-spectrogram to the model; it tokenises and decodes the picture again each time. Here the same songs
are in shards. Both sides train the same `small` model with the same batch on the same machine, so what
differs is the data pipeline. Also shown: what one rank's step costs without any data.

    python benchmarks/train.py --lake demo-lake            (some minutes; writes nothing outside a temporary folder)
"""

from __future__ import annotations

import argparse
import io
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `training` sets it, and torch is imported first here

import av
import librosa
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from tokenizers import Tokenizer

from benchmarks.made_up import made_up_lake
from storage.lake.lake import Lake
from training.data.batches import Batch, Tracks
from training.data.film_inputs import FilmInputs, Films, query_text, tag_words
from training.data.splits import load_split, newest_version
from training.data.tokenizer import pad_tokens
from training.loop.checkpoint import Job
from training.loop.devices_and_torchrun import Machine, open_machine
from training.loop.prefetch import prefetched
from training.loop.train import Loop, LoopInputs
from training.model.retrieval_model import build_model
from training.presets import chosen_settings
from training.systems import SYSTEMS

Samples = npt.NDArray[np.float32]
SAMPLE_RATE_HZ, SEGMENT_SAMPLES = 22_050, 218_736
ROUNDS = 3
SONG_SECONDS, SONGS = 180, 4
"""The released data holds whole songs; four of three minutes, read in turn, represent them."""


def main() -> None:
    """Measure both loops in turn and print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", help="a lake with a data set version; made-up films by default")
    parser.add_argument("--steps", type=int, default=6, help="steps of our loop in each of three rounds")
    parser.add_argument("--released-steps", type=int, default=1, help="steps of the released loop in each round")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, open_machine() as machine:
        loop, tokenizer = _loop(Lake(options.lake) if options.lake else made_up_lake(folder, films=128), machine)
        songs = [_write_song(Path(folder, f"{number}.mp3"), number) for number in range(SONGS)]
        rates: dict[str, list[tuple[float, float]]] = {}
        for name in ("shards", "released", "no data", "loader of shards", "loader as released"):
            rates[name] = []
        for _ in range(ROUNDS):
            made = (loop.batches.make(0, step % loop.batches.steps) for step in range(options.steps))
            ours = prefetched(made, machine)
            rates["shards"].append(_rate(loop, ours))
            ready = loop.batches.make(0, 0)
            rates["no data"].append(_rate(loop, (ready for _ in range(options.steps))))
            slow = (_released_batch(loop, tokenizer, songs, step) for step in range(options.released_steps))
            rates["released"].append(_rate(loop, slow))
            rates["loader of shards"].append(
                _rate(None, (loop.batches.make(2, s % loop.batches.steps) for s in range(options.steps)))
            )
            slow = (_released_batch(loop, tokenizer, songs, step) for step in range(options.released_steps))
            rates["loader as released"].append(_rate(None, slow))
    for name, found in rates.items():
        wall, cpu = (float(np.median(column)) for column in zip(*found, strict=True))
        print(f"{name:20s} {wall:9.2f} items/s wall  {cpu:9.2f} items/CPU-s")


def _loop(lake: Lake, machine: Machine) -> tuple[Loop, Tokenizer]:
    """Our loop of system All with the preset `small`, at its start."""
    version, settings, system = newest_version(lake), chosen_settings("small"), SYSTEMS["All"]
    train, valid = load_split(lake, version, "train"), load_split(lake, version, "valid")
    built = build_model(system, settings, train, 0)
    inputs = [
        FilmInputs(split, system, settings, built.tokenizer, built.image_format.pixels) for split in (train, valid)
    ]
    job = Job("benchmark", system, settings, 0, version)
    assert built.tokenizer is not None
    return Loop(lake, LoopInputs(job, built.model, train, valid, *inputs), machine, None), built.tokenizer


def _rate(loop: Loop | None, batches: Iterator[Batch]) -> tuple[float, float]:
    """Items a second of wall time and of CPU time, after one step that is not counted; without a loop, of loading."""
    if loop:
        loop.model.train()
        loop.update(loop.batches.make(1, 0), 0)
    items, wall, cpu = 0, time.perf_counter(), time.process_time()
    for batch in batches:
        if loop:
            loop.update(batch, 1).item()  # the released loop reads the loss at every step
        items += len(batch.owner)
    return items / (time.perf_counter() - wall), items / (time.process_time() - cpu)


def _released_batch(loop: Loop, tokenizer: Tokenizer, songs: list[Path], step: int) -> Batch:
    """A batch made as the released loader makes it: each item alone, from its files, nothing kept."""
    split, settings, size = loop.inputs.train, loop.settings, loop.batches.batch
    rng = np.random.default_rng(step)
    tracks = rng.choice(len(split.track_ids), size, replace=False)
    films = split.owner[tracks]
    rows, pixels, mels, references = [], [], [], []
    for item, film in enumerate(films):
        quantised, reference = _quantised(_random_segment(songs[item % len(songs)], rng))
        mels.append(quantised)
        references.append(reference)
        picture = Image.open(io.BytesIO(split.thumbnails[film] or b"")).convert("RGB")
        left, top = rng.integers(0, picture.width - 223), rng.integers(0, picture.height - 223)
        pixels.append(np.asarray(picture.crop((left, top, left + 224, top + 224))).transpose(2, 0, 1))
        text = query_text(True, tag_words(split.tags[film], keep_years=True), split.plots[film][0])
        rows.append(np.asarray(tokenizer.encode(text).ids[: settings.text.max_tokens], np.int32))
    tokens, mask = pad_tokens(rows, settings.text.max_tokens)
    owner, numbers = torch.arange(size), torch.from_numpy(films)
    film_inputs = Films(torch.from_numpy(tokens), torch.from_numpy(mask), torch.from_numpy(np.stack(pixels)))
    track_inputs = Tracks(torch.from_numpy(np.stack(mels)), torch.tensor(references, dtype=torch.float32))
    return Batch(film_inputs, track_inputs, owner, numbers, torch.zeros((size, 0), dtype=torch.bool))


def _random_segment(song: Path, rng: np.random.Generator) -> Samples:
    """Decode the whole file, mix to mono, resample, and keep 9.92 s of it."""
    samples, _ = librosa.load(song, sr=SAMPLE_RATE_HZ, mono=True)
    start = rng.integers(0, len(samples) - SEGMENT_SAMPLES)
    return samples[start : start + SEGMENT_SAMPLES]


def _quantised(samples: Samples) -> tuple[npt.NDArray[np.uint8], float]:
    """The mel-spectrogram that the released model computes, as the tower here reads it."""
    power = librosa.feature.melspectrogram(y=samples, sr=SAMPLE_RATE_HZ, n_fft=1024, hop_length=220, n_mels=128)
    decibels = 10 * np.log10(np.maximum(power, 1e-10))
    reference = float(decibels.max())
    return np.clip((decibels - reference + 80) * (255 / 80), 0, 255).astype(np.uint8), reference


def _write_song(path: Path, seed: int) -> Path:
    """Three minutes of coloured noise as 44.1 kHz stereo mp3 at 128 kbit/s, like the released data."""
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mp3", rate=44_100)
        stream.bit_rate, stream.layout = 128_000, "stereo"
        for _ in range(SONG_SECONDS):
            noise = np.cumsum(rng.normal(0, 0.01, (2, 44_100)), axis=1)
            frame = av.AudioFrame.from_ndarray(np.clip(noise, -1, 1).astype(np.float32), "fltp", "stereo")
            frame.sample_rate = 44_100
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


if __name__ == "__main__":
    main()
