"""Bring the films of an XML export into the lake: only the pages that are new or newer than what it has.

The export is streamed, so memory holds one batch whatever the file's size. Pages that carry no mark of a
film are not kept; each leaves an outcome, but of a dump of a whole wiki only the first thousands do, since
millions of rows that say "this is a village" would tell nobody anything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.records.outcomes import Outcome
from tasks.films.commit import PRESENT, Known, known_pages, listed_items, other_page
from tasks.films.dump.reader import ExportedPage, read_export
from tasks.films.models import Page
from tasks.films.parsing.article import looks_like_film

PAGES_PER_BATCH = 500
"""About 8 MB of text, which parses in well under a second: the time goes into reading the dump."""
OTHERS_LISTED = 10_000
"""Pages without a mark of a film that leave an outcome of their own; beyond these they are only counted."""


@dataclass(frozen=True)
class ExportBatch:
    """Pages to read and commit, outcomes of pages that need no reading, and where in the file the batch ended."""

    pages: tuple[Page, ...]
    others: tuple[Outcome, ...]
    unchanged: int
    others_unchanged: int
    others_unlisted: int
    position_bytes: int

    @property
    def counts(self) -> dict[str, int]:
        """How many pages needed nothing."""
        return {
            "unchanged": self.unchanged,
            "others_unchanged": self.others_unchanged,
            "others_unlisted": self.others_unlisted,
        }


def new_pages(lake: Lake, export: str | Path, *, limit: int | None = None) -> Iterator[ExportBatch]:
    """The batches of an export that the lake lacks; `limit` bounds the pages that are read and committed.

    Raises `InputError` if the file is no whole export, or holds no film.
    """
    known, listed = known_pages(lake), listed_items(lake)
    sifting = _Sifting(known, listed)
    films = 0
    for batch in sifting.batches(read_export(export), limit):
        films += len(batch.pages) + batch.unchanged
        yield batch
    if films == 0:
        raise InputError(f"{export} holds no film; give an export of pages with a film infobox or a category of films")


class _Sifting:
    """Sorts the pages of an export into batches."""

    def __init__(self, known: dict[str, Known], listed: set[str]) -> None:
        self._known = known
        self._listed = listed
        self._listed_now = 0

    def batches(self, exported: Iterable[ExportedPage], limit: int | None) -> Iterator[ExportBatch]:
        pages: list[Page] = []
        others: list[Outcome] = []
        counts: Counter[str] = Counter()
        taken = position = 0
        for item in exported:
            position = item.position_bytes
            kind = self._kind(item)
            if kind == "new" and (limit is None or taken < limit):
                taken += 1
                pages.append(item.page)
            elif kind == "other" and self._may_list():
                others.append(other_page(item.page, item.is_redirect))
            elif kind != "new":
                counts[kind] += 1
            if len(pages) >= PAGES_PER_BATCH or len(others) >= OTHERS_LISTED:
                yield _batch(pages, others, counts, position)
                pages, others, counts = [], [], Counter()
        yield _batch(pages, others, counts, position)

    def _kind(self, item: ExportedPage) -> str:
        """`unchanged`, `new` (to be read) or `other`. A page that once was a film is read whatever it says now."""
        known = self._known.get(item.page.film_id)
        if known is not None:
            newer = item.page.revision_id > known.revision_id
            return "new" if newer or known.state != PRESENT else "unchanged"
        if not item.is_redirect and looks_like_film(item.page.wikitext):
            return "new"
        return "unchanged_other" if item.page.film_id in self._listed else "other"

    def _may_list(self) -> bool:
        self._listed_now += 1
        return self._listed_now <= OTHERS_LISTED


def _batch(pages: list[Page], others: list[Outcome], counts: Counter[str], position_bytes: int) -> ExportBatch:
    idle = (counts["unchanged"], counts["unchanged_other"], counts["other"])
    return ExportBatch(tuple(pages), tuple(others), *idle, position_bytes)


def export_size_bytes(export: str | Path) -> int:
    """The size of the stored file, for a progress bar; 0 if there is none."""
    file = Path(export).expanduser()
    return file.stat().st_size if file.is_file() else 0
