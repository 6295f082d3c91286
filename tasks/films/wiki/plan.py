"""Bring the films of a wiki into the lake: what to ask of it, given what is already here."""

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
from tasks.films.commit import PRESENT, known_pages
from tasks.films.models import film_id
from tasks.films.wiki.articles import Site, describe_site
from tasks.films.wiki.changes import find_changes
from tasks.films.wiki.client import Wikipedia
from tasks.films.wiki.discovery import articles_named, films_of_years

FLOW = "collect-films"
ARTICLES_PER_BATCH = 200
"""Four queries of fifty: some ten seconds at a polite pace, so a crash loses little."""


@dataclass(frozen=True)
class Plan:
    """What one run asks of a wiki and what it changes without asking for text."""

    site: Site
    fetch: tuple[int, ...]
    gone: dict[str, str]
    categories: dict[str, tuple[str, ...]]
    lost: tuple[Outcome, ...]
    unchanged: int
    way: str
    is_whole: bool
    """Whether nothing was cut off by a limit: only then may the next run ask for what changed since this one."""

    def batches(self) -> list[tuple[int, ...]]:
        """The articles to fetch, a task's worth at a time."""
        return [self.fetch[at : at + ARTICLES_PER_BATCH] for at in range(0, len(self.fetch), ARTICLES_PER_BATCH)]


def plan(lake: Lake, client: Wikipedia, years: Sequence[int], titles: Sequence[str], limit: int | None) -> Plan:
    """Find what was asked for, compare it and all kept pages with the wiki, and say what is to be done."""
    site = describe_site(client)
    asked, lost = articles_named(client, site, titles)
    if years:
        asked = {**films_of_years(client, years), **asked}
    known = {page.page_id: page for page in known_pages(lake, site.wiki).values()}
    changes = find_changes(client, known, asked, last_run(lake, site.wiki), site.time)
    settled = outcomes.not_due(lake, Stage.FILM)
    due = (i for i in dict.fromkeys(changes.fetch) if i in known or film_id(site.wiki, i) not in settled)
    due_now = tuple(due)
    fetch = due_now[:limit]
    present = sum(page.state == PRESENT for page in known.values())
    touched = sum(i in known for i in fetch) + len(changes.gone) + len(changes.categories)
    return Plan(
        site=site,
        fetch=fetch,
        gone={film_id(site.wiki, page_id): why for page_id, why in changes.gone.items()},
        categories={film_id(site.wiki, page_id): names for page_id, names in changes.categories.items()},
        lost=tuple(o for title in lost if (o := _lost(site, title)).item not in settled),
        unchanged=present - touched,
        way=changes.way,
        is_whole=fetch == due_now,
    )


def last_run(lake: Lake, wiki: str) -> datetime | None:
    """The wiki's own clock at the start of the last complete run over it, or None."""
    with tables.connect(lake) as connection:
        rows = connection.execute(
            f"SELECT summary FROM {tables.latest_sql(lake, FLOW_RUNS)} WHERE flow = ? AND state = 'completed'", [FLOW]
        ).fetchall()
    summaries = [json.loads(summary) for (summary,) in rows]
    times = [s["wiki_time"] for s in summaries if s.get("wiki") == wiki and s.get("wiki_time")]
    return datetime.fromisoformat(max(times)) if times else None


def _lost(site: Site, title: str) -> Outcome:
    why = f"The wiki has no article {title}; check the spelling"
    error = ItemError("missing", why, Retry.LATER)
    return outcomes.from_error(Stage.FILM, f"{site.wiki}:{title}", error, Status.SKIPPED)
