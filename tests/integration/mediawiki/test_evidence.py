"""Albums' articles and Wikidata ids from a real MediaWiki, within a day's budget, over several runs."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from storage.coordination.breakers import note_success, read_breakers
from storage.lake.lake import Lake
from storage.records.outcomes import Stage
from storage.tables import tables
from storage.tables.schemas import ALBUM_LISTINGS, FILMS, OUTCOMES
from tasks.films.wiki.api_client import Wikipedia
from tasks.films.wiki.fetch_articles import fetch_wikidata_ids

if TYPE_CHECKING:
    from tests.integration.mediawiki.conftest import Wiki

Collect = Callable[..., dict[str, Any]]
FILM = "{{Infobox film\n| music = [[Ida Lund]]\n}}\n'''Tallow''' is a film.\n==Plot==\nA candle outlives its maker.\n"
FILM += "==Soundtrack==\n{{Main|Tallow (soundtrack)}}\n==External links==\n{{IMDb title|0123456}}\n"
FILM += "[[Category:Films of candles]][[Category:1999 films]]"
ALBUM = "{{Infobox album\n| name = Tallow: Music\n| label = [[Milan]]\n}}\n== Tracks ==\n"
ALBUM += "{{Track listing\n| title1 = Wick\n| length1 = 2:03\n}}"


@pytest.fixture(scope="module")
def with_album(running_wiki: Wiki) -> Wiki:
    """The wiki with a film, a redirect from the name of its album, the album, and a Wikidata item of the film."""
    running_wiki.edit("Tallow", FILM)
    running_wiki.edit("Tallow: Music", ALBUM)
    running_wiki.edit("Tallow (soundtrack)", "#REDIRECT [[Tallow: Music]]")
    with closing(sqlite3.connect(running_wiki.work / "data" / "enwiki.sqlite")) as database, database:
        item = (running_wiki.page_id("Tallow"), "wikibase_item", "Q77")
        database.execute("INSERT INTO page_props (pp_page, pp_propname, pp_value) VALUES (?, ?, ?)", item)
    return running_wiki


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tables.open_tables(str(tmp_path / "lake"))


def test_the_article_of_an_album_and_the_wikidata_id_are_collected_once(
    with_album: Wiki, wiki: Wiki, collect: Collect, lake: Lake
) -> None:
    assert collect(films=["Tallow"])["evidence_ok"] == 1
    [film] = tables.latest(lake, FILMS).to_pylist()
    assert (film["wikidata_id"], film["composers"], film["album_page"]) == ("Q77", ["Ida Lund"], "Tallow (soundtrack)")
    [album] = tables.latest(lake, ALBUM_LISTINGS).to_pylist()
    assert (album["title"], album["record_label"], album["url"][-14:]) == ("Tallow: Music", "Milan", "/Tallow:_Music")
    assert album["tracks"] == [{"title": "Wick", "seconds": 123.0, "artists": []}]
    wiki.clear_log()
    collect(films=["Tallow"])
    assert not any("Tallow+%28soundtrack" in request["uri"] for request in wiki.api_requests())


def test_a_spent_budget_leaves_the_album_for_another_day(with_album: Wiki, collect: Collect, lake: Lake) -> None:
    counts = collect(films=["Tallow"], daily_evidence=0)
    assert "evidence_ok" not in counts
    assert tables.latest(lake, ALBUM_LISTINGS).num_rows == 0
    assert not [row for row in tables.latest(lake, OUTCOMES).to_pylist() if row["stage"] == str(Stage.EVIDENCE)]
    assert collect(films=["Tallow"], daily_evidence=1)["evidence_ok"] == 1
    assert tables.latest(lake, ALBUM_LISTINGS).num_rows == 1


@pytest.fixture
def musicbrainz() -> Iterator[ThreadingHTTPServer]:
    """A MusicBrainz on loopback that links one soundtrack to one film; `status` is what it answers."""
    group = {"id": "e0b56cbe-df98-4ab7-a5d6-d2f62b35eb34", "secondary-types": ["Soundtrack"], "title": "Tallow"}
    related = {"relations": [{"target-type": "release_group", "release_group": {**group, "secondary-types": []}}]}
    release = {"title": "Tallow", "release-group": group, "media": [{"tracks": [{"title": "Wick", "length": 123000}]}]}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = (
                related
                if self.path.startswith("/ws/2/url?resource=https%3A%2F%2Fwww.imdb.com")
                else {"releases": [release]}
            )
            self.send_response(server.status)  # type: ignore[attr-defined]
            self.send_header("Retry-After", "3600")
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.status = 200  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(timeout=10)


def test_musicbrainz_is_asked_only_by_setting_and_its_pause_ends_nothing_else(
    with_album: Wiki, collect: Collect, lake: Lake, musicbrainz: ThreadingHTTPServer
) -> None:
    address = f"http://127.0.0.1:{musicbrainz.server_address[1]}/ws/2"
    assert "musicbrainz_ok" not in collect(films=["Tallow"])
    musicbrainz.status = 503  # type: ignore[attr-defined]
    paused = collect(films=["Tallow"], musicbrainz=address)
    assert (paused["musicbrainz_paused"], "paused" in paused) == (1, False)
    assert collect(films=["Tallow"], musicbrainz=address)["musicbrainz_paused"] == 1  # it is not called before its end
    musicbrainz.status = 200  # type: ignore[attr-defined]
    [breaker] = read_breakers(lake)
    note_success(lake, breaker.source, "run")
    assert collect(films=["Tallow"], musicbrainz=address)["musicbrainz_ok"] == 1
    listings = {row["listing"].split(":")[0]: row["title"] for row in tables.latest(lake, ALBUM_LISTINGS).to_pylist()}
    assert listings == {"album_page": "Tallow: Music", "musicbrainz": "Tallow"}


def test_wikidata_ids_of_fifty_pages_come_in_one_request(with_album: Wiki, wiki: Wiki) -> None:
    page_id = wiki.page_id("Tallow")
    wiki.clear_log()
    with closing(Wikipedia(wiki.api, "tests@example.org", requests_per_minute=1e6)) as client:
        found = fetch_wikidata_ids(client, [page_id, *range(1, 50)])
    assert found[page_id] == "Q77"
    assert set(found.values()) == {"Q77", None}
    assert len(wiki.api_requests()) == 1
