"""Films and the albums that their articles list, in the lake: kept, replaced and parsed again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import ALBUM_LISTINGS, FILMS
from tasks.films.commit import commit_films, commit_pages
from tasks.films.stored_pages import stale_pages
from tasks.films.wiki.site_and_pages import Page
from tasks.soundtracks.matching.film_index import read_film_index

FILM = (
    "{{Infobox film\n| music = [[Ida Lund]]\n}}\n'''Ember''' is a film.\n==Plot==\nA stoker keeps one coal alive.\n%s\n"
)
FILM += "[[Category:2019 films]]"
ALBUMS = "==Soundtrack==\n===Songs===\n{{Track listing\n| title1 = Coal\n| length1 = 3:05\n}}\n"
ALBUMS += "===Score===\n{{Track listing\n| title1 = Main Title\n}}"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tables.open_tables(str(tmp_path / "lake"))


def _page(text: str, revision: int = 1, **more: Any) -> Page:
    page = Page(
        "enwiki", 7, revision, None, "Ember", "https://x/wiki/Ember", FILM % text, "api:https://x", "CC BY-SA 4.0"
    )
    return replace(page, **more)


def _listings(lake: Lake) -> dict[str, str]:
    return {row["listing"]: row["state"] for row in tables.latest(lake, ALBUM_LISTINGS).to_pylist()}


def test_albums_are_kept_with_their_source_and_revision(lake: Lake) -> None:
    commit_pages(lake, [_page(ALBUMS)], "run")
    first, second = tables.latest(lake, ALBUM_LISTINGS).to_pylist()
    assert (first["listing"], first["title"], second["title"]) == ("article:1", "Ember", "Ember (Score)")
    assert first["tracks"] == [{"title": "Coal", "seconds": 185.0, "artists": []}]
    assert (first["url"], first["revision_id"], first["licence"]) == ("https://x/wiki/Ember", 1, "CC BY-SA 4.0")


def test_an_album_that_an_article_lists_no_more_is_gone(lake: Lake) -> None:
    commit_pages(lake, [_page(ALBUMS)], "run")
    commit_pages(lake, [_page(ALBUMS.split("===Score")[0], revision=2)], "run")
    assert _listings(lake) == {"article:1": "present", "article:2": "gone"}
    [film] = read_film_index(lake).films.values()
    assert [album.title for album in film.listings] == ["Ember"]


def test_parsing_again_keeps_the_wikidata_id_and_adds_no_album(lake: Lake) -> None:
    commit_pages(lake, [_page(ALBUMS, wikidata_id="Q42")], "run")
    [page] = _pages_of_old_films(lake)
    commit_films(lake, [replace(page, wikidata_id=None)], "run")
    [film] = tables.latest(lake, FILMS).to_pylist()
    assert (film["wikidata_id"], film["composers"]) == ("Q42", ["Ida Lund"])
    assert list(stale_pages(lake, 10)) == []
    assert _listings(lake) == {"article:1": "present", "article:2": "present"}


def test_a_film_of_an_older_parser_gets_its_evidence_from_the_kept_page(lake: Lake) -> None:
    commit_pages(lake, [_page(ALBUMS)], "run")
    tables.append(
        lake, FILMS, [{"film_id": "enwiki-7", "title": "Ember", "state": "present", "parser_version": 3}], "old"
    )
    for pages in stale_pages(lake, 10):
        commit_films(lake, pages, "run")
    assert tables.latest(lake, FILMS).to_pylist()[0]["composers"] == ["Ida Lund"]


def _pages_of_old_films(lake: Lake) -> list[Page]:
    """Return the kept pages as `stale_pages` does after a change of the parser."""
    rows = [{**row, "parser_version": 0} for row in tables.latest(lake, FILMS).to_pylist()]
    for row in rows:
        del row["run_id"], row["recorded_at"]
    tables.append(lake, FILMS, rows, "older")
    return [page for pages in stale_pages(lake, 10) for page in pages]
