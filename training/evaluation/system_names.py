"""Names of measured systems, as a user gives them and as they are shown.

A name is SYSTEM, SYSTEM@PRESET, SYSTEM@DIGEST or SYSTEM@SETTINGS, where that is enough to find one system.
"""

from __future__ import annotations

import textwrap
from typing import Any

from storage.errors import InputError

SHOWN_OF_SETTINGS = 60
"""Characters of a system's settings in a list of those that can be named; their digest is complete."""


def named_system(rows: list[dict[str, Any]], name: str, version: str) -> dict[str, dict[str, Any]]:
    """Return policy -> row of the one system that is meant. Raises `InputError` if it is none or several."""
    system, _, which = name.partition("@")
    meant = [
        row
        for row in rows
        if row["system"] == system and which in ("", row["preset"], row["settings"], row["settings_digest"])
    ]
    exact = [row for row in meant if row["settings"] == which]
    meant = exact if len({row["settings_digest"] for row in exact}) == 1 else meant
    if len({(row["preset"], row["settings_digest"]) for row in meant}) == 1:
        return {row["policy"]: row for row in meant}
    choices = sorted({shown_name(row, SHOWN_OF_SETTINGS) for row in meant or rows})
    problem = "is several systems" if meant else "is not a measured system"
    raise InputError(f"{name} {problem} of {version}; give one of {'; '.join(choices)}, by its name or its digest")


def shown_name(row: dict[str, Any], longest: int | None = None) -> str:
    """Return a system's name with its settings and their digest, as in All@1f3c9a2b (paper, text=ModernBERT-base)."""
    if not row["settings_digest"]:
        return str(row["system"])
    settings = row["settings"] or row["preset"]
    shown = settings if longest is None else textwrap.shorten(settings, longest, placeholder=" …")
    return f"{row['system']}@{row['settings_digest']} ({shown})"
