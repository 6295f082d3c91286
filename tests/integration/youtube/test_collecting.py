"""Films collected through the real yt-dlp from a fake edge: what is taken, requested and stored."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from storage.coordination.breakers import read_breaker
from storage.coordination.leases import leased
from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import done_films
from storage.records import outcomes
from storage.records.outcomes import Stage, ok
from storage.records.review_answers_and_agreement import record_review
from storage.tables import tables
from storage.tables.schemas import BREAKERS, OUTCOMES, TRACKS
from tasks.soundtracks.matching.verdict import RULE_VERSION
from tasks.soundtracks.runs.takedown import take_down

pytestmark = pytest.mark.integration
NIGHT = ("Night Ferry (2015 film)", 2015)
SLOW = ("Slow Water", 2016)


def reasons(lake: Lake, stage: Stage) -> dict[str, tuple[str, str, int]]:
    rows = tables.latest(lake, OUTCOMES).to_pylist()
    return {row["item"]: (row["reason"], row["retry"], row["attempt"]) for row in rows if row["stage"] == stage}


def taken(lake: Lake) -> list[dict[str, Any]]:
    rows = [row for row in tables.latest(lake, TRACKS).to_pylist() if row["segments"]]
    return sorted(rows, key=lambda row: (row["film_id"], row["first_row"]))


def test_nine_tracks_of_the_album_are_stored_with_their_provenance(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    ids = world.add_film("Night Ferry", 2015, 11)
    world.save()
    add_films(lake, [NIGHT])
    assert collect().counts["tracks"] == 9
    rows = taken(lake)
    assert [row["media_id"] for row in rows] == ids[:9]
    row = rows[0]
    assert (row["uploader"], row["release_year"], row["reason"]) == ("Ann Composer - Topic", 2015, "matched")
    assert row["url"] == f"https://www.youtube.com/watch?v={ids[0]}"
    assert dict(row["tool_versions"])["yt-dlp"]
    assert not list(Path(lake.cache_folder, "staging").rglob("*.webm"))


def test_a_second_run_requests_nothing(lake: Lake, world: Any, add_films: Any, collect: Any) -> None:
    world.add_film("Night Ferry", 2015, 3)
    world.save()
    add_films(lake, [NIGHT])
    collect()
    before = len(world.requests)
    assert collect().counts["films"] == 0
    assert len(world.requests) == before


def test_a_film_without_an_album_is_searched_for(lake: Lake, world: Any, add_films: Any, collect: Any) -> None:
    good = world.add_video("goodgood001", "Slow Water Soundtrack - Main Theme", channel="Ann - Topic")
    bad = world.add_video("badbadbad01", "Slow Water - Official Trailer", channel="Studio")
    world.searches.append(("Slow Water", [bad, good]))
    world.save()
    add_films(lake, [SLOW])
    collect()
    assert [row["media_id"] for row in taken(lake)] == [good]
    assert set(world.media_requests()) == {good}


def test_an_upload_of_somebody_else_waits_for_a_review(lake: Lake, world: Any, add_films: Any, collect: Any) -> None:
    fan = world.add_video("fanfanfan01", "Slow Water (2016) Soundtrack - Main Theme", channel="A Fan")
    world.searches.append(("Slow Water", [fan]))
    world.save()
    add_films(lake, [SLOW])
    collect()
    [row] = tables.latest(lake, TRACKS).to_pylist()
    assert (row["decision"], row["reason"], row["rule_version"]) == ("review", "not_delivered", RULE_VERSION)
    assert not world.media_requests()
    record_review(lake, "enwiki-1", f"youtube:{fan}", is_match=True, note="", run_id="test")
    collect()
    assert [row["media_id"] for row in taken(lake)] == [fan]


def test_a_private_track_gives_way_to_the_next_candidate_for_good(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    ids = world.add_film("Night Ferry", 2015, 10)
    world.videos[ids[2]] |= {"status": "LOGIN_REQUIRED", "reason": "Private video"}
    world.save()
    add_films(lake, [NIGHT])
    collect()
    assert [row["media_id"] for row in taken(lake)] == [i for i in ids if i != ids[2]]
    assert reasons(lake, Stage.TRACK)[f"enwiki-1/youtube:{ids[2]}"] == ("private", "never", 1)


def test_a_film_waits_for_a_track_that_may_still_come(lake: Lake, world: Any, add_films: Any, collect: Any) -> None:
    ids = world.add_film("Night Ferry", 2015, 3)
    world.faults.append({"path": "/videoplayback", "video": ids[1], "status": 403})
    world.save()
    add_films(lake, [NIGHT])
    collect()
    assert reasons(lake, Stage.SOUNDTRACK)["enwiki-1"][0] == "incomplete"
    assert not done_films(lake)
    world.faults.clear()
    world.save()
    collect()
    assert [row["media_id"] for row in taken(lake)] == ids
    assert world.media_requests()[ids[0]] == 1


def test_a_film_stops_waiting_for_what_fails_in_three_runs_and_it_is_retried_by_reason(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    ids = world.add_film("Night Ferry", 2015, 1)
    world.faults.append({"path": "/videoplayback", "video": ids[0], "status": 500})
    world.save()
    add_films(lake, [NIGHT])
    for _run in range(3):
        collect(retry_reasons=("no_usable_track",) if _run else ())
    assert reasons(lake, Stage.TRACK)[f"enwiki-1/youtube:{ids[0]}"] == ("http_5xx", "later", 3)
    before = len(world.requests)
    collect()
    assert len(world.requests) == before
    world.faults.clear()
    world.save()
    collect(retry_reasons=("http_5xx",))
    assert len(taken(lake)) == 1


@pytest.mark.parametrize(("path", "status"), [("/youtubei/v1/search", 400), ("/playlist", 404), ("/player", 400)])
def test_an_error_status_of_the_api_is_forgotten_when_it_works_again(
    lake: Lake, world: Any, add_films: Any, collect: Any, path: str, status: int
) -> None:
    world.add_film("Night Ferry", 2015, 2)
    world.music_albums.clear()
    world.faults.append({"path": path, "status": status})
    world.save()
    add_films(lake, [NIGHT])
    for _run in range(3):
        collect()
        assert "never" not in {row["retry"] for row in tables.latest(lake, OUTCOMES).to_pylist()}
    world.faults.clear()
    world.save()
    collect(retry_reasons=("no_usable_track", "youtube_4xx"))
    assert len(taken(lake)) == 2


def test_a_film_does_not_wait_for_ever_for_a_track_that_youtube_answers_with_an_error_status(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    ids = world.add_film("Night Ferry", 2015, 3)
    world.faults.append({"path": "/videoplayback", "video": ids[1], "status": 404})
    world.save()
    add_films(lake, [NIGHT])
    for _run in range(3):
        collect()
    assert [row["media_id"] for row in taken(lake)] == [ids[0], ids[2]]
    assert reasons(lake, Stage.TRACK)[f"enwiki-1/youtube:{ids[1]}"] == ("media_gone", "later", 1)


def test_an_api_that_answers_every_film_with_400_pauses_the_source(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    world.faults.append({"path": "/youtubei/v1/search", "status": 400})
    world.save()
    add_films(lake, [(f"Night Ferry {name}", 2015) for name in ("Alpha", "Beta", "Gamma", "Delta", "Omega", "Sigma")])
    assert collect().paused.reason == "outdated_extractor"


def test_too_many_requests_pause_the_source_and_blame_no_item(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    ids = world.add_film("Night Ferry", 2015, 2)
    fault = {"path": "/player", "video": ids[1], "status": 429, "headers": {"Retry-After": "120"}}
    world.faults.append(fault)
    world.save()
    add_films(lake, [NIGHT])
    paused = collect().paused
    assert paused.reason == "rate_limit"
    assert timedelta(seconds=100) < paused.until - datetime.now(UTC) <= timedelta(seconds=120)
    assert f"enwiki-1/youtube:{ids[1]}" not in reasons(lake, Stage.TRACK)
    before = len(world.requests)
    assert collect().paused is not None
    assert len(world.requests) == before


def test_after_the_pause_one_canary_closes_the_breaker(lake: Lake, world: Any, add_films: Any, collect: Any) -> None:
    world.add_film("Night Ferry", 2015, 2)
    world.save()
    add_films(lake, [NIGHT])
    past = {"source": "youtube", "state": "open", "reason": "bot", "message": "x", "openings": 2, "suspects": []}
    tables.append(lake, BREAKERS, [{**past, "until": datetime.now(UTC) - timedelta(minutes=1)}], "test")
    assert collect().counts["tracks"] == 2
    assert read_breaker(lake, "youtube").state == "closed"


def test_a_canary_that_fails_doubles_the_pause(lake: Lake, world: Any, add_films: Any, collect: Any) -> None:
    world.add_film("Night Ferry", 2015, 1)
    world.faults.append({"path": "/player", "status": 429})
    world.save()
    add_films(lake, [NIGHT])
    past = {"source": "youtube", "state": "open", "reason": "rate_limit", "message": "x", "openings": 1, "suspects": []}
    tables.append(lake, BREAKERS, [{**past, "until": datetime.now(UTC) - timedelta(minutes=1)}], "test")
    collect()
    breaker = read_breaker(lake, "youtube")
    assert breaker.openings == 2
    assert breaker.until - datetime.now(UTC) > timedelta(minutes=125)


def test_five_different_videos_without_formats_mean_an_outdated_extractor(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    for video_id in world.add_film("Night Ferry", 2015, 9):
        world.videos[video_id]["no_formats"] = True
    world.save()
    add_films(lake, [NIGHT])
    paused = collect().paused
    assert paused.reason == "outdated_extractor"
    breaker = read_breaker(lake, "youtube")
    assert len(breaker.consecutive_failures) == 5
    assert breaker.is_open(breaker.tool_version)
    assert not breaker.is_open("a newer one")


def test_the_daily_downloads_are_shared_by_all_runs(lake: Lake, world: Any, add_films: Any, collect: Any) -> None:
    world.add_film("Night Ferry", 2015, 4)
    world.save()
    add_films(lake, [NIGHT])
    assert collect(daily_downloads=3).paused.reason == "daily_budget"
    assert collect(daily_downloads=3).paused.reason == "daily_budget"
    assert sum(world.media_requests().values()) == 3
    assert collect(daily_downloads=4).counts["tracks"] == 4


def test_the_daily_requests_are_never_exceeded(lake: Lake, world: Any, add_films: Any, collect: Any) -> None:
    world.add_film("Night Ferry", 2015, 4)
    world.save()
    add_films(lake, [NIGHT])
    for _run in range(3):
        assert collect(daily_requests=12).paused.reason == "daily_budget"
    assert len(world.requests) <= 12


def test_what_was_taken_down_is_never_requested(lake: Lake, world: Any, add_films: Any, collect: Any) -> None:
    ids = world.add_film("Night Ferry", 2015, 3)
    world.save()
    add_films(lake, [NIGHT])
    take_down(lake, f"youtube:{ids[1]}", "asked by the label", "test")
    collect()
    assert [row["media_id"] for row in taken(lake)] == [ids[0], ids[2]]
    assert ids[1] not in {request["video"] for request in world.requests}


def test_a_takedown_blanks_the_mels_and_leaves_the_others_in_place(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    from storage.mels.reader import read_mels

    ids = world.add_film("Night Ferry", 2015, 3)
    world.save()
    add_films(lake, [NIGHT])
    collect()
    before = {row["media_id"]: row["first_row"] for row in taken(lake)}
    assert take_down(lake, f"youtube:{ids[1]}", "", "test").tracks == 1
    mels = dict(read_mels(lake, done_films(lake)["enwiki-1"])[1])
    assert not mels[f"youtube:{ids[1]}"].stored.any()
    assert mels[f"youtube:{ids[2]}"].stored.any()
    assert {row["media_id"]: row["first_row"] for row in taken(lake)} == {
        video_id: first for video_id, first in before.items() if video_id != ids[1]
    }


def test_a_reviewers_yes_and_no_override_the_rule(lake: Lake, world: Any, add_films: Any, collect: Any) -> None:
    doubtful = world.add_video("doubtful001", "Slow Water", channel="Ann - Topic")
    sure = world.add_video("suresuresu1", "Slow Water Soundtrack - End", channel="Ann - Topic")
    world.searches.append(("Slow Water", [doubtful, sure]))
    world.save()
    add_films(lake, [SLOW])
    record_review(lake, "enwiki-1", f"youtube:{doubtful}", is_match=True, note="", run_id="test")
    record_review(lake, "enwiki-1", f"youtube:{sure}", is_match=False, note="", run_id="test")
    collect()
    assert [(row["media_id"], row["reason"]) for row in taken(lake)] == [(doubtful, "approved")]
    assert sure not in world.media_requests()


def test_a_film_of_another_worker_is_left_to_it(lake: Lake, world: Any, add_films: Any, collect: Any) -> None:
    world.add_film("Night Ferry", 2015, 1)
    world.save()
    add_films(lake, [NIGHT])
    with leased(lake, "enwiki-1"):
        assert collect().counts["films_of_other_workers"] == 1
    assert not world.requests
    assert collect().counts["films"] == 1


def test_downloads_are_kept_in_the_lake_with_the_option(lake: Lake, world: Any, add_films: Any, collect: Any) -> None:
    ids = world.add_film("Night Ferry", 2015, 1)
    world.save()
    add_films(lake, [NIGHT])
    collect(keep_audio=True)
    assert lake.list("audio") == [f"audio/enwiki-1/{ids[0]}.251.webm"]


def test_a_reviewers_yes_adds_to_a_film_that_is_done(lake: Lake, world: Any, add_films: Any, collect: Any) -> None:
    doubtful = world.add_video("doubtful001", "Slow Water", channel="Ann - Topic")
    sure = world.add_video("suresuresu1", "Slow Water Soundtrack - End", channel="Ann - Topic")
    world.searches.append(("Slow Water", [doubtful, sure]))
    world.save()
    add_films(lake, [SLOW])
    collect()
    assert [row["media_id"] for row in taken(lake)] == [sure]
    record_review(lake, "enwiki-1", f"youtube:{doubtful}", is_match=True, note="", run_id="test")
    assert collect().counts["films_reopened"] == 1
    assert [(row["media_id"], row["first_row"]) for row in taken(lake)] == [(sure, 0), (doubtful, 3)]
    before = len(world.requests)
    assert collect().counts["films_reopened"] == 0
    assert (len(world.requests), world.media_requests()[sure]) == (before, 1)


def test_what_failed_for_good_is_added_to_a_done_film_by_retry(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    ids = world.add_film("Night Ferry", 2015, 2)
    world.videos[ids[1]] |= {"status": "LOGIN_REQUIRED", "reason": "Private video"}
    world.save()
    add_films(lake, [NIGHT])
    collect()
    assert len(taken(lake)) == 1
    world.videos[ids[1]] |= {"status": "OK", "reason": None}
    world.save()
    collect()
    assert len(taken(lake)) == 1
    collect(retry_reasons=("private",))
    assert [row["media_id"] for row in taken(lake)] == ids


def test_a_new_rule_adds_to_a_film_that_is_done_what_its_page_confirms(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    ids = world.add_film("Night Ferry", 2015, 4)
    world.videos[ids[3]] |= {"live": "was_live"}
    world.music_albums[0]["tracks"] = world.music_albums[0]["tracks"][:1]
    world.save()
    add_films(lake, [NIGHT])
    collect()
    add_rows_of_an_older_rule(lake, ids[1:])
    before = len(world.requests)
    assert collect(daily_requests=1).paused.reason == "daily_budget"
    assert collect().counts["films_reopened"] == 1
    assert [row["media_id"] for row in taken(lake)] == ids[:3]
    newest = {row["media_id"]: (row["reason"], row["rule_version"]) for row in tables.latest(lake, TRACKS).to_pylist()}
    assert newest[ids[3]] == ("live", RULE_VERSION)
    assert not [one for one in world.requests[before:] if one["path"] in ("/youtubei/v1/search", "/playlist")]
    before = len(world.requests)
    assert collect().counts["films_reopened"] == 0
    assert len(world.requests) == before


def test_an_album_that_an_older_rule_refused_is_searched_for_once_more(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    single = world.add_video("suresuresu1", "Slow Water Soundtrack - End", channel="Ann - Topic")
    world.searches.append(("Slow Water", [single]))
    ids = world.add_film("Slow Water", 2016, 3)
    world.music_albums[0]["year"] = 1990
    world.albums.clear()
    world.save()
    add_films(lake, [SLOW])
    collect()
    assert [row["media_id"] for row in taken(lake)] == [single]
    outcomes.record(lake, [replace(ok(Stage.SOUNDTRACK, "enwiki-1"), rule_version=1)], "test")
    world.music_albums[0]["year"] = 2016
    world.save()
    assert collect(daily_requests=1).paused.reason == "daily_budget"
    assert collect().counts["films_searched_again"] == 1
    assert [row["media_id"] for row in taken(lake)] == [single, *ids]
    before = len(world.requests)
    assert collect().counts["films_searched_again"] == 0
    assert len(world.requests) == before


def test_a_film_whose_albums_could_not_be_asked_for_is_searched_again_by_the_next_run(
    lake: Lake, world: Any, add_films: Any, collect: Any
) -> None:
    single = world.add_video("suresuresu1", "Slow Water Soundtrack - End", channel="Ann - Topic")
    world.searches.append(("Slow Water", [single]))
    world.save()
    add_films(lake, [SLOW])
    collect()
    outcomes.record(lake, [replace(ok(Stage.SOUNDTRACK, "enwiki-1"), rule_version=1)], "test")
    world.faults.append({"host": "music.youtube.com", "path": "search", "status": 400})
    world.save()
    assert collect().counts["films_not_searched"] == 1
    world.faults.clear()
    world.save()
    assert collect().counts["films_searched_again"] == 1
    assert [row["media_id"] for row in taken(lake)] == [single]


def add_rows_of_an_older_rule(lake: Lake, ids: list[str]) -> None:
    """Write rows of further tracks of the album whose first is collected, as an older rule refused them."""
    [first] = taken(lake)
    kept = ("film_id", "source", "artist", "album", "album_id", "uploader", "release_year", "duration_seconds")
    facts = {name: first[name] for name in kept} | {"decision": "rejected", "reason": "low_score", "rule_version": 1}
    rows = [
        {**facts, "track_id": f"youtube:{one}", "media_id": one, "title": f"Cue {number}", "position": number}
        | {"url": f"https://www.youtube.com/watch?v={one}"}
        for number, one in enumerate(ids, 2)
    ]
    tables.append(lake, TRACKS, rows, "test")
