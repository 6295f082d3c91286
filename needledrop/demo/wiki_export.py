"""Write the articles of the invented films in wikitext, and all pages as a MediaWiki XML export, version 0.11.

The wikitext has what makes real articles hard to parse: templates in sentences, references, comments,
links, sub-sections, italics, categories that are not about films. Among them are distractors: pages that are not
usable films, each excluded for another reason.
"""

from __future__ import annotations

import bz2
import hashlib
import html
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from needledrop.demo.films import Film
from needledrop.demo.words.loader import ARTICLES

PLOTLESS: tuple[tuple[str, int, str], ...] = (
    ("The Unfinished Reel", 2015, ""),
    ("Ask Me on Thursday", 2018, "== Plot ==\n{{Empty section|date=March 2019}}\n\n"),
    ("Who Ate the Projector?", 2021, "== Plot ==\n<!-- somebody who has seen it, please write this -->\n\n"),
    ("Curtain, Please", 2023, "== Plot ==\n\n"),
)
"""Films without a plot: (title, year, what replaces the section)."""
WITHOUT_POSTER = 7
"""The index of the film whose infobox names no image."""
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


def film_page(film: Film, films: Sequence[Film]) -> Page:
    """Return the article of one film."""
    rng = film.random_stream("article")
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
        f'"{rng.choice(ARTICLES.praise)}",<ref>{{{{cite news |title=At the pictures |work=The {film.town} Gazette '
        f"|date={film.day} {ARTICLES.months[film.month - 1]} {film.year}}}}}</ref> and {score} viewers of a hundred "
        f"preferred ''[[{other.title}]]''."
    )
    roles = "\n".join(f"* [[{actor}]] as {role}" for actor, role in film.cast)
    text = "\n\n".join(
        (
            f"{{{{Short description|{film.year} film by {film.director}}}}}\n{_infobox(film)}\n{lead}",
            _plot_section(rng, film),
            f"== Cast ==\n{roles}",
            f"== Reception ==\n{reception}",
            "== References ==\n{{Reflist}}",
            "\n".join(f"[[Category:{name}]]" for name in _categories(rng, film)),
        )
    )
    return Page(film.page_id, film.title, text + "\n")


def _infobox(film: Film) -> str:
    """Return `{{Infobox film}}` as articles have it, one name per line."""
    starring = "\n".join(f"* [[{actor}]]" for actor, _ in film.cast)
    return (
        "{{Infobox film\n"
        f"| name           = {film.title}\n"
        f"| image          = {film.poster}\n"
        "| caption        = Theatrical release poster\n"
        f"| director       = [[{film.director}]]\n"
        f"| starring       = {{{{plainlist|\n{starring}\n}}}}\n"
        f"| music          = [[{film.composer}]]\n"
        f"| released       = {{{{Film date|df=y|{film.year}|{film.month:02}|{film.day:02}}}}}\n"
        f"| runtime        = {film.runtime_minutes} minutes\n"
        f"| country        = {film.country.name.removeprefix('the ')}\n"
        f"| language       = {film.country.language}\n"
        "}}"
    )


def _plot_section(rng: random.Random, film: Film) -> str:
    """Return the plot as a section, its paragraphs with links, references, templates, comments and italics."""
    paragraphs = [_marked_up(rng, film, paragraph) for paragraph in film.plot]
    if len(paragraphs) > 2 and rng.random() < 0.25:
        paragraphs[0] = f"=== {rng.choice(('First reel', 'Part one', 'The arrival'))} ===\n{paragraphs[0]}"
        paragraphs[2] = f"=== {rng.choice(('Second reel', 'Part two', 'The reckoning'))} ===\n{paragraphs[2]}"
    level = rng.choice(("==Plot==", "== Plot ==", "== Plot =="))
    return f"{level}\n" + "\n\n".join(paragraphs)


def _marked_up(rng: random.Random, film: Film, paragraph: str) -> str:
    """Return a paragraph with three kinds of markup, chosen at random."""
    trade = re.sub(r"^an? ", "", film.setting.work)
    markups = (
        (film.setting.work, film.setting.work.replace(trade, f"[[{trade}]]")),
        (film.setting.thing, f"''{film.setting.thing}''"),
        (film.town, f"{{{{nowrap|{film.town}}}}}"),
        (film.town, f"[[{film.town}, {film.country.name}|{film.town}]]"),
        (". ", ".<!-- please keep this short -->  "),
        (
            ". ",
            f'.<ref name="reel{rng.randint(1, 9)}">{{{{cite web |title=Reel notes |publisher=Film office}}}}</ref> ',
        ),
        ("the film", "the [[film]]"),
        (film.cast[1][1], f"'''{film.cast[1][1]}'''"),
        (film.cast[2][1], f"{{{{lang|und|{film.cast[2][1]}}}}}"),
    )
    for plain, marked in rng.sample(markups, 3):
        paragraph = paragraph.replace(plain, marked, 1)
    return paragraph


def _categories(rng: random.Random, film: Film) -> list[str]:
    """Return the categories of the article: year, genre, language, places, themes, and some not about films."""
    country, setting = film.country, film.setting
    names = [
        f"{film.year} films",
        f"{film.year} {film.genre} films",
        f"{country.language}-language films",
        f"{country.demonym} {film.genre} films",
        setting.tag,
        f"Films directed by {film.director}",
        f"Films scored by {film.composer}",
        f"Films set in {country.name}",
    ]
    if rng.random() < 0.6:
        names.append(rng.choice(film.main.tags))
    if rng.random() < 0.2:
        names.append(rng.choice(film.second.tags))
    if rng.random() < 0.15:
        names.append(f"Films shot in {film.town}")
    if rng.random() < 0.1:
        names.append(
            f"{rng.choice(('Lost', 'Black-and-white', 'Silent', 'Colourised', 'Unsubtitled'))} {country.demonym} films"
        )
    rng.shuffle(names)
    return [*names, f"{country.demonym} cinema", "Articles with short description", f"Culture of {film.town}"]


def distractor_pages(films: Sequence[Film]) -> list[Page]:
    """Return every page of the export that is not a film's article, with the reason for its exclusion in a comment."""
    first, last = films[0], films[-1]
    spare = 100 + max(film.page_id for film in films)
    pages = [*_plotless(films, spare), _without_year(films[1], spare + 20)]  # no_plot, no_year
    pages += [
        Page(spare + 30, f"{first.title} (film)", f"#REDIRECT [[{first.title}]]\n", redirect=first.title),  # redirect
        Page(spare + 31, first.composer, _person(first)),  # not_a_film
        Page(spare + 32, "Night Shift at Pell", _series(last)),  # not_a_film, although it has a plot and "… films"
        Page(spare + 33, f"List of {first.country.demonym} films of {first.year}", _list(films, first)),  # not_a_film
        Page(spare + 34, f"{last.title} (disambiguation)", _disambiguation(last)),  # not_a_film
        Page(spare + 35, f"Talk:{first.title}", "Has anybody seen it to the end?\n", namespace=1),
        Page(spare + 36, "Template:Film date", "{{{1}}}-{{{2}}}-{{{3}}}\n", namespace=10),
        Page(spare + 37, f"Category:{first.year} films", "[[Category:Films by year]]\n", namespace=14),
    ]
    return pages


def article(film: Film, films: Sequence[Film]) -> Page:
    """Return the article of a film; that of one film names no poster."""
    page = film_page(film, films)
    if film is films[WITHOUT_POSTER]:
        return replace(page, text=page.text.replace(f"| image          = {film.poster}", "| image          = "))
    return page


def plotless_films(films: Sequence[Film]) -> list[Film]:
    """Return the films that have everything but a plot."""
    spare = 100 + max(film.page_id for film in films)
    return [
        replace(
            films[number % len(films)],
            page_id=spare + number,
            title=title,
            year=year,
            plot=(),
            seed=f"plotless/{title}",
        )
        for number, (title, year, _) in enumerate(PLOTLESS)
    ]


def _plotless(films: Sequence[Film], spare: int) -> list[Page]:
    pages = []
    for film, (_, _, replacement) in zip(plotless_films(films), PLOTLESS, strict=True):
        page = film_page(film, films)
        pages.append(replace(page, text=re.sub(r"==\s?Plot\s?==\n.*?(?=== Cast)", replacement, page.text, flags=re.S)))
    return pages


def _without_year(film: Film, page_id: int) -> Page:
    """Return an announced film: no year in its categories, and {{TBA}} for a date."""
    page = film_page(replace(film, page_id=page_id, title="Tomorrow, Perhaps", seed="announced"), [film])
    text = re.sub(r"\{\{Film date[^}]*\}\}", "{{TBA}}", page.text)
    text = re.sub(rf"\[\[Category:{film.year} [^\]]*\]\]\n?", "", text)
    return replace(page, text=text.replace(f"{film.year} ", "forthcoming ").replace(f" {film.year}", " forthcoming"))


def _person(film: Film) -> str:
    return (
        f"{{{{Infobox person\n| name = {film.composer}\n| occupation = Composer\n}}}}\n'''{film.composer}''' is the "
        f"{film.country.demonym} composer of [[film score]]s, among them ''[[{film.title}]]''.\n\n"
        f"[[Category:{film.country.demonym} film score composers]]\n[[Category:Living people]]\n"
    )


def _series(film: Film) -> str:
    return (
        "{{Infobox television\n| name = Night Shift at Pell\n| first_aired = {{Start date|2019|10|4}}\n}}\n"
        "'''''Night Shift at Pell''''' is a television series about a hospital with one patient.\n\n== Plot ==\n"
        f"Over six episodes the patient gets better, and the staff worse. {film.cast[0][1]} haunts the car park.\n\n"
        "[[Category:2019 television series debuts]]\n[[Category:Television series based on films]]\n"
    )


def _list(films: Sequence[Film], first: Film) -> str:
    rows = "\n".join(f"* ''[[{film.title}]]''" for film in films if film.year == first.year)
    return f"A list of films released in {first.year}.\n\n{rows}\n\n[[Category:Lists of {first.year} films]]\n"


def _disambiguation(film: Film) -> str:
    return f"'''{film.title}''' may refer to:\n\n* ''[[{film.title}]]'', a film\n* a boat\n\n{{{{Disambiguation}}}}\n"


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
