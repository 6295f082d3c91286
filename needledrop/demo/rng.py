"""Where all chance in the sample corpus comes from."""

from __future__ import annotations

import random


def stream(*names: object) -> random.Random:
    """A random source of its own for each thing named, so that nothing depends on the order of making."""
    return random.Random("/".join(str(name) for name in names))  # noqa: S311 - art, not secrets
