"""What changed on a wiki since the last run: pages to fetch, pages to forget, pages with other categories.

Two ways lead there. Recent changes, when the last run is recent and few things happened since; else a
sweep over the last revision of every page the lake has, fifty an answer. The sweep also sees what no list
of changes tells: an edited template that moved its pages to other categories without a new revision.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tasks.films.commit import PRESENT, Known
from tasks.films.wiki.articles import IDS_PER_QUERY, PageState, fetch_categories, page_states
from tasks.films.wiki.client import Wikipedia

RECENT = timedelta(days=25)
"""A wiki keeps its recent changes for 30 days; five are left for clocks and pauses."""
OVERLAP = timedelta(minutes=10)
"""Changes are asked for from a little before the last run, since a wiki writes some of them late."""
_TEMPLATE_NAMESPACES = (10, 828)


@dataclass
class Changes:
    """Page ids to fetch, page ids that are gone with the sentence that says why, and new category lists."""

    fetch: list[int] = field(default_factory=list)
    gone: dict[int, str] = field(default_factory=dict)
    categories: dict[int, tuple[str, ...]] = field(default_factory=dict)
    way: str = ""


def find_changes(
    client: Wikipedia, known: dict[int, Known], asked: Iterable[int], last_run: datetime | None, now: datetime
) -> Changes:
    """Compare what the lake has of a wiki (by page id), and what was asked for, with the wiki.

    `last_run` is the wiki's own clock at the start of the last complete run, None if there was none.
    """
    present = {page_id: page for page_id, page in known.items() if page.state == PRESENT}
    changes = Changes(fetch=[i for i in asked if i not in present or present[i].categories is None])
    kept = [i for i in present if present[i].categories is not None]
    suspects: set[int] | None = None
    if last_run is not None and now - last_run < RECENT:
        suspects = _recently_changed(client, present, last_run - OVERLAP, len(kept) // IDS_PER_QUERY)
    changes.way = "sweep" if suspects is None else "recent_changes"
    looked_at = sorted(kept if suspects is None else suspects.intersection(kept))
    states = page_states(client, looked_at)
    retouched = [i for i in looked_at if _judge(i, present[i], states.get(i), last_run, changes)]
    for page_id, names in fetch_categories(client, retouched).items():
        if names != present[page_id].categories:
            changes.categories[page_id] = names
    return changes


def _judge(page_id: int, kept: Known, state: PageState | None, last_run: datetime | None, changes: Changes) -> bool:
    """Note what became of one page; whether its categories alone may have changed."""
    if state is None:
        changes.gone[page_id] = "The wiki has deleted this page or merged it into another"
    elif state.is_redirect:
        changes.gone[page_id] = f"{state.title} now only redirects to another page"
    elif state.revision_id != kept.revision_id or state.title != kept.title:
        changes.fetch.append(page_id)
    else:
        return last_run is None or state.touched >= last_run - OVERLAP
    return False


def _recently_changed(
    client: Wikipedia, present: dict[int, Known], since: datetime, most_calls: int
) -> set[int] | None:
    """Pages of the lake that recent changes name, or None where a sweep is cheaper or the only sure way.

    A template's edit may have moved any page to other categories, and a busy wiki has more changes than
    the lake has pages: both send us to the sweep.
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
    for call, part in enumerate(parts):
        if call >= max(1, most_calls):
            return None
        for change in part.get("query", {}).get("recentchanges", []):
            if change.get("ns") in _TEMPLATE_NAMESPACES:
                return None
            changed.add(change.get("pageid", 0))
            changed.add(by_title.get(change.get("title", ""), 0))
    return changed
