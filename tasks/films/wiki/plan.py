"""Plan a run over a wiki: which articles to fetch and what else to commit, given what the lake has."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from storage.errors import ItemError, Retry
from storage.lake.lake import Lake
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage, Status
from storage.tables import tables
from storage.tables.schemas import FLOW_RUNS
from tasks.films.commit import PRESENT, stored_pages
from tasks.films.models import film_id
from tasks.films.wiki.articles import Site, describe_site
from tasks.films.wiki.changes import find_changes
from tasks.films.wiki.client import Wikipedia
from tasks.films.wiki.discovery import articles_named, films_of_years

FLOW = "collect-films"
ARTICLES_PER_BATCH = 200
"""Four requests of fifty: about ten seconds at the default rate, so a crash loses little."""


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
    not_due = outcomes.not_due(lake, Stage.FILM)
    due = tuple(i for i in dict.fromkeys(changes.fetch) if i in stored or film_id(site.wiki, i) not in not_due)
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
        is_complete=fetch == due,
    )


def last_run(lake: Lake, wiki: str) -> datetime | None:
    """Return the wiki's clock at the start of the last complete run over it, or None."""
    with tables.connect(lake) as connection:
        rows = connection.execute(
            f"SELECT summary FROM {tables.latest_sql(lake, FLOW_RUNS)} WHERE flow = ? AND state = 'completed'", [FLOW]
        ).fetchall()
    summaries = [json.loads(summary) for (summary,) in rows]
    times = [s["wiki_time"] for s in summaries if s.get("wiki") == wiki and s.get("wiki_time")]
    return datetime.fromisoformat(max(times)) if times else None


def _outcome_of_missing(site: Site, title: str) -> Outcome:
    error = ItemError("missing", f"The wiki has no article {title}; check the spelling", Retry.LATER)
    return outcomes.from_error(Stage.FILM, f"{site.wiki}:{title}", error, Status.SKIPPED)
