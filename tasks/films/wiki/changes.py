"""Find what changed on a wiki since the last run: pages to fetch, deleted pages, pages with other categories.

There are two methods. The list of recent changes, if the last run is recent and there were few changes since; else a
sweep over the last revision of every page in the lake, fifty per request. Only the sweep sees an edited template that
moved its pages to other categories without a new revision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tasks.films.commit import PRESENT, StoredPage
from tasks.films.wiki.articles import IDS_PER_QUERY, PageState, fetch_categories, page_states
from tasks.films.wiki.client import Wikipedia

MAX_AGE = timedelta(days=25)
"""Wikis keep recent changes for 30 days; the other five allow for clocks and pauses."""
OVERLAP = timedelta(minutes=10)
"""Recent changes are read from this long before the last run, since a wiki records some of them late."""
_TEMPLATE_NAMESPACES = (10, 828)


@dataclass
class Changes:
    """Page ids to fetch, page id -> why it is deleted, page id -> new categories, and how they were found."""

    fetch: list[int] = field(default_factory=list)
    deleted: dict[int, str] = field(default_factory=dict)
    categories: dict[int, tuple[str, ...]] = field(default_factory=dict)
    method: str = ""


def find_changes(
    client: Wikipedia,
    stored: Mapping[int, StoredPage],
    requested: Iterable[int],
    last_run: datetime | None,
    now: datetime,
) -> Changes:
    """Compare the pages in the lake (by page id) and the requested pages with the wiki.

    `last_run` is the wiki's clock at the start of the last complete run, or None.
    """
    present = {page_id: page for page_id, page in stored.items() if page.state == PRESENT}
    changes = Changes(fetch=[i for i in requested if i not in present or present[i].categories is None])
    from_wiki = [i for i in present if present[i].categories is not None]
    changed: set[int] | None = None
    if last_run is not None and now - last_run < MAX_AGE:
        changed = _recently_changed(client, present, last_run - OVERLAP, len(from_wiki) // IDS_PER_QUERY)
    changes.method = "sweep" if changed is None else "recent_changes"
    inspected = sorted(from_wiki if changed is None else changed.intersection(from_wiki))
    states = page_states(client, inspected)
    retouched = [i for i in inspected if _compare(i, present[i], states.get(i), last_run, changes)]
    for page_id, names in fetch_categories(client, retouched).items():
        if names != present[page_id].categories:
            changes.categories[page_id] = names
    return changes


def _compare(
    page_id: int, stored: StoredPage, state: PageState | None, last_run: datetime | None, changes: Changes
) -> bool:
    """Add one page to the changes; return whether its categories may have changed without a new revision."""
    if state is None:
        changes.deleted[page_id] = "The wiki has deleted this page or merged it into another"
    elif state.is_redirect:
        changes.deleted[page_id] = f"{state.title} now only redirects to another page"
    elif state.revision_id != stored.revision_id or state.title != stored.title:
        changes.fetch.append(page_id)
    else:
        return last_run is None or state.touched >= last_run - OVERLAP
    return False


def _recently_changed(
    client: Wikipedia, present: Mapping[int, StoredPage], since: datetime, max_requests: int
) -> set[int] | None:
    """Return the pages in the recent changes, or None if a sweep takes fewer requests or is the only sure method.

    An edit of a template may have moved any page to other categories, and a busy wiki has more changes than the
    lake has pages: both need the sweep.
    """
    by_title = {page.title: page_id for page_id, page in present.items()}
    changed: set[int] = set()
    parts = client.query(
        list="recentchanges",
        rcdir="newer",
        rcstart=since.strftime("%Y-%m-%dT%H:%M:%SZ"),
        rcprop="title|ids|loginfo",
        rctype="edit|new|log|categorize",
        rclimit="max",
    )
    for count, part in enumerate(parts):
        if count >= max(1, max_requests):
            return None
        for change in part.get("query", {}).get("recentchanges", []):
            if change.get("ns") in _TEMPLATE_NAMESPACES:
                return None
            changed.add(change.get("pageid", 0))
            changed.add(by_title.get(change.get("title", ""), 0))
    return changed
