"""The report's films: where the shown system does best and worst, with the tracks it suggests for them."""

from __future__ import annotations

from html import escape

from needledrop.report.data import Report
from needledrop.report.film_data import Film
from needledrop.report.rows import Row
from needledrop.report.table import rank_number


def films_section(report: Report) -> str:
    """The films with the best and the worst median rank of their own tracks."""
    if not report.best:
        return ""
    intro = (
        "<p>Films by the median rank of their own tracks, with the first tracks of their list. "
        '<span class="tick" aria-hidden="true">✓</span> marks a track of the film itself.</p>'
    )
    return intro + _list("Best", report.best) + _list("Worst", report.worst)


def _list(title: str, films: tuple[Film, ...]) -> str:
    return f'<h3>{title}</h3><ul class="films">{"".join(_film(film) for film in films)}</ul>'


def _film(film: Film) -> str:
    title = escape(film.title)
    if film.url and film.url.startswith(("https://", "http://")):
        title = f'<a href="{escape(film.url, quote=True)}" rel="noreferrer">{title}</a>'
    year = f" ({film.year})" if film.year else ""
    tracks = "1 track" if film.tracks == 1 else f"{film.tracks} tracks"
    facts = f"{tracks}, median rank {rank_number(film.median_rank)}, best {rank_number(film.best_rank)}"
    suggestions = "".join(_suggestion(track) for track in film.suggestions)
    return f'<li><h4>{title}{year}</h4><div class="soft">{facts}</div>' + (
        f"<ol>{suggestions}</ol></li>" if suggestions else "</li>"
    )


def _suggestion(track: Row) -> str:
    artist = f" – {escape(track['artist'])}" if track["artist"] else ""
    if track["own"]:
        tick = '<span class="tick" title="of this film">✓</span>'
        return f'<li class="own">{escape(track["title"])}{artist}&nbsp;{tick}</li>'
    film = f' <span class="soft">from {escape(track["of_film"])}</span>' if track["of_film"] else ""
    return f"<li>{escape(track['title'])}{artist}{film}</li>"
