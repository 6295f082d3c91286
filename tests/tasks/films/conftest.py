"""Small exports, the folders of real articles, exports and images, and an edge of the network without a socket."""

from __future__ import annotations

import bz2
import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse

FILM = "{{Infobox film\n| image = %s.jpg\n}}\n==Plot==\nSomebody goes away, and nobody comes.\n[[Category:2020 films]]"


@pytest.fixture(scope="session")
def real_articles(test_data: Callable[[str], Path]) -> dict[str, str]:
    """Return the wikitext of real articles by path; a file name has _ for each character that it cannot hold."""
    folder = test_data("wikitext")
    return {str(p.relative_to(folder)): p.read_text(encoding="utf-8") for p in sorted(folder.rglob("*.wikitext"))}


@pytest.fixture(scope="session")
def real_dumps(test_data: Callable[[str], Path]) -> Path:
    """Return the folder of real exports."""
    return test_data("dumps")


@pytest.fixture(scope="session")
def real_images(test_data: Callable[[str], Path]) -> list[Path]:
    """Return the paths of real images, some of them broken."""
    return sorted(path for path in test_data("images").rglob("*") if path.is_file())


def page_xml(page_id: int, title: str, text: str, *, revision: int = 0, redirect: str = "", ns: int = 0) -> str:
    """Return one page as XML; `redirect` is the title that it redirects to."""
    target = f'<redirect title="{escape(redirect)}"/>' if redirect else ""
    return (
        f"<page><title>{escape(title)}</title><ns>{ns}</ns><id>{page_id}</id>{target}<revision>"
        f"<id>{revision or page_id * 10}</id><timestamp>2024-05-06T07:08:09Z</timestamp>"
        f'<text xml:space="preserve">{escape(text)}</text></revision></page>'
    )


def export_xml(*pages: str, version: str = "0.11", base: str = "https://en.wikipedia.org/wiki/Main_Page") -> str:
    """Return an export of these pages, in a version of the schema."""
    return (
        f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-{version}/" version="{version}"><siteinfo>'
        f"<dbname>enwiki</dbname><base>{base}</base></siteinfo>{''.join(pages)}</mediawiki>"
    )


@pytest.fixture
def write_export(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes an export of films (titles) and pages (XML), compressed as its suffix says."""

    def write(*films: str, name: str = "films.xml", pages: list[str] | None = None, version: str = "0.11") -> Path:
        texts = [page_xml(i, title, FILM % title) for i, title in enumerate(films, 1)]
        data = export_xml(*texts, *(pages or []), version=version).encode()
        compress = {".bz2": bz2.compress, ".gz": gzip.compress}.get(Path(name).suffix, bytes)
        (tmp_path / name).write_bytes(compress(data))
        return tmp_path / name

    return write


@pytest.fixture
def page_of() -> Callable[..., str]:
    """Return `page_xml`."""
    return page_xml


@dataclass
class Edge:
    """What is answered: bodies in turn (the last one from then on), a status, headers; and what was asked."""

    bodies: list[bytes] = field(default_factory=lambda: [b"{}"])
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    api: str = "http://wiki.example/w/api.php"

    def answer(self, adapter: HTTPAdapter, request: PreparedRequest, **_options: Any) -> Response:
        """Return what a server would have sent, still packed, as a stream."""
        self.asked.append(str(request.url))
        body = self.bodies.pop(0) if len(self.bodies) > 1 else self.bodies[0]
        raw = HTTPResponse(io.BytesIO(body), headers=self.headers, status=self.status, preload_content=False)
        return adapter.build_response(request, raw)


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Edge:
    edge = Edge()

    def send(adapter: HTTPAdapter, request: PreparedRequest, **options: Any) -> Response:
        return edge.answer(adapter, request, **options)

    monkeypatch.setattr(HTTPAdapter, "send", send)
    return edge
