"""What must not be collected: films, recordings and channels that somebody asked to leave out.

The list is read before any request is made for an item, and `tasks/soundtracks/runs/takedown.py` removes what
was kept. Taking an entry back (`active` false) is a newer row.
"""

from __future__ import annotations

from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import TAKEDOWNS


def record_takedown(lake: Lake, item: str, because: str, run_id: str, *, is_active: bool = True) -> None:
    """Put a film_id, a track_id or `channel:ID` on the list, or take it off."""
    tables.append(lake, TAKEDOWNS, [{"item": item, "because": because, "active": is_active}], run_id)


def read_takedowns(lake: Lake) -> frozenset[str]:
    """The items that are on the list now."""
    rows = tables.latest(lake, TAKEDOWNS, ["item", "active"]).to_pylist()
    return frozenset(row["item"] for row in rows if row["active"])
