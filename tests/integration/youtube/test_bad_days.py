"""Whole collections on a bad day of the site, and after it: nothing is given up, and everything is collected."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine

from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import done_films
from storage.records.outcomes import Stage
from storage.tables import tables
from storage.tables.schemas import BREAKERS, OUTCOMES
from tasks.soundtracks.download.throttle_and_breaker import EMPTY_TO_OPEN

pytestmark = pytest.mark.integration
NAMES = ("Alpha", "Beta", "Gamma", "Delta", "Omega", "Sigma")
FILMS = [(f"Night Ferry {name}", 2015) for name in NAMES]
SEARCH, PAGE, PLAYER = "/youtubei/v1/search", "/youtubei/v1/browse", "/youtubei/v1/player"
DAYS = {
    # the day: its faults -> films with an outcome, films collected, reason of the pause
    "400 of searches": ([{"path": SEARCH, "status": 400}], (4, 0, "outdated_extractor")),
    "404 of searches": ([{"path": SEARCH, "status": 404}], (4, 0, "outdated_extractor")),
    "400 of the player": ([{"path": PLAYER, "status": 400}], (2, 0, "outdated_extractor")),
    "429 of the player": ([{"path": PLAYER, "status": 429}], (0, 0, "rate_limit")),
    "404 of lists": (
        [{"path": PAGE, "status": 404}, {"path": "/playlist", "status": 404}],
        (4, 0, "outdated_extractor"),
    ),
}


@pytest.fixture
def films(lake: Lake, world: Any, add_films: Any) -> dict[str, list[str]]:
    """Six films with an album of two tracks each: film id -> ids of its videos."""
    videos = [world.add_film(title, year, 2) for title, year in FILMS]
    world.save()
    return dict(zip(add_films(lake, FILMS), videos, strict=True))


def end_of_day(lake: Lake, report: Any) -> tuple[int, int, str]:
    """Return how many films have an outcome, how many are collected, and why the day's run paused."""
    rows = tables.latest(lake, OUTCOMES).to_pylist()
    assert not [row for row in rows if row["retry"] == "never" and row["status"] != "ok"]
    tried = {row["item"] for row in rows if row["stage"] == Stage.SOUNDTRACK}
    return len(tried), len(done_films(lake)), report.paused.reason if report.paused else ""


def collect_on_a_good_day(lake: Lake, world: Any, collect: Any) -> int:
    """Mend the site, let all waits and pauses end, and return how many films are collected then."""
    world.faults.clear()
    world.save()
    with time_machine.travel(datetime.now(UTC) + timedelta(days=100)):
        collect()
    return len(done_films(lake))


@pytest.mark.parametrize("day", DAYS)
def test_a_fault_of_the_site_gives_up_nothing(
    lake: Lake, world: Any, films: dict[str, list[str]], collect: Any, day: str
) -> None:
    faults, expected = DAYS[day]
    world.faults += faults
    world.save()
    seen = end_of_day(lake, collect())
    assert (collect_on_a_good_day(lake, world, collect), seen) == (len(films), expected)


def test_a_bot_check_pauses_at_the_first_film(lake: Lake, world: Any, films: Any, collect: Any) -> None:
    for video in world.videos.values():
        video |= {"status": "LOGIN_REQUIRED", "reason": "Sign in to confirm you’re not a bot"}
    world.save()
    assert end_of_day(lake, collect()) == (0, 0, "bot")
    for video in world.videos.values():
        video |= {"status": "OK", "reason": None}
    assert collect_on_a_good_day(lake, world, collect) == len(films)


def test_a_changed_layout_pauses_after_fifty_films_and_an_upgrade_collects_them(
    lake: Lake, world: Any, films: Any, collect: Any
) -> None:
    albums, world.albums, world.music_albums = (world.albums, world.music_albums), [], []
    world.save()
    earlier = [f"film {number}" for number in range(EMPTY_TO_OPEN - 2)]
    row = {"source": "youtube", "kind": "list_search_results", "state": "closed", "openings": 0, "suspects": earlier}
    tables.append(lake, BREAKERS, [row], "earlier")
    assert end_of_day(lake, collect()) == (1, 0, "changed_layout")
    world.albums, world.music_albums = albums
    assert collect_on_a_good_day(lake, world, collect) == len(films)


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [({"body": "<html></html>"}, ("unresolved_list", "later")), ({"status": 404}, ("youtube_4xx", "soon"))],
)
def test_a_list_that_alone_cannot_be_resolved_costs_itself_only(
    lake: Lake, world: Any, films: dict[str, list[str]], collect: Any, fault: dict[str, Any], outcome: tuple[str, str]
) -> None:
    world.music_albums.clear()
    broken = world.albums[-1][1]
    world.faults += [{"path": path, "video": broken, **fault} for path in ("/playlist", PAGE)]
    world.save()
    seen = collect()
    assert (seen.paused, len(done_films(lake))) == (None, len(films) - 1)
    ended = {row["item"]: (row["reason"], row["retry"]) for row in tables.latest(lake, OUTCOMES).to_pylist()}
    [film_id] = set(films) - set(done_films(lake))
    assert ended[film_id] == ("no_usable_track", "later")
    assert ended[f"{film_id}/youtube:{broken}"] == outcome
    before = len(world.requests)
    collect()
    assert len(world.requests) == before
    assert collect_on_a_good_day(lake, world, collect) == len(films)
