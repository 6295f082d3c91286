"""The report as one HTML page: its headline and the order of its sections. Loads nothing from anywhere.

Titles come from outside sources, so all text is escaped, and links are written only if they are http(s).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from needledrop.report.best_and_worst_films import BestAndWorst, best_and_worst_films, films_section
from needledrop.report.report_queries import Report, query_report
from needledrop.report.result_tables import (
    by_film_section,
    differences_section,
    number,
    pairs_section,
    rank_number,
    runs_section,
    slices_section,
    table_section,
)
from needledrop.report.svg_charts import curves_section, histograms_section, training_section
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics, refresh_views

_CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
"""The browser loads nothing."""


def write_report(lake: Lake, version: str | None, path: Path) -> Report:
    """Write the page of a version (by default the one evaluated last) and return its numbers.

    Raises `InputError` when no finished run has been evaluated, `OSError` when the file cannot be written.
    """
    refresh_views(lake)
    with connect_metrics(lake) as connection:
        report = query_report(connection, version)
        films = best_and_worst_films(connection, lake, report.shown.runs[0], report.policy)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html_page(report, films), encoding="utf-8")
    return report


def html_page(report: Report, films: BestAndWorst) -> str:
    """Return the complete page; a section without content is left out."""
    sections = [
        ("table", "Results next to the paper's", table_section(report)),
        ("byfilm", "Film by film", by_film_section(report)),
        ("recall", "Recall against chance and ceiling", curves_section(report)),
        ("ranks", "Distribution of the ranks", histograms_section(report)),
        ("differences", "Differences between systems", differences_section(report)),
        ("training", "Training", training_section(report)),
        ("slices", f"{report.shown.label} by kind of film", slices_section(report)),
        ("films", f"Best and worst films of {report.shown.label}", films_section(films)),
        ("pairs", "Are the pairs right?", pairs_section(report)),
        ("runs", "Runs and method", runs_section(report)),
    ]
    sections = [(name, title, body) for name, title, body in sections if body]
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            _head(f"Needledrop: {report.version}"),
            "<body>",
            "<header>",
            "<h1>Retrieval of music for films</h1>",
            _subtitle(report),
            _navigation((name, title) for name, title, _ in sections),
            "</header>",
            "<main>",
            headline(report),
            *(f'<section id="{name}"><h2>{escape(title)}</h2>\n{body}\n</section>' for name, title, body in sections),
            "</main>",
            "</body>",
            "</html>\n",
        ]
    )


def _head(title: str) -> str:
    style = files("needledrop.report").joinpath("style.css").read_text(encoding="utf-8")
    return (
        '<head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_CONTENT_SECURITY_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head>"
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


def headline(report: Report) -> str:
    """Write a summary sentence and four figures."""
    shown, chance = report.shown, report.chance
    row = shown.row
    times = row["r_at_10"] / chance["r_at_10"]
    side = "above" if times > 1 else "below"
    sentence = (
        f"{shown.label} puts {number(row['r_at_10'], 1)} % of the test tracks among the first ten for their film, "
        f"{number(times, 1)} times the {number(chance['r_at_10'], 1)} % of chance"
    )
    interval = shown.intervals.get("r_at_10")
    if interval:
        clearly = "clearly " if not interval[0] <= chance["r_at_10"] <= interval[1] else "not clearly "
        sentence += f": {clearly}{side} it."
    else:
        sentence += "."
    boxes = [
        ("R@10", f"{number(row['r_at_10'], 1)} %", _span(interval, " %", 1)),
        ("Median rank", rank_number(row["medr"]), _span(shown.intervals.get("medr"), "", 1)),
        ("R@10 by chance", f"{number(chance['r_at_10'], 1)} %", f"median rank {rank_number(chance['medr'])}"),
        ("R@10 at best", f"{number(report.ceiling['r_at_10'], 1)} %", "all tracks of a film compete in one ranking"),
    ]
    figures = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>"
        for name, value, note in boxes
    )
    return f'<p>{escape(sentence)}</p><dl class="figures">{figures}</dl>'


def _span(interval: tuple[float, float] | None, unit: str, digits: int) -> str:
    if interval is None:
        return ""
    return f"95 %: {number(interval[0], digits)} to {number(interval[1], digits)}{unit}"
