"""The client's parameters and the merging of answers, without a network."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from storage.errors import InputError, ItemError, Retry, SourcePaused
from tasks.films.polite_client import user_agent
from tasks.films.wiki.answers import merge_pages
from tasks.films.wiki.client import Wikipedia

if TYPE_CHECKING:
    from tests.tasks.films.conftest import Edge


@pytest.mark.parametrize("contact", ["me@example.org", "https://example.org/bot", "User:Somebody"])
def test_the_user_agent_names_the_operator(contact: str) -> None:
    assert user_agent(contact).startswith("Needledrop/")
    assert f"({contact})" in user_agent(contact)


@pytest.mark.parametrize("contact", [None, "", "  ", "me", "me@example.org\r\nX: y", "mé@example.org", "a@b.cd (x"])
def test_a_contact_that_is_no_address_is_refused(contact: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEEDLEDROP_CONTACT", raising=False)
    with pytest.raises(InputError, match="contact"):
        user_agent(contact)


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


@pytest.mark.parametrize("body", [b"", b"\n<!DOCTYPE html><title>Sign in to the network</title>", b"<html></html>"])
def test_a_web_page_instead_of_an_image_is_tried_again_later(body: bytes, edge: Edge) -> None:
    edge.bodies = [body]
    client = Wikipedia("https://wiki.example/w/api.php", "me@example.org", sleep=lambda seconds: None)
    with closing(client), pytest.raises(ItemError) as error:
        client.download("https://wiki.example/x.jpg", frozenset({"wiki.example"}), 10_000)
    assert (error.value.reason, error.value.retry) == ("http_error", Retry.LATER)
    assert len(edge.asked) == 3


@pytest.mark.parametrize("contact", [None, ""])
def test_an_empty_contact_is_read_from_the_environment(contact: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEEDLEDROP_CONTACT", "worker@example.org")
    assert "(worker@example.org)" in user_agent(contact)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/w/api.php", "http://no-such-host.invalid/w/api.php"])
def test_a_wiki_that_cannot_be_reached_pauses_after_all_retries(address: str) -> None:
    slept: list[float] = []
    client = Wikipedia(address, "me@example.org", requests_per_minute=1e6, sleep=slept.append)
    with pytest.raises(SourcePaused, match=r"does not answer .*; check the address and the network") as pause:
        client.call(action="query")
    assert pause.value.reason == "unavailable"
    assert len(slept) == 5 and "object at" not in str(pause.value)
