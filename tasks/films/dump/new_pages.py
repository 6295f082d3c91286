"""Find the pages of an XML export that are new or newer than those in the lake, batch by batch.

The export is streamed, so memory holds one batch whatever the file's size. Pages that look like no film are not
stored; each has an outcome, but of the dump of a whole wiki only the first ten thousand: millions of rows about
other articles would be of no use.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.records.outcomes import Outcome
from tasks.films.commit import outcome_of_other_page
from tasks.films.dump.reader import ExportedPage, read_export
from tasks.films.models import Page
from tasks.films.parsing.article import looks_like_film
from tasks.films.stored_pages import PRESENT, StoredPage, items_with_outcome, stored_pages

PAGES_PER_BATCH = 500
"""About 8 MB of text, which is parsed in well under a second: reading the dump takes most of the time."""
MAX_OTHER_OUTCOMES = 10_000
"""Pages that look like no film and have an outcome; further ones are only counted."""


@dataclass(frozen=True)
class ExportBatch:
    """Pages to commit, outcomes of other pages, how many pages need nothing, and the position in the file."""

    pages: tuple[Page, ...]
    others: tuple[Outcome, ...]
    unchanged: int
    others_unchanged: int
    others_unlisted: int
    position_bytes: int

    @property
    def counts(self) -> dict[str, int]:
        """The number of pages that need nothing, by kind."""
        return {
            "unchanged": self.unchanged,
            "others_unchanged": self.others_unchanged,
            "others_unlisted": self.others_unlisted,
        }


def new_pages(
    lake: Lake, export: str | Path, *, limit: int | None = None, batch_size: int = PAGES_PER_BATCH
) -> Iterator[ExportBatch]:
    """Yield the pages of an export that the lake lacks, in batches; `limit` bounds how many pages are committed.

    Raises `InputError` if the file is no complete export, or holds no film.
    """
    stored, with_outcome = stored_pages(lake), items_with_outcome(lake)
    pages: list[Page] = []
    others: list[Outcome] = []
    counts: Counter[str] = Counter()
    position = new = other = films = 0
    for exported in read_export(export):
        position = exported.position_bytes
        kind = _kind(exported, stored, with_outcome)
        films += kind in ("new", "unchanged")
        new += kind == "new"
        other += kind == "other"
        if kind == "new" and (limit is None or new <= limit):
            pages.append(exported.page)
        elif kind == "other" and other <= MAX_OTHER_OUTCOMES:
            others.append(outcome_of_other_page(exported.page, is_redirect=exported.is_redirect))
        elif kind != "new":
            counts[kind] += 1
        if len(pages) >= batch_size or len(others) >= MAX_OTHER_OUTCOMES:
            yield _batch(pages, others, counts, position)
            pages, others, counts = [], [], Counter()
    yield _batch(pages, others, counts, position)
    if films == 0:
        raise InputError(f"{export} holds no film; give an export of pages with a film infobox or a category of films")


def _kind(exported: ExportedPage, stored: Mapping[str, StoredPage], with_outcome: set[str]) -> str:
    """Return `new`, `unchanged`, `other` or `unchanged_other`.

    A page in the lake is new if its revision is newer, or if it was marked as deleted.
    """
    page = exported.page
    if page.film_id in stored:
        known = stored[page.film_id]
        is_newer = page.revision_id > known.revision_id or known.state != PRESENT
        return "new" if is_newer else "unchanged"
    if not exported.is_redirect and looks_like_film(page.wikitext):
        return "new"
    return "unchanged_other" if page.film_id in with_outcome else "other"


def _batch(pages: list[Page], others: list[Outcome], counts: Counter[str], position_bytes: int) -> ExportBatch:
    return ExportBatch(
        pages=tuple(pages),
        others=tuple(others),
        unchanged=counts["unchanged"],
        others_unchanged=counts["unchanged_other"],
        others_unlisted=counts["other"],
        position_bytes=position_bytes,
    )


def export_size_bytes(export: str | Path) -> int:
    """Return the size of the file for a progress bar, or 0 if there is none."""
    file = Path(export).expanduser()
    return file.stat().st_size if file.is_file() else 0
