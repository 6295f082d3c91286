"""The flow that collects films: pages from an export or from a wiki, what they say, and their pictures.

Every run works out what the lake lacks and does only that: pages whose revision is known are not read
again, except by a newer parser, which reads the kept text.
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any

from prefect import flow
from prefect.runtime import flow_run
from pydantic import Field

from storage.errors import InputError
from storage.lake import Lake
from storage.tables import open_tables
from tasks.films import steps
from tasks.films.from_export import PAGES_PER_BATCH, export_size_bytes, new_pages
from tasks.films.pictures import wanted_pictures
from tasks.films.progress import Bars, bars
from tasks.films.store import stale_pages
from tasks.films.thumbnails import ImageFolder

PICTURES_PER_BATCH = 200


@flow(name="collect-films", flow_run_name="collect-films-into-{lake}")
def collect_films(
    lake: str = "lake",
    export: str | None = None,
    images: str | None = None,
    years: list[int] | None = None,
    titles: list[str] | None = None,
    wiki: str = "https://en.wikipedia.org/w/api.php",
    contact: str | None = None,
    limit: Annotated[int | None, Field(ge=1)] = None,
) -> dict[str, Any]:
    """Collect films that the lake lacks or that changed; give an export, or years, or titles.

    Args:
        lake: Root of the lake: a folder, or s3://bucket/prefix.
        export: A MediaWiki XML export or dump (.xml, .xml.gz, .xml.bz2).
        images: Folder with the pictures that the export's articles name.
        years: Release years, each collected from the wiki's "YYYY films" category and what is below it.
        titles: Titles, page ids or addresses of single articles.
        wiki: Address of the wiki's api.php.
        contact: Your mail address or page, sent to the wiki in the User-Agent; required for its API.
        limit: Read at most this many new pages, for a first look.
    """
    run_id = str(flow_run.id)
    if export is None:
        raise InputError("Nothing says where films come from; give an export, years or titles")
    folder = ImageFolder(images) if images else None
    store = open_tables(lake)
    with bars() as progress:
        counts = _from_export(store, export, limit, run_id, progress)
        counts.update(_again(store, run_id, progress))
        pictures = _pictures(store, folder, run_id, progress)
    return {**counts, **{f"thumbnail_{reason}": n for reason, n in pictures.items()}}


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


def _again(lake: Lake, run_id: str, progress: Bars) -> Counter[str]:
    """Read what an older parser read, or what a crash left between a page and its film."""
    counts: Counter[str] = Counter()
    for pages in stale_pages(lake, PAGES_PER_BATCH):
        counts["read_again"] += len(pages)
        steps.read_pages_again(lake, pages, run_id)
        progress("Reading kept pages again", counts["read_again"], 0)
    return counts


def _pictures(lake: Lake, folder: ImageFolder | None, run_id: str, progress: Bars) -> Counter[str]:
    counts: Counter[str] = Counter()
    wanted = wanted_pictures(lake, folder, fetch=False)
    for start in range(0, len(wanted), PICTURES_PER_BATCH):
        batch = wanted[start : start + PICTURES_PER_BATCH]
        counts.update(steps.store_pictures(lake, batch, folder, run_id))
        progress("Making thumbnails", sum(counts.values()), len(wanted))
    return counts
