"""The files of a cue list: cue sheet (CSV), printed page, OpenTimelineIO and edit decision lists in the form CMX3600.

`sheet_csv` and `sheet_html` take any rows that have some of the columns, such as those of a shortlist. Text comes from
files and scripts: no cell of the CSV can become a formula, and the page escapes everything and loads nothing.

Time begins at 00:00:00:00, so a clip's place in the timeline is its time code in the film. Media are named by their
path below the library's folder, which an editing system links to the files on its own machine. An edit list knows one
track, 999 events, names of eight letters and digits, and ASCII: overlapping cues go into a list of their own, and each
recording has a reel name, which the cue sheet repeats. It states no frame rate: whoever reads it gives it.

What an earlier run left is replaced.
"""

from __future__ import annotations

import csv
import io
import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import opentimelineio as otio
from opentimelineio.opentime import RationalTime, TimeRange
from opentimelineio.schema import Clip, ExternalReference, Gap, Timeline, Track, TrackKind

from needledrop.cues.suggest_tracks import Cue
from needledrop.cues.timecode import Timebase
from storage.errors import InputError
from storage.lake.atomic_writes_and_fences import commit_file, temporary_file
from storage.output_escaping import spreadsheet_cell

if TYPE_CHECKING:
    from needledrop.cues.suggest_tracks import Cue
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
td { overflow-wrap: break-word; max-width: 14rem }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }
thead { display: table-header-group }
tr { break-inside: avoid }
.notes { color: #444 }
@media print { body { font-size: 9pt; margin: 0 } }
"""
BYTE_ORDER = "\ufeff"
"""Before the text of a CSV file: Excel takes it for another encoding otherwise."""
_NUMERIC = frozenset(("in", "out", "length", "start_second"))
REEL_LETTERS = 5
"""The other three of eight are the number of the recording, so that no two are alike and none is reserved (BL, AX)."""
COMMENT_CHARACTERS = 120
_EVENT_CODE = re.compile(r"[0-9]{2}[:;][0-9]{2}[:;][0-9]{2}[:;][0-9]{2}")
NAME = "cues"
"""The name of the files, before their endings."""


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


def reel_names(cues: Sequence[Cue]) -> dict[str, str]:
    """Return a name of eight letters and digits for each recording, by its track id."""
    names: dict[str, str] = {}
    for cue in cues:
        if cue.row is not None and cue.row["track_id"] not in names:
            letters = re.sub(r"[^A-Z0-9]", "", _ascii(cue.row["title"] or "").upper())[:REEL_LETTERS]
            names[cue.row["track_id"]] = f"{letters:X<{REEL_LETTERS}}{len(names) + 1:03}"
    return names


def layers(cues: Sequence[Cue]) -> list[list[Cue]]:
    """Return the first choices in tracks without overlap, in the order of time; most films need one track."""
    found: list[list[Cue]] = []
    chosen = [cue for cue in cues if cue.choice == 1 and cue.row is not None and cue.frames]
    for cue in sorted(chosen, key=lambda cue: (cue.start, cue.scene.number)):
        layer = next((layer for layer in found if layer[-1].end <= cue.start), None)
        if layer is None:
            found.append([cue])
        else:
            layer.append(cue)
    return found


def otio_text(name: str, cues: Sequence[Cue], timebase: Timebase) -> str:
    """Return the cues as an OpenTimelineIO file: an audio track of first choices, and more where they overlap."""
    timeline = Timeline(name, global_start_time=timebase.time(0))
    timeline.metadata["needledrop"] = {"rate": timebase.name, "drop_frame": timebase.drop_frame}
    reels = reel_names(cues)
    for number, layer in enumerate(layers(cues), 1):
        timeline.tracks.append(_track(f"Music {number}", layer, reels, timebase))
    return str(otio.adapters.write_to_string(timeline, "otio_json"))


def edl_texts(name: str, cues: Sequence[Cue], timebase: Timebase) -> list[str]:
    """Return the cues as edit decision lists, one per track of the timeline."""
    reels = reel_names(cues)
    return [_edl(_ascii(name), layer, reels, timebase) for layer in layers(cues)]


def _edl(title: str, layer: Sequence[Cue], reels: dict[str, str], timebase: Timebase) -> str:
    timeline = Timeline(title or "CUES")
    track = _track("A", layer, reels, timebase, is_ascii=True)
    # The writer lists the first track, and wants one of video somewhere.
    timeline.tracks.extend([track, Track("V", kind=TrackKind.Video)])
    text = str(otio.adapters.write_to_string(timeline, "cmx_3600", rate=timebase.rate))
    mode = "DROP FRAME" if timebase.drop_frame else "NON-DROP FRAME"
    lines = text.split("\n")
    return "\n".join([lines[0], f"FCM: {mode}", *(_labelled(line, timebase) for line in lines[1:])])


def _labelled(line: str, timebase: Timebase) -> str:
    """Return an event with the kind of time codes that was asked for: at 29.97 fps the writer knows only drop-frame."""
    if not line[:1].isdigit():
        return line
    return _EVENT_CODE.sub(
        lambda code: timebase.label(int(RationalTime.from_timecode(code[0], timebase.rate).value)), line
    )


def _track(
    name: str, layer: Sequence[Cue], reels: dict[str, str], timebase: Timebase, *, is_ascii: bool = False
) -> Track:
    track, end = Track(name, kind=TrackKind.Audio), 0
    for cue in layer:
        if cue.start > end:
            track.append(Gap(source_range=TimeRange(timebase.time(0), timebase.time(cue.start - end))))
        track.append(_clip(cue, reels, timebase, is_ascii=is_ascii))
        end = cue.end
    return track


def _clip(cue: Cue, reels: dict[str, str], timebase: Timebase, *, is_ascii: bool) -> Clip:
    row = cue.row or {}
    available = TimeRange(timebase.time(0), timebase.time(timebase.whole_frames(row["duration_seconds"])))
    scene = f"{cue.scene.number} {cue.scene.scene.name}".strip()
    title, path = str(row["title"] or row["path"]), str(row["path"])
    reel = reels[row["track_id"]]
    if is_ascii:
        title, path = _ascii(title) or reel, _ascii(path, None).replace("[", "(").replace("]", ")")
    clip = Clip(
        name=title,
        media_reference=ExternalReference(target_url=path, available_range=available),
        source_range=TimeRange(timebase.time(cue.source_start), timebase.time(cue.frames)),
    )
    clip.metadata["cmx_3600"] = {"reel": reel, "comments": [f"SCENE: {_ascii(scene)}"]}
    if not is_ascii:
        known = ("track_id", "library", "artist", "composer", "publisher", "isrc", "licence")
        clip.metadata["needledrop"] = {name: row.get(name) for name in known if row.get(name)} | {"scene": scene}
    return clip


def _ascii(text: str, most: int | None = COMMENT_CHARACTERS) -> str:
    """Return the ASCII of a text on one line: letters without their accents, and nothing for other scripts."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return " ".join(re.sub(r"[^\x20-\x7e]", " ", plain).split())[:most]


def file_texts(name: str, cues: Sequence[Cue], timebase: Timebase, notes: Sequence[str]) -> dict[str, str]:
    """Return the text of each file that is written, by its name."""
    shown = os.fsencode(name).decode("utf-8", "backslashreplace")  # a file's name may be in another encoding
    rows = cue_rows(cues, reel_names(cues), timebase)
    columns = PRINTED if all(cue.choice == 1 for cue in cues) else ("scene", "choice", *PRINTED[1:])
    counted = f"{timebase.name} fps, {'drop-frame' if timebase.drop_frame else 'non-drop-frame'} time codes."
    texts = {
        f"{NAME}.csv": BYTE_ORDER + sheet_csv(rows),
        f"{NAME}.html": sheet_html(f"Cue sheet: {shown}", rows, columns, (counted, *notes)),
        f"{NAME}.otio": otio_text(shown, cues, timebase),
    }
    for number, text in enumerate(edl_texts(shown, cues, timebase), 1):
        texts[f"{NAME}.edl" if number == 1 else f"{NAME}-{number}.edl"] = text
    return texts


def write_files(folder: Path, texts: Mapping[str, str]) -> list[str]:
    """Write files, each complete or not at all, and remove edit lists of an earlier run with more tracks.

    Returns their names. Raises `InputError` for a folder that cannot be written.
    """
    try:
        for name, text in texts.items():
            with temporary_file(folder, name) as temporary:
                temporary.write_bytes(text.encode("utf-8", "replace"))
                commit_file(temporary, folder / name)
        for old in folder.glob(f"{NAME}*.edl"):
            if old.name not in texts and re.fullmatch(rf"{NAME}(-[0-9]+)?\.edl", old.name):
                old.unlink()
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}); choose another --out") from error
    return list(texts)
