"""A lake, recordings written on the spot, and films made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from storage.lake.lake import Lake
from storage.tables.tables import open_tables
from tasks.soundtracks.candidate_recordings import Recording
from tasks.soundtracks.extraction.film_jobs import FilmJob


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_tables(str(tmp_path / "lake"))


@pytest.fixture
def write_tone(tmp_path: Path) -> Callable[..., str]:
    """A function that writes a tone of so many seconds as a WAV file and returns its path."""

    def write(name: str, seconds: float, rate: int = 22_050) -> str:
        path = str(tmp_path / name)
        wave = 0.5 * np.sin(2 * np.pi * 440.0 * np.arange(int(seconds * rate)) / rate)
        with av.open(path, "w") as container:
            stream = container.add_stream("pcm_s16le", rate=rate, layout="mono")
            frame = av.AudioFrame.from_ndarray((wave * 32767).astype(np.int16)[None], format="s16", layout="mono")
            frame.sample_rate = rate
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture
def job_of() -> Callable[..., FilmJob]:
    """A function that makes a film's job of recordings, each with its row."""

    def make(*recordings: Recording, film_id: str = "enwiki-1") -> FilmJob:
        rows = tuple({"film_id": film_id, "track_id": one.track_id, "decision": "taken"} for one in recordings)
        return FilmJob(film_id, 2020, recordings, rows)

    return make
