"""The option for Creative Commons applies to new requests and to what an earlier run downloaded."""

from __future__ import annotations

from typing import Any

import pytest

from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import TRACKS

pytestmark = pytest.mark.integration
SLOW = ("Slow Water", 2016)


def stored(lake: Lake) -> list[tuple[str, str]]:
    """The recordings whose mels are committed, each with its licence."""
    rows = tables.latest(lake, TRACKS).to_pylist()
    return [(row["media_id"], row["licence"]) for row in rows if row["segments"]]


def test_with_the_option_only_creative_commons_is_taken(lake: Lake, world: Any, add_films: Any, collect: Any) -> None:
    licence = "Creative Commons Attribution license (reuse allowed)"
    free = world.add_video("freefree001", "Slow Water Soundtrack - One", channel="Ann - Topic", license=licence)
    other = world.add_video("otherother1", "Slow Water Soundtrack - Two", channel="Ann - Topic")
    world.searches.append(("Slow Water", [other, free]))
    world.save()
    add_films(lake, [SLOW])
    collect(creative_commons_only=True)
    assert stored(lake) == [(free, licence)]
    assert other not in world.media_requests()


def test_what_an_earlier_run_left_staged_is_judged_by_the_present_options(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    one = world.add_video("oneoneone01", "Slow Water Soundtrack - One", channel="Ann - Topic")
    two = world.add_video("twotwotwo01", "Slow Water Soundtrack - Two", channel="Ann - Topic")
    world.searches.append(("Slow Water", [one, two]))
    world.faults.append({"path": "/videoplayback", "video": two, "status": 403})
    world.save()
    add_films(lake, [SLOW])
    collect()
    assert world.media_requests()[one] == 1
    collect(creative_commons_only=True, retry_reasons=("incomplete", "http_403"))
    assert stored(lake) == []
