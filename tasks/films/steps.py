"""The Prefect tasks of the films room: each commits one batch and returns how many items ended how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from prefect import task
from prefect.cache_policies import NO_CACHE

from storage.lake import Lake
from tasks.films import store
from tasks.films.from_export import ExportBatch
from tasks.films.pages import Page
from tasks.films.pictures import Wanted, commit_pictures, read_from_folder
from tasks.films.thumbnails import ImageFolder


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
def store_pictures(lake: Lake, wanted: Sequence[Wanted], folder: ImageFolder | None, run_id: str) -> Counter[str]:
    """Read and commit the pictures of a batch of films from a folder."""
    return commit_pictures(lake, wanted, lambda film: read_from_folder(film, folder), run_id)
