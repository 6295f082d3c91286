"""A lake with a trained run and an indexed library of short recordings in several formats, and a studio over it."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from needledrop.studio.app import create_app
from needledrop.studio.engine import Engine
from needledrop.studio.searchable import DEMO_SITE
from needledrop.studio.security import Access
from storage.lake.lake import Lake
from storage.libraries.library import Library, add_folder, open_library
from storage.tables.tables import open_tables
from tasks.libraries.index import files_to_index, index_files, open_decoder
from tasks.libraries.scan import scan_folder
from tests.training.conftest import _write_version
from training.loop.devices_and_torchrun import Machine, open_machine
from training.presets import chosen_settings
from training.retrieval.library_track_encoder import load_encoder
from training.systems import SYSTEMS
from training.training_runs import load_data, plan_jobs, run_experiment

PORT = 7300
HOME = f"http://localhost:{PORT}"
HOSTILE = '<img src=x onerror="document.title=1">'
FORMATS = {  # file -> codec, rate, sample format
    "plain.wav": ("pcm_s16le", 44_100, "s16"),
    "deep.wav": ("pcm_s24le", 48_000, "s32"),
    "apple.m4a": ("alac", 44_100, "s16p"),
    "big-endian.aiff": ("pcm_s16be", 22_050, "s16"),
    "lossless.flac": ("flac", 44_100, "s16"),
    "lossy.mp3": ("libmp3lame", 44_100, "s16p"),
    "free.opus": ("libopus", 48_000, "flt"),
}
SECONDS = 31


def write_tone(path: Path, codec: str, rate: int, kind: str, hertz: float, **tags: str) -> Path:
    """Write a stereo tone whose loudness rises and falls, so that moments differ."""
    time = np.arange(SECONDS * rate) / rate
    wave = 0.3 * np.sin(2 * np.pi * hertz * time) * (0.3 + 0.7 * np.sin(np.pi * time / SECONDS) ** 2)
    frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]).astype(np.float32), "fltp", "stereo")
    frame.sample_rate = rate
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="ogg" if path.suffix == ".opus" else None) as container:
        stream = container.add_stream(codec, rate=rate, layout="stereo", format=kind)
        container.metadata.update(tags)
        fitting = av.AudioResampler(
            stream.codec_context.format, "stereo", rate, stream.codec_context.frame_size or 4096
        )
        for piece in [*fitting.resample(frame), *fitting.resample(None), None]:
            container.mux(stream.encode(piece))
    return path


def poster(width: int = 300, height: int = 450) -> str:
    file = io.BytesIO()
    Image.new("RGB", (width, height), "teal").save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


@pytest.fixture(scope="session")
def indexed(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `lake` and `Music`, a library `mine` that the lake's run has indexed."""
    folder = tmp_path_factory.mktemp("studio")
    lake = open_tables(str(folder / "lake"))
    data = load_data(lake, _write_version(lake, segments=3, change=lambda film: film.update(url=f"{DEMO_SITE}wiki/x")))
    settings = chosen_settings("small", epochs=1).changed({"data.modality_dropout": 0.3})
    [job] = plan_jobs(data.version, [SYSTEMS["All"]], settings, [0])
    run_experiment(lake, data, job, machine)
    for number, (name, (codec, rate, kind)) in enumerate(FORMATS.items()):
        tags = {"title": name.split(".")[0].title(), "artist": f"Artist {number % 2}", "album": "Tones"}
        write_tone(folder / "Music" / name, codec, rate, kind, 180 * 1.3**number, **tags)
    write_tone(folder / "Music" / "hostile.flac", "flac", 44_100, "s16", 950, title=HOSTILE, artist="=1+1", album="B")
    library, music = add_folder(lake, "mine", folder / "Music")
    scan_folder(library, music, "test")
    encoder, mels = load_encoder(lake, job.run_id, machine)
    with open_decoder(library, mels, "test", workers=2) as decoder:
        *_, counts = index_files(
            library, files_to_index(library, job.run_id), decoder,
            lambda heard: encoder.embed_shard(heard.mels, heard.shard), "test", job.run_id,
        )  # fmt: skip
    assert (counts.embedded, counts.failed) == (len(FORMATS) + 1, 0)
    return folder


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    with open_machine() as machine:
        yield machine


@pytest.fixture(scope="session")
def engine(indexed: Path, machine: Machine) -> Engine:
    made = Engine(Lake(str(indexed / "lake")), machine)
    made.warm_up()
    return made


def client_of(engine: Engine, access: Access | None = None, home: str = HOME) -> TestClient:
    return TestClient(create_app(engine, access or Access(PORT)), base_url=home, raise_server_exceptions=False)


@pytest.fixture(scope="session")
def client(engine: Engine) -> TestClient:
    return client_of(engine)


@pytest.fixture
def own(indexed: Path, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Own:
    """A copy of lake and music that a test may change, on a machine of its own."""
    monkeypatch.setenv("NEEDLEDROP_MACHINE", tmp_path.name)
    shutil.copytree(indexed / "Music", tmp_path / "Music")
    lake = Lake(str(shutil.copytree(indexed / "lake", tmp_path / "lake")))
    add_folder(lake, "mine", tmp_path / "Music")
    return Own(lake, tmp_path / "Music", Engine(lake, machine))


class Own:
    """A lake, its music, and a studio over it."""

    def __init__(self, lake: Lake, music: Path, engine: Engine) -> None:
        self.lake, self.music, self.engine = lake, music, engine
        self.client = client_of(engine)

    @property
    def library(self) -> Library:
        return open_library(self.lake, "mine")


@pytest.fixture(scope="session")
def track_ids(indexed: Path) -> dict[str, str]:
    """File name -> the id of its track."""
    library = open_library(Lake(str(indexed / "lake")), "mine")
    return {row["path"]: row["track_id"] for row in library.file_rows(where="track_id IS NOT NULL")}


@pytest.fixture
def search(client: TestClient) -> Callable[..., dict[str, Any]]:
    """A function that searches and returns the result."""

    def search(**request: Any) -> dict[str, Any]:
        found = client.post("/api/search", json={"plot": "A chase through the night.", **request})
        assert found.status_code == 200, found.text
        return dict(found.json())

    return search
