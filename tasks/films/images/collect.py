"""Which films need a picture now, and committing the pictures of a batch.

A picture is due when the film names one that the lake does not have (any more), and it was not tried since
the film's page last changed. A film from an export takes it from a folder by its file name; one from the Action API
from the address that the wiki gave.
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
from storage.tables import tables
from storage.tables.schemas import FILMS, OUTCOMES, THUMBNAILS
from tasks.films.commit import PRESENT
from tasks.films.images.thumbnails import MAX_BYTES, ImageFolder, make_thumbnail
from tasks.films.wiki.client import Wikipedia

_NOT_WANTED = frozenset({"no_image", "no_folder", "foreign_host"})


@dataclass(frozen=True)
class Wanted:
    """A film whose picture is due. `last_reason` is why it had none at the last attempt, if there was one."""

    film_id: str
    wiki: str
    page_id: int
    image: str | None
    image_url: str | None
    non_free: bool | None
    from_wiki: bool
    last_reason: str | None


def wanted_pictures(lake: Lake, folder: ImageFolder | None, *, fetch: bool) -> list[Wanted]:
    """The films whose picture is due, given where pictures can be had in this run."""
    with tables.connect(lake) as connection:
        rows = connection.execute(
            "SELECT f.film_id, f.wiki, f.page_id, f.image, f.image_url, f.image_non_free, "
            "starts_with(f.source, 'api:'), "
            "CASE WHEN o.recorded_at < f.recorded_at OR (o.status = 'ok' AND t.film_id IS NULL) THEN NULL "
            "ELSE o.reason END, o.retry, o.retry_at "
            f"FROM {tables.latest_sql(lake, FILMS)} f "
            f"LEFT JOIN {tables.latest_sql(lake, THUMBNAILS)} t USING (film_id) "
            f"LEFT JOIN {tables.latest_sql(lake, OUTCOMES)} o ON o.stage = 'thumbnail' AND o.item = f.film_id "
            "WHERE f.state = ? AND (t.film_id IS NULL OR t.image IS DISTINCT FROM f.image "
            "OR t.source_url IS DISTINCT FROM f.image_url) ORDER BY f.film_id",
            [PRESENT],
        ).fetchall()
    return [w for *fields, retry, at in rows if _is_due(w := Wanted(*fields), retry, at, folder, fetch=fetch)]


def _is_due(wanted: Wanted, retry: str | None, at: datetime | None, folder: ImageFolder | None, *, fetch: bool) -> bool:
    if wanted.last_reason is None:
        return wanted.image_url is None or fetch
    if wanted.image_url is None:  # a picture may have been added to the folder, or the folder be given only now
        in_folder = folder is not None and wanted.image is not None and folder.find(wanted.image) is not None
        return in_folder and wanted.last_reason in ("missing", "no_folder")
    return fetch and (retry == Retry.SOON or (retry == Retry.LATER and at is not None and at <= datetime.now(UTC)))


def commit_pictures(lake: Lake, wanted: Sequence[Wanted], read: Callable[[Wanted], bytes], run_id: str) -> Counter[str]:
    """Read, scale and commit the pictures of a batch; one that fails leaves its reason."""
    rows: list[dict[str, Any]] = []
    ended: list[Outcome] = []
    try:
        for film in wanted:
            started = time.perf_counter()
            try:
                rows.append(_row(film, read(film)))
                ended.append(outcomes.ok(Stage.THUMBNAIL, film.film_id, seconds=time.perf_counter() - started))
            except ItemError as error:
                status = Status.SKIPPED if error.reason in _NOT_WANTED else Status.FAILED
                ended.append(outcomes.from_error(Stage.THUMBNAIL, film.film_id, error, status))
    finally:  # the file host may ask for a pause in the middle: what was fetched is kept
        tables.append(lake, THUMBNAILS, rows, run_id)
        if ended:
            outcomes.record(lake, ended, run_id)
    return Counter(outcome.reason for outcome in ended)


def read_picture(film: Wanted, folder: ImageFolder | None, client: Wikipedia | None, hosts: frozenset[str]) -> bytes:
    """The bytes of a film's picture, from the wiki or from the folder. Raises `ItemError` saying why there are none."""
    if film.image_url is not None and client is not None:
        return client.download(film.image_url, hosts, MAX_BYTES)
    if film.image is None:
        raise ItemError("no_image", "The article names no picture")
    if film.from_wiki:
        raise ItemError("no_image", f"The wiki shows no {film.image}, which the article names")
    if folder is None:
        raise ItemError("no_folder", f"{film.image} was not looked for; give the folder that has it with --images")
    return folder.read(film.image)


def _row(film: Wanted, data: bytes) -> dict[str, Any]:
    kept = make_thumbnail(data)
    return {
        "film_id": film.film_id,
        "wiki": film.wiki,
        "page_id": film.page_id,
        "source_url": film.image_url,
        "image": film.image,
        "non_free": film.non_free,
        "sha256": kept.sha256,
        "width": kept.width,
        "height": kept.height,
        "jpeg": kept.jpeg,
    }
