"""Paths inside a lake: of safe names only, so that nothing is read or written outside its root."""

from __future__ import annotations

import re

from storage.errors import LakeError

_SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=-]{0,200}")


def path_below(root: str, *parts: str) -> str:
    """Return the full path of a file or folder below a root; a part may have several names, with slashes between.

    Raises `LakeError` for a part that could leave the root (`..`, `/etc`, an unchecked title).
    """
    for part in parts:
        for name in part.split("/"):
            if not _SAFE_NAME.fullmatch(name):
                raise LakeError(f"{name!r} is not a safe name inside the lake; use letters, digits, . _ = -")
    return "/".join([root.removeprefix("file://").rstrip("/"), *parts])
