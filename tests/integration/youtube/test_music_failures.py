"""The worst days of YouTube Music: what pauses what, and that the album is still found another way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from storage.coordination.breakers import read_breaker, read_breakers
from storage.errors import ItemError, SourcePaused
from storage.lake.lake import Lake
from tasks.soundtracks.candidate_recordings import Judged
from tasks.soundtracks.runs.open_sources import open_context
from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings

pytestmark = pytest.mark.integration
MUSIC, SITE = "music.youtube.com", "www.youtube.com"
SEARCH, PAGE = "/youtubei/v1/search", "/youtubei/v1/browse"
FILMS = [(f"Night Ferry {name}", 2015) for name in ("Alpha", "Beta", "Gamma", "Delta", "Omega", "Sigma")]
CONSENT = "<html><form action='https://consent.youtube.com/save'>Before you continue to YouTube</form></html>"
CAPTCHA = "<html>Our systems have detected unusual traffic from your computer network</html>"
OLD_LAYOUT = {"contents": {"sectionListRenderer": {"contents": [{"musicShelf2030": {"browseId": "MPREb_1"}}]}}}
OLD_PAGE = {"header": {"musicDetailHeaderRenderer": {}}, "contents": {"singleColumnBrowseResultsRenderer": {}}}
Find = Callable[[str], list[Judged]]


@pytest.fixture
def find(lake: Lake, world: Any, add_films: Any) -> Find:
    """Return a function that looks for the albums of the films, in one run per call, until one raises."""
    for title, year in FILMS:
        world.add_film(title, year, 3)
    world.save()
    add_films(lake, FILMS)

    def run(*film_ids: str) -> list[Judged]:
        settings = SoundtrackSettings(youtube=True, i_have_the_right_to_collect=True, pace=0.0)
        with open_context(lake, settings, "test") as context:
            films = context.matcher.film_index.films
            return [one for film_id in film_ids for one in context.sources[0].find(films[film_id])]

    return run


ALL = [f"enwiki-{n}" for n in range(1, len(FILMS) + 1)]


def fail(world: Any, path: str, **fault: Any) -> None:
    world.faults = [{"host": MUSIC, "path": path, **fault}]
    world.save()


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 400, "body": {"error": {"code": 400, "message": "Precondition check failed."}}},
        {"status": 404, "body": {"error": {"code": 404, "message": "Requested entity was not found."}}},
        {"status": 500},
        {"body": CONSENT},
        {"body": "<html>We are making some changes</html>"},
        {"body": '{"contents": '},
        {"body": "[]"},
        {"body": {"error": {"code": 400}}},
        {"body": OLD_LAYOUT},
        {"body": {"contents": {}}},
        {"kind": "reset"},
        {"status": 302, "headers": {"Location": "https://consent.youtube.com/m?continue=x"}},
    ],
    ids=lambda fault: str(fault)[:40],
)
def test_a_search_that_fails_leaves_the_album_to_yt_dlp(
    world: Any, find: Find, caplog: pytest.LogCaptureFixture, fault: dict[str, Any]
) -> None:
    fail(world, SEARCH, **fault)
    assert len(find("enwiki-1")) == 3
    assert "albums are looked for among YouTube's playlists" in caplog.text


@pytest.mark.parametrize(
    "fault",
    [{"status": 404, "body": {"error": {}}}, {"status": 400}, {"body": OLD_PAGE}, {"body": CONSENT}, {"body": "{}"}],
    ids=lambda fault: str(fault)[:40],
)
def test_a_page_that_fails_costs_its_album_nothing(world: Any, find: Find, fault: dict[str, Any]) -> None:
    fail(world, PAGE, **fault)
    found = find("enwiki-1")
    assert [one.candidate.is_official_album for one in found] == [True] * 3
    assert {one.candidate.album_id for one in found} == {world.music_albums[0]["playlist_id"]}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"status": 429, "headers": {"Retry-After": "120"}}, "rate_limit"),
        ({"status": 403, "body": CAPTCHA}, "bot"),
        ({"status": 302, "headers": {"Location": "https://www.google.com/sorry/index?continue=x"}}, "bot"),
    ],
)
@pytest.mark.parametrize("path", [SEARCH, PAGE])
def test_a_bot_check_or_a_rate_limit_pauses_all_of_youtube(
    world: Any, find: Find, path: str, fault: dict[str, Any], reason: str
) -> None:
    fail(world, path, **fault)
    with pytest.raises(SourcePaused) as paused:
        find("enwiki-1")
    assert paused.value.reason == reason
    before = len(world.requests)
    with pytest.raises(SourcePaused):
        find("enwiki-1")
    assert len(world.requests) == before


def test_the_wait_that_youtube_music_asks_for_is_kept(world: Any, find: Find) -> None:
    fail(world, SEARCH, status=429, headers={"Retry-After": "120"})
    with pytest.raises(SourcePaused) as paused:
        find("enwiki-1")
    assert timedelta(seconds=100) < paused.value.until - datetime.now(UTC) <= timedelta(seconds=120)


def test_a_refusal_pauses_youtube_music_alone(world: Any, find: Find) -> None:
    fail(world, SEARCH, status=403)
    assert len(find(*ALL)) == 3 * len(ALL)
    assert world.asked(MUSIC).count(SEARCH) == 1


@pytest.mark.parametrize(("path", "breaker"), [(SEARCH, "youtube_music_search"), (PAGE, "youtube_music_album")])
def test_five_films_that_fail_in_a_row_pause_that_kind_of_request_alone(
    world: Any, lake: Lake, find: Find, path: str, breaker: str
) -> None:
    fail(world, path, status=400)
    assert len(find(*ALL)) == 3 * len(ALL)
    assert world.asked(MUSIC).count(path) == 5
    paused = {one.source: one.reason for one in read_breakers(lake) if one.state == "open"}
    assert paused == {breaker: "outdated_extractor"}
    assert not read_breaker(lake, breaker).is_open("a newer ytmusicapi")


def test_a_film_whose_album_nobody_could_look_for_waits(world: Any, find: Find) -> None:
    world.albums.clear()
    fail(world, SEARCH, status=400)
    with pytest.raises(ItemError) as waits:
        find("enwiki-1")
    assert (waits.value.reason, waits.value.retry) == ("album_not_searched", "later")
    world.faults.clear()
    world.save()
    assert len(find("enwiki-1")) == 3


def test_a_pause_of_youtube_asks_youtube_music_nothing(world: Any, lake: Lake, find: Find) -> None:
    world.faults = [{"host": SITE, "path": SEARCH, "status": 429}]
    world.music_albums.clear()
    world.save()
    for _time in range(2):
        with pytest.raises(SourcePaused):
            find("enwiki-1")
    assert world.asked(MUSIC).count(SEARCH) == 1


def test_requests_to_youtube_music_count_in_the_daily_budget(
    world: Any, lake: Lake, add_films: Any, collect: Any
) -> None:
    world.add_film(*FILMS[0], 3)
    world.save()
    add_films(lake, FILMS[:1])
    assert collect(daily_requests=2).paused.reason == "daily_budget"
    assert len(world.requests) == 2
