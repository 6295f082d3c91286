"""Draw the charts of a data-set card: films, tags, tracks, durations, and a sheet of mel-spectrograms of its tracks.

Drawn without a display and without dates, so the same version gives the same bytes. The sheet has axes in kHz and
seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import shorten

import duckdb
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.mels.reader import MelReader, decibels
from storage.mels.settings_and_shard_format import MelSettings, read_settings
from tasks.soundtracks.audio.melspectrogram import band_corners_hz

SPLIT_COLOURS = {"train": "#4477aa", "valid": "#ccbb44", "test": "#ee6677"}
"""Colours that the colour-blind tell apart (Paul Tol's bright scheme)."""
BEFORE, AFTER = "#bbbbbb", "#228833"


MELS_ACROSS, MELS_DOWN = 4, 6
MEL_TICKS_KHZ = (0.5, 1, 2, 4, 8)
FAINTEST_DB = -20.0
"""Fainter mels are drawn dark, so that silence looks like silence."""


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
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
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


def draw_spectrograms(connection: duckdb.DuckDBPyConnection, lake: Lake, path: Path) -> bool:
    """Draw a sheet of mels; return False if the version has none or they cannot be read, which `verify` explains."""
    rows = connection.execute(
        f"""
        SELECT shard, first_row + segments // 2, title, film FROM (
            SELECT t.*, f.title AS film, row_number() OVER (ORDER BY t.film_id, t.track_id) AS position,
                   count(*) OVER () AS total
            FROM tracks t JOIN films f USING (film_id))
        WHERE position % greatest(1, total // {MELS_ACROSS * MELS_DOWN}) = 0
        ORDER BY position LIMIT {MELS_ACROSS * MELS_DOWN}
        """
    ).fetchall()
    if not rows:
        return False
    try:
        settings = read_settings(lake, rows[0][0])
        reader = MelReader(lake, sorted({row[0] for row in rows}), settings)
        positions = reader.locate([row[0] for row in rows], [row[1] for row in rows])
    except LakeError:
        return False
    stored = np.empty((len(rows), *settings.shape), settings.dtype)
    reader.gather(positions, stored)
    titles = [f"{film}: {title or ''}" for *_, title, film in rows]
    mel_sheet(decibels(stored, reader.ref_db[positions], settings), titles, settings).savefig(path, dpi=110)
    return True


def mel_sheet(mels: NDArray[np.float32], titles: list[str], settings: MelSettings) -> Figure:
    """Return a sheet of mels in decibels, shape (count, bands, frames): frequency in kHz over time in seconds."""
    down = -(-len(mels) // MELS_ACROSS)
    figure = Figure(figsize=(12, 0.5 + 1.5 * down), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(down, MELS_ACROSS, squeeze=False, sharex=True, sharey=True)
    for axes in grid.flat[len(mels) :]:
        axes.set_axis_off()
    extent = (0.0, settings.segment_seconds, 0.0, float(settings.mel_bands - 1))
    for axes, mel, title in zip(grid.flat, mels, titles, strict=False):
        below = mel - max(mel.max(), FAINTEST_DB)
        image = axes.imshow(below, origin="lower", aspect="auto", cmap="magma", vmin=-80, vmax=0, extent=extent)
        axes.set_title(shorten(title, 40, placeholder="…").replace("$", r"\$"), fontsize=7)
        axes.tick_params(labelsize=6)
    for axes in grid[:, 0]:
        axes.set_yticks(_band_of(MEL_TICKS_KHZ, settings), [f"{khz:g}" for khz in MEL_TICKS_KHZ])
        axes.set_ylabel("kHz", fontsize=7)
    for axes in grid.flat[max(0, len(mels) - MELS_ACROSS) : len(mels)]:  # the lowest of each column
        axes.set_xlabel("seconds", fontsize=7)
        axes.tick_params(labelbottom=True)
    bar = figure.colorbar(image, ax=grid, aspect=60, pad=0.01)
    bar.set_label("dB below the loudest of the segment", fontsize=7)
    bar.ax.tick_params(labelsize=6)
    return figure


def _band_of(khz: tuple[float, ...], settings: MelSettings) -> NDArray[np.float64]:
    """Return the positions of frequencies among the centres of the mel bands, counted from 0."""
    centres_hz = band_corners_hz(settings)[1:-1]
    positions: NDArray[np.float64] = np.interp(1000 * np.array(khz), centres_hz, np.arange(settings.mel_bands))
    return positions
