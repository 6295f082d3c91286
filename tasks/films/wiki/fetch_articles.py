"""Fetch articles from a wiki: find the pages that titles, page ids, film ids or addresses name, and read them.

A title leads to its page through normalisation, conversion between scripts, and redirects.

Fifty pages per query, which a wiki allows every client. Text is requested only where it is needed: whether a page
exists, its last revision and its categories can be queried without it.

Only what the wiki calls missing is missing. A page that an answer leaves out, or gives in an unknown form, is not in
any result here, and so it is neither committed nor marked as deleted: the next run asks for it again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from urllib.parse import parse_qs, unquote, urlsplit

from storage.errors import InputError
from tasks.films.wiki.api_client import Answer, Wikipedia, flag, listed, merge_pages, moment, pages_of
from tasks.films.wiki.site_and_pages import Page, Site, page_url

T = TypeVar("T")
_STEP = {"from": str, "to": str}
IDS_PER_QUERY = 50
THUMBNAIL_PIXELS = 480
"""The box that images must fit: a 2:3 poster is then 330 pixels wide, a landscape still 480; both exceed 224."""
_CATEGORIES = {"cllimit": "max", "clshow": "!hidden"}
ARTICLES_PER_BATCH = 200
"""Four requests of fifty: about ten seconds at the default rate, so a crash loses little."""


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


@dataclass(frozen=True)
class PageState:
    """A page without its text: enough to see whether anything changed. One that `is_missing` has nothing else."""

    page_id: int
    title: str = ""
    revision_id: int = 0
    touched: datetime | None = None
    is_redirect: bool = False
    is_missing: bool = False


@dataclass(frozen=True)
class Articles:
    """Fetched pages, and the ids of those that the wiki says it does not have, or whose text it hides."""

    pages: tuple[Page, ...]
    missing: tuple[int, ...]


def page_states(client: Wikipedia, page_ids: Sequence[int]) -> dict[int, PageState]:
    """Return the state of each page that the wiki answered about, by page id."""
    states: dict[int, PageState] = {}
    for ids in _id_batches(page_ids):
        merged = merge_pages(list(client.query(prop="info", pageids=ids)))
        states |= {page_id: state for page_id, page in merged.items() if (state := _state(page))}
    return states


def is_whole(page: Answer) -> bool:
    """Return whether a page has its text and what a row of `pages` needs."""
    return wikitext_of(page) is not None and "title" in page and "revid" in page["revisions"][0]


def fetch_articles(client: Wikipedia, site: Site, page_ids: Sequence[int]) -> Articles:
    """Fetch the newest revision of each page that exists, with categories, image and Wikidata id."""
    pages: list[Page] = []
    missing: list[int] = []
    for ids in _id_batches(page_ids):
        parts = client.query(
            prop="revisions|categories|pageimages|pageprops|info",
            pageids=ids,
            rvprop="ids|timestamp|content",
            rvslots="main",
            **_CATEGORIES,
            piprop="thumbnail|original|name",
            pithumbsize=THUMBNAIL_PIXELS,
            pilimit=IDS_PER_QUERY,
            pilicense="any",  # posters are not free; by default they are left out
            ppprop="page_image_free|wikibase_item",
        )
        for page_id, page in merge_pages(list(parts)).items():
            if flag(page, "missing") or any(flag(revision, "texthidden") for revision in page.get("revisions", [])):
                missing.append(page_id)
            elif is_whole(page):
                pages.append(page_of_answer(site, page))
    return Articles(tuple(pages), tuple(missing))


def fetch_categories(client: Wikipedia, page_ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """Return the categories of each page that exists, by page id."""
    names: dict[int, tuple[str, ...]] = {}
    for ids in _id_batches(page_ids):
        merged = merge_pages(list(client.query(prop="categories", pageids=ids, **_CATEGORIES)))
        names |= {page_id: _category_names(page) for page_id, page in merged.items() if not flag(page, "missing")}
    return names


def fetch_wikidata_ids(client: Wikipedia, page_ids: Sequence[int]) -> dict[int, str | None]:
    """Return the Wikidata id of each page that the wiki answered about, by page id; None where it names none."""
    found: dict[int, str | None] = {}
    for ids in _id_batches(page_ids):
        merged = merge_pages(list(client.query(prop="pageprops", pageids=ids, ppprop="wikibase_item")))
        found |= {page_id: (page.get("pageprops") or {}).get("wikibase_item") for page_id, page in merged.items()}
    return found


def _id_batches(page_ids: Sequence[int]) -> Iterator[str]:
    for start in range(0, len(page_ids), IDS_PER_QUERY):
        yield "|".join(str(i) for i in page_ids[start : start + IDS_PER_QUERY])


def _state(page: Answer) -> PageState | None:
    if flag(page, "missing"):
        return PageState(page["pageid"], is_missing=True)
    touched = moment(page.get("touched"))
    if touched is None or "title" not in page or "lastrevid" not in page:
        return None
    return PageState(page["pageid"], page["title"], page["lastrevid"], touched, flag(page, "redirect"))


def page_of_answer(site: Site, page: Answer) -> Page:
    """Return a page as the wiki answered it, which has its text."""
    revision = page["revisions"][0]
    file = page.get("thumbnail") or page.get("original") or {}
    image = page.get("pageimage")
    properties = page.get("pageprops") or {}
    free = properties.get("page_image_free")
    return Page(
        wiki=site.wiki,
        page_id=page["pageid"],
        revision_id=revision["revid"],
        revision_time=moment(revision.get("timestamp")),
        title=page["title"],
        url=page_url(site.base_url, page["title"]),
        wikitext=wikitext_of(page) or "",
        source=f"api:{site.base_url}",
        licence=site.licence,
        categories=_category_names(page),
        image=image.replace("_", " ") if image else None,
        image_url=file.get("source"),
        image_non_free=None if image is None else free != image,
        wikidata_id=properties.get("wikibase_item"),
    )


def wikitext_of(page: Answer) -> str | None:
    """Return the text of a page's only revision, of any version of the API, or None without one."""
    revision: Answer = next(iter(page.get("revisions", [])), {})
    slot = (revision.get("slots") or {}).get("main") or revision
    text = slot.get("content", slot.get("*")) if isinstance(slot, dict) else None
    return text if isinstance(text, str) else None


def _category_names(page: Answer) -> tuple[str, ...]:
    """Return category names without the namespace, whatever it is called in the wiki's language."""
    return tuple(category["title"].split(":", 1)[-1] for category in page.get("categories", []))
