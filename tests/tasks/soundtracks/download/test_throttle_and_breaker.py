"""Each kind of call has its own counter and pauses, and only its own success ends its pause."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from storage.coordination.breakers import FAILURES_TO_OPEN, read_breaker, read_breakers
from storage.errors import SourcePaused
from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import BREAKERS
from tasks.soundtracks.download.error_classification import classify
from tasks.soundtracks.download.error_patterns_and_pauses import CallKind
from tasks.soundtracks.download.throttle_and_breaker import EMPTY_TO_OPEN, SourceThrottle

BOT = "Sign in to confirm you’re not a bot"
LIMITS = {"requests": 1000, "downloads": 100}
Throttle = Callable[..., SourceThrottle]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tables.open_tables(str(tmp_path / "lake"))


@pytest.fixture
def throttle(lake: Lake) -> Throttle:
    """A function that returns the throttle of a new run, with this version of yt-dlp."""
    return lambda version="1": SourceThrottle(lake, "youtube", "run", version, LIMITS)


def fail(throttle: SourceThrottle, item: str, message: str, kind: CallKind) -> str | None:
    """Report a failure; return the reason of the pause that it causes, or None."""
    try:
        throttle.enter()
        throttle.failed(item, classify(message, kind=kind))
    except SourcePaused as pause:
        return pause.reason
    return None


def end_pauses(lake: Lake) -> None:
    """Let the pauses of all breakers end a minute ago."""
    for breaker in read_breakers(lake):
        row = {**vars(breaker), "suspects": list(breaker.consecutive_failures), "kind": breaker.kind or None}
        del row["consecutive_failures"]
        tables.append(lake, BREAKERS, [{**row, "until": datetime.now(UTC) - timedelta(minutes=1)}], "test")


def test_a_search_ends_no_pause_of_the_player_so_that_pauses_double(lake: Lake, throttle: Throttle) -> None:
    hours = []
    for _run in range(5):
        run = throttle()
        run.enter()
        run.succeeded(CallKind.LIST_SEARCH)
        assert fail(run, "a", BOT, CallKind.PLAYER) == "bot"
        breaker = read_breaker(lake, "youtube", "player")
        assert breaker.until is not None
        hours.append(round((breaker.until - datetime.now(UTC)) / timedelta(hours=1)))
        run.close()
        end_pauses(lake)
    assert hours == [6, 12, 24, 48, 72]


@pytest.mark.parametrize("kind", [CallKind.SEARCH, CallKind.LIST, CallKind.PLAYER, CallKind.MEDIA])
def test_a_pause_ends_with_the_first_success_of_its_own_kind(lake: Lake, throttle: Throttle, kind: CallKind) -> None:
    run = throttle()
    fail(run, "a", "HTTP Error 429: Too Many Requests", kind)
    end_pauses(lake)
    run.enter()
    run.succeeded(*(set(CallKind) - {kind}))
    assert read_breaker(lake, "youtube", kind).state == "open"
    run.succeeded(kind)
    assert read_breaker(lake, "youtube", kind).state == "closed"


def test_successful_searches_do_not_reset_the_failures_of_the_player(throttle: Throttle) -> None:
    run, reasons = throttle(), []
    for number in range(FAILURES_TO_OPEN):
        run.enter()
        run.succeeded(CallKind.SEARCH, CallKind.LIST)
        reasons.append(fail(run, f"video-{number}", "No video formats found!", CallKind.PLAYER))
    assert reasons == [None] * (FAILURES_TO_OPEN - 1) + ["outdated_extractor"]


def test_failures_of_different_kinds_do_not_add_up(throttle: Throttle) -> None:
    run = throttle()
    for kind in (CallKind.SEARCH, CallKind.LIST, CallKind.PLAYER, CallKind.MEDIA):
        assert [fail(run, f"{kind}-{n}", "No video formats found!", kind) for n in range(4)] == [None] * 4


def test_a_success_of_the_same_kind_resets_its_failures(lake: Lake, throttle: Throttle) -> None:
    run = throttle()
    for number in range(4):
        fail(run, f"a-{number}", "No video formats found!", CallKind.PLAYER)
    run.enter()
    run.succeeded(CallKind.PLAYER)
    assert read_breaker(lake, "youtube", "player").consecutive_failures == ()


def empty_searches(lake: Lake, count: int) -> None:
    """Record that earlier runs searched for so many films, one after another, and found nothing."""
    films = [f"film {number}" for number in range(count)]
    row = {"source": "youtube", "kind": "list_search_results", "state": "closed", "openings": 0, "suspects": films}
    tables.append(lake, BREAKERS, [row], "earlier")


def test_searches_of_fifty_films_that_find_nothing_are_a_changed_layout(lake: Lake, throttle: Throttle) -> None:
    empty_searches(lake, EMPTY_TO_OPEN - 2)
    run = throttle()
    run.enter()
    run.found("another film", CallKind.LIST_SEARCH, anything=False)
    with pytest.raises(SourcePaused, match=r"layout has probably changed; upgrade yt-dlp and ytmusicapi") as caught:
        run.found("and another", CallKind.LIST_SEARCH, anything=False)
    assert caught.value.reason == "changed_layout"
    with pytest.raises(SourcePaused):
        throttle().enter()
    upgraded = throttle("2")
    upgraded.enter()  # another version of yt-dlp may read the new layout
    upgraded.close()
    end_pauses(lake)
    run.enter()
    with pytest.raises(SourcePaused):
        run.found("film 51", CallKind.LIST_SEARCH, anything=False)
    assert read_breaker(lake, "youtube", "list_search_results").openings == 2


def test_one_film_for_which_something_is_listed_resets_the_count_of_empty_searches(
    lake: Lake, throttle: Throttle
) -> None:
    empty_searches(lake, EMPTY_TO_OPEN - 1)
    run = throttle()
    run.enter()
    run.found("another film", CallKind.LIST_SEARCH, anything=True)
    run.enter()
    run.found("and another", CallKind.LIST_SEARCH, anything=False)
    assert not read_breaker(lake, "youtube").is_open("1")


def old_pause(lake: Lake, reason: str) -> None:
    """Write the row of a pause that an older version opened, without a kind of call, and that has ended."""
    past = datetime.now(UTC) - timedelta(minutes=1)
    row = {"source": "youtube", "state": "open", "reason": reason, "message": "x", "until": past, "openings": 2}
    tables.append(lake, BREAKERS, [row], "old")


def test_the_block_of_an_older_version_ends_with_a_call_for_a_recording(lake: Lake, throttle: Throttle) -> None:
    old_pause(lake, "bot")
    run = throttle()
    run.enter()
    run.succeeded(CallKind.SEARCH)
    assert read_breaker(lake, "youtube").state == "open"
    run.succeeded(CallKind.PLAYER)
    assert read_breaker(lake, "youtube").state == "closed"


def test_a_pause_that_follows_one_of_an_older_version_is_twice_as_long(lake: Lake, throttle: Throttle) -> None:
    old_pause(lake, "bot")
    assert fail(throttle(), "a", BOT, CallKind.PLAYER) == "bot"
    assert read_breaker(lake, "youtube", "player").openings == 3
