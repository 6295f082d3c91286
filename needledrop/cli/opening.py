"""Opening a lake that must already be there: what only reads should not make an empty one by a typing error."""

from __future__ import annotations

from pathlib import Path

from storage.errors import InputError
from storage.lake.lake import VERSION_FILE, Lake
from storage.tables import tables


def open_existing(root: str) -> Lake:
    """The lake at a root URL. Raises `InputError` when there is none."""
    lake = Lake(root if "://" in root else str(Path(root).expanduser().absolute()))
    if not lake.exists(VERSION_FILE):
        raise InputError(f"There is no lake at {root}; give its root with --lake, or make one with `needledrop demo`")
    return tables.open_tables(root)
