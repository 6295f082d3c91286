"""A version exports to what other tools read, tested with those tools."""

from __future__ import annotations

import hashlib
from pathlib import Path

import duckdb
import numpy as np
import pytest

from storage.datasets.export import export
from storage.errors import InputError
from storage.lake.lake import Lake
from tasks.curation.curate import curate
from tasks.curation.exclusions_and_splits import CurationSettings
from tests.lakes import LakeWithMels


@pytest.fixture
def version(lake_with_mels: LakeWithMels) -> tuple[Lake, str]:
    lake = lake_with_mels.committed()
    return lake, curate(lake, CurationSettings(), "run", charts=False).version


def test_parquet_loads_with_datasets(version: tuple[Lake, str], tmp_path: Path) -> None:
    hub = pytest.importorskip("datasets", reason="the datasets library is not installed")
    export(*version, tmp_path / "out", "parquet")
    films = hub.load_dataset(str(tmp_path / "out"), "films", cache_dir=str(tmp_path / "cache"))
    assert {name: len(rows) for name, rows in films.items()} == {"train": 7, "validation": 1, "test": 4}
    assert films["test"].cast_column("thumbnail", hub.Image())[0]["thumbnail"].size == (224, 336)
    segments = hub.load_dataset(str(tmp_path / "out"), "segments", split="test", cache_dir=str(tmp_path / "cache"))
    assert np.unique(np.frombuffer(segments[4]["mel"], np.uint8)).tolist() == [4]


def test_a_version_folder_loads_with_datasets_without_an_export(version: tuple[Lake, str], tmp_path: Path) -> None:
    hub = pytest.importorskip("datasets", reason="the datasets library is not installed")
    lake, name = version
    folder = lake.local_path("datasets", name)
    by_card = hub.load_dataset(str(folder), "tracks", cache_dir=str(tmp_path / "cache"))
    by_file = hub.load_dataset(
        "parquet", data_files=str(folder / "tracks.parquet"), cache_dir=str(tmp_path / "cache"), split="train"
    )
    assert by_card["full"]["track_id"][:] == by_file["track_id"][:]


def test_parquet_reads_with_plain_duckdb(version: tuple[Lake, str], tmp_path: Path) -> None:
    export(*version, tmp_path / "out", "parquet")
    with duckdb.connect() as connection:
        files = f"'{tmp_path}/out/segments/*.parquet'"
        query = f"SELECT split, count(*), any_value(octet_length(mel)) FROM {files} GROUP BY ALL"
        assert sorted(connection.execute(query).fetchall()) == [
            ("test", 24, 127_360),
            ("train", 42, 127_360),
            ("valid", 6, 127_360),
        ]


def test_tars_read_with_webdataset(version: tuple[Lake, str], tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset", reason="the webdataset library is not installed")
    export(*version, tmp_path / "out", "webdataset")
    samples = list(webdataset.WebDataset(str(tmp_path / "out" / "test-000000.tar"), shardshuffle=False).decode("pil"))
    assert len(samples) == 8
    assert samples[1]["json"]["track_id"] == "folder:8-1"
    assert samples[1]["json"]["film"] == "Film 8"
    assert samples[1]["npy"].shape == (3, 128, 995)
    assert samples[1]["npy"][:, 0, 0].tolist() == [3, 4, 5]
    assert samples[1]["jpg"].size == (224, 336)


def test_an_export_is_the_same_bytes_each_time(version: tuple[Lake, str], tmp_path: Path) -> None:
    def hashes(folder: Path, form: str) -> dict[str, str]:
        return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in export(*version, folder, form)}

    assert hashes(tmp_path / "a", "webdataset") == hashes(tmp_path / "b", "webdataset")


def test_parquet_without_mels_is_small(version: tuple[Lake, str], tmp_path: Path) -> None:
    files = export(*version, tmp_path / "out", "parquet", mels=False)
    assert sum(path.stat().st_size for path in files) < 100_000


def test_a_wrong_folder_form_or_version_is_refused(version: tuple[Lake, str], tmp_path: Path) -> None:
    lake, name = version
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").write_text("mine")
    with pytest.raises(InputError, match="new or empty folder"):
        export(lake, name, tmp_path / "full", "parquet")
    with pytest.raises(InputError, match="use parquet or webdataset"):
        export(lake, name, tmp_path / "out", "tfrecord")
    with pytest.raises(InputError, match="is not a version"):
        export(lake, "v0", tmp_path / "out", "parquet")
