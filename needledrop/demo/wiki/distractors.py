"""Write the pages that are not usable films, each to be excluded for another reason: real exports are full of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from needledrop.demo.films import Film
from needledrop.demo.wiki.export import Page, film_page

PLOTLESS: tuple[tuple[str, int, str], ...] = (
    ("The Unfinished Reel", 2015, ""),
    ("Ask Me on Thursday", 2018, "== Plot ==\n{{Empty section|date=March 2019}}\n\n"),
    ("Who Ate the Projector?", 2021, "== Plot ==\n<!-- somebody who has seen it, please write this -->\n\n"),
    ("Curtain, Please", 2023, "== Plot ==\n\n"),
)
"""Films without a plot: (title, year, what replaces the section)."""

WITHOUT_POSTER = 7
"""The index of the film whose infobox names no image."""


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
