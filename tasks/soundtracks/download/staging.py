"""Keep downloads in a local staging folder until what is derived from them is committed.

Every recording has its own folder, so that two files are never confused. A complete and verified file has a note next
to it; a run that finds the note downloads nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from storage.lake.lake import Lake

NOTE = "finished.json"
METADATA_FIELDS = frozenset(
    {
        "id",
        "title",
        "track",
        "artist",
        "artists",
        "album",
        "release_year",
        "release_date",
        "uploader",
        "uploader_id",
        "channel",
        "channel_id",
        "channel_is_verified",
        "description",
        "duration",
        "decoded_seconds",
        "categories",
        "availability",
        "live_status",
        "media_type",
        "license",
        "webpage_url",
        "original_url",
        "extractor",
        "format_id",
        "acodec",
        "asr",
        "abr",
        "filesize",
        "upload_date",
        "view_count",
    }
)
"""The fields of a recording's metadata that its note keeps."""


def staging_folder(lake: Lake, film_id: str = "") -> Path:
    """Return the folder of a film's downloads; each lake has its own on this machine."""
    name = hashlib.blake2b(lake.root.encode(), digest_size=6).hexdigest()
    return Path(lake.cache_folder, "staging", name, film_id)


def pending_folder(lake: Lake, film_id: str) -> Path:
    """Return the folder where a film's shard and decoded audio wait until encoders have heard it."""
    return staging_folder(lake, film_id) / "to-embed"


def release_staged(lake: Lake, film_id: str, *, keep_audio: bool) -> None:
    """Delete a film's downloads after its mels are committed, or move them into the lake if `keep_audio`."""
    folder = staging_folder(lake, film_id)
    for note in sorted(folder.glob(f"*/{NOTE}")) if keep_audio else ():
        if (finished := read_note(note.parent)) is not None:
            path = finished[1]
            lake.write_bytes(path.read_bytes(), "audio", film_id, path.name.lstrip("-_"))
    shutil.rmtree(folder, ignore_errors=True)


def kept_audio(lake: Lake, film_id: str, media_id: str) -> list[str]:
    """Return the paths in the lake of a recording's downloads that were kept."""
    names = lake.list("audio", film_id)
    return [name for name in names if name.rsplit("/", 1)[1].startswith(media_id.lstrip("-_"))]


def write_note(folder: Path, info: dict[str, Any], path: Path) -> None:
    """Write the note of a verified file, last and atomically."""
    temporary = folder / f".{NOTE}"
    temporary.write_text(json.dumps({"info": _selected(info), "file": path.name}))
    temporary.replace(folder / NOTE)


def read_note(folder: Path) -> tuple[dict[str, Any], Path] | None:
    """Return the metadata and the path of a folder's verified file, or None."""
    try:
        note = json.loads((folder / NOTE).read_text())
    except (FileNotFoundError, ValueError):
        return None
    path = folder / note["file"]
    return (note["info"], path) if path.is_file() else None


def _selected(info: dict[str, Any]) -> dict[str, Any]:
    """Return the fields that rows are made of; never the signed address of the media."""
    return {key: value for key, value in info.items() if key in METADATA_FIELDS}
