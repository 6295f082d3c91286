"""The films as a MediaWiki XML export, version 0.11, with the habits of real articles and a few traps.

The wikitext carries what makes real articles hard: templates in sentences, references, comments, links,
sub-sections, italics, categories that are not about films. Every page that is no film of the list, or
a film that cannot be used, is in `stray_pages`, with the reason for which it should be dropped.
"""

from __future__ import annotations

import bz2
import hashlib
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from needledrop.demo.films import Film
from needledrop.demo.rng import stream
from needledrop.demo.wiki.wikitext import categories, infobox, plot_section

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


def film_page(film: Film, films: Sequence[Film]) -> Page:
    """The article of one film."""
    rng = stream(film.seed, "article")
    country = film.country
    lead = (
        f"'''''{film.title}''''' is a {film.year} [[Cinema of {country.name}|{country.demonym}]] "
        f"[[{film.genre} film]] directed by [[{film.director}]] and starring [[{film.cast[0][0]}]], "
        f"[[{film.cast[1][0]}]] and {film.cast[2][0]}. The music is by [[{film.composer}]]."
    )
    other = rng.choice(films)
    score = rng.randint(12, 98)
    reception = (
        f"The critics were divided. ''The {film.town} Gazette'' called it "
        f'"{rng.choice(PRAISE)}",<ref>{{{{cite news |title=At the pictures |work=The {film.town} Gazette '
        f"|date={film.day} {MONTHS[film.month - 1]} {film.year}}}}}</ref> and {score} viewers of a hundred preferred "
        f"''[[{other.title}]]''."
    )
    roles = "\n".join(f"* [[{actor}]] as {role}" for actor, role in film.cast)
    text = "\n\n".join(
        (
            f"{{{{Short description|{film.year} film by {film.director}}}}}\n{infobox(film)}\n{lead}",
            plot_section(rng, film),
            f"== Cast ==\n{roles}",
            f"== Reception ==\n{reception}",
            "== References ==\n{{Reflist}}",
            "\n".join(f"[[Category:{name}]]" for name in categories(rng, film)),
        )
    )
    return Page(film.page_id, film.title, text + "\n")


PRAISE: tuple[str, ...] = (
    "longer than a winter, and warmer",
    "a film one leaves humming",
    "the best thing to come out of a projector since the projector",
    "not without its herring",
    "a small miracle with a large hat",
    "two hours that pass like three",
    "a picture for everyone who has ever waited for a ferry",
    "sensible shoes on a tightrope",
)
MONTHS: tuple[str, ...] = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


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
