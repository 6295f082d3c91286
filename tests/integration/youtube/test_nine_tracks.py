"""At most nine recordings a film: what failed gives its place to the next, and what is beyond is never asked for."""

from __future__ import annotations

from typing import Any

import pytest

from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import TRACKS

pytestmark = pytest.mark.integration
NIGHT = ("Night Ferry (2015 film)", 2015)


def rows(lake: Lake) -> dict[str, tuple[int | None, str]]:
    """Segments and reason of each recording, by its media id."""
    return {row["media_id"]: (row["segments"], row["reason"]) for row in tables.latest(lake, TRACKS).to_pylist()}


def test_what_is_beyond_nine_has_a_row_and_is_never_asked_for(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    ids = world.add_film("Night Ferry", 2015, 12)
    world.save()
    add_films(lake, [NIGHT])
    collect()
    assert [media_id for media_id, (segments, _reason) in rows(lake).items() if segments] == ids[:9]
    assert {rows(lake)[media_id] for media_id in ids[9:]} == {(None, "enough_tracks")}
    assert not {request["video"] for request in world.requests} & set(ids[9:])


def test_what_failed_or_proved_something_else_gives_its_place_to_the_next(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    ids = world.add_film("Night Ferry", 2015, 12)
    world.videos[ids[2]] |= {"status": "LOGIN_REQUIRED", "reason": "Private video"}
    world.videos[ids[6]] |= {"live": True, "category": "Gaming", "description": ""}
    world.save()
    add_films(lake, [NIGHT])
    collect()
    kept = [media_id for media_id, (segments, _reason) in rows(lake).items() if segments]
    assert kept == [one for one in ids if one not in (ids[2], ids[6])][:9]
    assert (rows(lake)[ids[2]], rows(lake)[ids[6]]) == ((None, "private"), (None, "live"))
    assert rows(lake)[ids[11]] == (None, "enough_tracks")
