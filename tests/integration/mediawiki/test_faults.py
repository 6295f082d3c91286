"""Faults of a real MediaWiki: the client waits, retries, pauses the run, or reports what is wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from storage.coordination.breakers import read_breakers
from storage.errors import InputError, ItemError, SourcePaused
from storage.tables import tables
from storage.tables.schemas import FILMS, FLOW_RUNS, OUTCOMES
from tasks.films.images import ImageDownloads
from tasks.films.rate_limited_http import ApiError
from tasks.films.wiki.api_client import Wikipedia
from tasks.films.wiki.fetch_articles import fetch_articles, titles_to_ids
from tasks.films.wiki.site_and_pages import describe_site

if TYPE_CHECKING:
    from tests.integration.mediawiki.conftest import Wiki

Collect = Callable[..., dict[str, Any]]


@pytest.fixture
def slept() -> list[float]:
    """The waits of the client in seconds; it records them instead of sleeping."""
    return []


@pytest.fixture
def client(wiki: Wiki, slept: list[float]) -> Iterator[Wikipedia]:
    api = Wikipedia(wiki.api, "tests@example.org", requests_per_minute=1e6, timeouts_seconds=(5, 1), sleep=slept.append)
    yield api
    api.close()


def _ids(client: Wikipedia, *titles: str) -> list[int]:
    return [i for i in titles_to_ids(client, titles).values() if i]


@pytest.mark.parametrize("fault", [500, 502, 503, 429, "html", "cut", "hang"])
def test_a_transient_fault_is_retried(fault: int | str, wiki: Wiki, client: Wikipedia, slept: list[float]) -> None:
    wiki.misbehave(faults=[fault, fault])
    assert describe_site(client).wiki == "enwiki"
    assert len(slept) == 2


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_respected_to_the_second(status: int, wiki: Wiki, client: Wikipedia, slept: list[float]) -> None:
    wiki.misbehave(faults=[status], retry_after=7)
    describe_site(client)
    assert slept == [7.0]


def test_a_long_retry_after_pauses_the_run_at_once(wiki: Wiki, client: Wikipedia, slept: list[float]) -> None:
    wiki.misbehave(faults=[429], retry_after=3600)
    with pytest.raises(SourcePaused, match="later"):
        describe_site(client)
    assert slept == []


def test_a_wiki_that_stays_down_pauses_the_run(wiki: Wiki, client: Wikipedia, slept: list[float]) -> None:
    wiki.misbehave(faults=[500] * 20)
    with pytest.raises(SourcePaused):
        describe_site(client)
    assert len(wiki.api_requests()) == 6
    assert slept[-1] > slept[0]


def test_replication_lag_is_waited_for(wiki: Wiki, client: Wikipedia, slept: list[float]) -> None:
    wiki.misbehave(lag_seconds=7.5)
    with pytest.raises(SourcePaused, match="maxlag"):
        describe_site(client)
    assert slept == [5.0] * 5


def test_a_refused_client_is_asked_for_another_contact(wiki: Wiki, client: Wikipedia, slept: list[float]) -> None:
    wiki.misbehave(faults=[403])
    with pytest.raises(InputError, match="contact"):
        describe_site(client)
    assert slept == []


def test_an_error_inside_http_200_is_an_error(client: Wikipedia) -> None:
    with pytest.raises(ApiError) as error:
        list(client.query(list="categorymembers", cmtitle="Not a category"))
    assert error.value.code == "invalidcategory"


def test_a_long_query_is_sent_by_post(wiki: Wiki, client: Wikipedia) -> None:
    wiki.misbehave(longest_url=4000)
    titles_to_ids(client, [f"{'É' * 60} {n}" for n in range(50)])
    assert [r["method"] for r in wiki.api_requests()] == ["POST"]


def test_a_truncated_result_is_continued_until_every_page_has_its_text(wiki: Wiki, client: Wikipedia) -> None:
    site = describe_site(client)
    ids = _ids(client, *(f"Harbour Reel {n:03d}" for n in range(50)))
    wiki.misbehave(largest_answer_bytes=12_000)
    pages = fetch_articles(client, site, ids).pages
    assert len(pages) == 50
    assert all("==Plot==" in page.wikitext and len(page.categories or ()) == 12 for page in pages)


def test_a_wrong_address_is_refused(wiki: Wiki) -> None:
    for address in (wiki.api.replace("api.php", "nope/api.php"), "http://a..b/w/api.php"):
        client = Wikipedia(address, "tests@example.org", sleep=lambda seconds: None)
        with pytest.raises(InputError, match=r"check the address|correct it"):
            describe_site(client)


def test_an_image_that_redirects_off_the_wiki_is_not_followed(wiki: Wiki, client: Wikipedia) -> None:
    site = describe_site(client)
    url = wiki.api.replace("w/api.php", "wikipedia/en/x.jpg")
    wiki.misbehave(file_faults=["redirect"])
    with pytest.raises(ItemError) as error:
        ImageDownloads(client, site.file_hosts).read(url)
    assert error.value.reason == "http_error"


def test_an_image_elsewhere_or_too_large_is_refused(wiki: Wiki, client: Wikipedia) -> None:
    site = describe_site(client)
    [page] = fetch_articles(client, site, _ids(client, "Glass Orchard")).pages
    for url, limit, reason in (
        ("http://203.0.113.9/x.jpg", 10_000, "foreign_host"),
        ("file:///etc/passwd", 10_000, "foreign_host"),
        (page.image_url, 100, "too_large"),
        (wiki.api.replace("w/api.php", "wikipedia/en/0/00/Nope.jpg"), 10_000, "missing"),
    ):
        with pytest.raises(ItemError) as error:
            ImageDownloads(client, site.file_hosts).read(str(url), limit)
        assert error.value.reason == reason


def test_a_failed_download_is_skipped_and_many_pause_the_run(wiki: Wiki, client: Wikipedia) -> None:
    downloads = ImageDownloads(client, describe_site(client).file_hosts)
    url = wiki.api.replace("w/api.php", "wikipedia/en/x.jpg")
    wiki.misbehave(file_faults=[500] * 99)
    for _ in range(4):
        with pytest.raises(ItemError, match="does not answer"):
            downloads.read(url)
    with pytest.raises(SourcePaused):
        downloads.read(url)
    assert len([r for r in wiki.requests() if r["uri"].endswith("x.jpg")]) == 15


def test_a_run_through_faults_has_the_same_result_as_one_without(wiki: Wiki, collect: Collect, tmp_path: Path) -> None:
    wiki.misbehave(faults=[503, None, "html", "cut", None, 429], file_faults=[503], retry_after=0)
    collect(films=["Lantern Row", "Café Aurore"])
    lake = tables.open_tables(str(tmp_path / "lake"))
    assert {row["title"] for row in tables.latest(lake, FILMS).to_pylist()} == {"Lantern Row", "Café Aurore"}
    rows = tables.latest(lake, OUTCOMES).to_pylist()
    assert {row["reason"] for row in rows if row["stage"] != "evidence"} == {"ok"}


def test_a_run_without_a_contact_sends_nothing(wiki: Wiki, collect: Collect) -> None:
    with pytest.raises(InputError, match="contact"):
        collect(films=["Lantern Row"], contact=None)
    assert wiki.requests() == []


def test_a_pause_of_the_wiki_ends_a_run_as_paused_and_no_run_calls_it_before_its_end(
    wiki: Wiki, collect: Collect, tmp_path: Path
) -> None:
    wiki.misbehave(faults=[429], retry_after=3600)
    first = collect(films=["Lantern Row"])
    assert "later" in first["paused"]
    calls = len(wiki.api_requests())
    assert "is paused until" in collect(films=["Lantern Row"])["paused"]
    assert len(wiki.api_requests()) == calls
    lake = tables.open_tables(str(tmp_path / "lake"))
    assert [breaker.openings for breaker in read_breakers(lake)] == [1]  # the second run does not prolong the pause
    states = tables.latest(lake, FLOW_RUNS)["state"].to_pylist()
    assert states == ["paused", "paused"]


@pytest.mark.parametrize(("status", "sentence"), [(429, "later"), (403, "check --contact")])
def test_a_wiki_that_pauses_or_refuses_this_client_lets_the_rest_of_a_refresh_go_on(
    wiki: Wiki, prefect_server: None, tmp_path: Path, status: int, sentence: str
) -> None:
    from flows.refresh import refresh

    wiki.misbehave(faults=[status], retry_after=3600)
    parameters = {"lake": str(tmp_path / "lake"), "wiki": wiki.api, "contact": "tests@example.org", "train": "never"}
    state = refresh(**parameters, years=[2021], requests_per_minute=60_000, return_state=True)
    assert (state.name, state.is_completed()) == ("Paused", True)
    assert sentence in state.message and "No version can be made yet" in state.message
