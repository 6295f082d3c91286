"""Draw the charts of a data-set card: films, tags, tracks, durations, and its sheet of mel-spectrograms.

Drawn without a display and without dates, so the same version gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from storage.lake.lake import Lake
from tasks.curation.spectrograms import draw_spectrograms

SPLIT_COLOURS = {"train": "#4477aa", "valid": "#ccbb44", "test": "#ee6677"}
"""Colours that the colour-blind tell apart (Paul Tol's bright scheme)."""
BEFORE, AFTER = "#bbbbbb", "#228833"


def draw_charts(connection: duckdb.DuckDBPyConnection, lake: Lake, folder: Path) -> dict[str, str]:
    """Draw every chart into a folder; return file name -> caption of those that could be drawn."""
    drawn = {}
    for name, (caption, draw) in _CHARTS.items():
        figure = Figure(figsize=(8, 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        draw(connection, figure.subplots())
        figure.savefig(folder / name, dpi=110)
        drawn[name] = caption
    if draw_spectrograms(connection, lake, folder / "mels.png"):
        drawn["mels.png"] = (
            "mel-spectrograms of tracks spread over the version, 9.92 s each, 0 to 11.025 kHz on the mel scale"
        )
    return drawn


def _draw_years(connection: duckdb.DuckDBPyConnection, axes: Axes) -> None:
    for split, colour in SPLIT_COLOURS.items():
        rows = connection.execute(
            "SELECT year, count(*) FROM split_films WHERE split = ? GROUP BY year ORDER BY year", [split]
        ).fetchall()
        axes.bar([year for year, _ in rows], [count for _, count in rows], color=colour, label=split, width=0.9)
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    _label(axes, "release year", "films")


def draw_tags(connection: duckdb.DuckDBPyConnection, axes: Axes) -> None:
    """Draw films per tag in descending order, before and after the rare-tag rule."""
    before = _column(connection, "SELECT films FROM tag_counts ORDER BY films DESC")
    kept = _column(
        connection,
        "SELECT films FROM tag_counts WHERE tag NOT IN (SELECT item FROM exclusions WHERE kind = 'tag') "
        "ORDER BY films DESC",
    )
    axes.fill_between(
        np.arange(1, len(before) + 1), before, 0.8, step="mid", color=BEFORE, label=f"all {len(before):,} tags"
    )
    axes.fill_between(
        np.arange(1, len(kept) + 1),
        kept,
        0.8,
        step="mid",
        color=AFTER,
        label=f"{len(kept):,} kept by the rule for rare tags",
    )
    axes.set(xscale="log", yscale="log", ylim=(0.8, None))
    axes.legend(frameon=False)
    _label(axes, "tag, the most frequent first", "films")


def _draw_tracks(connection: duckdb.DuckDBPyConnection, axes: Axes) -> None:
    counts = _column(connection, "SELECT count(*) FROM tracks GROUP BY film_id")
    highest = int(counts.max(initial=1))
    axes.hist(counts, bins=[count + 0.5 for count in range(highest + 1)], color=SPLIT_COLOURS["train"], rwidth=0.9)
    _label(axes, f"tracks per film (median {np.median(counts):g})", "films")


def _draw_durations(connection: duckdb.DuckDBPyConnection, axes: Axes) -> None:
    minutes = _column(connection, "SELECT duration_seconds / 60 FROM tracks WHERE duration_seconds IS NOT NULL")
    shown = np.minimum(minutes, 15)
    axes.hist(shown, bins=60, color=SPLIT_COLOURS["train"], rwidth=0.9)
    longer = int((minutes > 15).sum())
    _label(axes, f"minutes per track (median {np.median(minutes):.1f}, {longer} longer than 15)", "tracks")


_CHARTS: dict[str, tuple[str, Callable[[duckdb.DuckDBPyConnection, Axes], None]]] = {
    "years.png": ("films per release year, by split", _draw_years),
    "tags.png": ("films per tag, before and after rare tags were excluded", draw_tags),
    "tracks.png": ("tracks per film", _draw_tracks),
    "durations.png": ("duration of the tracks", _draw_durations),
}


def _column(connection: duckdb.DuckDBPyConnection, query: str) -> NDArray[np.float64]:
    values: NDArray[np.float64] = connection.sql(query).to_arrow_table().column(0).to_numpy().astype(np.float64)
    return values


def _label(axes: Axes, x: str, y: str) -> None:
    axes.set(xlabel=x, ylabel=y)
    axes.spines[["top", "right"]].set_visible(False)
