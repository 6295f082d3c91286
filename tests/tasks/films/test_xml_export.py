"""Exports: every kind is read and others refused, every page has an outcome, and only what is new is committed."""

from __future__ import annotations

import bz2
import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import FILMS, OUTCOMES, PAGES, THUMBNAILS
from tasks.films.commit import commit_films
from tasks.films.images import ImageFolder, missing_images
from tasks.films.stored_pages import stale_pages
from tasks.films.tasks import commit_export_batch, read_and_commit_images
from tasks.films.xml_export import new_pages, read_export

Write = Callable[..., Path]
PageOf = Callable[..., str]


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


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tables.open_tables(str(tmp_path / "lake"))


def _collect(lake: Lake, export: Path, **options: Any) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for batch in new_pages(lake, export, **options):
        counts.update(commit_export_batch.fn(lake, batch, "run"))
    return {name: count for name, count in counts.items() if count}


def _make_thumbnails(lake: Lake, folder: ImageFolder | None) -> dict[str, int]:
    missing = missing_images(lake, folder, fetch=False)
    return dict(read_and_commit_images.fn(lake, missing, folder, None, "run").counts)


def _reasons(lake: Lake) -> dict[tuple[str, str], str]:
    return {(row["stage"], row["item"]): row["reason"] for row in tables.latest(lake, OUTCOMES).to_pylist()}


def test_every_page_is_a_film_or_has_a_reason(lake: Lake, write_export: Write, page_of: PageOf) -> None:
    pages = [
        page_of(7, "Old ash", "#REDIRECT [[Ash]]", redirect="Ash"),
        page_of(8, "Village", "A village."),
        page_of(9, "Bare", "{{Infobox film|released=2001}}"),
        page_of(10, "Undated", "{{Infobox film}}\n==Plot==\nSomebody goes away, and nobody comes."),
    ]
    assert _collect(lake, write_export("Ash", pages=pages))["ok"] == 1
    reasons = {item: reason for (_, item), reason in _reasons(lake).items()}
    assert reasons == {
        "enwiki-1": "ok", "enwiki-7": "redirect", "enwiki-8": "not_a_film", "enwiki-9": "no_plot",
        "enwiki-10": "no_year",
    }  # fmt: skip
    assert len(tables.latest(lake, FILMS)) == 3


def test_a_second_run_commits_nothing(lake: Lake, write_export: Write, page_of: PageOf) -> None:
    export = write_export("Ash", "Oak", pages=[page_of(8, "Village", "A village.")])
    _collect(lake, export)
    before = lake.list()
    assert _collect(lake, export) == {"unchanged": 2, "others_unchanged": 1}
    assert lake.list() == before


def test_only_a_newer_revision_is_parsed_again(lake: Lake, write_export: Write, page_of: PageOf) -> None:
    _collect(lake, write_export("Ash", "Oak"))
    text = "{{Infobox film}}\n==Plot==\nThe story ends in another way.\n[[Category:2020 films]]"
    newer, older = page_of(1, "Ash", text, revision=99), page_of(2, "Oak", text, revision=5)
    assert _collect(lake, write_export(pages=[newer, older], name="b.xml")) == {"ok": 1, "unchanged": 1}
    assert tables.latest(lake, FILMS).to_pylist()[0]["plot"] == ["The story ends in another way."]


def test_a_film_that_became_a_redirect_is_marked_as_deleted(lake: Lake, write_export: Write, page_of: PageOf) -> None:
    _collect(lake, write_export("Ash", "Oak"))
    pages = [page_of(1, "Ash", "#REDIRECT [[Oak]]", revision=99, redirect="Oak"), page_of(2, "Oak", "")]
    _collect(lake, write_export(pages=pages, name="b.xml"))
    assert {row["title"]: row["state"] for row in tables.latest(lake, FILMS).to_pylist()} == {
        "Ash": "gone",
        "Oak": "present",
    }


def test_an_export_without_a_film_is_refused(lake: Lake, write_export: Write, page_of: PageOf) -> None:
    with pytest.raises(InputError, match="holds no film"):
        _collect(lake, write_export(pages=[page_of(8, "Village", "A village.")]))


def test_full_batches_of_a_truncated_export_are_committed(lake: Lake, write_export: Write, tmp_path: Path) -> None:
    data = write_export("A", "B", "C", "D", "E").read_bytes()
    (tmp_path / "cut.xml").write_bytes(data[: data.index(b"<title>E")])
    with pytest.raises(InputError, match="truncated"):
        _collect(lake, tmp_path / "cut.xml", batch_size=2)
    assert len(tables.latest(lake, FILMS)) == 4


def test_a_limit_bounds_a_run_and_the_next_run_continues(lake: Lake, write_export: Write) -> None:
    export = write_export("A", "B", "C")
    assert _collect(lake, export, limit=2) == {"ok": 2}
    assert _collect(lake, export, limit=2) == {"ok": 1, "unchanged": 2}


def test_a_page_without_a_film_after_a_crash_is_parsed_by_the_next_run(lake: Lake, write_export: Write) -> None:
    (batch,) = new_pages(lake, write_export("Ash"))
    tables.append(lake, PAGES, [{**asdict(batch.pages[0]), "film_id": "enwiki-1", "state": "present"}], "killed")
    for pages in stale_pages(lake, 10):
        commit_films(lake, pages, "next")
    assert tables.latest(lake, FILMS).to_pylist()[0]["year"] == 2020
    assert list(stale_pages(lake, 10)) == []


def test_images_are_read_from_a_folder_once_it_is_given(lake: Lake, write_export: Write, tmp_path: Path) -> None:
    _collect(lake, write_export("Ash", "Oak", "Elm"))
    assert _make_thumbnails(lake, None) == {"thumbnail_no_folder": 3}
    assert _make_thumbnails(lake, None) == {}
    (tmp_path / "posters").mkdir()
    Image.new("RGB", (300, 400)).save(tmp_path / "posters" / "Ash.jpg")
    (tmp_path / "posters" / "Oak.jpg").write_text("no image")
    assert _make_thumbnails(lake, ImageFolder(tmp_path / "posters")) == {"thumbnail_ok": 1, "thumbnail_not_an_image": 1}
    assert _make_thumbnails(lake, ImageFolder(tmp_path / "posters")) == {}
    assert tables.latest(lake, THUMBNAILS).to_pylist()[0]["film_id"] == "enwiki-1"
