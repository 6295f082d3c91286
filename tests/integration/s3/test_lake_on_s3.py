"""A lake on an object store, against a server that speaks S3 on loopback."""

import os

import numpy as np
import pytest

from storage import compaction, datasets, outcomes, tables
from storage.errors import InputError, LakeError
from storage.lake import Lake, open_lake
from storage.mel_shards import TrackMels, read_tracks, write_shard
from storage.mels import MelReader, MelSettings
from storage.outcomes import Stage
from storage.schemas import FILMS, THUMBNAILS, TRACKS
from storage.verify import verify
from tasks.curation.curate import curate
from tasks.curation.settings import CurationSettings

pytestmark = pytest.mark.integration
s3fs = pytest.importorskip("s3fs", reason="a lake on an object store needs needledrop[s3]")
server = pytest.importorskip("moto.server", reason="moto's server is not installed")


@pytest.fixture(scope="module")
def bucket():
    """A bucket on a server of its own; s3fs finds it by the environment, as a person's setting would."""
    running = server.ThreadedMotoServer(port=0)
    running.start()
    host, port = running.get_host_and_port()
    settings = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("bucket")
    yield "s3://bucket"
    s3fs.S3FileSystem.clear_instance_cache()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})
    running.stop()


@pytest.fixture
def lake(bucket, request, tmp_path, monkeypatch) -> Lake:
    monkeypatch.setenv("NEEDLEDROP_CACHE", str(tmp_path / "cache"))
    return tables.open_tables(f"{bucket}/{request.node.name[:40].rstrip('_')}")


def fill(lake: Lake) -> None:
    """Four films of four years with real shards of two segments."""
    films, pictures, tracks = [], [], []
    settings, zeros = MelSettings(), np.zeros(2, np.float32)
    for number, year in enumerate((2020, 2021, 2022, 2023)):
        film = f"wiki-{number}"
        films.append({"film_id": film, "title": film, "year": year, "plot": ["x"], "tags": ["Drama films"]})
        pictures.append({"film_id": film, "sha256": film, "width": 224, "jpeg": b"jpeg"})
        with write_shard(lake, film, year, settings) as writer:
            row = {"film_id": film, "track_id": f"folder:{number}", "decision": "taken", "audio_sha256": film}
            stored = np.full((2, *settings.shape), number, np.uint8)
            mels = TrackMels(stored, zeros, zeros, zeros.astype(bool), zeros, zeros)
            row |= {"first_row": writer.append(row["track_id"], mels), "segments": 2, "decoded_seconds": 20.0}
            row |= {"shard": f"mels/year={year}/page={film}.parquet"}
            writer.finish([row])
        tracks.append(row)
    tables.append(lake, FILMS, films, "run")
    tables.append(lake, THUMBNAILS, pictures, "run")
    tables.append(lake, TRACKS, tracks, "run")


def test_what_is_committed_is_listed_and_reads_back(lake):
    lake.write_json({"a": 1}, "notes", "a.json")
    assert lake.exists("notes", "a.json")
    assert lake.list("notes") == ["notes/a.json"]
    assert lake.read_bytes("notes", "a.json") == b'{\n  "a": 1\n}\n'
    lake.remove("notes")
    assert lake.list("notes") == []
    with pytest.raises(LakeError, match="is not in the lake"):
        lake.read_bytes("notes", "a.json")


def test_another_machine_sees_what_was_committed_since(lake, tmp_path):
    other = Lake(lake.root, cache_folder=str(tmp_path / "elsewhere"))
    assert other.list("notes") == []
    lake.write_bytes(b"x", "notes", "a.txt")
    assert other.list("notes") == ["notes/a.txt"]


def test_tables_append_read_and_merge(lake, monkeypatch):
    monkeypatch.setattr(compaction, "MERGE_AT", 4)
    for number in range(6):
        tables.append(lake, FILMS, [{"film_id": str(number % 2), "title": f"title {number}"}], "run")
    assert tables.latest(lake, FILMS)["title"].to_pylist() == ["title 4", "title 5"]
    assert len(tables.parts(lake, FILMS)) == 4


def test_outcomes_are_counted(lake):
    for _ in range(2):
        outcomes.record(lake, [outcomes.ok(Stage.FILM, "a")], "run")
    assert outcomes.attempts(lake, [Stage.FILM]) == {("film", "a"): 2}


def test_a_version_is_the_same_as_on_a_folder(lake, tmp_path):
    fill(lake)
    folder = tables.open_tables(str(tmp_path / "folder"))
    fill(folder)
    there, here = curate(lake, CurationSettings(), "run"), curate(folder, CurationSettings(), "run")
    assert there.version == here.version
    assert there.manifest == here.manifest
    assert datasets.current(lake) == there.version
    assert not curate(lake, CurationSettings(), "again").is_new
    assert list(verify(lake, deep=True)) == []


def test_shards_are_read_through_the_cache(lake, tmp_path):
    fill(lake)
    shards = lake.list("mels")
    reader = MelReader(lake, shards, MelSettings())
    stored = np.empty((2, *MelSettings().shape), np.uint8)
    reader.gather(reader.locate([shards[3], shards[1]], [1, 0]), stored)
    assert [int(mel.max()) for mel in stored] == [3, 1]
    assert read_tracks(lake, shards[0])[0]["track_id"] == "folder:0"
    assert len(list((tmp_path / "cache").rglob("page=*.parquet"))) == 4


def test_nothing_is_left_in_the_outbox(lake, tmp_path):
    fill(lake)
    assert not list((tmp_path / "cache" / "outbox").iterdir())


def test_a_bucket_that_is_not_there_is_an_error_that_says_so(bucket):
    with pytest.raises((LakeError, InputError), match="nowhere"):
        open_lake("s3://nowhere/lake")
