"""The takedown list: films, recordings and channels that must not be collected because somebody asked so.

The list is read before any request is made for an item; `tasks/soundtracks/runs/takedown.py` removes what
was stored. An entry is withdrawn by a newer row with `active` false.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from storage.datasets import versions
from storage.lake.lake import Lake
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import TAKEDOWNS, TRACKS


def record_takedown(lake: Lake, item: str, because: str, run_id: str, *, is_active: bool = True) -> None:
    """Add a film_id, a track_id or `channel:ID` to the list, or remove it (`is_active` false)."""
    tables.append(lake, TAKEDOWNS, [{"item": item, "because": because, "active": is_active}], run_id)


def read_takedowns(lake: Lake) -> frozenset[str]:
    """Read the items that are on the list now."""
    rows = tables.latest(lake, TAKEDOWNS, ["item", "active"]).to_pylist()
    return frozenset(row["item"] for row in rows if row["active"])


@dataclass
class Takedowns:
    """The list for a run that takes hours: read again whenever somebody changed it."""

    lake: Lake
    _parts: list[str] | None = None
    _items: frozenset[str] = field(default_factory=frozenset)

    def read(self) -> frozenset[str]:
        """Return the items that are on the list now."""
        parts = tables.parts(self.lake, TAKEDOWNS)
        if parts != self._parts:
            self._items, self._parts = read_takedowns(self.lake), parts
        return self._items


class HiddenTracks:
    """The tracks that must not be found or listed, read again whenever somebody changed the list."""

    def __init__(self, lake: Lake) -> None:
        self._list = Takedowns(lake)
        self._items: frozenset[str] = frozenset()
        self._of_version: dict[str, frozenset[str]] = {}

    def read(self, dataset_versions: Sequence[str] = ()) -> frozenset[str]:
        """Return the items on the list, and the tracks of these versions whose film or channel is on it."""
        items = self._list.read()
        if items is not self._items:
            self._items, self._of_version = items, {}
        if not items:
            return items
        for version in dataset_versions:
            if version not in self._of_version:
                self._of_version[version] = taken_down_tracks(self._list.lake, version)
        return items.union(*(self._of_version[version] for version in dataset_versions))


def taken_down_tracks(lake: Lake, version: str) -> frozenset[str]:
    """Return the track_ids of a data-set version that are on the list now, themselves or by their film or channel."""
    items = read_takedowns(lake)
    if not items:
        return frozenset()
    channels = f"(SELECT film_id, track_id, channel_id FROM {tables.latest_sql(lake, TRACKS)})"
    query = (
        f"SELECT DISTINCT track_id FROM read_parquet(?) LEFT JOIN {channels} USING (film_id, track_id) "
        "WHERE list_has_any(?, [film_id, track_id, 'channel:' || channel_id])"
    )
    tracks_file = versions.file_uri(lake, version, versions.TRACKS_FILE.name)
    with duckdb_connection.connect(lake) as connection:
        return frozenset(track_id for (track_id,) in connection.execute(query, [tracks_file, sorted(items)]).fetchall())
