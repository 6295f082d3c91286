"""Find the films whose image is missing, read these images from a folder or the wiki, and commit their thumbnails.

An image is missing if the film names one that the lake does not have, and it was not tried since the film's page last
changed. A film from an export has a file name, looked up in a folder; one from the API has an address.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from storage.errors import ItemError, Retry
from storage.lake.lake import Lake
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage, Status
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import FILMS, OUTCOMES, PAGES, THUMBNAILS
from tasks.films.images.image_folder import ImageFolder
from tasks.films.images.thumbnails import MAX_BYTES, make_thumbnail
from tasks.films.stored_pages import PRESENT
from tasks.films.wiki.client import Wikipedia

_SKIPPED_REASONS = frozenset({"no_image", "no_folder", "foreign_host"})


@dataclass(frozen=True)
class MissingImage:
    """A film without a thumbnail of its present image, and the result of the last attempt, if there was one."""

    film_id: str
    wiki: str
    page_id: int
    image: str | None
    image_url: str | None
    non_free: bool | None
    from_wiki: bool
    last_reason: str | None
    retry: str | None
    retry_at: datetime | None


def missing_images(lake: Lake, folder: ImageFolder | None, *, fetch: bool) -> list[MissingImage]:
    """Return the images to try in this run, which has a folder, or fetches from the wiki, or neither.

    One that failed is tried again when its page was fetched again, and not because a newer parser read the page again.
    """
    with duckdb_connection.connect(lake) as connection:
        rows = connection.execute(
            "SELECT f.film_id, f.wiki, f.page_id, f.image, f.image_url, f.image_non_free, "
            "starts_with(f.source, 'api:'), "
            "CASE WHEN o.recorded_at < p.recorded_at OR (o.status = 'ok' AND t.film_id IS NULL) THEN NULL "
            "ELSE o.reason END, o.retry, o.retry_at "
            f"FROM {tables.latest_sql(lake, FILMS)} f "
            f"LEFT JOIN {tables.latest_sql(lake, PAGES)} p USING (film_id) "
            f"LEFT JOIN {tables.latest_sql(lake, THUMBNAILS)} t USING (film_id) "
            f"LEFT JOIN {tables.latest_sql(lake, OUTCOMES)} o ON o.stage = 'thumbnail' AND o.item = f.film_id "
            "WHERE f.state = ? AND (t.film_id IS NULL OR t.image IS DISTINCT FROM f.image "
            "OR t.source_url IS DISTINCT FROM f.image_url) ORDER BY f.film_id",
            [PRESENT],
        ).fetchall()
    missing = [MissingImage(*row) for row in rows]
    return [image for image in missing if _is_due(image, folder, fetch=fetch)]


def _is_due(missing: MissingImage, folder: ImageFolder | None, *, fetch: bool) -> bool:
    if missing.last_reason is None:
        return missing.image_url is None or fetch
    if missing.image_url is None:  # the image may have been added to the folder, or the folder be given only now
        in_folder = folder is not None and missing.image is not None and folder.find(missing.image) is not None
        return in_folder and missing.last_reason in ("missing", "no_folder")
    if missing.retry == Retry.LATER:
        return fetch and missing.retry_at is not None and missing.retry_at <= datetime.now(UTC)
    return fetch and missing.retry == Retry.SOON


def commit_images(
    lake: Lake, missing: Sequence[MissingImage], read: Callable[[MissingImage], bytes], run_id: str
) -> Counter[str]:
    """Read, scale and commit the images of a batch; return the number of outcomes by reason."""
    rows: list[dict[str, Any]] = []
    results: list[Outcome] = []
    try:
        for image in missing:
            started = time.perf_counter()
            try:
                rows.append(_row(image, read(image)))
                results.append(outcomes.ok(Stage.THUMBNAIL, image.film_id, seconds=time.perf_counter() - started))
            except ItemError as error:
                status = Status.SKIPPED if error.reason in _SKIPPED_REASONS else Status.FAILED
                results.append(outcomes.from_error(Stage.THUMBNAIL, image.film_id, error, status))
    finally:  # the file host may pause the run in the middle of a batch; what was fetched is committed
        tables.append(lake, THUMBNAILS, rows, run_id)
        if results:
            outcomes.record(lake, results, run_id)
    return Counter(outcome.reason for outcome in results)


def read_image(
    missing: MissingImage, folder: ImageFolder | None, client: Wikipedia | None, hosts: frozenset[str]
) -> bytes:
    """Return the bytes of an image from the wiki or the folder. Raises `ItemError` if there are none."""
    if missing.image_url is not None and client is not None:
        return client.download(missing.image_url, hosts, MAX_BYTES)
    if missing.image is None:
        raise ItemError("no_image", "The article names no image")
    if missing.from_wiki:
        raise ItemError("no_image", f"The wiki shows no {missing.image}, which the article names")
    if folder is None:
        raise ItemError("no_folder", f"No folder was given that may have {missing.image}; give one with --images")
    return folder.read(missing.image)


def _row(missing: MissingImage, data: bytes) -> dict[str, Any]:
    thumbnail = make_thumbnail(data)
    return {
        "film_id": missing.film_id,
        "wiki": missing.wiki,
        "page_id": missing.page_id,
        "source_url": missing.image_url,
        "image": missing.image,
        "non_free": missing.non_free,
        "sha256": thumbnail.sha256,
        "width": thumbnail.width,
        "height": thumbnail.height,
        "jpeg": thumbnail.jpeg,
    }
