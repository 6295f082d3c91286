"""Fetch articles from a wiki by page id: text with categories and image, or only revisions, categories, Wikidata ids.

Fifty pages per query, which a wiki allows every client. Text is requested only where it is needed: whether a page
exists, its last revision and its categories can be queried without it.

Only what the wiki calls missing is missing. A page that an answer leaves out, or gives in an unknown form, is not in
any result here, and so it is neither committed nor marked as deleted: the next run asks for it again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from tasks.films.pages_and_albums import Page
from tasks.films.wiki.api_client import Answer, Wikipedia, flag, merge_pages, moment
from tasks.films.wiki.site import Site, page_url

IDS_PER_QUERY = 50
THUMBNAIL_PIXELS = 480
"""The box that images must fit: a 2:3 poster is then 330 pixels wide, a landscape still 480; both exceed 224."""
_CATEGORIES = {"cllimit": "max", "clshow": "!hidden"}


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
