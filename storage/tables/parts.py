"""The files of an append-only table: what they are called, in which order they count, which are replaced."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import pyarrow as pa
import pyarrow.parquet as pq

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.tables.schemas import Table

REPLACES_KEY = b"needledrop.replaces"
_PART = re.compile(r"part-(\d{9})-(?:[0-9a-f]{4}|from-\d{9})\.parquet$")


@dataclass(frozen=True, order=True)
class Part:
    """One committed part. Their order by number, then by path, is the order in which rows count."""

    number: int
    path: str

    @property
    def is_merged(self) -> bool:
        """Whether this part stands for several earlier ones."""
        return "-from-" in self.path


def stored_parts(lake: Lake, table: Table) -> list[Part]:
    """Every part that stands in the table's folder, oldest first, also those already merged."""
    matches = [_PART.search(path) for path in lake.list(table.name, suffix=".parquet")]
    return sorted(Part(int(match.group(1)), match.string) for match in matches if match)


def live_parts(lake: Lake, stored: Sequence[Part]) -> list[Part]:
    """The parts that count: those that no merged part stands for."""
    replaced = {name for part in stored if part.is_merged for name in replaced_by(lake, part.path)}
    return [part for part in stored if part.path not in replaced]


@lru_cache(maxsize=4096)
def replaced_by(lake: Lake, merged: str) -> tuple[str, ...]:
    """The parts that a merged one stands for. Files are never edited, so this is read once.

    Raises `LakeError` when the merged part is damaged.
    """
    try:
        metadata = pq.read_schema(lake.local_path(merged)).metadata or {}
        return tuple(json.loads(metadata.get(REPLACES_KEY, b"[]")))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise LakeError(f"{merged} cannot be read ({error}); `needledrop verify` names the damage") from error
