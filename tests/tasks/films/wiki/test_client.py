"""The client's parameters and the merging of answers, without a network."""

from __future__ import annotations

import pytest

from storage.errors import InputError
from tasks.films.wiki.client import Wikipedia, merge_pages, user_agent


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
    parts = [
        {"query": {"pages": [{"pageid": 1, "title": "A", "categories": [1]}, {"missing": True, "title": "B"}]}},
        {"batchcomplete": True, "query": {"pages": [{"pageid": 1, "title": "A", "categories": [2], "revisions": [3]}]}},
        {"batchcomplete": True},
    ]
    assert merge_pages(parts) == {1: {"pageid": 1, "title": "A", "categories": [1, 2], "revisions": [3]}}


@pytest.mark.parametrize("contact", [None, ""])
def test_an_empty_contact_is_read_from_the_environment(contact: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEEDLEDROP_CONTACT", "worker@example.org")
    assert "(worker@example.org)" in user_agent(contact)
