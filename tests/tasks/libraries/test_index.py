"""Indexing decodes what a run lacks, keeps one track of equal audio, and goes on where it was interrupted."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.lake.lake import Lake
from storage.libraries.library import Library, add_folder
from storage.libraries.library_embeddings import TrackEmbedding, load_library_embeddings
from storage.mels.reader import MelReader
from storage.mels.settings_and_shard_format import MelSettings, read_settings
from storage.tables.schemas import Table
from storage.tables.tables import open_tables
from tasks.libraries import index
from tasks.libraries.index import Heard, IndexCounts, files_to_index, index_files, open_decoder
from tasks.libraries.scan import scan_folder

WriteClip = Callable[..., Path]


@pytest.fixture
def music(tmp_path: Path, write_clip: WriteClip) -> Path:
    for name, hertz in (("one", 200), ("two", 300), ("three", 400)):
        write_clip(tmp_path / "Music" / f"{name}.opus", hertz=hertz, title=name)
    return tmp_path / "Music"


@pytest.fixture
def library(tmp_path: Path, music: Path) -> Library:
    return scanned(open_tables(str(tmp_path / "lake")), music)


def scanned(lake: Lake, music: Path) -> Library:
    library, folder = add_folder(lake, "mine", music)
    scan_folder(library, folder, "test")
    return library


def loudest_band(heard: Heard) -> TrackEmbedding:
    """Embed a track by its loudest mel band, which tells the tones of these tests apart."""
    reader = MelReader(heard.mels, [heard.shard], read_settings(heard.mels, heard.shard))
    stored = np.empty((len(reader), *reader.settings.shape), reader.settings.dtype)
    reader.gather(np.arange(len(reader)), stored)
    bands = stored.astype(np.float32).mean(axis=2).argmax(axis=1)
    return TrackEmbedding(np.eye(128, dtype=np.float32)[bands], np.ones(len(reader), np.float32))


def indexed(library: Library, run: str = "run-1", most: int | None = None) -> IndexCounts:
    counts = IndexCounts()
    with open_decoder(library, MelSettings(), "test", 1) as decoder:
        files = files_to_index(library, run)
        for so_far in itertools.islice(index_files(library, files, decoder, loudest_band, "test", run), most):
            counts = so_far
        assert not decoder.mels.list("mels")
    return counts


def test_every_track_is_described_and_embedded_once(library: Library) -> None:
    assert indexed(library) == IndexCounts(files=3, embedded=3)
    assert len(load_library_embeddings(library, "run-1")) == 3
    assert [round(row["duration_seconds"]) for row in library.track_rows()] == [12, 12, 12]
    assert all(row["loudness_lufs"] < -20 and row["energy_db"] for row in library.track_rows())
    assert indexed(library) == IndexCounts()


def test_a_copy_and_new_tags_embed_nothing(library: Library, music: Path, write_clip: WriteClip) -> None:
    indexed(library)
    shutil.copy(music / "one.opus", music / "copy.opus")
    write_clip(music / "two.opus", hertz=300, title="Another title")
    again = scanned(library.lake, music)
    assert indexed(again) == IndexCounts(files=2, copies=2)
    rows = {row["path"]: row for row in again.file_rows()}
    assert rows["copy.opus"]["track_id"] == rows["one.opus"]["track_id"]
    assert rows["two.opus"]["title"] == "Another title"
    assert len(again.track_rows()) == 3


def test_a_broken_file_has_its_reason_and_stops_nothing(library: Library, music: Path) -> None:
    (music / "broken.wav").write_bytes(b"RIFF" * 1000)
    again = scanned(library.lake, music)
    assert indexed(again) == IndexCounts(files=4, embedded=3, failed=1)
    [row] = again.file_rows(where="state = 'failed'")
    assert row["path"] == "broken.wav"
    assert row["reason"] == "not_audio"
    assert str(music) not in row["message"]
    assert files_to_index(again, "run-1") == []


def test_a_file_that_is_replaced_while_it_is_indexed_is_not_taken_for_the_scanned_one(
    library: Library, music: Path, write_clip: WriteClip
) -> None:
    (music / "one.opus").rename(music / "old.opus")
    write_clip(music / "one.opus", hertz=900, title="one")
    assert indexed(library) == IndexCounts(files=3, embedded=2, failed=1)
    [row] = library.file_rows(where="state = 'failed'")
    assert (row["path"], row["reason"], row["message"][:45]) == (
        "one.opus", "changed", "one.opus has changed while it was indexed; in",
    )  # fmt: skip
    again = scanned(library.lake, music)
    assert indexed(again) == IndexCounts(files=2, embedded=2)
    assert len({row["track_id"] for row in again.file_rows(where="state = 'present'")}) == 4


def test_new_tags_while_it_is_indexed_keep_a_track(library: Library, music: Path, write_clip: WriteClip) -> None:
    indexed(library)
    write_clip(music / "two.opus", hertz=300, title="Another title")
    assert indexed(library, "run-2") == IndexCounts(files=3, embedded=3)
    assert not library.file_rows(where="state = 'failed'")


def test_a_short_sound_is_padded(library: Library, music: Path, write_clip: WriteClip) -> None:
    write_clip(music / "sting.opus", seconds=2, hertz=700)
    assert indexed(scanned(library.lake, music)).embedded == 4


def test_an_interrupted_index_goes_on_with_what_is_missing(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "TRACKS_PER_COMMIT", 1)
    indexed(library, most=1)
    assert len(library.track_rows()) == 1
    assert indexed(library) == IndexCounts(files=2, embedded=2)


def test_a_second_run_is_indexed_next_to_the_first(library: Library) -> None:
    indexed(library, "run-1")
    assert indexed(library, "run-2") == IndexCounts(files=3, embedded=3)
    assert len(load_library_embeddings(library, "run-1")) == len(load_library_embeddings(library, "run-2")) == 3
    assert len(library.track_rows()) == 3


@pytest.mark.parametrize("table", ["tracks", "files"])
def test_a_kill_between_two_commits_loses_and_doubles_nothing(
    library: Library, monkeypatch: pytest.MonkeyPatch, table: str
) -> None:
    record = Library.record

    def killed(self: Library, into: Table, rows: Sequence[dict[str, Any]], run_id: str) -> None:
        if into == getattr(self, table):
            raise KeyboardInterrupt
        record(self, into, rows, run_id)

    with monkeypatch.context() as patch:
        patch.setattr(Library, "record", killed)
        with pytest.raises(KeyboardInterrupt):
            indexed(library)
    assert indexed(library).files == 3
    assert len(library.track_rows()) == len(load_library_embeddings(library, "run-1")) == 3
    assert files_to_index(library, "run-1") == []
