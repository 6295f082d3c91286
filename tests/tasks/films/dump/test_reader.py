"""Reading exports of every kind, and refusing files that are none."""

from __future__ import annotations

import bz2
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.errors import InputError
from tasks.films.dump.reader import read_export

Write = Callable[..., Path]


@pytest.mark.parametrize("name", ["films.xml", "films.xml.bz2", "films.xml.gz", "films.unnamed"])
def test_an_export_is_read_with_any_compression(write_export: Write, name: str) -> None:
    pages = [item.page for item in read_export(write_export("Ash", "Café & Co", name=name))]
    assert [(p.film_id, p.title, p.revision_id) for p in pages] == [
        ("enwiki-1", "Ash", 10),
        ("enwiki-2", "Café & Co", 20),
    ]
    assert pages[1].url == "https://en.wikipedia.org/wiki/Caf%C3%A9_%26_Co"
    assert pages[0].licence == "CC BY-SA 4.0" and pages[0].revision_time.year == 2024  # type: ignore[union-attr]


def test_a_dump_of_many_bzip2_streams_is_read_completely(write_export: Write, tmp_path: Path) -> None:
    data = write_export("Ash", "Oak").read_bytes()
    (tmp_path / "many.bz2").write_bytes(b"".join(bz2.compress(data[i : i + 300]) for i in range(0, len(data), 300)))
    assert len(list(read_export(tmp_path / "many.bz2"))) == 2


@pytest.mark.parametrize("version", ["0.3", "0.10", "0.11", "9.9"])
def test_any_schema_version_is_read(write_export: Write, version: str) -> None:
    assert len(list(read_export(write_export("Ash", version=version)))) == 1


def test_other_namespaces_are_skipped_and_redirects_are_marked(
    write_export: Write, page_of: Callable[..., str]
) -> None:
    pages = [page_of(7, "Talk:Ash", "x", ns=1), page_of(8, "Old ash", "#REDIRECT [[Ash]]", redirect="Ash")]
    exported = [(item.page.title, item.is_redirect) for item in read_export(write_export("Ash", pages=pages))]
    assert exported == [("Ash", False), ("Old ash", True)]


def test_of_a_page_with_history_the_newest_revision_is_read(write_export: Write) -> None:
    revisions = "".join(f"<revision><id>{n}</id><text>text {n}</text></revision>" for n in (5, 9, 7))
    history = f"<page><title>Ash</title><ns>0</ns><id>3</id>{revisions}</page>"
    (page,) = [item.page for item in read_export(write_export(pages=[history]))]
    assert (page.revision_id, page.wikitext) == (9, "text 9")


def test_memory_does_not_grow_with_the_dump(write_export: Write) -> None:
    peaks = []
    for count in (100, 1000):
        path = write_export(*(f"Film {n}" for n in range(count)), name=f"{count}.xml.bz2")
        tracemalloc.start()
        assert sum(1 for _ in read_export(path)) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.2


def _bad_files(write: Write, folder: Path) -> dict[str, tuple[Path, str]]:
    """Return files that are no complete export by name, each with a pattern of the error message."""
    xml, bzip2, gzip = (write("A", "B", name=f"films.{suffix}").read_bytes() for suffix in ("xml", "bz2", "gz"))
    files = {
        "cut.xml": (xml[: len(xml) // 2], "truncated"),
        "cut.xml.bz2": (bzip2[: len(bzip2) // 2], "truncated"),
        "cut.xml.gz": (gzip[:60], "truncated"),
        "damaged.bz2": (bzip2[:20] + b"\0\0\0\0" + bzip2[24:], "cannot be read|truncated"),
        "prose.xml": (b"this is no export", "not a MediaWiki XML export"),
        "other.xml": (b"<rss><page/></rss>", "root is <rss>"),
        "page.html": (b"<!DOCTYPE html><html><body>x</html>", "not a MediaWiki|root is"),
        "empty.xml": (b"", "empty"),
        "bomb.xml": (b'<!DOCTYPE m [<!ENTITY a "b">]><mediawiki>&a;</mediawiki>', "entities"),
    }
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
    return {name: (folder / name, message) for name, (_, message) in files.items()} | {
        "absent.xml": (folder / "absent.xml", "There is no export"),
        "a folder": (folder, "There is no export"),
    }


def test_a_file_that_is_no_complete_export_is_refused_in_one_line(write_export: Write, tmp_path: Path) -> None:
    for name, (path, message) in _bad_files(write_export, tmp_path).items():
        with pytest.raises(InputError, match=message) as error:
            list(read_export(path))
        assert "\n" not in str(error.value), name


def test_real_dumps_are_read(real_dumps: Path) -> None:
    counts = {
        name: sum(1 for _ in read_export(real_dumps / name))
        for name in ("films-45pages.xml.bz2", "enwiki-2018-head-11pages.xml", "tinywiki-8pages.xml")
    }
    assert counts == {"films-45pages.xml.bz2": 45, "enwiki-2018-head-11pages.xml": 11, "tinywiki-8pages.xml": 8}
