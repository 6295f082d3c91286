"""Draw a sheet of mel-spectrograms of a version's tracks, with the axes in kHz and seconds.

Drawn without a display and without dates, so the same version gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from textwrap import shorten

import duckdb
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.mels.reader import MelReader
from storage.mels.settings import MelSettings, decibels, read_settings
from tasks.soundtracks.audio.melspectrogram import band_corners_hz

MELS_ACROSS, MELS_DOWN = 4, 6
MEL_TICKS_KHZ = (0.5, 1, 2, 4, 8)
FAINTEST_DB = -20.0
"""Fainter mels are drawn dark, so that silence looks like silence."""


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
