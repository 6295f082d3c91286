"""At most nine recordings per film: the next replaces one that failed; the rest and hidden ones are not requested."""

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


def test_recordings_beyond_nine_have_a_row_and_are_never_requested(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    ids = world.add_film("Night Ferry", 2015, 12)
    world.save()
    add_films(lake, [NIGHT])
    collect()
    assert [media_id for media_id, (segments, _reason) in rows(lake).items() if segments] == ids[:9]
    assert {rows(lake)[media_id] for media_id in ids[9:]} == {(None, "enough_tracks")}
    assert not {request["video"] for request in world.requests} & set(ids[9:])


def test_the_next_recording_replaces_one_that_failed_or_is_no_soundtrack(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    ids = world.add_film("Night Ferry", 2015, 12)
    world.videos[ids[2]] |= {"status": "LOGIN_REQUIRED", "reason": "Private video"}
    world.videos[ids[6]] |= {"live": True, "category": "Gaming", "description": ""}
    world.save()
    add_films(lake, [NIGHT])
    collect()
    stored = [media_id for media_id, (segments, _reason) in rows(lake).items() if segments]
    assert stored == [one for one in ids if one not in (ids[2], ids[6])][:9]
    assert (rows(lake)[ids[2]], rows(lake)[ids[6]]) == ((None, "private"), (None, "live"))
    assert rows(lake)[ids[11]] == (None, "enough_tracks")


def test_private_and_deleted_entries_of_an_album_have_a_row_and_are_never_requested(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    ids = world.add_film("Night Ferry", 2015, 5)
    world.music_albums.clear()
    for media_id, title in zip(ids, ("[Private video]", "[Deleted video]"), strict=False):
        world.videos[media_id]["title"] = title
    world.save()
    add_films(lake, [NIGHT])
    collect()
    assert {rows(lake)[media_id] for media_id in ids[:2]} == {(None, "not_available")}
    assert [media_id for media_id, (segments, _reason) in rows(lake).items() if segments] == ids[2:]
    assert not {request["video"] for request in world.requests} & set(ids[:2])
