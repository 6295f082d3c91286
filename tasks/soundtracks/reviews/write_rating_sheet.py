"""Write a sample as a sheet to rate: a CSV file for a spreadsheet, and one HTML page for a browser.

Both are blind: they show what a person needs to judge (film, plot, recording, links) and neither score nor decision nor
reason, in random order. Titles come from outside sources, so the page escapes all text, links only http(s) addresses
and loads nothing; its script is allowed by its hash alone. In the CSV a text that a spreadsheet would take for a
formula is preceded by an apostrophe.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from storage.errors import InputError
from storage.lake.atomic_writes_and_fences import commit_file, temporary_file
from storage.output_escaping import spreadsheet_cell
from tasks.soundtracks.reviews.draw_sample import PLOT_CHARACTERS, Sample

SHOWN_COLUMNS = ("pair", "film", "year", "plot", "article", "track", "artist", "album", "uploader", "length", "listen")
ANSWER_COLUMNS = ("rating", "whole_album", "note")
_HELP = (
    "Does the recording belong to this film: is it from its soundtrack, or is it heard in it? <kbd>y</kbd> yes, "
    "<kbd>n</kbd> no (another film, a cover, something else), <kbd>u</kbd> unsure; <kbd>↓</kbd> <kbd>↑</kbd> move, "
    "<kbd>o</kbd> opens the recording, <kbd>w</kbd> extends the answer to the whole album. Answers stay in this "
    "browser until you save them as a file, which <code>needledrop review import</code> reads."
)


def write_sheet(sample: Sample, folder: Path) -> tuple[Path, Path]:
    """Write NAME.csv and NAME.html into the folder, and return their paths.

    A sheet that is there with other content, because somebody rated in it, is not replaced. Raises `InputError` for
    that, and for a folder that cannot be written.
    """
    contents = {
        folder / f"{sample.name}.csv": csv_sheet(sample).encode("utf-8-sig"),
        folder / f"{sample.name}.html": html_sheet(sample).encode(),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, content in contents.items():
            if path.exists() and path.read_bytes() != content:
                raise InputError(f"{path} exists with other content, such as ratings; name another folder with --out")
        for path, content in contents.items():
            with temporary_file(folder, path.name) as temporary:
                temporary.write_bytes(content)
                commit_file(temporary, path)
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}); name another folder with --out") from error
    csv_path, html_path = contents
    return csv_path, html_path


def csv_sheet(sample: Sample) -> str:
    """Return the sheet as CSV, with empty columns for the answers."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*SHOWN_COLUMNS, *ANSWER_COLUMNS])
    for row in sample.shown:
        shown = _as_text(row)
        writer.writerow([*(spreadsheet_cell(shown[name]) for name in SHOWN_COLUMNS), *("" for _ in ANSWER_COLUMNS)])
    return text.getvalue()


def _as_text(row: Mapping[str, Any]) -> dict[str, str]:
    """Return what is shown of a pair as one line of text per column."""
    plain = {name: " ".join(str(value).split()) if value is not None else "" for name, value in row.items()}
    seconds = row["seconds"]
    return {
        **plain,
        "pair": f"{row['film_id']}/{row['track_id']}",
        "plot": shorten(plain["plot"], PLOT_CHARACTERS),
        "length": f"{int(seconds // 60)}:{int(seconds % 60):02d}" if seconds is not None else "",
    }


def shorten(text: str, characters: int) -> str:
    """Return the beginning of a text, cut after a word."""
    return text if len(text) <= characters else text[:characters].rsplit(" ", 1)[0] + " …"


def html_sheet(sample: Sample) -> str:
    """Return the sheet as a page that marks answers by mouse or keyboard and saves them as CSV."""
    style, script = (
        files("tasks.soundtracks.reviews").joinpath(name).read_text(encoding="utf-8")
        for name in ("sheet.css", "sheet.js")
    )
    policy = (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    items = "\n".join(_item(number, _as_text(row)) for number, row in enumerate(sample.shown, start=1))
    return (
        '<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="referrer" content="no-referrer">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Needledrop: {escape(sample.name)}</title><style>{style}</style></head>\n<body>\n"
        f'<h1>{len(sample.shown):,} pairs to rate</h1>\n<p class="soft">{_HELP}</p>\n'
        '<div class="bar"><label>Your name <input type="text" id="rater" autocomplete="off"></label>'
        '<button type="button">Save as CSV</button><output></output></div>\n'
        f'<ol data-sample="{escape(sample.name)}">\n{items}\n</ol>\n<script>{script}</script>\n</body>\n</html>\n'
    )


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _item(number: int, shown: Mapping[str, str]) -> str:
    row = {name: escape(value) for name, value in shown.items()}
    year = f" ({row['year']})" if row["year"] else ""
    facts = [
        ("Artist", row["artist"]),
        ("Album", row["album"]),
        ("Uploader", row["uploader"]),
        ("Length", row["length"]),
    ]
    facts = [("Recording", f"<strong>{row['track']}</strong>"), *facts, ("Listen", _link(shown["listen"]))]
    listed = "".join(f"<dt>{name}</dt><dd>{value}</dd>" for name, value in facts if value)
    answers = "".join(
        f'<label><input type="radio" name="rating-{number}" value="{value}">{value}</label>'
        for value in ("yes", "no", "unsure")
    )
    album = '<label><input type="checkbox">for the whole album</label>' if row["album"] else ""
    article = f" · {_link(shown['article'], 'article', 'article')}" if _is_web(shown["article"]) else ""
    return (
        f'<li tabindex="0" data-pair="{row["pair"]}" data-film="{row["film"]}" data-track="{row["track"]}">'
        f'<h2>{row["film"]}{year}</h2><p class="soft">{number}{article}</p><p>{row["plot"]}</p><dl>{listed}</dl>'
        f'<fieldset aria-label="Does the recording belong to the film?">{answers}{album}'
        '<label class="note">Note <input type="text"></label></fieldset></li>'
    )


def _is_web(address: str) -> bool:
    return re.match(r"https?://", address, re.IGNORECASE) is not None


def _link(address: str, text: str = "", kind: str = "listen") -> str:
    """Return a link to a web address; anything else, such as the path of a file, as text."""
    if not _is_web(address):
        return escape(address)
    return (
        f'<a class="{kind}" href="{escape(address)}" target="_blank" rel="noopener noreferrer">'
        f"{escape(text or address)}</a>"
    )
