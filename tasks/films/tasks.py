"""The Prefect tasks that collect films, one per batch, and the loops that submit every batch of a stage.

Each task commits its batch and returns the number of items by result. A wiki that asks for a pause fails no task: the
report says so, and the loop ends.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE

from storage.coordination.budgets import Budget
from storage.errors import ItemError, Retry, SourcePaused
from storage.lake.lake import Lake
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage, Status
from tasks.films.album_articles_and_wikidata import (
    ALBUM_PAGE,
    WIKIDATA,
    LookUp,
    evidence_report,
    look_up_albums,
    look_up_wikidata_ids,
    look_up_within_budget,
    wanted_albums,
    wanted_wikidata_ids,
    wikidata_outcomes,
)
from tasks.films.changes_since_last_run import FetchPlan
from tasks.films.commit import commit_categories, commit_deletions, commit_films, commit_outcomes, commit_pages
from tasks.films.images import (
    IMAGES_PER_BATCH,
    ImageDownloads,
    ImageFolder,
    MissingImage,
    commit_images,
    missing_images,
    read_image,
)
from tasks.films.musicbrainz import (
    FILMS_PER_BATCH,
    MusicBrainz,
    WantedAlbums,
    look_up_releases,
    wanted_from_musicbrainz,
)
from tasks.films.stored_pages import stale_pages
from tasks.films.wiki.api_client import Wikipedia
from tasks.films.wiki.failing_pages import failing_outcomes, look_up_around_failures
from tasks.films.wiki.fetch_articles import IDS_PER_QUERY, fetch_articles
from tasks.films.wiki.site_and_pages import Page, Site, film_id
from tasks.films.xml_export import PAGES_PER_BATCH, ExportBatch, export_size_bytes, new_pages
from tasks.progress import ReportProgress, place
from tasks.run_report import RunReport

T = TypeVar("T")

log = logging.getLogger(__name__)


def collect_from_export(
    lake: Lake, export: str, limit: int | None, run_id: str, progress: ReportProgress
) -> Counter[str]:
    """Commit the pages of an export that the lake lacks."""
    counts: Counter[str] = Counter()
    size, read = export_size_bytes(export), 0
    for batch in new_pages(lake, export, limit=limit):
        if batch.pages or batch.others:
            name = place("bytes of the export", read, batch.position_bytes - read, size)
            counts.update(commit_export_batch.with_options(task_run_name=name)(lake, batch, run_id))
        else:
            counts.update(batch.counts)
        read = batch.position_bytes
        progress("Reading the export (bytes)", batch.position_bytes, size)
    return counts


def collect_from_wiki(
    lake: Lake, client: Wikipedia, plan: FetchPlan, run_id: str, progress: ReportProgress
) -> RunReport:
    """Fetch and commit what the plan of a run lists, until the last article or until the wiki pauses."""
    report = RunReport(Counter({"unchanged": plan.unchanged, f"looked_by_{plan.method}": 1}))
    report.counts.update({"unanswered": plan.unanswered} if plan.unanswered else {})
    if plan.deleted or plan.categories or plan.missing:
        report.counts.update(commit_changes(lake, plan, run_id))
    fetched, total = 0, len(plan.fetch)
    for page_ids in plan.batches():
        name = place("articles", fetched, len(page_ids), total)
        task_of_batch = fetch_and_commit_articles.with_options(task_run_name=name)
        report.add(task_of_batch(lake, client, plan.site, page_ids, run_id))
        if report.paused:
            break
        fetched += len(page_ids)
        progress("Fetching articles", fetched, total)
    return report


def parse_stale_pages(lake: Lake, run_id: str, progress: ReportProgress) -> Counter[str]:
    """Parse pages again that an older parser parsed, or whose film was not committed before a crash."""
    counts: Counter[str] = Counter()
    for pages in stale_pages(lake, PAGES_PER_BATCH):
        done = counts["read_again"]
        name = f"stored pages {done + 1:,}–{done + len(pages):,}"  # of how many is not known before all are read
        parse_and_commit_films.with_options(task_run_name=name)(lake, pages, run_id)
        counts["read_again"] += len(pages)
        progress("Parsing stored pages again", counts["read_again"], 0)
    return counts


def make_missing_thumbnails(
    lake: Lake,
    folder: ImageFolder | None,
    client: Wikipedia | None,
    hosts: frozenset[str],
    run_id: str,
    progress: ReportProgress,
) -> RunReport:
    """Make the thumbnails that the lake lacks, of images from a folder or from the wiki's file hosts."""
    report = RunReport()
    downloads = ImageDownloads(client, hosts) if client is not None else None
    missing = missing_images(lake, folder, fetch=client is not None)
    for start in range(0, len(missing), IMAGES_PER_BATCH):
        batch = missing[start : start + IMAGES_PER_BATCH]
        name = place("images", start, len(batch), len(missing))
        task_of_batch = read_and_commit_images.with_options(task_run_name=name)
        report.add(task_of_batch(lake, batch, folder, downloads, run_id))
        if report.paused:
            break
        progress("Making thumbnails", start + len(batch), len(missing))
    return report


def look_up_evidence(
    lake: Lake, client: Wikipedia, site: Site, budget: Budget, run_id: str, progress: ReportProgress
) -> RunReport:
    """Look up albums' articles and Wikidata ids that the lake lacks, until the day's budget is spent."""
    albums, films = wanted_albums(lake, site.wiki), wanted_wikidata_ids(lake, site.wiki)
    jobs: list[LookUp] = []
    for start, batch in enumerate(_fifties(albums)):
        name = place("albums", start * IDS_PER_QUERY, len(batch), len(albums))
        task_of_batch = fetch_and_commit_albums.with_options(task_run_name=name)
        jobs.append((ALBUM_PAGE, len(batch), partial(task_of_batch, lake, client, site, batch, run_id)))
    for start, batch_of_ids in enumerate(_fifties(films)):
        name = place("Wikidata ids", start * IDS_PER_QUERY, len(batch_of_ids), len(films))
        task_of_ids = fetch_and_commit_wikidata_ids.with_options(task_run_name=name)
        jobs.append((WIKIDATA, len(batch_of_ids), partial(task_of_ids, lake, client, site, batch_of_ids, run_id)))
    return look_up_within_budget(jobs, client, budget, progress)


def look_up_musicbrainz(
    lake: Lake, client: MusicBrainz, budget: Budget, run_id: str, progress: ReportProgress
) -> tuple[Counter[str], SourcePaused | None]:
    """Ask MusicBrainz for the albums that the lake lacks; return the films by reason, and the pause that ended it."""
    counts: Counter[str] = Counter()
    wanted = wanted_from_musicbrainz(lake)
    for start in range(0, len(wanted), FILMS_PER_BATCH):
        batch = wanted[start : start + FILMS_PER_BATCH]
        name = place("films on MusicBrainz", start, len(batch), len(wanted))
        reasons, pause = fetch_and_commit_releases.with_options(task_run_name=name)(lake, client, batch, budget, run_id)
        counts.update({f"musicbrainz_{reason}": count for reason, count in reasons.items()})
        if pause:
            return counts, pause
        progress("Asking MusicBrainz", start + len(batch), len(wanted))
    return counts, None


def _fifties(wanted: Sequence[T]) -> list[Sequence[T]]:
    return [wanted[start : start + IDS_PER_QUERY] for start in range(0, len(wanted), IDS_PER_QUERY)]


@task(cache_policy=NO_CACHE, persist_result=False)
def fetch_and_commit_albums(
    lake: Lake, client: Wikipedia, site: Site, albums: Sequence[tuple[str, tuple[str, ...]]], run_id: str
) -> RunReport:
    """Fetch and commit the articles of a batch of albums."""
    return evidence_report(lambda: look_up_albums(lake, client, site, albums, run_id))


@task(cache_policy=NO_CACHE, persist_result=False)
def fetch_and_commit_wikidata_ids(
    lake: Lake, client: Wikipedia, site: Site, page_ids: Sequence[int], run_id: str
) -> RunReport:
    """Fetch and commit the Wikidata ids of a batch of films."""
    return evidence_report(lambda: look_up_wikidata_ids(lake, client, site, page_ids, run_id))


@task(cache_policy=NO_CACHE, persist_result=False)
def fetch_and_commit_releases(
    lake: Lake, client: MusicBrainz, batch: Sequence[WantedAlbums], budget: Budget, run_id: str
) -> tuple[Counter[str], SourcePaused | None]:
    """Ask MusicBrainz for the albums of a batch of films and commit them, also those before a pause."""
    return look_up_releases(lake, client, batch, lambda count: budget.reserve(requests=count), run_id)


@task(cache_policy=NO_CACHE, persist_result=False)
def commit_export_batch(lake: Lake, batch: ExportBatch, run_id: str) -> Counter[str]:
    """Parse and commit the pages of one batch of an export."""
    counts = Counter(batch.counts)
    counts.update(commit_outcomes(lake, batch.others, run_id))
    if batch.pages:
        counts.update(commit_pages(lake, batch.pages, run_id))
    return counts


@task(task_run_name="pages that changed without text to fetch", cache_policy=NO_CACHE, persist_result=False)
def commit_changes(lake: Lake, plan: FetchPlan, run_id: str) -> Counter[str]:
    """Commit what changed without text to fetch: deleted pages, new categories, titles without an article."""
    counts = commit_deletions(lake, plan.deleted, run_id)
    counts.update(commit_outcomes(lake, plan.missing, run_id))
    if plan.categories:
        counts["new_categories"] = commit_categories(lake, plan.categories, run_id).total()
    return counts


@task(cache_policy=NO_CACHE, persist_result=False)
def fetch_and_commit_articles(
    lake: Lake, client: Wikipedia, site: Site, page_ids: Sequence[int], run_id: str
) -> RunReport:
    """Fetch, parse and commit a batch of articles; one that does not exist has an outcome, one left out has none."""
    try:
        counts = look_up_around_failures(
            client,
            page_ids,
            lambda part: _fetch_and_commit(lake, client, site, part, run_id),
            lambda page_id: _commit_failing(lake, site.wiki, page_id, run_id),
        )
    except SourcePaused as pause:
        return RunReport(paused=pause)
    return RunReport(counts)


def _commit_failing(lake: Lake, wiki: str, page_id: int, run_id: str) -> Counter[str]:
    """Record that the wiki fails for an article; what the lake has of it stays."""
    return commit_outcomes(lake, failing_outcomes(lake, Stage.FILM, [film_id(wiki, page_id)]), run_id)


def _fetch_and_commit(lake: Lake, client: Wikipedia, site: Site, page_ids: Sequence[int], run_id: str) -> Counter[str]:
    fetched = fetch_articles(client, site, page_ids)
    counts = commit_pages(lake, fetched.pages, run_id)
    absent = [_outcome_of_absent(site.wiki, page_id) for page_id in sorted(fetched.missing)]
    counts.update(commit_outcomes(lake, absent, run_id))
    without_item = {page.page_id: None for page in fetched.pages if page.wikidata_id is None}
    commit_outcomes(lake, wikidata_outcomes(site.wiki, without_item), run_id)
    unanswered = len(set(page_ids)) - len(fetched.pages) - len(fetched.missing)
    counts.update({"unanswered": unanswered} if unanswered else {})
    return counts


@task(cache_policy=NO_CACHE, persist_result=False)
def parse_and_commit_films(lake: Lake, pages: Sequence[Page], run_id: str) -> Counter[str]:
    """Parse stored pages with the present parser and commit the films."""
    return commit_films(lake, pages, run_id)


@task(cache_policy=NO_CACHE, persist_result=False)
def read_and_commit_images(
    lake: Lake,
    missing: Sequence[MissingImage],
    folder: ImageFolder | None,
    downloads: ImageDownloads | None,
    run_id: str,
) -> RunReport:
    """Read the images of a batch of films and commit their thumbnails, also those before a pause of the wiki."""
    try:
        counts = commit_images(lake, missing, lambda image: read_image(image, folder, downloads), run_id)
    except SourcePaused as pause:
        return RunReport(paused=pause)
    return RunReport(Counter({f"thumbnail_{reason}": count for reason, count in counts.items()}))


def _outcome_of_absent(wiki: str, page_id: int) -> Outcome:
    error = ItemError("missing", f"The wiki has no page {page_id}, or hides its text", Retry.LATER)
    return outcomes.from_error(Stage.FILM, film_id(wiki, page_id), error, Status.SKIPPED)
