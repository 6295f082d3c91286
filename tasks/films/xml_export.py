"""Read a MediaWiki XML export or dump, and find its pages that are new or newer than those in the lake, in batches.

The file may be plain, gzip or bzip2 (also the multi-stream bzip2 of Wikipedia's dumps), of any version of the
export schema, with one revision per page or the whole history (the newest is used). It is streamed, so memory holds one
batch whatever its size. It is untrusted input, so XML entities are refused.

Pages that look like no film are not stored; each has an outcome, but of the dump of a whole wiki only the first ten
thousand: millions of rows about other articles would be of no use.
"""

from __future__ import annotations

import bz2
import gzip
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import iterparse

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.records.outcomes import Outcome
from tasks.films.commit import outcome_of_other_page
from tasks.films.parsing.article import looks_like_film
from tasks.films.stored_pages import PRESENT, StoredPage, items_with_outcome, stored_pages
from tasks.films.wiki.site_and_pages import Page, page_url, text_licence, wiki_name

PAGES_PER_BATCH = 500
"""About 8 MB of text, which is parsed in well under a second: reading the dump takes most of the time."""
MAX_OTHER_OUTCOMES = 10_000
"""Pages that look like no film and have an outcome; further ones are only counted."""
_GZIP_MAGIC = b"\x1f\x8b"
_BZIP2_MAGIC = b"BZh"
ARTICLE_NAMESPACE = "0"


@dataclass(frozen=True)
class ExportSite:
    """The wiki that an export was taken from."""

    wiki: str
    base_url: str


@dataclass(frozen=True)
class ExportedPage:
    """A page of the article namespace, and its position in the compressed file."""

    page: Page
    is_redirect: bool
    position_bytes: int


def read_export(path: str | Path) -> Iterator[ExportedPage]:
    """Yield every page of the article namespace in the file's order.

    Raises `InputError` for a file that is missing, no export, truncated, or that declares entities.
    """
    file = existing_export(path)
    try:
        with file.open("rb") as raw, _decompressed(raw) as stream:
            yield from _pages(stream, f"export:{file.name}", raw.tell, file)
    except (EOFError, zlib.error) as error:
        raise InputError(f"{file} is truncated; download the export again") from error
    except DefusedXmlException as error:
        raise InputError(
            f"{file} declares XML entities, which no MediaWiki export does; use a genuine export"
        ) from error
    except (ParseError, gzip.BadGzipFile, UnicodeDecodeError, LookupError) as error:
        raise InputError(_parse_message(file, error)) from error
    except OSError as error:
        raise InputError(
            f"{file} cannot be read ({error.strerror or error}); check the file or download it again"
        ) from error


def existing_export(path: str | Path) -> Path:
    """Return the path of an export. Raises `InputError` if there is no such file."""
    file = Path(path).expanduser()
    if not file.is_file():
        raise InputError(f"There is no export at {file}; give a MediaWiki XML export (.xml, .xml.gz or .xml.bz2)")
    return file


def _decompressed(raw: IO[bytes]) -> Any:
    """Return a stream of the decompressed file; its first bytes show the compression."""
    magic = raw.read(3)
    raw.seek(0)
    if magic.startswith(_GZIP_MAGIC):
        return gzip.open(raw)
    if magic == _BZIP2_MAGIC:
        return bz2.open(raw)
    return raw


def _parse_message(file: Path, error: Exception) -> str:
    """Return the message about a file that cannot be parsed: truncated inside an element, or no XML at all."""
    if "no element found" in str(error) or "unclosed token" in str(error):
        if file.stat().st_size == 0:
            return f"{file} is empty; download the export again"
        return f"{file} is truncated ({error}); download the export again"
    return f"{file} is not a MediaWiki XML export ({error}); give an .xml, .xml.gz or .xml.bz2 file"


def _pages(stream: IO[bytes], source: str, tell: Callable[[], int], file: Path) -> Iterator[ExportedPage]:
    site = ExportSite(wiki_name(None, ""), "")
    root: Element | None = None
    parents: list[Element] = []
    newest: Element | None = None
    for event, element in iterparse(stream, events=("start", "end"), forbid_dtd=False):
        name = _local(element.tag)
        if event == "start":
            if root is None:
                root = element
                if name != "mediawiki":
                    raise InputError(
                        f"{file} is XML but not a MediaWiki export (its root is <{name}>); export the pages again"
                    )
            parents.append(element)
            continue
        parents.pop()
        if name == "siteinfo":
            site = _site(element)
        elif name == "revision":
            newest = _newer(newest, element)
        elif name == "page":
            if newest is not None and _text(element, "ns", ARTICLE_NAMESPACE) == ARTICLE_NAMESPACE:
                exported = _exported(element, newest, site, source, tell())
                if exported is not None:
                    yield exported
            newest = None
            element.clear()
            parents[-1].remove(element)


def _newer(newest: Element | None, revision: Element) -> Element:
    """Return the newer of two revisions and free the memory of the other."""
    if newest is None:
        return revision
    older, newer = sorted((newest, revision), key=lambda element: _number(element, "id"))
    older.clear()
    return newer


def _exported(
    page: Element, revision: Element, site: ExportSite, source: str, position_bytes: int
) -> ExportedPage | None:
    """Return the page, or None for one without an id or a title, which no wiki writes."""
    page_id, title = _number(page, "id"), _text(page, "title")
    if page_id <= 0 or not title:
        return None
    record = Page(
        wiki=site.wiki,
        page_id=page_id,
        revision_id=_number(revision, "id"),
        revision_time=_time(_text(revision, "timestamp")),
        title=title,
        url=page_url(site.base_url, title),
        wikitext=_text(revision, "text"),
        source=source,
        licence=text_licence(site.base_url),
    )
    return ExportedPage(record, any(_local(child.tag) == "redirect" for child in page), position_bytes)


def _site(element: Element) -> ExportSite:
    base_url = _text(element, "base")
    return ExportSite(wiki_name(_text(element, "dbname"), base_url), base_url)


def _local(tag: str) -> str:
    """Return a tag without its XML namespace, which has the schema version and differs between exports."""
    return tag.rsplit("}", 1)[-1]


def _text(parent: Element, name: str, default: str = "") -> str:
    for child in parent:
        if _local(child.tag) == name:
            return child.text or default
    return default


def _number(parent: Element, name: str) -> int:
    digits = _text(parent, name).strip()
    return int(digits) if digits.isdecimal() else 0


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        return None


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
