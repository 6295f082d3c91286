"""What an object store's client raises when it cannot be reached: an error of its own kind, said as a sentence here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from storage.errors import LakeError


@contextmanager
def reached(root: str) -> Iterator[None]:
    """Raises `LakeError` where the store of a lake at `root` does not answer, or nobody says who asks it."""
    try:
        yield
    except _client_errors() as error:
        raise LakeError(
            f"The store of {root} cannot be used ({error}); check its address, the network and the credentials"
        ) from error


def _client_errors() -> tuple[type[Exception], ...]:
    """Errors of S3's client that are no `OSError`; none unless it is in use."""
    client = sys.modules.get("botocore.exceptions")
    return (client.BotoCoreError,) if client else ()
