"""Find what changed on a wiki since the last run, and plan what one run fetches and commits.

There are two methods. The list of recent changes, if the last run is recent and there were few changes since; else a
sweep over the last revision of every page in the lake, fifty per request. Only the sweep sees an edited template that
moved its pages to other categories without a new revision. `plan_fetch` turns both, and the requested years and titles,
into what one run fetches and commits.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from storage.errors import ItemError, Retry
from storage.lake.lake import Lake
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage, Status
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import FLOW_RUNS
from tasks.films.stored_pages import PRESENT, StoredPage, stored_pages
from tasks.films.wiki.api_client import Wikipedia, listed
from tasks.films.wiki.failing_pages import WIKI_FAILS
from tasks.films.wiki.fetch_articles import (
    ARTICLES_PER_BATCH,
    IDS_PER_QUERY,
    PageState,
    articles_named,
    fetch_categories,
    page_states,
)
from tasks.films.wiki.site_and_pages import Site, describe_site, film_id
from tasks.films.wiki.year_categories import films_of_years
from tasks.run_report import RunReport

MAX_AGE = timedelta(days=25)
"""Wikis keep recent changes for 30 days; the other five allow for clocks and pauses."""
OVERLAP = timedelta(minutes=10)
"""Recent changes are read from this long before the last run, since a wiki records some of them late."""
_TEMPLATE_NAMESPACES = (10, 828)


@dataclass
class Changes:
    """Page ids to fetch, page id -> why it is deleted, page id -> new categories, and how they were found.

    `unanswered` counts the pages that the wiki left out of its answer: nothing is known of them.
    """

    fetch: list[int] = field(default_factory=list)
    deleted: dict[int, str] = field(default_factory=dict)
    categories: dict[int, tuple[str, ...]] = field(default_factory=dict)
    method: str = ""
    unanswered: int = 0


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
    categories = fetch_categories(client, retouched)
    changes.unanswered += len(retouched) - len(categories)
    for page_id, names in categories.items():
        if names != present[page_id].categories:
            changes.categories[page_id] = names
    return changes


def _compare(
    page_id: int, stored: StoredPage, state: PageState | None, last_run: datetime | None, changes: Changes
) -> bool:
    """Add one page to the changes; return whether its categories may have changed without a new revision."""
    if state is None:
        changes.unanswered += 1
    elif state.is_missing:
        changes.deleted[page_id] = "The wiki has deleted this page or merged it into another"
    elif state.is_redirect:
        changes.deleted[page_id] = f"{state.title} now only redirects to another page"
    elif state.revision_id != stored.revision_id or state.title != stored.title:
        changes.fetch.append(page_id)
    else:
        return last_run is None or state.touched is None or state.touched >= last_run - OVERLAP
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
        for change in listed(part, "recentchanges", ns=int, pageid=int, title=str):
            if change.get("ns") in _TEMPLATE_NAMESPACES:
                return None
            changed.add(change.get("pageid", 0))
            changed.add(by_title.get(change.get("title", ""), 0))
    return changed


FLOW = "collect-films"


def last_run(lake: Lake, wiki: str) -> datetime | None:
    """Return the wiki's clock at the start of the last complete run over it, or None."""
    with duckdb_connection.connect(lake) as connection:
        rows = connection.execute(
            f"SELECT summary FROM {tables.latest_sql(lake, FLOW_RUNS)} WHERE flow = ? AND state = 'completed'", [FLOW]
        ).fetchall()
    summaries = [json.loads(summary) for (summary,) in rows]
    times = [s["wiki_time"] for s in summaries if s.get("wiki") == wiki and s.get("wiki_time")]
    return datetime.fromisoformat(max(times)) if times else None


@dataclass(frozen=True)
class FetchPlan:
    """What one run fetches from a wiki, and what it commits without fetching text."""

    site: Site
    fetch: tuple[int, ...]
    """Page ids."""
    deleted: dict[str, str]
    """Film id -> why its page no longer exists."""
    categories: dict[str, tuple[str, ...]]
    """Film id -> new categories."""
    missing: tuple[Outcome, ...]
    """Outcomes of requested titles that name no article."""
    unchanged: int
    method: str
    """How changes were found: `recent_changes` or `sweep`."""
    unanswered: int
    """Pages in the lake that the wiki left out of its answers."""
    is_complete: bool
    """Whether no limit cut it short: only then may the next run start from the changes since this one."""

    def batches(self) -> list[tuple[int, ...]]:
        """Return the articles to fetch in batches, one per task."""
        starts = range(0, len(self.fetch), ARTICLES_PER_BATCH)
        return [self.fetch[start : start + ARTICLES_PER_BATCH] for start in starts]


def plan_fetch(
    lake: Lake, client: Wikipedia, years: Sequence[int], titles: Sequence[str], limit: int | None
) -> FetchPlan:
    """Compare the requested films and all pages in the lake with the wiki, and plan what to do.

    `limit` bounds how many articles are fetched.
    """
    site = describe_site(client)
    requested, missing_titles = articles_named(client, site, titles)
    if years:
        requested = {**films_of_years(client, years), **requested}
    stored = {page.page_id: page for page in stored_pages(lake, site.wiki).values()}
    changes = find_changes(client, stored, requested, last_run(lake, site.wiki), site.time)
    not_due, failing = outcomes.not_due(lake, Stage.FILM), _failing_articles(lake, site.wiki)
    wanted = {page_id: film_id(site.wiki, page_id) for page_id in (*changes.fetch, *failing.values())}
    due = tuple(i for i, film in wanted.items() if film not in not_due or (i in stored and film not in failing))
    fetch = due[:limit]
    missing = [_outcome_of_missing(site, title) for title in missing_titles]
    present = sum(page.state == PRESENT for page in stored.values())
    touched = sum(i in stored for i in fetch) + len(changes.deleted) + len(changes.categories)
    return FetchPlan(
        site=site,
        fetch=fetch,
        deleted={film_id(site.wiki, page_id): why for page_id, why in changes.deleted.items()},
        categories={film_id(site.wiki, page_id): names for page_id, names in changes.categories.items()},
        missing=tuple(outcome for outcome in missing if outcome.item not in not_due),
        unchanged=present - touched,
        method=changes.method,
        unanswered=changes.unanswered,
        is_complete=fetch == due,
    )


def recorded_for_next_run(plan: FetchPlan | None, report: RunReport) -> dict[str, str]:
    """Return the wiki, and its time if nothing was cut short: otherwise a changed page would never be fetched."""
    if plan is None:
        return {}
    is_complete = plan.is_complete and report.paused is None and not report.counts["unanswered"]
    return {"wiki": plan.site.wiki} | ({"wiki_time": plan.site.time.isoformat()} if is_complete else {})


def _failing_articles(lake: Lake, wiki: str) -> dict[str, int]:
    """Return the articles for which the wiki failed when they were last asked for: film id -> page id.

    They are asked for again when they are due, though they changed long ago.
    """
    films = outcomes.newest_with_reason(lake, Stage.FILM, WIKI_FAILS)
    page_ids = {film: film.rpartition("-")[2] for film in sorted(films)}
    return {film: int(page_id) for film, page_id in page_ids.items() if film == film_id(wiki, int(page_id))}


def _outcome_of_missing(site: Site, title: str) -> Outcome:
    error = ItemError("missing", f"The wiki has no article {title}; check the spelling", Retry.LATER)
    return outcomes.from_error(Stage.FILM, f"{site.wiki}:{title}", error, Status.SKIPPED)
