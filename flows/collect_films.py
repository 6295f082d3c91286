"""The flow `collect-films`: pages from an export or a wiki, the films parsed from them, and their images.

A run does only what the lake lacks: a page whose revision is stored is not fetched again, and a newer
parser reads the stored wikitext.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from flows.checks import check
from flows.parameters import CollectFilmsParameters, takes
from storage.lake.lake import Lake
from storage.records.flow_runs import record_flow_run
from storage.tables.tables import open_tables
from tasks.films.commit import stale_pages
from tasks.films.dump.new_pages import PAGES_PER_BATCH, export_size_bytes, new_pages
from tasks.films.images.collect import wanted_pictures
from tasks.films.images.thumbnails import ImageFolder
from tasks.films.tasks import (
    read_pages_again,
    store_articles,
    store_changes,
    store_export_batch,
    store_pictures,
)
from tasks.films.wiki.client import Wikipedia
from tasks.films.wiki.concurrency import turn
from tasks.films.wiki.plan import FLOW, Plan, plan
from tasks.progress import Bars, bars

IMAGES_PER_BATCH = 100


@flow(name=FLOW, flow_run_name="collect-films-into-{lake}")
@takes(CollectFilmsParameters)
def collect_films(parameters: CollectFilmsParameters) -> dict[str, Any]:
    """Collect films that are new or changed: from an export, or from a wiki by year or by name."""
    check(parameters)
    lake, run_id = open_tables(parameters.lake), str(flow_run.id)
    folder = ImageFolder(parameters.images) if parameters.images else None
    with bars() as progress:
        if parameters.export:
            counts = _from_export(lake, parameters.export, parameters.limit, run_id, progress)
            counts.update(_finish(lake, folder, None, frozenset(), run_id, progress))
            return dict(counts)
        rate = parameters.requests_per_minute
        client = Wikipedia(parameters.wiki, parameters.contact, requests_per_minute=rate)
        with closing(client), turn():
            todo = plan(lake, client, parameters.years, parameters.films, parameters.limit)
            counts = _from_wiki(lake, client, todo, run_id, progress)
            counts.update(_finish(lake, folder, client, todo.site.file_hosts, run_id, progress))
    summary = {**counts, "api_calls": client.calls}
    _record(lake, run_id, parameters, todo, summary)
    return summary


def _from_export(lake: Lake, export: str, limit: int | None, run_id: str, progress: Bars) -> Counter[str]:
    counts: Counter[str] = Counter()
    size = export_size_bytes(export)
    for batch in new_pages(lake, export, limit=limit):
        if batch.pages or batch.others:
            counts.update(store_export_batch(lake, batch, run_id))
        else:
            counts.update(batch.counts)
        progress("Reading the export", batch.position_bytes, size)
    return counts


def _from_wiki(lake: Lake, client: Wikipedia, todo: Plan, run_id: str, progress: Bars) -> Counter[str]:
    counts = Counter({"unchanged": todo.unchanged, f"looked_by_{todo.way}": 1})
    if todo.gone or todo.categories or todo.lost:
        counts.update(store_changes(lake, todo.gone, todo.categories, todo.lost, run_id))
    fetched = 0
    for batch in todo.batches():
        counts.update(store_articles(lake, client, todo.site, batch, run_id))
        fetched += len(batch)
        progress("Fetching articles", fetched, len(todo.fetch))
    return counts


def _finish(
    lake: Lake,
    folder: ImageFolder | None,
    client: Wikipedia | None,
    hosts: frozenset[str],
    run_id: str,
    progress: Bars,
) -> Counter[str]:
    """Parse outdated pages again, then make the thumbnails that are missing."""
    counts = _parse_again(lake, run_id, progress)
    images = _store_images(lake, folder, client, hosts, run_id, progress)
    counts.update({f"thumbnail_{reason}": count for reason, count in images.items()})
    return counts


def _parse_again(lake: Lake, run_id: str, progress: Bars) -> Counter[str]:
    """Parse stored pages that an older parser read, or whose film a crash kept from being written."""
    counts: Counter[str] = Counter()
    for pages in stale_pages(lake, PAGES_PER_BATCH):
        counts["read_again"] += len(pages)
        read_pages_again(lake, pages, run_id)
        progress("Parsing stored pages again", counts["read_again"], 0)
    return counts


def _store_images(
    lake: Lake,
    folder: ImageFolder | None,
    client: Wikipedia | None,
    hosts: frozenset[str],
    run_id: str,
    progress: Bars,
) -> Counter[str]:
    counts: Counter[str] = Counter()
    missing = wanted_pictures(lake, folder, fetch=client is not None)
    for start in range(0, len(missing), IMAGES_PER_BATCH):
        batch = missing[start : start + IMAGES_PER_BATCH]
        counts.update(store_pictures(lake, batch, folder, client, hosts, run_id))
        progress("Making thumbnails", sum(counts.values()), len(missing))
    return counts


def _record(lake: Lake, run_id: str, parameters: CollectFilmsParameters, todo: Plan, summary: dict[str, Any]) -> None:
    """Record what was asked of the wiki and its time, from which the next run looks for changes."""
    requested = {
        "years": list(parameters.years),
        "films": list(parameters.films),
        "wiki": parameters.wiki,
        "limit": parameters.limit,
    }
    result = {**summary, "wiki": todo.site.wiki}
    if todo.is_whole:  # else a changed page beyond the limit would never be looked at again
        result["wiki_time"] = todo.site.time.isoformat()
    record_flow_run(lake, run_id, FLOW, "completed", requested, result)
