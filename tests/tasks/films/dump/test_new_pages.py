"""Collecting from an export: every page has an outcome, and only what is new is committed."""

from __future__ import annotations

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
from tasks.films.dump.new_pages import new_pages
from tasks.films.images.image_folder import ImageFolder
from tasks.films.images.missing_images import missing_images
from tasks.films.stale_pages import stale_pages
from tasks.films.tasks import commit_export_batch, read_and_commit_images

Write = Callable[..., Path]
PageOf = Callable[..., str]


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
    return dict(read_and_commit_images.fn(lake, missing, folder, None, frozenset(), "run").counts)


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
