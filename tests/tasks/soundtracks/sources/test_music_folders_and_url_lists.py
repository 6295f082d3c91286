"""Folders of tagged files and CSV lists are read; unusable ones are refused."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.errors import InputError
from tasks.soundtracks.audio.file_suffixes_ids_and_tags import content_id, read_tags
from tasks.soundtracks.sources.music_folders_and_url_lists import read_music

WriteClip = Callable[..., Path]


def test_tags_are_read_where_the_container_keeps_them(tmp_path: Path, write_clip: WriteClip) -> None:
    path = write_clip(
        tmp_path / "a.opus", title="Dream", artist="Ann", album="Slow Water", date="2016-05-01", track="3/9"
    )
    tags = read_tags(path)
    assert (tags.title, tags.artist, tags.album) == ("Dream", "Ann", "Slow Water")
    assert (tags.year, tags.track_number) == (2016, 3)


@pytest.mark.parametrize("content", ["title,artist\na,b\n", "\xff\xfe", "film;path\na;b\n"])
def test_list_that_cannot_be_read_is_an_input_error(tmp_path: Path, content: str) -> None:
    (tmp_path / "list.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"list\.csv"):
        read_music([str(tmp_path / "list.csv")])


@pytest.mark.parametrize("name", ["", "missing"])
def test_empty_or_missing_folder_is_an_input_error(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError):
        read_music([str(tmp_path / name)])


def test_file_is_identified_by_its_content(tmp_path: Path, write_clip: WriteClip) -> None:
    one = write_clip(tmp_path / "a.opus")
    moved = Path(shutil.copy(one, tmp_path / "b.opus"))
    other = write_clip(tmp_path / "c.opus", hertz=221)
    assert content_id(one) == content_id(moved) != content_id(other)
