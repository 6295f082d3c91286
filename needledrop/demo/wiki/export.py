"""Write pages as a MediaWiki XML export, version 0.11."""

from __future__ import annotations

import bz2
import hashlib
import html
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" \
xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:schemaLocation="http://www.mediawiki.org/xml/export-0.11/ http://www.mediawiki.org/xml/export-0.11.xsd" \
version="0.11" xml:lang="en">
  <siteinfo>
    <sitename>Needledrop sample</sitename>
    <dbname>samplewiki</dbname>
    <base>https://sample.invalid/wiki/Main_Page</base>
    <generator>needledrop</generator>
    <case>first-letter</case>
    <namespaces>
      <namespace key="0" case="first-letter" />
      <namespace key="1" case="first-letter">Talk</namespace>
      <namespace key="10" case="first-letter">Template</namespace>
      <namespace key="14" case="first-letter">Category</namespace>
    </namespaces>
  </siteinfo>
"""


@dataclass(frozen=True)
class Page:
    """One page of the export."""

    page_id: int
    title: str
    text: str
    namespace: int = 0
    redirect: str | None = None


def write_export(path: Path, pages: Iterable[Page]) -> None:
    """Write pages as a compressed export; the same pages give the same bytes."""
    body = "".join(_page_xml(page) for page in sorted(pages, key=lambda page: page.page_id))
    path.write_bytes(bz2.compress(f"{HEAD}{body}</mediawiki>\n".encode()))


def _page_xml(page: Page) -> str:
    data = page.text.encode()
    number = int(hashlib.sha256(data).hexdigest()[:7], 16)
    redirect = f'    <redirect title="{html.escape(page.redirect)}" />\n' if page.redirect else ""
    return (
        f"  <page>\n    <title>{html.escape(page.title, quote=False)}</title>\n    <ns>{page.namespace}</ns>\n"
        f"    <id>{page.page_id}</id>\n{redirect}    <revision>\n      <id>{900_000_000 + number}</id>\n"
        "      <timestamp>2025-01-05T12:00:00Z</timestamp>\n"
        "      <contributor>\n        <username>Needledrop</username>\n        <id>1</id>\n      </contributor>\n"
        "      <model>wikitext</model>\n      <format>text/x-wiki</format>\n"
        f'      <text bytes="{len(data)}" xml:space="preserve">{html.escape(page.text, quote=False)}</text>\n'
        "    </revision>\n  </page>\n"
    )
