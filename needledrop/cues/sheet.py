"""The cue sheet: rows of tracks with their places, as CSV for a spreadsheet and as a page to print.

`sheet_csv` and `sheet_html` take any rows that have some of the columns, such as those of a shortlist. Text comes from
files and scripts: no cell of the CSV can become a formula, and the page escapes everything and loads nothing.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from storage.spreadsheets import spreadsheet_cell

if TYPE_CHECKING:
    from needledrop.cues.suggest import Cue
    from needledrop.cues.timecode import Timebase

Row = Mapping[str, Any]
"""Column -> cell; a column that is absent is empty."""
COLUMNS = (
    "scene", "choice", "in", "out", "length", "title", "composer", "publisher", "isrc", "usage", "licence", "artist",
    "album", "library", "path", "track_id", "start_second", "score", "percentile", "reel", "note",
)  # fmt: skip
PRINTED = (
    "scene", "in", "out", "length", "title", "artist", "composer", "publisher", "isrc", "usage", "licence",
    "start_second", "note",
)  # fmt: skip
OF_TRACK = ("title", "composer", "publisher", "isrc", "licence", "artist", "album", "library", "path", "track_id")
"""Columns that a library's row of a track states under the same name."""
HEADINGS = {"isrc": "ISRC", "start_second": "starts at (s)", "track_id": "track"}
USAGE = "background"
"""Of music that only the audience hears, which is what is searched for."""
_CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
@page { size: A4 landscape; margin: 12mm }
body { font: 10pt/1.4 system-ui, sans-serif; margin: 1.5rem; color: #111; background: #fff }
h1 { font-size: 1.4rem; margin: 0 0 .25rem }
table { border-collapse: collapse; width: 100%; margin-top: 1rem }
th, td { border-bottom: 1px solid #aaa; padding: .25rem .5rem; text-align: left; vertical-align: top }
td { overflow-wrap: anywhere }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
thead { display: table-header-group }
tr { break-inside: avoid }
.notes { color: #444 }
"""
BYTE_ORDER = "\ufeff"
"""Before the text of a CSV file: Excel takes it for another encoding otherwise."""
_NUMERIC = frozenset(("in", "out", "length", "start_second"))


def sheet_csv(rows: Iterable[Row], columns: Sequence[str] = COLUMNS) -> str:
    """Return rows as CSV with a header; a text that would be a formula there begins with an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow([spreadsheet_cell(row.get(column)) for column in columns])
    return text.getvalue()


def sheet_html(title: str, rows: Iterable[Row], columns: Sequence[str] = PRINTED, notes: Sequence[str] = ()) -> str:
    """Return rows as a page to print, with sentences about them above."""
    heads = "".join(f'<th scope="col">{escape(HEADINGS.get(column, column))}</th>' for column in columns)
    body = "\n".join(f"<tr>{''.join(_html_cell(row, column) for column in columns)}</tr>" for row in rows)
    sentences = "".join(f"<p>{escape(note)}</p>" for note in notes)
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_CONTENT_SECURITY_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head>",
            f'<body>\n<h1>{escape(title)}</h1>\n<div class="notes">{sentences}</div>',
            f"<table>\n<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>",
            "</body>\n</html>\n",
        ]
    )


def track_cells(row: Row) -> dict[str, Any]:
    """Return the cells of a sheet that a library's row of a track states; no path is absolute."""
    return {column: row.get(column) for column in OF_TRACK}


def cue_rows(cues: Sequence[Cue], reels: Mapping[str, str], timebase: Timebase) -> list[dict[str, Any]]:
    """Return one row per cue, and one per scene without any; `reels` maps tracks to their names in an edit list."""
    return [_cue_row(cue, reels, timebase) for cue in cues]


def _cue_row(cue: Cue, reels: Mapping[str, str], timebase: Timebase) -> dict[str, Any]:
    end = cue.end if cue.row else cue.scene.end
    row = {
        "scene": f"{cue.scene.number} {cue.scene.scene.name}".strip(),
        "choice": cue.choice,
        "in": timebase.label(cue.start),
        "out": timebase.label(end),
        "length": round(timebase.seconds(end - cue.start), 3),
        "note": sentence([*_estimate(cue.scene.estimated), *cue.notes]),
    }
    if cue.row is None:
        return row
    return {
        **row,
        **track_cells(cue.row),
        "usage": cue.scene.scene.usage or USAGE,
        "start_second": round(timebase.seconds(cue.source_start), 3),
        "score": None if cue.score is None else round(cue.score, 4),
        "percentile": None if cue.percentile is None else round(cue.percentile, 1),
        "reel": reels[cue.row["track_id"]],
    }


def _estimate(what: str) -> list[str]:
    verb = "is" if what == "length" else "are"
    return [f"its {what} {verb} estimated, at a minute per page of a script"] if what else []


def sentence(notes: Sequence[str]) -> str:
    """Return notes as one text with a capital at its beginning."""
    text = "; ".join(notes)
    return text[:1].upper() + text[1:]


def _html_cell(row: Row, column: str) -> str:
    value = row.get(column)
    shown = "" if value is None else str(value)
    kind = ' class="number"' if column in _NUMERIC else ""
    return f"<td{kind}>{escape(shown)}</td>"
