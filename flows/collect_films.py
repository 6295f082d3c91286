"""The flow that collects films: pages from an export or from a wiki, what they say, and their pictures.

Every run works out what the lake lacks and does only that: pages whose revision is known are not fetched
again, and a newer parser reads the text that was kept.
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, closing
from typing import Annotated, Any

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.records.flow_runs import record_flow_run
from storage.tables.tables import open_tables
from tasks.films import tasks as steps
from tasks.films.commit import stale_pages
from tasks.films.dump.new_pages import PAGES_PER_BATCH, export_size_bytes, new_pages
from tasks.films.images.collect import wanted_pictures
from tasks.films.images.thumbnails import ImageFolder
from tasks.films.wiki.articles import Site
from tasks.films.wiki.client import Wikipedia, user_agent
from tasks.films.wiki.concurrency import turn
from tasks.films.wiki.plan import FLOW, plan
from tasks.progress import Bars, bars

PICTURES_PER_BATCH = 100


@flow(name=FLOW, flow_run_name="collect-films-into-{lake}")
def collect_films(
    lake: str = "lake",
    export: str | None = None,
    images: str | None = None,
    years: list[Annotated[int, Field(ge=1870, le=2200)]] | None = None,
    titles: list[str] | None = None,
    wiki: str = "https://en.wikipedia.org/w/api.php",
    contact: str | None = None,
    limit: Annotated[int | None, Field(ge=1)] = None,
    requests_per_minute: Annotated[float, Field(gt=0)] = 150,
) -> dict[str, Any]:
    """Collect films that the lake lacks or that changed: from an export, or from a wiki by year or title.

    Args:
        lake: Root of the lake: a folder, or s3://bucket/prefix.
        export: A MediaWiki XML export or dump (.xml, .xml.gz, .xml.bz2), instead of a wiki.
        images: Folder with the pictures that the export's articles name.
        years: Release years, each collected from the wiki's "YYYY films" category and what is below it.
        titles: Titles, page ids or addresses of single articles.
        wiki: Address of the wiki's api.php.
        contact: Your mail address or page, sent to the wiki in the User-Agent; required for its API.
        limit: Fetch at most this many pages, for a first look.
        requests_per_minute: The pace; Wikimedia lets 200 a minute through for a client that names a contact.
    """
    check_parameters(export, years, titles, contact)
    folder = ImageFolder(images) if images else None
    client = None if export else Wikipedia(wiki, contact, requests_per_minute=requests_per_minute)
    store, run_id = open_tables(lake), str(flow_run.id)
    with ExitStack() as held:
        progress = held.enter_context(bars())
        if client is None:
            counts = _from_export(store, str(export), limit, run_id, progress)
            site, is_whole = None, True
        else:
            held.enter_context(closing(client))
            held.enter_context(turn())
            counts, site, is_whole = _from_wiki(store, client, years or [], titles or [], limit, run_id, progress)
        counts.update(_read_again(store, run_id, progress))
        pictures = _pictures(store, folder, client, site, run_id, progress)
    summary = {**counts, **{f"thumbnail_{reason}": n for reason, n in pictures.items()}}
    if client is not None and site is not None:
        summary["api_calls"] = client.calls
        kept = {**summary, "wiki": site.wiki}
        if is_whole:  # else a changed page beyond the limit would never be looked at again
            kept["wiki_time"] = site.time.isoformat()
        asked = {"years": years, "titles": titles, "wiki": wiki, "limit": limit}
        record_flow_run(store, run_id, FLOW, "completed", asked, kept)
    return summary


def check_parameters(
    export: str | None, years: list[int] | None, titles: list[str] | None, contact: str | None
) -> None:
    """Raise `InputError` for parameters that cannot work together, before anything is started."""
    if (export is None) == (not years and not titles):
        raise InputError("Say where films come from: either an export, or years or titles of a wiki")
    if export is None:
        user_agent(contact)


def _from_export(lake: Lake, export: str, limit: int | None, run_id: str, progress: Bars) -> Counter[str]:
    counts: Counter[str] = Counter()
    size = export_size_bytes(export)
    for batch in new_pages(lake, export, limit=limit):
        if batch.pages or batch.others:
            counts.update(steps.store_export_batch(lake, batch, run_id))
        else:
            counts.update(batch.counts)
        progress("Reading the export", batch.position_bytes, size)
    return counts


def _from_wiki(
    lake: Lake, client: Wikipedia, years: list[int], titles: list[str], limit: int | None, run_id: str, progress: Bars
) -> tuple[Counter[str], Site, bool]:
    todo = plan(lake, client, years, titles, limit)
    counts = Counter({"unchanged": todo.unchanged, f"looked_by_{todo.way}": 1})
    if todo.gone or todo.categories or todo.lost:
        counts.update(steps.store_changes(lake, todo.gone, todo.categories, todo.lost, run_id))
    fetched = 0
    for batch in todo.batches():
        counts.update(steps.store_articles(lake, client, todo.site, batch, run_id))
        fetched += len(batch)
        progress("Fetching articles", fetched, len(todo.fetch))
    return counts, todo.site, todo.is_whole


def _read_again(lake: Lake, run_id: str, progress: Bars) -> Counter[str]:
    """Read what an older parser read, or what a crash left between a page and its film."""
    counts: Counter[str] = Counter()
    for pages in stale_pages(lake, PAGES_PER_BATCH):
        counts["read_again"] += len(pages)
        steps.read_pages_again(lake, pages, run_id)
        progress("Reading kept pages again", counts["read_again"], 0)
    return counts


def _pictures(
    lake: Lake, folder: ImageFolder | None, client: Wikipedia | None, site: Site | None, run_id: str, progress: Bars
) -> Counter[str]:
    counts: Counter[str] = Counter()
    wanted = wanted_pictures(lake, folder, fetch=client is not None)
    hosts = site.file_hosts if site else frozenset[str]()
    for start in range(0, len(wanted), PICTURES_PER_BATCH):
        batch = wanted[start : start + PICTURES_PER_BATCH]
        counts.update(steps.store_pictures(lake, batch, folder, client, hosts, run_id))
        progress("Making thumbnails", sum(counts.values()), len(wanted))
    return counts
