"""An export into a lake: everything ends somewhere, and only what is new is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import FILMS, OUTCOMES, PAGES, THUMBNAILS
from tasks.films import commit as store
from tasks.films import tasks as steps
from tasks.films.dump.new_pages import new_pages
from tasks.films.images.collect import wanted_pictures
from tasks.films.images.thumbnails import ImageFolder

Write = Callable[..., Path]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tables.open_tables(str(tmp_path / "lake"))


def _collect(lake: Lake, export: Path, **options: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for batch in new_pages(lake, export, **options):
        for name, n in steps.store_export_batch.fn(lake, batch, "run").items():
            counts[name] = counts.get(name, 0) + n
    return {name: n for name, n in counts.items() if n}


def _pictures(lake: Lake, folder: ImageFolder | None) -> dict[str, int]:
    wanted = wanted_pictures(lake, folder, fetch=False)
    return dict(steps.store_pictures.fn(lake, wanted, folder, None, frozenset(), "run")) if wanted else {}


def _reasons(lake: Lake) -> dict[tuple[str, str], str]:
    return {(row["stage"], row["item"]): row["reason"] for row in tables.latest(lake, OUTCOMES).to_pylist()}


def test_every_page_ends_as_a_film_or_with_a_reason(lake: Lake, write_export: Write, page_of: Any) -> None:
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


def test_a_second_run_commits_nothing(lake: Lake, write_export: Write, page_of: Any) -> None:
    export = write_export("Ash", "Oak", pages=[page_of(8, "Village", "A village.")])
    _collect(lake, export)
    before = lake.list()
    assert _collect(lake, export) == {"unchanged": 2, "others_unchanged": 1}
    assert lake.list() == before


def test_only_a_newer_revision_is_read_again(lake: Lake, write_export: Write, page_of: Any) -> None:
    _collect(lake, write_export("Ash", "Oak"))
    text = "{{Infobox film}}\n==Plot==\nThe story was told in another way.\n[[Category:2020 films]]"
    newer, older = page_of(1, "Ash", text, revision=99), page_of(2, "Oak", text, revision=5)
    assert _collect(lake, write_export(pages=[newer, older], name="b.xml")) == {"ok": 1, "unchanged": 1}
    assert tables.latest(lake, FILMS).to_pylist()[0]["plot"] == ["The story was told in another way."]


def test_a_film_that_became_a_redirect_is_gone(lake: Lake, write_export: Write, page_of: Any) -> None:
    _collect(lake, write_export("Ash", "Oak"))
    pages = [page_of(1, "Ash", "#REDIRECT [[Oak]]", revision=99, redirect="Oak"), page_of(2, "Oak", "")]
    _collect(lake, write_export(pages=pages, name="b.xml"))
    assert {row["title"]: row["state"] for row in tables.latest(lake, FILMS).to_pylist()} == {
        "Ash": "gone",
        "Oak": "present",
    }


def test_an_export_without_a_film_is_bad_input(lake: Lake, write_export: Write, page_of: Any) -> None:
    with pytest.raises(InputError, match="holds no film"):
        _collect(lake, write_export(pages=[page_of(8, "Village", "A village.")]))


def test_what_stood_before_the_cut_stays(
    lake: Lake, write_export: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.films.dump.new_pages.PAGES_PER_BATCH", 2)
    data = write_export("A", "B", "C", "D", "E").read_bytes()
    (tmp_path / "cut.xml").write_bytes(data[: data.index(b"<title>E")])
    with pytest.raises(InputError, match="truncated"):
        _collect(lake, tmp_path / "cut.xml")
    assert len(tables.latest(lake, FILMS)) == 4


def test_a_limit_reads_so_many_and_the_next_run_goes_on(lake: Lake, write_export: Write) -> None:
    export = write_export("A", "B", "C")
    assert _collect(lake, export, limit=2) == {"ok": 2}
    assert _collect(lake, export, limit=2) == {"ok": 1, "unchanged": 2}


def test_a_crash_between_page_and_film_is_made_good(lake: Lake, write_export: Write) -> None:
    (batch,) = new_pages(lake, write_export("Ash"))
    rows = [
        {"film_id": "enwiki-1", "wiki": "enwiki", "page_id": 1, "revision_id": 10, "title": "Ash", "state": "present"}
    ]
    tables.append(lake, PAGES, [{**rows[0], "wikitext": batch.pages[0].wikitext}], "killed")
    for pages in store.stale_pages(lake, 10):
        store.commit_readings(lake, pages, "next")
    assert tables.latest(lake, FILMS).to_pylist()[0]["year"] == 2020
    assert list(store.stale_pages(lake, 10)) == []


def test_pictures_come_from_the_folder_once_it_is_given(lake: Lake, write_export: Write, tmp_path: Path) -> None:
    _collect(lake, write_export("Ash", "Oak", "Elm"))
    assert _pictures(lake, None) == {"no_folder": 3}
    assert _pictures(lake, None) == {}
    (tmp_path / "posters").mkdir()
    Image.new("RGB", (300, 400)).save(tmp_path / "posters" / "Ash.jpg")
    (tmp_path / "posters" / "Oak.jpg").write_text("no picture")
    assert _pictures(lake, ImageFolder(tmp_path / "posters")) == {"ok": 1, "not_an_image": 1}
    assert _pictures(lake, ImageFolder(tmp_path / "posters")) == {}
    assert tables.latest(lake, THUMBNAILS).to_pylist()[0]["film_id"] == "enwiki-1"
