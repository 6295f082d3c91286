"""Looking up albums' articles and Wikidata ids: what is committed, what is recorded, and what is asked again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from storage.lake.lake import Lake
from storage.records.outcomes import Stage
from storage.tables import tables
from storage.tables.schemas import ALBUM_LISTINGS, FILMS, OUTCOMES
from tasks.films.album_articles_and_wikidata import (
    look_up_albums,
    look_up_wikidata_ids,
    wanted_albums,
    wanted_wikidata_ids,
)
from tasks.films.commit import commit_pages
from tasks.films.stored_pages import stale_pages
from tasks.films.wiki.api_client import Wikipedia
from tasks.films.wiki.site_and_pages import Page, Site

if TYPE_CHECKING:
    from tests.tasks.films.conftest import Edge

SITE = Site("enwiki", "https://x/wiki/Main_Page", "CC BY-SA 4.0", datetime(2026, 1, 2, tzinfo=UTC), frozenset())
FILM = "{{Infobox film}}\n'''%s''' is a film.\n==Plot==\nA stoker keeps one coal alive.\n==Soundtrack==\n{{Main|%s}}\n"
ALBUM = (
    "{{Infobox album|name=Ember OST|label=[[Milan Records]]|released=1994}}\n{{Track listing|title1=Coal|length1=3:05}}"
)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = tables.open_tables(str(tmp_path / "lake"))
    films = {7: ("Ember", "Ember (soundtrack)"), 8: ("Ash", "Ash (score)"), 9: ("Tin", "Tin (album)")}
    pages = [
        Page("enwiki", i, 1, None, film, f"https://x/wiki/{film}", FILM % (film, album), "export:x", "CC BY-SA 4.0")
        for i, (film, album) in films.items()
    ]
    commit_pages(lake, pages, "run")
    return lake


@pytest.fixture
def client(edge: Edge) -> Iterator[Wikipedia]:
    with closing(Wikipedia(edge.api, "t@example.org", requests_per_minute=1e9, sleep=lambda seconds: None)) as client:
        yield client


def _article(page_id: int, title: str, text: str) -> dict[str, Any]:
    revision = {"revid": 70, "timestamp": "2025-01-01T00:00:00Z", "slots": {"main": {"content": text}}}
    return {"pageid": page_id, "ns": 0, "title": title, "revisions": [revision]}


def _albums_answer(edge: Edge) -> None:
    redirect = {"from": "Ember (soundtrack)", "to": "Ember: The Album"}
    missing = {"ns": 0, "title": "Tin (album)", "missing": True}
    pages = [_article(70, "Ember: The Album", ALBUM), _article(8, "Ash (score)", "A hill."), missing]
    edge.bodies = [json.dumps({"batchcomplete": True, "query": {"redirects": [redirect], "pages": pages}}).encode()]


def _reasons(lake: Lake) -> dict[str, str]:
    rows = tables.latest(lake, OUTCOMES).to_pylist()
    return {row["item"]: row["reason"] for row in rows if row["stage"] == str(Stage.EVIDENCE)}


def test_an_album_is_read_from_the_article_that_its_title_leads_to(lake: Lake, edge: Edge, client: Wikipedia) -> None:
    _albums_answer(edge)
    look_up_albums(lake, client, SITE, wanted_albums(lake, "enwiki"), "run")
    [row] = tables.latest(lake, ALBUM_LISTINGS).to_pylist()
    assert (row["film_id"], row["listing"], row["title"]) == ("enwiki-7", "album_page:1", "Ember OST")
    assert (row["url"], row["revision_id"], row["record_label"]) == (
        "https://x/wiki/Ember:_The_Album",
        70,
        "Milan Records",
    )
    assert row["tracks"] == [{"title": "Coal", "seconds": 185.0, "artists": []}]


def test_what_was_found_or_is_not_there_is_not_asked_twice(lake: Lake, edge: Edge, client: Wikipedia) -> None:
    _albums_answer(edge)
    look_up_albums(lake, client, SITE, wanted_albums(lake, "enwiki"), "run")
    assert _reasons(lake) == {
        "enwiki-7/album_page/Ember (soundtrack)": "ok",
        "enwiki-8/album_page/Ash (score)": "not_an_album",
        "enwiki-9/album_page/Tin (album)": "missing",
    }
    assert wanted_albums(lake, "enwiki") == []


def test_an_album_that_an_answer_leaves_out_is_asked_again(lake: Lake, edge: Edge, client: Wikipedia) -> None:
    edge.bodies = [b'{"batchcomplete": true, "query": {"pages": []}}']
    wanted = wanted_albums(lake, "enwiki")
    look_up_albums(lake, client, SITE, wanted, "run")
    assert wanted_albums(lake, "enwiki") == wanted
    assert _reasons(lake) == {}


def test_an_article_that_leads_back_to_a_film_is_no_album(lake: Lake, edge: Edge, client: Wikipedia) -> None:
    back = {"from": "Ember (soundtrack)", "to": "Ember"}
    answer = {"query": {"redirects": [back], "pages": [_article(7, "Ember", FILM % ("Ember", "x") + ALBUM)]}}
    edge.bodies = [json.dumps(answer).encode()]
    look_up_albums(lake, client, SITE, [("Ember (soundtrack)", ("enwiki-7",))], "run")
    assert _reasons(lake) == {"enwiki-7/album_page/Ember (soundtrack)": "not_an_album"}


def test_wikidata_ids_are_added_and_no_film_is_parsed_again(lake: Lake, edge: Edge, client: Wikipedia) -> None:
    pages = [{"pageid": 7, "pageprops": {"wikibase_item": "Q42"}}, {"pageid": 8}]
    edge.bodies = [json.dumps({"query": {"pages": pages}}).encode()]
    assert wanted_wikidata_ids(lake, "enwiki") == [7, 8, 9]
    look_up_wikidata_ids(lake, client, SITE, [7, 8, 9], "run")
    films = {row["film_id"]: row["wikidata_id"] for row in tables.latest(lake, FILMS).to_pylist()}
    assert films == {"enwiki-7": "Q42", "enwiki-8": None, "enwiki-9": None}
    assert wanted_wikidata_ids(lake, "enwiki") == [9]
    assert list(stale_pages(lake, 10)) == []
