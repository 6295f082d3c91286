"""A file of the lake is complete or absent, whatever happens to the disk or the process."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from storage.errors import InputError, LakeError
from storage.lake.atomic_writes_and_fences import TEMPORARY_PREFIX
from storage.lake.lake import LAKE_VERSION, Lake, open_lake
from storage.tables import tables
from storage.tables.schemas import FILMS


def temporary_files(root: str | Path) -> list[Path]:
    return list(Path(root).rglob(f"{TEMPORARY_PREFIX}*"))


def test_what_is_committed_reads_back(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")
    lake.write_json({"b": 1, "a": ["é"]}, "notes", "a.json")
    assert json.loads(lake.read_bytes("notes", "a.json")) == {"a": ["é"], "b": 1}
    assert lake.list() == ["lake.json", "notes/a.json"]
    assert lake.list("nowhere") == []


def test_a_failed_write_leaves_neither_the_file_nor_a_temporary_one(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")

    def fail_midway() -> None:
        with lake.staged("notes", "a.txt") as path:
            path.write_text("half")
            raise ValueError("the step failed")

    with pytest.raises(ValueError, match="the step failed"):
        fail_midway()
    assert not lake.exists("notes/a.txt")
    assert not temporary_files(lake.root)


def test_the_temporary_file_of_a_killed_process_is_removed(tmp_path: Path) -> None:
    script = (
        "import os, signal; from storage.lake.lake import open_lake\n"
        f"with open_lake({str(tmp_path / 'lake')!r}).staged('notes', 'a.txt') as path:\n"
        "    path.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    assert len(temporary_files(tmp_path)) == 1
    lake = open_lake(tmp_path / "lake")
    assert lake.list() == ["lake.json"]
    assert not temporary_files(tmp_path)


def test_the_temporary_file_of_a_living_process_is_not_removed(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")
    with lake.staged("notes", "a.txt") as path:
        path.write_text("half")
        open_lake(tmp_path / "lake")
        assert path.exists()


def test_a_full_disk_is_reported_and_what_was_committed_stays(small_disk: Callable[[str], Path]) -> None:
    lake = tables.open_tables(str(small_disk("size=1m") / "lake"))
    tables.append(lake, FILMS, [{"film_id": "a", "title": "committed"}], "run")
    with pytest.raises(LakeError, match="No space left"):
        lake.write_table(pa.table({"noise": [os.urandom(2_000_000)]}), "films/part-000000009-0000.parquet")
    assert tables.latest(lake, FILMS)["title"].to_pylist() == ["committed"]
    assert not temporary_files(lake.root)


def test_a_file_size_limit_is_reported(tmp_path: Path) -> None:
    script = (
        "import resource, signal; from storage.lake.lake import open_lake; from storage.errors import LakeError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        f"lake = open_lake({str(tmp_path / 'lake')!r})\n"
        "try: lake.write_bytes(b'x' * 5000, 'notes', 'a.bin')\n"
        "except LakeError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "cannot be written" in done.stdout
    assert not temporary_files(tmp_path)


def test_a_read_only_lake_can_be_read_and_reports_why_it_cannot_be_written(small_disk: Callable[[str], Path]) -> None:
    folder = small_disk("size=1m")
    tables.append(tables.open_tables(str(folder / "lake")), FILMS, [{"film_id": "a"}], "run")
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    lake = tables.open_tables(str(folder / "lake"))
    assert tables.latest(lake, FILMS).num_rows == 1
    with pytest.raises(LakeError, match="make the lake writable or choose another --lake"):
        tables.append(lake, FILMS, [{"film_id": "b"}], "run")


def test_a_lake_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")
    lake.write_json({"lake_version": LAKE_VERSION + 1}, "lake.json")
    with pytest.raises(LakeError, match="upgrade Needledrop"):
        open_lake(tmp_path / "lake")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"lake_version": "many"}', b"\xff\xfe"])
def test_a_damaged_version_file_is_named(tmp_path: Path, content: bytes) -> None:
    lake = open_lake(tmp_path / "lake")
    lake.write_bytes(content, "lake.json")
    with pytest.raises(LakeError, match=r"lake\.json is damaged"):
        open_lake(tmp_path / "lake")


@pytest.mark.parametrize("part", ["..", "../x", "/etc/passwd", "a/../b", "", ".hidden", "a b", "é", "x" * 300])
def test_a_name_that_could_leave_the_lake_is_refused(part: str) -> None:
    with pytest.raises(LakeError, match="not a safe name"):
        Lake("/nowhere").uri(part)


@pytest.mark.parametrize("root", ["", "   "])
def test_a_lake_needs_a_root(root: str) -> None:
    with pytest.raises(InputError, match="--lake"):
        open_lake(root)


def test_a_root_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("a file")
    with pytest.raises(InputError, match="is a file"):
        open_lake(tmp_path / "lake")


def test_a_disk_error_keeps_its_message(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")

    def fail() -> None:
        with lake.staged("a.txt"):
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(LakeError, match="Input/output error"):
        fail()


def test_an_older_worker_stops_at_its_next_commit_when_a_newer_one_has_opened_the_lake(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")
    lake.write_bytes(b"before", "notes", "a.txt")
    lake.write_json({"lake_version": LAKE_VERSION + 1}, "lake.json")
    with pytest.raises(LakeError, match="upgrade Needledrop"):
        lake.write_bytes(b"after", "notes", "b.txt")
    with pytest.raises(LakeError, match="upgrade Needledrop"):
        lake.create_bytes(b"after", "notes", "c.txt")
    assert lake.list("notes") == ["notes/a.txt"]


def test_a_lake_of_an_older_version_is_upgraded_when_it_is_opened(tmp_path: Path) -> None:
    lake = open_lake(tmp_path / "lake")
    lake.write_json({"lake_version": 1}, "lake.json")
    open_lake(tmp_path / "lake")
    assert json.loads(lake.read_bytes("lake.json")) == {"lake_version": LAKE_VERSION}
