"""Where the real articles, dumps and pictures stand beside a checkout, and small exports made on the spot."""

from __future__ import annotations

import bz2
import gzip
from collections.abc import Callable
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

DATA = Path(__file__).parents[4] / "shared" / "data"

FILM = "{{Infobox film\n| image = %s.jpg\n}}\n==Plot==\nSomebody goes away, and nobody comes.\n[[Category:2020 films]]"


def _folder(name: str) -> Path:
    if not (DATA / name).is_dir():
        pytest.skip(f"real data is not at hand: no ../shared/data/{name}")
    return DATA / name


@pytest.fixture(scope="session")
def real_articles() -> dict[str, str]:
    """Wikitext of real articles by path; their file names have _ for what a file name cannot hold."""
    folder = _folder("wikitext")
    return {str(p.relative_to(folder)): p.read_text(encoding="utf-8") for p in sorted(folder.rglob("*.wikitext"))}


@pytest.fixture(scope="session")
def real_dumps() -> Path:
    return _folder("dumps")


@pytest.fixture(scope="session")
def real_pictures() -> list[Path]:
    return sorted(p for p in _folder("images").rglob("*") if p.is_file())


def page_xml(page_id: int, title: str, text: str, *, revision: int = 0, redirect: str = "", ns: int = 0) -> str:
    told = f'<redirect title="{escape(redirect)}"/>' if redirect else ""
    return (
        f"<page><title>{escape(title)}</title><ns>{ns}</ns><id>{page_id}</id>{told}<revision>"
        f"<id>{revision or page_id * 10}</id><timestamp>2024-05-06T07:08:09Z</timestamp>"
        f'<text xml:space="preserve">{escape(text)}</text></revision></page>'
    )


def export_xml(*pages: str, version: str = "0.11", base: str = "https://en.wikipedia.org/wiki/Main_Page") -> str:
    return (
        f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-{version}/" version="{version}"><siteinfo>'
        f"<dbname>enwiki</dbname><base>{base}</base></siteinfo>{''.join(pages)}</mediawiki>"
    )


@pytest.fixture
def write_export(tmp_path: Path) -> Callable[..., Path]:
    """Write an export of (title, text) films, or of pages as XML; the suffix says how it is compressed."""

    def write(*films: str, name: str = "films.xml", pages: list[str] | None = None, version: str = "0.11") -> Path:
        texts = [page_xml(i, title, FILM % title) for i, title in enumerate(films, 1)]
        data = export_xml(*texts, *(pages or []), version=version).encode()
        pack = {".bz2": bz2.compress, ".gz": gzip.compress}.get(Path(name).suffix, bytes)
        (tmp_path / name).write_bytes(pack(data))
        return tmp_path / name

    return write


@pytest.fixture
def page_of() -> Callable[..., str]:
    return page_xml
