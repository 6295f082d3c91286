"""A page for which the wiki fails each time costs itself, not the fifty that are asked for with it."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

from storage.errors import InputError, SourcePaused
from storage.lake.lake import Lake
from storage.records import outcomes
from storage.records.outcomes import Stage
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import FILMS, OUTCOMES
from tasks.films.album_articles_and_wikidata import look_up_albums, look_up_wikidata_ids
from tasks.films.changes_since_last_run import plan_fetch
from tasks.films.tasks import fetch_and_commit_articles
from tasks.films.wiki.api_client import Wikipedia
from tasks.films.wiki.failing_pages import MOST_FAILING, failing_outcomes
from tasks.films.wiki.site_and_pages import Site, describe_site

GENERAL = {"time": "2026-01-02T03:04:05Z", "wikiid": "enwiki", "base": "https://wiki.example/wiki/Main_Page"}
FILM = (
    "{{Infobox film}}\n'''Film %d''' is a film.\n==Plot==\nA lamp is lit and nobody sees it.\n[[Category:1999 films]]"
)


@dataclass
class FailingWiki:
    """A wiki that has films by id and no albums, fails for some titles and ids, and counts what it is asked."""

    failing: set[str] = field(default_factory=set)
    status: int = 500
    is_down: bool = False
    asked: Counter[int] = field(default_factory=Counter)
    """How often so many pages were asked for at once; 0 for a question about the wiki itself."""

    def answer(self, adapter: HTTPAdapter, request: PreparedRequest, **_options: Any) -> Response:
        body = request.body.decode() if isinstance(request.body, bytes) else str(request.body or "")
        fields = parse_qs(urlsplit(str(request.url)).query) | parse_qs(body)
        wanted = (fields.get("titles") or fields.get("pageids") or [""])[0].split("|")
        self.asked[len(wanted) if wanted != [""] else 0] += 1
        status, answer = 200, {"batchcomplete": True, "query": {"pages": [self._page(one, fields) for one in wanted]}}
        if wanted == [""]:
            answer = {"batchcomplete": True, "query": {"general": GENERAL, "rightsinfo": {"text": "CC BY-SA 4.0"}}}
        if self.is_down or self.failing & set(wanted):
            status = self.status
        raw = HTTPResponse(io.BytesIO(json.dumps(answer).encode()), status=status, preload_content=False)
        return adapter.build_response(request, raw)

    def _page(self, wanted: str, fields: dict[str, list[str]]) -> dict[str, Any]:
        if "titles" in fields:
            return {"ns": 0, "title": wanted, "missing": True}
        slots = {"main": {"content": FILM % int(wanted)}} if wanted else {}
        revision = {"revid": 70, "timestamp": "2025-01-01T00:00:00Z", "slots": slots}
        page = {"pageid": int(wanted or 0), "ns": 0, "title": f"Film {wanted}", "revisions": [revision]}
        state = {"lastrevid": 70, "touched": "2025-01-01T00:00:00Z"}
        return {**page, **state, "pageprops": {"wikibase_item": f"Q{wanted}"}}


@pytest.fixture
def failing_wiki(monkeypatch: pytest.MonkeyPatch) -> FailingWiki:
    wiki = FailingWiki()

    def send(adapter: HTTPAdapter, request: PreparedRequest, **options: Any) -> Response:
        return wiki.answer(adapter, request, **options)

    monkeypatch.setattr(HTTPAdapter, "send", send)
    return wiki


@pytest.fixture
def client(failing_wiki: FailingWiki) -> Iterator[Wikipedia]:
    api = "http://wiki.example/w/api.php"
    with closing(Wikipedia(api, "t@example.org", requests_per_minute=1e9, sleep=lambda seconds: None)) as client:
        yield client


@pytest.fixture
def site(client: Wikipedia) -> Site:
    return describe_site(client)


@pytest.fixture
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    return tables.open_tables(str(tmp_path_factory.mktemp("lake")))


ALBUMS = [(f"Album {number}", (f"enwiki-{number}",)) for number in range(50)]


@pytest.mark.parametrize("status", [500, 403])
def test_an_album_for_which_the_wiki_fails_costs_itself(
    failing_wiki: FailingWiki, client: Wikipedia, site: Site, lake: Lake, status: int
) -> None:
    failing_wiki.failing, failing_wiki.status = {"Album 31"}, status
    assert look_up_albums(lake, client, site, ALBUMS, "run") == {"missing": 49, "wiki_fails": 1}
    assert failing_wiki.asked.total() < 40


def test_what_the_wiki_fails_for_is_asked_later_each_time(
    failing_wiki: FailingWiki, client: Wikipedia, site: Site, lake: Lake
) -> None:
    failing_wiki.failing = {"3"}
    for _run in range(2):
        assert look_up_wikidata_ids(lake, client, site, [2, 3], "run")["wiki_fails"] == 1
    with duckdb_connection.connect(lake) as connection:
        query = f"SELECT * FROM {tables.rows_sql(lake, OUTCOMES)} WHERE reason = 'wiki_fails'"
        rows = duckdb_connection.fetch_rows(connection, query)
    waits = sorted(row["retry_at"] - row["recorded_at"] for row in rows)
    assert [round(wait.total_seconds() / 86_400) for wait in waits] == [1, 3]
    assert {(row["stage"], row["item"]) for row in rows} == {(str(Stage.EVIDENCE), "enwiki-3/wikidata")}


def test_an_article_for_which_the_wiki_fails_does_not_keep_the_others_from_the_lake(
    failing_wiki: FailingWiki, client: Wikipedia, site: Site, lake: Lake
) -> None:
    failing_wiki.failing = {"7"}
    report = fetch_and_commit_articles.fn(lake, client, site, range(1, 51), "run")
    assert report.paused is None and report.counts["wiki_fails"] == 1 and not report.counts["unanswered"]
    assert tables.latest(lake, FILMS).num_rows == 49


@pytest.mark.parametrize("is_stored", [False, True])
def test_an_article_for_which_the_wiki_fails_is_fetched_when_it_is_due(
    failing_wiki: FailingWiki, client: Wikipedia, site: Site, lake: Lake, is_stored: bool
) -> None:
    if is_stored:
        fetch_and_commit_articles.fn(lake, client, site, [7], "run")
    failing_wiki.failing = {"7"}
    fetch_and_commit_articles.fn(lake, client, site, [6, 7], "run")
    failing_wiki.failing = set()
    assert plan_fetch(lake, client, [], [], None).fetch == ()
    [failed] = failing_outcomes(lake, Stage.FILM, ["enwiki-7"])
    assert failed.retry_at and round((failed.retry_at - datetime.now(UTC)).total_seconds() / 86_400) == 3
    outcomes.record(lake, [replace(failed, retry_at=datetime.now(UTC) - timedelta(hours=1))], "run")
    plan = plan_fetch(lake, client, [], [], None)
    assert (plan.fetch, plan.is_complete) == ((7,), True)
    fetch_and_commit_articles.fn(lake, client, site, plan.fetch, "run")
    assert plan_fetch(lake, client, [], [], None).fetch == ()
    assert tables.latest(lake, FILMS).num_rows == 2


def test_a_wiki_that_is_down_is_paused_at_once(
    failing_wiki: FailingWiki, client: Wikipedia, site: Site, lake: Lake
) -> None:
    failing_wiki.is_down = True
    with pytest.raises(SourcePaused):
        look_up_albums(lake, client, site, ALBUMS, "run")
    assert failing_wiki.asked == {0: 7, 50: 6}  # one of the former described the site before


@pytest.mark.parametrize(("status", "error"), [(500, SourcePaused), (403, InputError)])
def test_a_wiki_that_refuses_all_such_questions_is_not_asked_page_by_page(
    failing_wiki: FailingWiki, client: Wikipedia, site: Site, lake: Lake, status: int, error: type[Exception]
) -> None:
    failing_wiki.failing, failing_wiki.status = {title for title, _ in ALBUMS}, status
    with pytest.raises(error):
        look_up_albums(lake, client, site, ALBUMS, "run")
    assert tables.latest(lake, OUTCOMES).num_rows == MOST_FAILING
