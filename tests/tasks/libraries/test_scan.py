"""A scan finds what is new, changed, moved and gone, and opens nothing that is as it was."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.libraries.library import Library, MusicFolder, add_folder
from storage.tables.tables import open_tables
from tasks.libraries.index import files_to_index
from tasks.libraries.scan import ScanCounts, check_source, scan_folder

WriteClip = Callable[..., Path]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_tables(str(tmp_path / "lake"))


@pytest.fixture
def folder(tmp_path: Path, write_clip: WriteClip) -> Path:
    for name, hertz in (("one", 200), ("two", 300)):
        write_clip(tmp_path / "Music" / f"{name}.opus", seconds=1, hertz=hertz, title=name.title(), artist="Ann")
    return tmp_path / "Music"


def scan(lake: Lake, path: Path) -> tuple[Library, ScanCounts]:
    library, folder = add_folder(lake, "mine", path)
    return library, scan_folder(library, folder, "test")


def decoded(library: Library, path: str, track_id: str) -> None:
    """Record that a file holds a track, as indexing does."""
    [row] = library.file_rows(where=f"path = '{path}'")
    library.record(library.files, [{**row, "track_id": track_id}], "test")


def state_of(library: Library) -> dict[str, Any]:
    return {row["path"]: (row["state"], row["track_id"]) for row in library.file_rows()}


def test_tags_of_new_files_are_recorded(lake: Lake, folder: Path) -> None:
    library, counts = scan(lake, folder)
    assert counts == ScanCounts(files=2, new=2)
    assert [(row["path"], row["title"], row["artist"]) for row in library.file_rows()] == [
        ("one.opus", "One", "Ann"),
        ("two.opus", "Two", "Ann"),
    ]


def test_a_file_without_an_album_has_none_and_an_albums_artist_is_kept(
    lake: Lake, folder: Path, write_clip: WriteClip
) -> None:
    write_clip(folder / "two.opus", seconds=1, hertz=300, artist="Bo", album="Tones", album_artist="Various")
    library, _ = scan(lake, folder)
    assert [(row["album"], row["album_artist"]) for row in library.file_rows()] == [(None, None), ("Tones", "Various")]


def test_a_second_scan_records_nothing(lake: Lake, folder: Path) -> None:
    library, _ = scan(lake, folder)
    before = lake.list(library.root)
    _, counts = scan(lake, folder)
    assert (counts, lake.list(library.root)) == (ScanCounts(files=2), before)


def test_a_file_that_moved_keeps_its_track(lake: Lake, folder: Path) -> None:
    library, _ = scan(lake, folder)
    decoded(library, "one.opus", "t1")
    (folder / "new").mkdir()
    (folder / "one.opus").rename(folder / "new" / "eins.opus")
    _, counts = scan(lake, folder)
    assert (counts.moved, counts.vanished) == (1, 0)
    assert library.lost_files() == []
    assert state_of(library) == {
        "new/eins.opus": ("present", "t1"),
        "one.opus": ("vanished", "t1"),
        "two.opus": ("present", None),
    }


def test_a_file_that_is_gone_is_lost_unless_another_holds_its_track(lake: Lake, folder: Path) -> None:
    scan(lake, folder)
    (folder / "two.opus").unlink()
    library, counts = scan(lake, folder)
    assert (counts.vanished, [row["path"] for row in library.lost_files()]) == (1, ["two.opus"])
    decoded(library, "one.opus", "t1")
    decoded(library, "two.opus", "t1")
    assert library.lost_files() == []


def test_what_macos_writes_next_to_a_recording_is_no_recording(lake: Lake, folder: Path) -> None:
    (folder / "._one.opus").write_bytes(b"\x00\x05\x16\x07" * 1000)
    library, counts = scan(lake, folder)
    assert (counts.files, "._one.opus" in state_of(library)) == (2, False)


def test_two_files_that_begin_and_end_alike_are_not_taken_for_one(lake: Lake, folder: Path) -> None:
    library, _ = scan(lake, folder)
    decoded(library, "one.opus", "t1")
    shutil.copy(folder / "one.opus", folder / "export.opus")  # the same bytes, written at another time
    scan(lake, folder)
    assert state_of(library)["export.opus"] == ("present", None)


def test_a_changed_file_is_to_be_decoded_again(lake: Lake, folder: Path, write_clip: WriteClip) -> None:
    library, _ = scan(lake, folder)
    decoded(library, "one.opus", "t1")
    write_clip(folder / "one.opus", seconds=2, title="Other")
    _, counts = scan(lake, folder)
    assert (counts.changed, state_of(library)["one.opus"]) == (1, ("present", None))


def test_a_file_that_returns_is_present_again(lake: Lake, folder: Path, tmp_path: Path) -> None:
    library, _ = scan(lake, folder)
    (folder / "one.opus").rename(tmp_path / "away.opus")
    scan(lake, folder)
    assert state_of(library)["one.opus"][0] == "vanished"
    (tmp_path / "away.opus").rename(folder / "one.opus")
    scan(lake, folder)
    assert state_of(library)["one.opus"][0] == "present"


def test_an_empty_mount_point_is_an_error_and_no_music_vanishes(lake: Lake, folder: Path) -> None:
    library, _ = scan(lake, folder)
    for file in folder.iterdir():
        file.unlink()
    with pytest.raises(InputError, match="although 2 files of it are known: is its disk mounted"):
        scan(lake, folder)
    assert {state for state, _ in state_of(library).values()} == {"present"}


def test_a_list_replaces_tags_and_adds_what_files_lack(lake: Lake, folder: Path) -> None:
    rows = "path,title,composer,isrc,year\none.opus,Dream,B. Clay,QZABC2400001,2024\n"
    (folder / "list.csv").write_text(rows)
    library, counts = scan(lake, folder / "list.csv")
    [row] = library.file_rows()
    assert counts.new == 1
    assert [row[name] for name in ("title", "artist", "composer", "isrc", "year")] == [
        "Dream",
        "Ann",
        "B. Clay",
        "QZABC2400001",
        2024,
    ]


def test_a_corrected_list_changes_its_rows(lake: Lake, folder: Path) -> None:
    (folder / "list.csv").write_text("path,licence\none.opus,CC0\n")
    scan(lake, folder / "list.csv")
    (folder / "list.csv").write_text("path,licence\none.opus,CC BY\n")
    library, counts = scan(lake, folder / "list.csv")
    assert (counts.changed, library.file_rows()[0]["licence"]) == (1, "CC BY")


@pytest.mark.parametrize("path", ["../secret.wav", "/etc/passwd"])
def test_a_list_that_leaves_its_folder_is_refused(lake: Lake, folder: Path, path: str) -> None:
    (folder / "list.csv").write_text(f"path\n{path}\n")
    with pytest.raises(InputError, match="outside of its folder"):
        scan(lake, folder / "list.csv")


def test_a_list_in_latin_1_is_an_error_that_says_so(lake: Lake, folder: Path) -> None:
    (folder / "list.csv").write_bytes("path,title\none.opus,Café\n".encode("latin-1"))
    with pytest.raises(InputError, match="not a CSV file in UTF-8"):
        scan(lake, folder / "list.csv")


def test_a_link_that_leads_out_of_the_folder_is_not_followed(lake: Lake, folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "one.opus", tmp_path / "outside.opus")
    (folder / "link.opus").symlink_to(tmp_path / "outside.opus")
    library, _ = scan(lake, folder)
    [row] = library.file_rows(where="path = 'link.opus'")
    assert (row["state"], row["reason"]) == ("failed", "outside_folder")


def test_a_linked_folder_and_a_link_to_nothing_have_their_reasons(lake: Lake, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "Elsewhere").mkdir()
    (folder / "more").symlink_to(tmp_path / "Elsewhere")
    (folder / "circle").symlink_to(folder)
    (folder / "self.wav").symlink_to("self.wav")
    (folder / "lost.wav").symlink_to("nothing.wav")
    library, counts = scan(lake, folder)
    assert (counts.missing, counts.unreadable) == (2, 1)
    failed = {row["path"]: (row["reason"], row["message"]) for row in library.file_rows(where="state = 'failed'")}
    assert set(failed) == {"more", "self.wav", "lost.wav"}
    assert failed["more"][0] == "outside_folder"
    assert "add that folder" in failed["more"][1]
    assert failed["lost.wav"] == ("missing_file", "lost.wav is a link to a file that is not there; correct the link")
    before = library.file_rows()
    scan(lake, folder)
    assert library.file_rows() == before


def test_a_tag_of_a_whole_page_is_cut(lake: Lake, folder: Path, write_clip: WriteClip) -> None:
    write_clip(folder / "long.opus", hertz=500, title="T" * 50_000)
    library, _ = scan(lake, folder)
    [row] = library.file_rows(where="path = 'long.opus'")
    assert row["title"] == "T" * 999 + "…"


def test_a_file_without_readable_tags_is_recorded_by_its_name(lake: Lake, folder: Path) -> None:
    (folder / "broken.wav").write_bytes(b"RIFF" * 100)
    library, _ = scan(lake, folder)
    [row] = library.file_rows(where="path = 'broken.wav'")
    assert (row["title"], row["state"]) == ("broken", "present")


def test_files_of_other_kinds_are_ignored(lake: Lake, folder: Path) -> None:
    (folder / "cover.jpg").write_bytes(b"x")
    assert scan(lake, folder)[1].files == 2


def test_a_folder_of_another_library_is_scanned_anew(lake: Lake, folder: Path) -> None:
    scan(lake, folder)
    library, added = add_folder(lake, "yours", folder)
    assert isinstance(added, MusicFolder)
    assert scan_folder(library, added, "test").new == 2


def test_a_list_with_semicolons_and_capitals_is_read_as_spreadsheets_write_it(lake: Lake, folder: Path) -> None:
    (folder / "list.csv").write_text("Path;Title\r\none.opus;Dream, again\r\n", encoding="utf-8-sig")
    library, _ = scan(lake, folder / "list.csv")
    assert [(row["path"], row["title"]) for row in library.file_rows()] == [("one.opus", "Dream, again")]


@pytest.mark.parametrize("name", ["typo.opus", "sub\\two.opus", "x" * 300 + ".opus"])
def test_a_file_that_a_list_names_and_that_is_not_there_has_its_reason(lake: Lake, folder: Path, name: str) -> None:
    (folder / "list.csv").write_text(f"path,title\none.opus,One\n{name},Two\n")
    scan(lake, folder / "list.csv")
    library, counts = scan(lake, folder / "list.csv")
    assert (counts.missing, counts.vanished, counts.changed) == (1, 0, 0)
    [row] = library.file_rows(where="state = 'failed'")
    assert (row["path"], row["reason"], row["title"]) == (name, "missing_file", "Two")
    assert [file["path"] for file in files_to_index(library, "run")] == ["one.opus"]


def test_a_file_that_comes_later_than_its_list_is_taken_up(lake: Lake, folder: Path) -> None:
    (folder / "list.csv").write_text("path\none.opus\nlate.opus\n")
    scan(lake, folder / "list.csv")
    (folder / "two.opus").rename(folder / "late.opus")
    library, counts = scan(lake, folder / "list.csv")
    assert (counts.missing, state_of(library)["late.opus"]) == (0, ("present", None))
    (folder / "late.opus").unlink()
    library, counts = scan(lake, folder / "list.csv")
    assert (counts.vanished, state_of(library)["late.opus"][0]) == (1, "vanished")


def test_a_list_that_names_a_file_twice_is_read_to_the_same_end_each_time(lake: Lake, folder: Path) -> None:
    (folder / "list.csv").write_text("path,title\none.opus,First\n./one.opus,Second\n")
    scan(lake, folder / "list.csv")
    library, counts = scan(lake, folder / "list.csv")
    assert (counts, library.file_rows()[0]["title"]) == (ScanCounts(files=1), "First")


def test_a_list_that_leaves_its_folder_in_a_later_row_is_refused_before_it_is_added(folder: Path) -> None:
    (folder / "list.csv").write_text("path\none.opus\n../secret.wav\n")
    with pytest.raises(InputError, match="outside of its folder"):
        check_source(folder / "list.csv")


def test_a_name_in_another_encoding_has_its_reason_and_stops_nothing(lake: Lake, folder: Path) -> None:
    (folder / "two.opus").rename(folder / os.fsdecode(b"caf\xe9.opus"))
    scan(lake, folder)
    library, counts = scan(lake, folder)
    assert counts == ScanCounts(files=2, unreadable=1)
    [row] = library.file_rows(where="state = 'failed'")
    assert (row["path"], row["reason"]) == ("caf\\xe9.opus", "name_not_utf8")
    assert "rename the file" in row["message"]


def test_a_file_that_may_not_be_read_has_its_reason(lake: Lake, folder: Path) -> None:
    (folder / "locked.opus").symlink_to("/proc/self/mem")  # whose first bytes nobody can read, not even root
    scan(lake, folder)
    library, counts = scan(lake, folder)
    assert counts == ScanCounts(files=3, unreadable=1)
    [row] = library.file_rows(where="path = 'locked.opus'")
    assert (row["state"], row["reason"]) == ("failed", "unreadable_file")


def test_tags_are_kept_on_one_line_without_control_characters(lake: Lake, folder: Path, write_clip: WriteClip) -> None:
    write_clip(
        folder / "one.opus", seconds=1, title="a\x1b]0;pwned\x07\nb", artist="\u202egnos\u202c Ünï 夢", track="9" * 12
    )
    library, _ = scan(lake, folder)
    row = library.file_rows()[0]
    assert (row["title"], row["artist"], row["track_number"]) == ("a ]0;pwned b", "gnos Ünï 夢", None)
