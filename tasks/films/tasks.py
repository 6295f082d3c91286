"""The Prefect tasks of the films room: each commits one batch and returns how many items ended how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from storage.errors import ItemError, Retry
from storage.lake.lake import Lake
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage, Status
from tasks.films import commit as store
from tasks.films.dump.new_pages import ExportBatch
from tasks.films.images.collect import Wanted, commit_pictures, read_picture
from tasks.films.images.thumbnails import ImageFolder
from tasks.films.models import Page, film_id
from tasks.films.wiki.articles import Site, fetch_articles
from tasks.films.wiki.client import Wikipedia


@task(cache_policy=NO_CACHE, persist_result=False)
def store_export_batch(lake: Lake, batch: ExportBatch, run_id: str) -> Counter[str]:
    """Read and commit the pages of one batch of an export."""
    counts = Counter(batch.counts)
    counts.update(store.commit_others(lake, batch.others, run_id))
    if batch.pages:
        counts.update(store.commit_pages(lake, batch.pages, run_id))
    return counts


@task(cache_policy=NO_CACHE, persist_result=False)
def read_pages_again(lake: Lake, pages: Sequence[Page], run_id: str) -> Counter[str]:
    """Read kept pages again, with today's parser."""
    return store.commit_readings(lake, pages, run_id)


@task(cache_policy=NO_CACHE, persist_result=False)
def store_articles(lake: Lake, client: Wikipedia, site: Site, page_ids: Sequence[int], run_id: str) -> Counter[str]:
    """Fetch, read and commit a batch of articles; one that is not there leaves an outcome."""
    pages = list(fetch_articles(client, site, page_ids))
    counts = store.commit_pages(lake, pages, run_id)
    absent = sorted(set(page_ids) - {page.page_id for page in pages})
    counts.update(store.commit_others(lake, [_absent(site.wiki, page_id) for page_id in absent], run_id))
    return counts


@task(cache_policy=NO_CACHE, persist_result=False)
def store_changes(
    lake: Lake, gone: dict[str, str], categories: dict[str, tuple[str, ...]], lost: Sequence[Outcome], run_id: str
) -> Counter[str]:
    """Commit what changed without a text to fetch: pages gone, new categories, titles that lead nowhere."""
    counts = store.commit_gone(lake, gone, run_id)
    counts.update(store.commit_others(lake, lost, run_id))
    if categories:
        counts["new_categories"] = sum(store.commit_categories(lake, categories, run_id).values())
    return counts


@task(cache_policy=NO_CACHE, persist_result=False)
def store_pictures(
    lake: Lake,
    wanted: Sequence[Wanted],
    folder: ImageFolder | None,
    client: Wikipedia | None,
    hosts: frozenset[str],
    run_id: str,
) -> Counter[str]:
    """Read and commit the pictures of a batch of films, from a folder or from the wiki's file hosts."""
    return commit_pictures(lake, wanted, lambda film: read_picture(film, folder, client, hosts), run_id)


def _absent(wiki: str, page_id: int) -> Outcome:
    why = f"The wiki has no page {page_id}, or hides its text"
    error = ItemError("missing", why, Retry.LATER)
    return outcomes.from_error(Stage.FILM, film_id(wiki, page_id), error, Status.SKIPPED)
