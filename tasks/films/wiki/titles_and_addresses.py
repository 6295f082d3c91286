"""Find the articles that titles, page ids, film ids or addresses name.

A title leads to its page through normalisation, conversion between scripts, and redirects.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from storage.errors import InputError
from tasks.films.pages_and_albums import Page
from tasks.films.wiki.api_client import Answer, Wikipedia, flag, listed, merge_pages, pages_of
from tasks.films.wiki.fetch_articles import IDS_PER_QUERY, is_whole, page_of_answer
from tasks.films.wiki.site import Site

T = TypeVar("T")
_STEP = {"from": str, "to": str}


def articles_named(client: Wikipedia, site: Site, entries: Sequence[str]) -> tuple[dict[int, str], list[str]]:
    """Return page id -> entry for titles, page ids, film ids and addresses, and the entries that name no article."""
    ids: dict[int, str] = {}
    titles: dict[str, str] = {}
    for entry in entries:
        title_or_id = _title_or_id(entry.strip(), site)
        if isinstance(title_or_id, int):
            ids[title_or_id] = entry
        elif title_or_id:
            titles[title_or_id] = entry
    missing = []
    for title, page_id in titles_to_ids(client, list(titles)).items():
        if page_id is None:
            missing.append(titles[title])
        else:
            ids[page_id] = titles[title]
    return ids, missing


def _title_or_id(entry: str, site: Site) -> str | int:
    """Return the page id or the title that an entry names: a page id, a film id, an address or a title.

    Raises `InputError` for an address of another wiki.
    """
    page_id = entry.removeprefix(f"{site.wiki}-")
    if page_id.isdecimal():
        return int(page_id)
    if not re.match(r"https?://", entry):
        return entry.split("#", 1)[0].replace("|", " ").strip()
    host = urlsplit(site.base_url).netloc
    if urlsplit(entry).netloc.lower().replace(".m.", ".") != host.lower():
        raise InputError(f"{entry} is not on {host}; name its wiki with --wiki")
    return page_of_address(entry)


def page_of_address(address: str) -> str | int:
    """Return the title or the page id that the address of an article names."""
    parts = urlsplit(address)
    query = parse_qs(parts.query)
    for key in ("curid", "pageid"):
        if key in query and query[key][0].isdecimal():
            return int(query[key][0])
    if "title" in query:
        return query["title"][0].replace("_", " ")
    return unquote(parts.path.split("/wiki/", 1)[-1]).replace("_", " ")


def titles_to_ids(client: Wikipedia, titles: Sequence[str]) -> dict[str, int | None]:
    """Return the page id of each title, following normalisation and redirects; None where there is no article.

    A title that the wiki did not answer about is left out.
    """
    page_ids: dict[str, int | None] = {}
    for start in range(0, len(titles), IDS_PER_QUERY):
        batch = titles[start : start + IDS_PER_QUERY]
        steps: dict[str, str] = {}
        answered: dict[str, int | None] = {}
        for part in client.query(prop="info", titles="|".join(batch), redirects=1):
            steps |= _steps(part)
            answered |= dict.fromkeys(_titles_of_nothing(part))
            answered |= {page["title"]: page["pageid"] for page in pages_of(part) if _is_article(page)}
        page_ids |= _led_to(batch, steps, answered)
    return page_ids


def fetch_titles(client: Wikipedia, site: Site, titles: Sequence[str]) -> dict[str, Page | None]:
    """Return the page that each of at most fifty titles leads to, without categories; None where there is none.

    A title that the wiki did not answer about is left out.
    """
    parts = list(
        client.query(
            prop="revisions|info", titles="|".join(titles), redirects=1, rvprop="ids|timestamp|content", rvslots="main"
        )
    )
    steps = {old: new for part in parts for old, new in _steps(part).items()}
    answered: dict[str, Page | None] = dict.fromkeys(title for part in parts for title in _titles_of_nothing(part))
    for page in merge_pages(parts).values():
        if _is_article(page) and is_whole(page):
            answered[page["title"]] = page_of_answer(site, page)
    return _led_to(titles, steps, answered)


def _steps(part: Answer) -> dict[str, str]:
    """Return what titles were changed to: by normalisation, conversion between scripts, redirects."""
    entries = [e for kind in ("normalized", "converted", "redirects") for e in listed(part, kind, **_STEP)]
    return {_decoded(entry): entry["to"] for entry in entries if "from" in entry and "to" in entry}


def _titles_of_nothing(part: Answer) -> list[str]:
    """Return the titles that the wiki says are no article of its own."""
    elsewhere = [entry["title"] for entry in listed(part, "interwiki", title=str) if "title" in entry]
    return elsewhere + [
        page["title"]
        for page in pages_of(part)
        if "title" in page
        and (page.get("ns", 0) != 0 or any(flag(page, kind) for kind in ("missing", "invalid", "special")))
    ]


def _is_article(page: Answer) -> bool:
    return bool(page.get("pageid")) and "title" in page and page.get("ns", 0) == 0 and not flag(page, "missing")


def _led_to(titles: Sequence[str], steps: dict[str, str], answered: Mapping[str, T | None]) -> dict[str, T | None]:
    """Return what the wiki answered about each title, or about the title that it leads to; a circle leads nowhere."""
    found: dict[str, T | None] = {}
    for title in titles:
        end = _followed(title, steps)
        if end is None or end in answered:
            found[title] = answered[end] if end else None
    return found


def _decoded(step: Answer) -> str:
    """Return the `from` of a step; it is percent-encoded if it is not in Unicode's composed form."""
    return unquote(step["from"]) if step.get("fromencoded") else str(step["from"])


def _followed(title: str, steps: dict[str, str]) -> str | None:
    """Return the title at the end of a chain of redirects; None for a circle, in which there is no article."""
    seen = set()
    while title in steps:
        if title in seen:
            return None
        seen.add(title)
        title = steps[title]
    return title
