"""Fetch articles from a wiki: text with categories and image, or only revisions, categories, or ids of titles.

Fifty pages per query, which a wiki allows every client. Text is requested only where it is needed: whether a page
exists, its last revision and its categories can be queried without it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote, urlsplit

from storage.errors import InputError
from tasks.films.models import UNKNOWN_LICENCE, Page, page_url, wiki_name
from tasks.films.wiki.client import Answer, Wikipedia, merge_pages

IDS_PER_QUERY = 50
THUMBNAIL_PIXELS = 480
"""The box that images must fit: a 2:3 poster is then 330 pixels wide, a landscape still 480; both exceed 224."""
_WIKIMEDIA = ("wikipedia.org", "wikimedia.org")
_WIKIMEDIA_FILES = frozenset({"upload.wikimedia.org", "thumb.wikimedia.org"})
_CATEGORIES = {"cllimit": "max", "clshow": "!hidden"}


@dataclass(frozen=True)
class Site:
    """A wiki as its API describes it; `file_hosts` are the hosts that its images may be downloaded from."""

    wiki: str
    base_url: str
    licence: str
    time: datetime
    file_hosts: frozenset[str]


@dataclass(frozen=True)
class PageState:
    """A page without its text: enough to see whether anything changed."""

    page_id: int
    title: str
    revision_id: int
    touched: datetime
    is_redirect: bool


def describe_site(client: Wikipedia) -> Site:
    """Return a wiki's name, clock, licence and file hosts. Raises `InputError` if the address is no wiki's."""
    answer = client.call(action="query", meta="siteinfo", siprop="general|rightsinfo").get("query") or {}
    general, rights = answer.get("general"), answer.get("rightsinfo") or {}
    if not general:
        raise InputError(f"{client.api_url} does not describe a wiki; check the address")
    base_url = general.get("base") or client.api_url
    hosts = {urlsplit(client.api_url).netloc.lower(), urlsplit(base_url).netloc.lower()}
    if any(host.endswith(_WIKIMEDIA) for host in hosts):
        hosts |= _WIKIMEDIA_FILES
    return Site(
        wiki=wiki_name(general.get("wikiid"), base_url),
        base_url=base_url,
        licence=rights.get("text") or rights.get("url") or UNKNOWN_LICENCE,
        time=datetime.fromisoformat(general["time"]),
        file_hosts=frozenset(hosts),
    )


def page_states(client: Wikipedia, page_ids: Sequence[int]) -> dict[int, PageState]:
    """Return the state of each page that still exists, by page id."""
    states = {}
    for ids in _id_batches(page_ids):
        merged = merge_pages(list(client.query(prop="info", pageids=ids)))
        for page_id, page in merged.items():
            if not page.get("missing"):
                states[page_id] = _state(page)
    return states


def titles_to_ids(client: Wikipedia, titles: Sequence[str]) -> dict[str, int | None]:
    """Return the page id of each title, following normalisation and redirects; None where there is no article."""
    page_ids: dict[str, int | None] = {}
    for start in range(0, len(titles), IDS_PER_QUERY):
        batch = titles[start : start + IDS_PER_QUERY]
        steps: dict[str, str] = {}
        ids: dict[str, int] = {}
        for part in client.query(prop="info", titles="|".join(batch), redirects=1):
            query = part.get("query") or {}
            for step in [*query.get("normalized", []), *query.get("converted", []), *query.get("redirects", [])]:
                steps[_decoded(step)] = step["to"]
            ids |= {p["title"]: p["pageid"] for p in query.get("pages", []) if p.get("pageid") and p.get("ns") == 0}
        page_ids |= {title: ids.get(_followed(title, steps)) for title in batch}
    return page_ids


def fetch_articles(client: Wikipedia, site: Site, page_ids: Sequence[int]) -> Iterator[Page]:
    """Yield the newest revision of each page that exists, with categories and image."""
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
        for page in merge_pages(list(parts)).values():
            if "content" in _slot(page):  # a hidden revision has no content
                yield _page(site, page)


def fetch_categories(client: Wikipedia, page_ids: Sequence[int]) -> dict[int, tuple[str, ...]]:
    """Return the categories of each page that exists, by page id."""
    names: dict[int, tuple[str, ...]] = {}
    for ids in _id_batches(page_ids):
        merged = merge_pages(list(client.query(prop="categories", pageids=ids, **_CATEGORIES)))
        names |= {page_id: _category_names(page) for page_id, page in merged.items() if not page.get("missing")}
    return names


def _id_batches(page_ids: Sequence[int]) -> Iterator[str]:
    for start in range(0, len(page_ids), IDS_PER_QUERY):
        yield "|".join(str(i) for i in page_ids[start : start + IDS_PER_QUERY])


def _state(page: Answer) -> PageState:
    touched = datetime.fromisoformat(page["touched"])
    return PageState(page["pageid"], page["title"], page["lastrevid"], touched, bool(page.get("redirect")))


def _page(site: Site, page: Answer) -> Page:
    revision = page["revisions"][0]
    file = page.get("thumbnail") or page.get("original") or {}
    image = page.get("pageimage")
    properties = page.get("pageprops") or {}
    free = properties.get("page_image_free")
    return Page(
        wiki=site.wiki,
        page_id=page["pageid"],
        revision_id=revision["revid"],
        revision_time=datetime.fromisoformat(revision["timestamp"]),
        title=page["title"],
        url=page_url(site.base_url, page["title"]),
        wikitext=_slot(page)["content"],
        source=f"api:{site.base_url}",
        licence=site.licence,
        categories=_category_names(page),
        image=image.replace("_", " ") if image else None,
        image_url=file.get("source"),
        image_non_free=None if image is None else free != image,
        wikidata_id=properties.get("wikibase_item"),
    )


def _slot(page: Answer) -> Answer:
    """Return the main slot of a page's only revision, or an empty dict."""
    revisions = page.get("revisions") or [{}]
    return (revisions[0].get("slots") or {}).get("main") or {}


def _category_names(page: Answer) -> tuple[str, ...]:
    """Return category names without the namespace, whatever it is called in the wiki's language."""
    return tuple(category["title"].split(":", 1)[-1] for category in page.get("categories", []))


def _decoded(step: Answer) -> str:
    """Return the `from` of a step; it is percent-encoded if it is not in Unicode's composed form."""
    return unquote(step["from"]) if step.get("fromencoded") else str(step["from"])


def _followed(title: str, steps: dict[str, str]) -> str:
    """Return the title at the end of a chain of redirects; of a circle, one that is no article."""
    seen = set()
    while title in steps and title not in seen:
        seen.add(title)
        title = steps[title]
    return title
