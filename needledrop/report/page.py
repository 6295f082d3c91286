"""The report as one HTML page: every number from `data`, every picture from `charts`, nothing from elsewhere.

Titles come from the outside world, so all text is escaped; links are kept only if they are http(s).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from needledrop.report.data import Report, gather
from needledrop.report.films import films_section
from needledrop.report.sections import (
    curves_section,
    differences_section,
    histograms_section,
    runs_section,
    slices_section,
    training_section,
)
from needledrop.report.style import STYLE
from needledrop.report.table import by_film_section, headline, table_section
from storage.lake.lake import Lake

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""Told to the browser: load nothing, from nowhere."""


def write_report(lake: Lake, version: str | None, path: Path) -> Report:
    """Write the page of a version (by default the one measured last) and return what it shows.

    Raises `InputError` when no finished run has been measured, `OSError` when the file cannot be written.
    """
    report = gather(lake, version)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page(report), encoding="utf-8")
    return report


def page(report: Report) -> str:
    """The whole page."""
    sections = [
        ("table", "The table, beside the paper's", table_section(report)),
        ("byfilm", "Film by film", by_film_section(report)),
        ("recall", "Recall against chance and ceiling", curves_section(report)),
        ("ranks", "Where the right tracks stand", histograms_section(report)),
        ("differences", "Which differences are real", differences_section(report)),
        ("training", "Training", training_section(report)),
        ("slices", f"{report.shown.label} by kind of film", slices_section(report)),
        ("films", f"Best and worst films of {report.shown.label}", films_section(report)),
        ("runs", "Runs and method", runs_section(report)),
    ]
    shown = [(name, title, body) for name, title, body in sections if body]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            _head(f"Needledrop: {report.version}"),
            "<body>",
            "<header>",
            "<h1>Music for films, retrieved</h1>",
            _subtitle(report),
            _navigation((name, title) for name, title, _ in shown),
            "</header>",
            "<main>",
            headline(report),
            *(f'<section id="{name}"><h2>{escape(title)}</h2>\n{body}\n</section>' for name, title, body in shown),
            "</main>",
            "</body>",
            "</html>\n",
        ]
    )


def _head(title: str) -> str:
    return (
        '<head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
    )


def _subtitle(report: Report) -> str:
    splits = [f"{report.counts[name]:,} {words}" for name, words in _SPLITS if name in report.counts]
    finished = max(
        (str(run["finished_at"])[:10] for s in report.systems for run in s.runs if run["finished_at"]), default=""
    )
    parts: Sequence[str] = [
        f"Data set {report.version}" + (f" ({', '.join(splits)} films)" if splits else ""),
        f"{report.films:,} test films ranked against {report.tracks:,} tracks",
        *([f"last run finished {finished}"] if finished else []),
    ]
    return f'<p class="soft">{escape(" · ".join(parts))}</p>'


_SPLITS = (("train", "training"), ("valid", "validation"), ("test", "test"))


def _navigation(entries: Iterable[tuple[str, str]]) -> str:
    links = "".join(f'<li><a href="#{name}">{escape(title)}</a></li>' for name, title in entries)
    return f'<nav aria-label="Sections"><ul>{links}</ul></nav>'
