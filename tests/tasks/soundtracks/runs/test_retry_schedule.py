"""New films go first, those without music less and less often, and an upgrade opens again what was given up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import time_machine

from storage.coordination.budgets import Budget
from storage.errors import ItemError, Retry
from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import MelSettings, shard_path
from storage.mels.writer import write_shard
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage, from_error, ok
from storage.tables import tables
from storage.tables.schemas import FILMS, TRACKS
from tasks.soundtracks.audio.melspectrogram import segment_mels
from tasks.soundtracks.candidate_recordings import Film, Judged
from tasks.soundtracks.matching.track_selection import read_matcher
from tasks.soundtracks.matching.verdict import RULE_VERSION
from tasks.soundtracks.runs.batch_pipeline import NETWORKED_FILMS_PER_TASK_RUN
from tasks.soundtracks.runs.collect_film import Collector, GatheredFilm
from tasks.soundtracks.runs.crash_recovery import without_run
from tasks.soundtracks.runs.open_sources import RunContext, open_context
from tasks.soundtracks.runs.plan import WorkQueue, plan
from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings
from tasks.soundtracks.sources.source_protocol import Fetched

START = datetime(2026, 11, 27, 2, tzinfo=UTC)
REQUESTS = {True: 49, False: 16}
"""Requests for a film with nine tracks, and for one for which two searches and their lists have nothing."""
FILMS_OF_THE_PAPER = 7771
DAYS = 17
"""As docs/soundtracks.md states it."""


class Site:
    """A source that is searched for each film; nothing asks it while a run is planned."""

    def __init__(self, name: str = "youtube") -> None:
        self.name = name

    def find(self, film: Film) -> Sequence[Judged]:
        raise NotImplementedError

    def fetch(self, judged: Judged, film: Film) -> Fetched:
        raise NotImplementedError


def context_of(lake: Lake, tool: str = "1", site: str = "youtube") -> RunContext:
    return RunContext(lake, SoundtrackSettings(), "test", read_matcher(lake), sources=[Site(site)], tool_version=tool)


def planned(lake: Lake, tool: str = "1", site: str = "youtube") -> list[str]:
    return [film.film_id for film in plan(context_of(lake, tool, site)).films]


def record(
    lake: Lake, reason: str, retry: Retry = Retry.LATER, stage: Stage = Stage.SOUNDTRACK, item: str = ""
) -> None:
    """Record that the film enwiki-1, or an item, ended so, as a run does."""
    context = context_of(lake)
    collector = Collector(context, plan(context))
    new = from_error(stage, item or "enwiki-1", ItemError(reason, "x", retry))
    outcomes.record(lake, collector._completed([new]), "test")


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(START, tick=False) as traveller:
        yield traveller


def test_a_film_without_music_is_asked_for_after_1_3_9_27_and_90_days(
    lake: Lake, clock: time_machine.Traveller
) -> None:
    for days in (1, 3, 9, 27, 90, 90):
        record(lake, "no_match")
        clock.shift(timedelta(days=days, hours=-5))
        assert "enwiki-1" not in planned(lake)
        clock.shift(timedelta(hours=5))
    assert "enwiki-1" in planned(lake)


def test_a_wait_that_was_recorded_by_a_clock_that_was_wrong_is_over(lake: Lake, clock: time_machine.Traveller) -> None:
    clock.shift(timedelta(days=400))
    record(lake, "no_match")
    record(lake, "timeout", stage=Stage.TRACK, item="enwiki-2/youtube:a")
    assert "enwiki-1" not in planned(lake)
    clock.shift(timedelta(days=-400))
    assert "enwiki-1" in planned(lake)
    assert not plan(context_of(lake)).tracks_not_due


@pytest.mark.parametrize("reason", ["awaiting_review", "nothing_found", "no_usable_track"])
def test_reasons_of_having_no_music_share_one_count(lake: Lake, clock: time_machine.Traveller, reason: str) -> None:
    record(lake, "no_match")
    record(lake, reason)
    clock.shift(timedelta(days=2))
    assert "enwiki-1" not in planned(lake)
    clock.shift(timedelta(days=1))
    assert "enwiki-1" in planned(lake)


def test_new_films_go_first_then_the_least_tried(lake: Lake, clock: time_machine.Traveller) -> None:
    assert planned(lake) == ["enwiki-3", "enwiki-2", "enwiki-1"]
    for film_id in ("enwiki-3", "enwiki-2", "enwiki-2"):
        record(lake, "no_match", item=film_id)
    clock.shift(timedelta(days=90))
    assert planned(lake) == ["enwiki-1", "enwiki-3", "enwiki-2"]


def test_a_source_that_was_not_asked_yet_does_not_wait_for_another(lake: Lake) -> None:
    record(lake, "no_match")
    assert "enwiki-1" not in planned(lake)
    assert planned(lake, site="archive") == ["enwiki-3", "enwiki-2", "enwiki-1"]


def test_what_was_given_up_is_opened_by_another_version_of_the_tool(lake: Lake) -> None:
    record(lake, "no_usable_track", Retry.NEVER)
    record(lake, "private", Retry.NEVER, Stage.TRACK, "enwiki-1/youtube:a")
    same, upgraded = plan(context_of(lake)), plan(context_of(lake, tool="2"))
    assert "enwiki-1" not in {film.film_id for film in same.films}
    assert same.tracks_not_due == {"enwiki-1/youtube:a"}
    assert upgraded.films[-1].film_id == "enwiki-1"
    assert (upgraded.tracks_not_due, upgraded.attempts) == (frozenset(), {})


def test_another_version_of_the_tool_opens_a_finished_film_for_what_was_given_up_of_it(lake: Lake) -> None:
    row = {"film_id": "enwiki-1", "segments": 0, "decision": "rejected", "reason": "private"}
    tracks = [{**row, "track_id": f"{source}:a", "source": source} for source in ("youtube", "urls")]
    with write_shard(lake, "enwiki-1", 2015, MelSettings()) as writer:
        writer.append("youtube:b", segment_mels([np.ones(22_050 * 10, np.float32)], MelSettings(), "b"))
        writer.finish([{**tracks[0], "track_id": "youtube:b", "segments": 1}])
    tables.append(lake, TRACKS, tracks, "test")
    for one in tracks:
        record(lake, "private", Retry.NEVER, Stage.TRACK, f"enwiki-1/{one['track_id']}")
    assert plan(context_of(lake)).reopened == []
    [film] = plan(context_of(lake, tool="2")).reopened
    assert [one["track_id"] for one in film.rows] == ["youtube:a"]


OFFICIAL = {"source": "youtube", "album_id": "OLAK5uy_a", "album": "Slow Water (Original Motion Picture Soundtrack)"}
SONG = {**OFFICIAL, "artist": "Ann Composer", "release_year": 2016, "duration_seconds": 120.0}


def add_finished_film(lake: Lake, *rows: dict[str, Any]) -> None:
    """Add a shard with the recording youtube:b for enwiki-1, and rows of others that an older rule did not take."""
    facts = {"film_id": "enwiki-1", "segments": None, "decision": "rejected", "reason": "no_soundtrack_words"}
    older = {**SONG, **facts, "rule_version": 1}
    made = [{**older, "track_id": f"youtube:{row['title']}", "media_id": row["title"], **row} for row in rows]
    with write_shard(lake, "enwiki-1", 2016, MelSettings()) as writer:
        writer.append("youtube:b", segment_mels([np.ones(22_050 * 10, np.float32)], MelSettings(), "b"))
        kept = {**older, "track_id": "youtube:b", "media_id": "b", "title": "The River", "segments": 1}
        writer.finish([{**kept, "decision": "taken", "reason": "matched"}])
    tables.append(lake, TRACKS, [{**kept, "decision": "taken", "reason": "matched"}, *made], "test")


def test_a_new_rule_opens_a_finished_film_for_what_it_takes_now_and_judges_the_rest_once(lake: Lake) -> None:
    trailer = {"title": "Slow Water - Official Trailer", "album_id": None, "album": None}
    add_finished_film(lake, {"title": "The Tide"}, trailer, {"title": "The River"})
    [film] = plan(context_of(lake)).reopened
    assert [row["title"] for row in film.rows] == ["The Tide"]
    verdicts = {row["title"]: (row["reason"], row["rule_version"]) for row in tables.latest(lake, TRACKS).to_pylist()}
    assert verdicts["Slow Water - Official Trailer"] == ("unwanted_trailer", RULE_VERSION)
    assert verdicts["The Tide"] == ("no_soundtrack_words", 1)
    assert [row["reason"] for row in film_rows(lake, "youtube:The River")] == ["duplicate"]
    parts = len(tables.parts(lake, TRACKS))
    assert [row["title"] for film in plan(context_of(lake)).reopened for row in film.rows] == ["The Tide"]
    assert len(tables.parts(lake, TRACKS)) == parts


@pytest.mark.parametrize(
    ("album_id", "decided_by", "others", "is_searched"),
    [
        (None, 1, (), True),
        (None, None, (), True),
        (None, RULE_VERSION, (), False),
        ("PL_a", 1, ("youtube:c", "youtube:d"), True),
        ("OLAK5uy_a", 1, ("youtube:c",), True),
        ("OLAK5uy_a", 1, ("youtube:c", "youtube:d"), False),
        (None, 1, ("music_folder:c",), False),
        (None, 1, tuple(f"youtube:{n}" for n in range(8)), False),
    ],
)
def test_a_new_rule_searches_again_for_albums_of_which_nothing_was_collected(
    lake: Lake, album_id: str | None, decided_by: int | None, others: tuple[str, ...], *, is_searched: bool
) -> None:
    add_finished_film(lake)
    [kept] = film_rows(lake, "youtube:b")
    rows = [{**kept, "track_id": track_id, "album_id": album_id} for track_id in ("youtube:b", *others)]
    tables.append(lake, TRACKS, [without_run(row) for row in rows], "test")
    done = outcomes.ok(Stage.SOUNDTRACK, "enwiki-1")
    outcomes.record(lake, [replace(done, rule_version=decided_by, sources=("youtube",))], "test")
    reopened = plan(context_of(lake)).reopened
    assert [(film.film.film_id, film.rows) for film in reopened] == [("enwiki-1", ())] * is_searched
    assert all(film.is_searched_again for film in reopened)


def film_rows(lake: Lake, track_id: str) -> list[dict[str, Any]]:
    return [row for row in tables.latest(lake, TRACKS).to_pylist() if row["track_id"] == track_id]


@pytest.mark.parametrize(
    ("row", "decision"),
    [
        ({"album_id": None, "album": "Slow Water Soundtrack", "uploader": "A Fan", "decision": "review"}, "review"),
        ({"album": "Other Songs", "decision": "review", "reason": "other_name"}, "review"),
        ({"artist": "Tribute Players", "decision": "review", "reason": "by_others"}, "review"),
        ({"reason": "enough_tracks"}, "rejected"),
    ],
)
def test_a_new_rule_keeps_what_awaits_a_review_and_what_no_rule_refused(
    lake: Lake, row: dict[str, Any], decision: str
) -> None:
    films = [{"film_id": "enwiki-1", "title": "Slow Water", "year": 2016, "composers": ["Ann Composer"]}]
    tables.append(lake, FILMS, [{**films[0], "state": "present"}], "test")
    add_finished_film(lake, {"title": "The Tide", **row})
    assert plan(context_of(lake)).reopened == []
    assert film_rows(lake, "youtube:The Tide")[0]["decision"] == decision


def test_what_a_new_rule_takes_is_not_tried_again_before_its_time(lake: Lake, clock: time_machine.Traveller) -> None:
    add_finished_film(lake, {"title": "The Tide"})
    record(lake, "timeout", stage=Stage.TRACK, item="enwiki-1/youtube:The Tide")
    assert plan(context_of(lake)).reopened == []
    clock.shift(timedelta(days=1))
    assert len(plan(context_of(lake)).reopened) == 1


def test_a_run_for_another_film_opens_no_finished_one(lake: Lake) -> None:
    add_finished_film(lake, {"title": "The Tide"})
    context = context_of(lake)
    context.settings = SoundtrackSettings(films=("Silent One",))
    assert plan(context).reopened == []


def test_another_version_of_ytmusicapi_asks_again_for_films_of_which_nothing_was_found(lake: Lake) -> None:
    upgraded = context_of(lake)
    upgraded.music_version = "2"
    record(lake, "private", Retry.NEVER, Stage.TRACK, "enwiki-1/youtube:a")
    record(lake, "nothing_found")
    assert "enwiki-1" not in planned(lake)
    assert "enwiki-1" in {film.film_id for film in plan(upgraded).films}
    assert plan(upgraded).tracks_not_due == {"enwiki-1/youtube:a"}


@pytest.mark.parametrize(("reason", "is_opened"), [("nothing_found", True), ("no_match", False)])
def test_another_version_of_the_tool_asks_again_for_what_it_may_have_misread(
    lake: Lake, reason: str, is_opened: bool
) -> None:
    record(lake, reason)
    assert ("enwiki-1" in planned(lake, tool="2")) == is_opened


@pytest.mark.parametrize("retry", [Retry.LATER, Retry.NEVER])
def test_another_version_of_the_rule_opens_a_film(lake: Lake, retry: Retry) -> None:
    film = from_error(Stage.SOUNDTRACK, "enwiki-1", ItemError("no_usable_track", "x", retry))
    decided = replace(film, rule_version=1, tool_version="1", sources=("youtube",))
    outcomes.record(lake, [decided], "test")
    assert planned(lake)[-1] == "enwiki-1"


def test_what_an_older_version_recorded_is_asked_for_once_after_the_new_films(lake: Lake) -> None:
    outcomes.record(lake, [from_error(Stage.SOUNDTRACK, "enwiki-3", ItemError("http_gone", "x"))], "old")
    assert planned(lake) == ["enwiki-2", "enwiki-1", "enwiki-3"]
    record(lake, "no_match", item="enwiki-3")
    assert planned(lake) == ["enwiki-2", "enwiki-1"]


def test_a_run_over_a_folder_says_nothing_about_a_search(lake: Lake, tmp_path: Path) -> None:
    record(lake, "awaiting_review")
    (tmp_path / "empty.csv").write_text("film,path\n")
    with open_context(lake, SoundtrackSettings(music=(str(tmp_path / "empty.csv"),)), "test") as context:
        plan(context)
    newest = {row["item"]: row["reason"] for row in tables.latest(lake, outcomes.OUTCOMES).to_pylist()}
    assert newest == {"enwiki-1": "awaiting_review", "enwiki-2": "no_match", "enwiki-3": "no_match"}
    assert planned(lake) == ["enwiki-3", "enwiki-2"]


def paper_size_lake(folder: Path) -> Lake:
    lake = tables.open_tables(str(folder / "paper"))
    rows = [
        {"film_id": f"enwiki-{n}", "title": f"Film {n}", "year": 1950 + n % 75, "state": "present"}
        for n in range(FILMS_OF_THE_PAPER)
    ]
    tables.append(lake, FILMS, rows, "test")
    return lake


def day_of(lake: Lake, tried: Counter[str]) -> None:
    """Work through one day's plan until its budget is spent; of the films every second one has an album."""
    context, settings, spent = context_of(lake), SoundtrackSettings(), Counter[str]()
    collector, limits = Collector(context, plan(context)), {"requests": settings.daily_requests}
    limits["downloads"] = settings.daily_downloads
    retries, ended = collector.plan.retries, []
    queue = WorkQueue(collector.plan.films, retries, settings.retry_share, lambda: spent)
    batch = {"requests": REQUESTS[True] * NETWORKED_FILMS_PER_TASK_RUN, "downloads": 9 * NETWORKED_FILMS_PER_TASK_RUN}
    while len(queue) and all(spent[name] + batch[name] <= limit for name, limit in limits.items()):
        for film in queue.take(NETWORKED_FILMS_PER_TASK_RUN):
            has_album = int(film.film_id.removeprefix("enwiki-")) % 2 == 0
            spent.update(requests=REQUESTS[has_album], downloads=9 * has_album)
            spent.update(retry_requests=REQUESTS[has_album] * (film.film_id in retries))
            tried[film.film_id] += 1
            ended.append(end_of(lake, film, has_album=has_album))
    Budget(lake, "youtube", limits).reserve(**{name: spent[name] for name in limits})
    outcomes.record(lake, collector._completed(ended), "test")


def end_of(lake: Lake, film: Film, *, has_album: bool) -> Outcome:
    """Return how a film ends, as a run records it; an empty file takes the place of its shard."""
    if has_album:
        shard = Path(lake.uri(shard_path(film.film_id, film.year or 0)))
        shard.parent.mkdir(parents=True, exist_ok=True)
        shard.touch()
        return ok(Stage.SOUNDTRACK, film.film_id)
    [outcome] = GatheredFilm(film).without_shard(was_searched=True)
    return outcome


@pytest.mark.timeout(600)
def test_of_the_films_of_the_paper_with_half_of_them_matched_every_one_is_tried(
    tmp_path: Path, clock: time_machine.Traveller
) -> None:
    lake, tried, days = paper_size_lake(tmp_path), Counter[str](), 0
    while len(tried) < FILMS_OF_THE_PAPER and days < 60:
        day_of(lake, tried)
        clock.shift(timedelta(days=1))
        days += 1
    again = tried.total() - len(tried)
    message = f"{len(tried)} of {FILMS_OF_THE_PAPER} films were tried in {days} days, {again} times one was tried again"
    assert (len(tried), len(lake.list("mels"))) == (FILMS_OF_THE_PAPER, FILMS_OF_THE_PAPER // 2 + 1), message
    assert days == DAYS, message
