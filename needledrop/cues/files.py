"""The files of a cue list: cue sheet, printed page, timeline and edit lists; what an earlier run left is replaced."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from needledrop.cues.sheet import BYTE_ORDER, PRINTED, cue_rows, sheet_csv, sheet_html
from needledrop.cues.suggest import Cue
from needledrop.cues.timecode import Timebase
from needledrop.cues.timeline import edl_texts, otio_text, reel_names
from storage.errors import InputError
from storage.lake.atomic import commit_file, temporary_file

NAME = "cues"
"""The name of the files, before their endings."""


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
