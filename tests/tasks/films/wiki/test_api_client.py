"""Answers in any form: the client returns what they say or a sentence, and condemns no page that the wiki does not."""

from __future__ import annotations

import copy
import gzip
import json
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from storage.errors import InputError, NeedledropError, SourcePaused
from tasks.films.changes_since_last_run import find_changes
from tasks.films.rate_limited_http import ApiError
from tasks.films.stored_pages import StoredPage
from tasks.films.wiki.api_client import Wikipedia, merge_pages
from tasks.films.wiki.fetch_articles import fetch_articles, fetch_categories, page_states, titles_to_ids
from tasks.films.wiki.site_and_pages import Site, describe_site
from tasks.films.wiki.year_categories import films_of_years, redirect_targets

if TYPE_CHECKING:
    from tests.tasks.films.conftest import Edge

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SITE = Site("enwiki", "https://en.wikipedia.org/wiki/Main_Page", "CC BY-SA 4.0", NOW, frozenset())
PAGE: dict[str, Any] = {
    "pageid": 7, "ns": 0, "title": "Ember", "lastrevid": 11, "touched": "2026-01-01T00:00:00Z", "pageimage": "E.jpg",
    "revisions": [{"revid": 11, "parentid": 9, "timestamp": "2025-01-01T00:00:00Z", "slots": {"main": {
        "contentmodel": "wikitext", "contentformat": "text/x-wiki", "content": "{{Infobox film}}"}}}],
    "categories": [{"ns": 14, "title": "Category:2019 films"}], "thumbnail": {"source": "https://x/E.jpg", "width": 3},
    "pageprops": {"page_image_free": "E.jpg", "wikibase_item": "Q42"},
}  # fmt: skip
ANSWER: dict[str, Any] = {
    "batchcomplete": True, "warnings": {"main": {"warnings": "Unrecognized parameter."}},
    "query": {
        "normalized": [{"fromencoded": False, "from": "ember", "to": "Ember"}],
        "redirects": [{"from": "Glow", "to": "Ember"}],
        "interwiki": [{"title": "fr:Ember", "iw": "fr"}], "pages": [PAGE, {**PAGE, "pageid": 8, "title": "Ash"}],
        "categorymembers": [{"pageid": 7, "ns": 0, "title": "Ember", "type": "page"},
                            {"pageid": 9, "ns": 14, "title": "Category:2019 drama films", "type": "subcat"}],
        "recentchanges": [{"type": "edit", "ns": 0, "title": "Ember", "pageid": 7, "revid": 11, "rcid": 1}],
        "general": {"wikiid": "enwiki", "base": "https://x/wiki/Main_Page", "time": "2026-01-02T00:00:00Z"},
        "rightsinfo": {"url": "https://x", "text": "CC BY-SA 4.0"},
    },
}  # fmt: skip
STORED = {i: StoredPage(i, title, 10, "present", ("2019 films",)) for i, title in ((7, "Ember"), (8, "Ash"))}
JUNK: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    7,
    1.5,
    "",
    "x",
    "2026",
    [],
    {},
    [None],
    [[]],
    {"a": 1},
    {"*": "x"},
    "9" * 5000,
]
CALLS: dict[str, Callable[[Wikipedia], Any]] = {
    "describe_site": describe_site,
    "page_states": lambda client: page_states(client, [7, 8]),
    "titles_to_ids": lambda client: titles_to_ids(client, ["ember", "Glow", "fr:Ember", "Ash"]),
    "fetch_articles": lambda client: fetch_articles(client, SITE, [7, 8]),
    "fetch_categories": lambda client: fetch_categories(client, [7, 8]),
    "films_of_years": lambda client: films_of_years(client, [2019]),
    "redirect_targets": lambda client: redirect_targets(client, ["Category:2019 films"]),
    "recent_changes": lambda client: find_changes(client, STORED, [], datetime(2026, 1, 1, tzinfo=UTC), NOW),
    "sweep": lambda client: find_changes(client, STORED, [9], None, NOW),
}


@pytest.fixture
def client(edge: Edge) -> Iterator[Wikipedia]:
    with closing(Wikipedia(edge.api, "t@example.org", requests_per_minute=1e9, sleep=lambda seconds: None)) as client:
        yield client


def _mutated(answer: Any, chance: random.Random) -> Any:
    """Return an answer with one to three values replaced, removed, doubled, or turned from list to object."""
    answer = copy.deepcopy(answer)
    for _ in range(chance.randint(1, 3)):
        holder, key = answer, None
        while isinstance(holder, dict | list) and holder:
            keys = list(holder) if isinstance(holder, dict) else range(len(holder))
            parent, key = holder, chance.choice(keys)
            holder = parent[key]
            if chance.random() < 0.25:
                break
        if key is None:
            return chance.choice(JUNK)
        action = chance.randrange(4)
        if action == 0:
            del parent[key]
        elif action == 1 and isinstance(holder, list):
            parent[key] = {str(index): value for index, value in enumerate(holder)}
        elif action == 2 and isinstance(parent, list):
            parent.append(holder)
        else:
            parent[key] = copy.deepcopy(chance.choice(JUNK))
    return answer


def _is_condemned(call: str, result: Any) -> bool:
    """Return whether a result says of a page that the wiki does not have it."""
    if call == "page_states":
        return any(state.is_missing for state in result.values())
    if call == "fetch_articles":
        return bool(result.missing)
    return call in ("sweep", "recent_changes") and any("deleted" in why for why in result.deleted.values())


@pytest.mark.timeout(300)
@pytest.mark.parametrize("call", CALLS)
def test_a_mutated_answer_is_an_answer_or_a_sentence_and_condemns_no_page(
    call: str, edge: Edge, client: Wikipedia
) -> None:
    chance = random.Random(call)
    for _ in range(250):
        answer = _mutated(ANSWER, chance)
        edge.bodies = [json.dumps(answer).encode()]
        try:
            result = CALLS[call](client)
        except NeedledropError as error:
            assert len(str(error)) > 20
        else:
            assert not _is_condemned(call, result), answer


@pytest.mark.timeout(300)
@pytest.mark.parametrize("call", CALLS)
def test_real_answers_of_other_queries_are_answers_or_sentences(
    call: str, edge: Edge, client: Wikipedia, test_data: Callable[[str], Path]
) -> None:
    chance = random.Random(call)
    for path in sorted(test_data("api").rglob("*.json")):
        real = json.loads(path.read_text(encoding="utf-8"))
        for answer in (real, *(_mutated(real, chance) for _ in range(3))):
            edge.bodies = [json.dumps(answer).encode()]
            try:
                CALLS[call](client)
            except NeedledropError as error:
                assert len(str(error)) > 20


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ('{"error": "Too many requests"}', SourcePaused),
        ('{"error": null}', SourcePaused),
        ('{"errors": ["x"]}', SourcePaused),
        ('{"error": {"code": "badvalue", "info": "no"}}', ApiError),
        ('{"batchcomplete": true, "continue": "x"}', SourcePaused),
        ('{"query": 3}', SourcePaused),
        ('{"query": {"general": {"base": "https://x"}}}', InputError),
        ("[" * 100_000, SourcePaused),
        ("null", SourcePaused),
    ],
)
def test_an_answer_in_no_known_form_is_a_sentence(
    body: str, error: type[Exception], edge: Edge, client: Wikipedia
) -> None:
    edge.bodies = [body.encode()]
    with pytest.raises(error):
        describe_site(client)


def test_warnings_in_a_list_and_pages_in_an_object_are_understood(edge: Edge, client: Wikipedia) -> None:
    old = {**PAGE, "revisions": [{"revid": 11, "*": "{{Infobox film}}"}]}
    edge.bodies = [
        json.dumps(
            {"warnings": [{"code": "x"}], "query": {"pages": {"7": old, "8": {"pageid": 8, "missing": ""}}}}
        ).encode()
    ]
    fetched = fetch_articles(client, SITE, [7, 8])
    assert [(page.page_id, page.wikitext, page.wikidata_id) for page in fetched.pages] == [
        (7, "{{Infobox film}}", "Q42")
    ]
    assert fetched.missing == (8,)


def test_a_page_that_an_answer_leaves_out_is_neither_deleted_nor_missing(edge: Edge, client: Wikipedia) -> None:
    edge.bodies = [b'{"batchcomplete": true}']
    changes = find_changes(client, STORED, [], None, NOW)
    assert (changes.deleted, changes.unanswered) == ({}, 2)
    assert fetch_articles(client, SITE, [7]).missing == ()
    assert titles_to_ids(client, ["Ember"]) == {}


def test_a_page_that_the_wiki_calls_missing_is_deleted(edge: Edge, client: Wikipedia) -> None:
    edge.bodies = [b'{"query": {"pages": [{"pageid": 7, "missing": true}, {"pageid": 8, "missing": ""}]}}']
    assert set(find_changes(client, STORED, [], None, NOW).deleted) == {7, 8}


def test_an_answer_that_unpacks_to_more_than_a_wiki_sends_is_refused(edge: Edge, client: Wikipedia) -> None:
    edge.bodies = [gzip.compress(b'{"batchcomplete": "' + b"0" * (64 * 2**20) + b'"}', compresslevel=1)]
    edge.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(ApiError, match="more than"):
        describe_site(client)
    assert len(edge.asked) == 1


if TYPE_CHECKING:
    from tests.tasks.films.conftest import Edge


@pytest.mark.parametrize("address", ["", "en.wikipedia.org", "ftp://x/w/api.php", "https://en.wikipedia.org/wiki/Ash"])
def test_an_address_that_is_no_api_is_refused(address: str) -> None:
    with pytest.raises(InputError, match=r"api\.php"):
        Wikipedia(address, "me@example.org")


def test_the_parts_of_a_result_are_merged_by_page_id() -> None:
    one, two, revision = {"title": "Category:1"}, {"title": "Category:2"}, {"revid": 3}
    parts = [
        {"query": {"pages": [{"pageid": 1, "title": "A", "categories": [one]}, {"missing": True, "title": "B"}]}},
        {"query": {"pages": {"1": {"pageid": 1, "title": "A", "categories": [two], "revisions": [revision]}}}},
        {"batchcomplete": True},
    ]
    merged = {"pageid": 1, "title": "A", "categories": [one, two], "revisions": [revision]}
    assert merge_pages(parts) == {1: merged}


def test_a_page_that_one_part_gives_in_an_unknown_form_is_left_out() -> None:
    good, bad = {"pageid": 1, "categories": [{"title": "Category:1"}]}, {"pageid": 1, "categories": None}
    assert merge_pages([{"query": {"pages": [good, {"pageid": 2}, None]}}, {"query": {"pages": [bad]}}]) == {
        2: {"pageid": 2}
    }


@pytest.mark.parametrize("first", ["x", None, {"a": 1}, 3])
def test_a_field_that_is_a_list_in_one_part_only_is_replaced(first: object) -> None:
    parts = [{"query": {"pages": [{"pageid": 1, "langlinks": value}]}} for value in (first, [1])]
    assert merge_pages(parts) == {1: {"pageid": 1, "langlinks": [1]}}


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/w/api.php", "http://no-such-host.invalid/w/api.php"])
def test_a_wiki_that_cannot_be_reached_pauses_after_all_retries(address: str) -> None:
    slept: list[float] = []
    client = Wikipedia(address, "me@example.org", requests_per_minute=1e6, sleep=slept.append)
    with pytest.raises(SourcePaused, match=r"does not answer .*; check the address and the network") as pause:
        client.call(action="query")
    assert pause.value.reason == "unavailable"
    assert len(slept) == 5 and "object at" not in str(pause.value)
