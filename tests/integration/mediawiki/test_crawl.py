"""The flow against a real MediaWiki: what it fetches, in how many requests, and what is parsed from the pages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import FILMS, OUTCOMES, PAGES, THUMBNAILS, Table

if TYPE_CHECKING:
    from tests.integration.mediawiki.conftest import Wiki

Collect = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Crawl:
    """A finished run: its lake, its summary and the requests that it sent."""

    lake: Lake
    counts: dict[str, Any]
    requests: list[dict[str, Any]]


def _rows(lake: Lake, table: Table) -> dict[str, dict[str, Any]]:
    return {row.get("title") or row["film_id"]: row for row in tables.latest(lake, table).to_pylist()}


@pytest.fixture(scope="module")
def crawled(running_wiki: Wiki, prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Crawl:
    """Collect the films of two years."""
    from flows.collect_films import collect_films

    running_wiki.misbehave()
    running_wiki.clear_log()
    root = str(tmp_path_factory.mktemp("crawled") / "lake")
    counts = collect_films(
        lake=root, years=[2021, 2022], wiki=running_wiki.api, contact="tests@example.org", requests_per_minute=60_000
    )
    return Crawl(tables.open_tables(root), counts, running_wiki.requests())


def _parameters(request: dict[str, Any]) -> dict[str, str]:
    return request["post"] or {k: v[0] for k, v in parse_qs(urlsplit(request["uri"]).query).items()}


def test_every_film_of_the_years_is_found_even_deep_in_the_category_tree(crawled: Crawl) -> None:
    titles = set(_rows(crawled.lake, FILMS))
    assert {"Lantern Row", "Café Aurore", "What Is Owed?", "Salt & Ember", "Night Bridge", "Only Below"} <= titles
    assert sum(title.startswith("Harbour Reel") for title in titles) == 60


def test_a_crawl_sends_few_requests_of_fifty_pages(crawled: Crawl) -> None:
    calls = [_parameters(r) for r in crawled.requests if r["uri"].startswith("/w/api.php")]
    sizes = [len(call["pageids"].split("|")) for call in calls if "rvprop" in call and "pageids" in call]
    assert max(sizes) == 50
    assert len(calls) <= 16
    assert crawled.counts["api_calls"] == len(calls)


def test_every_request_names_the_operator_and_accepts_gzip(crawled: Crawl) -> None:
    assert all("tests@example.org" in r["user_agent"] for r in crawled.requests)
    assert all("gzip" in r["encoding"] for r in crawled.requests)
    assert all(_parameters(r)["maxlag"] == "5" for r in crawled.requests if r["uri"].startswith("/w/api.php"))


def test_plot_tags_year_and_provenance_are_stored(crawled: Crawl) -> None:
    film = _rows(crawled.lake, FILMS)["Lantern Row"]
    assert [len(p.split()) for p in film["plot"]] == [11, 14]
    assert film["tags"] == ["2022 drama films", "2022 films"]
    assert (film["year"], film["wiki"], film["licence"][:16]) == (2022, "enwiki", "Creative Commons")
    assert film["url"].endswith("/wiki/Lantern_Row")
    assert film["revision_id"] > 0 and film["revision_time"].year == 2024


def test_categories_continued_over_two_responses_are_merged(crawled: Crawl) -> None:
    assert {len(row["tags"]) for t, row in _rows(crawled.lake, FILMS).items() if t.startswith("Harbour Reel")} == {12}


def test_posters_that_are_not_free_are_marked(crawled: Crawl) -> None:
    films, thumbnails = _rows(crawled.lake, FILMS), _rows(crawled.lake, THUMBNAILS)
    poster = thumbnails[films["Lantern Row"]["film_id"]]
    assert (poster["non_free"], poster["width"], poster["image"]) == (True, 224, "Lantern Row poster.jpg")
    assert thumbnails[films["Glass Orchard"]["film_id"]]["non_free"] is False
    assert thumbnails[films["Wide Water"]["film_id"]]["height"] == 224


def test_a_page_that_is_no_film_or_lacks_something_has_a_reason(crawled: Crawl) -> None:
    pages = {row["film_id"]: title for title, row in _rows(crawled.lake, PAGES).items()}
    rows = tables.latest(crawled.lake, OUTCOMES).to_pylist()
    reasons = {(row["stage"], pages[row["item"]]): row["reason"] for row in rows if row["item"] in pages}
    assert reasons["film", "Quiet Static"] == "no_plot"
    assert reasons["film", "List of lantern films"] == "not_a_film"
    assert reasons["thumbnail", "Salt & Ember"] == "no_image"
    assert reasons["film", "Lantern Row"] == reasons["thumbnail", "Lantern Row"] == "ok"


def test_a_second_run_fetches_no_text_and_changes_no_file(crawled: Crawl, collect: Collect, wiki: Wiki) -> None:
    before = {p for p in Path(crawled.lake.root).rglob("*.parquet") if "flow_runs" not in str(p)}
    counts = collect(lake=crawled.lake.root, years=[2021, 2022])
    assert {p for p in Path(crawled.lake.root).rglob("*.parquet") if "flow_runs" not in str(p)} == before
    assert not any("content" in str(_parameters(r)) for r in wiki.api_requests())
    assert counts["api_calls"] <= 12


def test_films_are_collected_by_title_id_and_address(collect: Collect, wiki: Wiki, tmp_path: Path) -> None:
    address = wiki.api.replace("w/api.php", "wiki/What_Is_Owed%3F")
    collect(films=["Lanterns", "cafe\u0301 Aurore", str(wiki.page_id("Wide Water")), address])
    films = _rows(tables.open_tables(str(tmp_path / "lake")), FILMS)
    assert set(films) == {"Lantern Row", "Café Aurore", "Wide Water", "What Is Owed?"}


def test_titles_without_an_article_have_one_outcome_over_two_runs(collect: Collect, tmp_path: Path) -> None:
    titles = ["Ouroboros", "Lost Reel", "No such film", "Special:Version", "A[b", "999999", "Lantern Row"]
    collect(films=titles)
    collect(films=titles)
    rows = tables.latest(tables.open_tables(str(tmp_path / "lake")), OUTCOMES).to_pylist()
    missing = {row["item"]: row["attempt"] for row in rows if row["reason"] == "missing"}
    assert missing == {
        "enwiki:Ouroboros": 1, "enwiki:Lost Reel": 1, "enwiki:No such film": 1, "enwiki:Special:Version": 1,
        "enwiki:A[b": 1, "enwiki-999999": 1,
    }  # fmt: skip


def test_a_category_redirect_is_followed(collect: Collect) -> None:
    assert collect(years=[2020])["ok"] >= 10


def test_a_year_without_films_is_refused(collect: Collect) -> None:
    with pytest.raises(InputError, match="lists no film of 1901"):
        collect(years=[1901])


def test_an_address_of_another_wiki_is_refused(collect: Collect) -> None:
    with pytest.raises(InputError, match="name its wiki"):
        collect(films=["https://de.wikipedia.org/wiki/Metropolis"])
