"""Synthetic recordings from PyAV's encoders, and the folder of real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest


@pytest.fixture
def real_audio(test_data: Callable[[str], Path]) -> Path:
    """Return the folder of real recordings, a third of them broken."""
    return test_data("audio")


@pytest.fixture
def write_audio(tmp_path: Path) -> Callable[..., str]:
    """Return a function that encodes float samples of shape (channels, n) and returns the file's path."""

    def write(
        name: str, samples: np.ndarray, rate: int = 22_050, codec: str = "pcm_f32le", layout: str = "mono"
    ) -> str:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=rate, layout=layout)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples, np.float32), "fltp", layout)
            frame.sample_rate = rate
            codec_context = stream.codec_context
            shape = av.AudioResampler(codec_context.format, layout, rate, codec_context.frame_size or 4096)
            for piece in [*shape.resample(frame), *shape.resample(None), None]:
                container.mux(stream.encode(piece))
        return str(path)

    return write


@pytest.fixture
def music() -> Callable[..., np.ndarray]:
    """Return a function that makes chords, a beat and hiss: float32 of shape (channels, seconds * rate)."""

    def make(seconds: float, rate: int = 22_050, channels: int = 1, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        t = np.arange(int(seconds * rate)) / rate
        chord = rng.choice([110.0, 146.8, 196.0, 261.6, 329.6], (int(seconds) + 1, 3))[t.astype(int)]
        phase = 2 * np.pi * np.cumsum(chord, axis=0) / rate
        beat = np.exp(-8 * (t * 2 % 1))[:, None]
        voices = np.sin(phase) * beat * rng.uniform(0.05, 0.2, 3)
        mixes = rng.uniform(0, 1, (channels, 3)) @ voices.T
        return (mixes + 0.003 * rng.standard_normal((channels, len(t)))).astype(np.float32)

    return make


@pytest.fixture
def write_clip(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a tone with tags as Opus, by default of twelve seconds, and returns its path."""

    def write(path: Path, seconds: float = 12.0, hertz: float = 220.0, peak: float = 0.1, **tags: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        wave = (peak * np.sin(2 * np.pi * hertz * np.arange(int(seconds * 48_000)) / 48_000)).astype(np.float32)
        with av.open(str(path), "w", format="ogg") as container:
            stream = container.add_stream("libopus", rate=48_000, layout="mono")
            container.metadata.update(tags)
            for start in range(0, len(wave), 48_000):
                frame = av.AudioFrame.from_ndarray(wave[None, start : start + 48_000], format="flt", layout="mono")
                frame.sample_rate, frame.pts = 48_000, start
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write
