"""Official albums through the real ytmusicapi over the fake edge: what is asked, what is read, what has no album."""

from __future__ import annotations

import json
import locale
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import FILMS
from storage.takedown_list_and_erasure import record_takedown
from tasks.soundtracks.candidate_recordings import Decision, Judged
from tasks.soundtracks.download.throttle_and_breaker import Pace, SourceThrottle
from tasks.soundtracks.runs.open_sources import open_context
from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings
from tasks.soundtracks.sources.youtube_music import YouTubeMusic

pytestmark = pytest.mark.integration
MUSIC, SITE = "music.youtube.com", "www.youtube.com"
SEARCH, PAGE = "/youtubei/v1/search", "/youtubei/v1/browse"
NIGHT = ("Night Ferry", 2015)
QUERY = "Night Ferry 2015 soundtrack"
DATA = Path(os.environ.get("NEEDLEDROP_TEST_DATA", "../shared/data"), "youtube_music")


@pytest.fixture
def music(lake: Lake) -> YouTubeMusic:
    limits = {"requests": 1000, "downloads": 1000}
    return YouTubeMusic(SourceThrottle(lake, "youtube", "test", "1", limits), Pace(0.0))


@pytest.fixture
def find(lake: Lake) -> Callable[[], dict[str, Judged]]:
    """Return a function that finds the candidates of the lake's first film in one run, by media id."""

    def run() -> dict[str, Judged]:
        settings = SoundtrackSettings(youtube=True, i_have_the_right_to_collect=True, pace=0.0)
        with open_context(lake, settings, "test") as context:
            film = context.matcher.film_index.films["enwiki-1"]
            return {one.candidate.media_id: one for one in context.sources[0].find(film)}

    return run


def edited_album(world: Any, **changes: Any) -> list[str]:
    """Add a film of three tracks and change its album on YouTube Music."""
    ids = world.add_film(*NIGHT, 3)
    world.music_albums[0].update(changes)
    world.save()
    return ids


def test_an_album_takes_one_search_and_one_page(world: Any, music: YouTubeMusic) -> None:
    ids = edited_album(world)
    [album] = music.search(QUERY)
    assert [track.media_id for track in music.tracks(album)] == ids
    assert world.asked(MUSIC) == ["/", SEARCH, PAGE]
    music.search(QUERY)
    assert world.asked(MUSIC)[3:] == [SEARCH]


def test_a_track_has_what_its_album_states(world: Any, music: YouTubeMusic) -> None:
    ids = edited_album(world, artists=[["Ann Composer", "UCann"], ["The Band", None]])
    track = music.tracks(music.search(QUERY)[0], first_position=7)[1]
    assert (track.media_id, track.url) == (ids[1], f"https://www.youtube.com/watch?v={ids[1]}")
    assert (track.title, track.album, track.duration_seconds) == (
        "Cue 2",
        "Night Ferry (Original Motion Picture Soundtrack)",
        31.0,
    )
    assert (track.artist, track.album_artist) == ("Ann Composer, The Band", "Ann Composer, The Band")
    assert (track.release_year, track.position, track.query, track.is_official_album) == (2015, 8, QUERY, True)
    assert track.album_id == world.music_albums[0]["playlist_id"]
    assert track.tool_versions == {"ytmusicapi": "1.12.3"}


def test_no_account_and_no_cookie_of_the_site_is_sent(
    world: Any, music: YouTubeMusic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    password = tmp_path / "netrc"
    password.write_text("machine music.youtube.com login ann password secret")
    monkeypatch.setenv("NETRC", str(password))
    world.faults.append({"host": MUSIC, "path": "search", "body": {}, "headers": {"Set-Cookie": "SID=1; Path=/"}})
    edited_album(world)
    music.search(QUERY)
    music.search(QUERY)
    assert [one["headers"].get("cookie") for one in world.requests] == ["SOCS=CAI"] * 3
    assert not any("authorization" in one["headers"] for one in world.requests)


def test_the_locale_of_the_process_is_kept(world: Any, lake: Lake) -> None:
    before = locale.setlocale(locale.LC_ALL)
    YouTubeMusic(SourceThrottle(lake, "youtube", "test", "1", {"requests": 1}), Pace(0.0)).close()
    assert locale.setlocale(locale.LC_ALL) == before


def test_albums_go_before_singles(world: Any, music: YouTubeMusic) -> None:
    edited_album(world, kind="Single")
    album = {**world.music_albums[0], "kind": "Album", "browse_id": "MPREb_album"}
    world.music_albums += [{**album, "kind": "EP", "browse_id": "MPREb_ep"}, album]
    world.save()
    assert [one.media_id for one in music.search(QUERY)][:2] == ["MPREb_album", "MPREb_ep"]


def test_a_suggested_spelling_is_no_result(world: Any, music: YouTubeMusic) -> None:
    world.did_you_mean = "night fairy"
    edited_album(world)
    assert len(music.search(QUERY)) == 1
    assert music.search("something else") == []


def test_an_album_that_the_site_lists_as_an_album_is_found_without_youtube_music(
    world: Any, add_films: Any, lake: Lake, find: Any
) -> None:
    ids = edited_album(world)
    world.albums[0] = (*world.albums[0][:4], "ALBUM")
    world.music_albums.clear()
    world.save()
    add_films(lake, [NIGHT])
    assert list(find()) == ids


def test_a_result_that_has_no_id_is_passed_over(world: Any, add_films: Any, lake: Lake, find: Any) -> None:
    ids = edited_album(world)
    world.albums.insert(0, (world.albums[0][0], "", "NightFairy", [], "HASHTAG"))
    world.music_albums.clear()
    world.save()
    add_films(lake, [NIGHT])
    assert list(find()) == ids


def test_a_kind_of_result_that_yt_dlp_leaves_out_is_reported(
    world: Any, add_films: Any, lake: Lake, find: Any, caplog: pytest.LogCaptureFixture
) -> None:
    edited_album(world)
    world.albums[0] = (*world.albums[0][:4], "MIXTAPE")
    world.music_albums.clear()
    world.save()
    add_films(lake, [NIGHT])
    assert not find()
    assert 'Unsupported lockup view model content type "LOCKUP_CONTENT_TYPE_MIXTAPE"' in caplog.text


@pytest.mark.parametrize("missing", ["year", "artists", "playlist_id"])
def test_what_an_album_does_not_state_is_missing_and_costs_no_track(
    world: Any, music: YouTubeMusic, missing: str
) -> None:
    edited_album(world, **{missing: [] if missing == "artists" else None})
    [album] = music.search(QUERY)
    tracks = music.tracks(album)
    assert len(tracks) == 3
    if missing == "playlist_id":
        assert (album.is_official_album, tracks[0].is_official_album, tracks[0].album_id) == (False, False, None)
    else:
        assert {"year": tracks[0].release_year, "artists": tracks[0].artist}[missing] is None


@pytest.mark.parametrize(
    ("length", "seconds"), [("0:31", 31.0), ("1:02:03", 3723.0), ("3:5", None), (" ", None), ("2,343", None)]
)
def test_only_what_is_written_as_a_length_is_one(
    world: Any, music: YouTubeMusic, length: str, seconds: float | None
) -> None:
    edited_album(world, tracks=[{"video": "abcdefghijk", "title": "Cue", "length": length}])
    [track] = music.tracks(music.search(QUERY)[0])
    assert track.duration_seconds == seconds


def test_tracks_that_cannot_be_played_have_a_row_with_a_reason(
    world: Any, add_films: Any, lake: Lake, find: Any
) -> None:
    ids = edited_album(world)
    world.music_albums[0]["tracks"][0]["available"] = False
    world.music_albums[0]["tracks"].append({"video": None, "title": "Lost Cue", "length": "2:00"})
    world.save()
    add_films(lake, [NIGHT])
    judged = find()
    unplayable = [one for one in judged.values() if one.candidate.availability == "unavailable"]
    assert {(one.verdict.decision, one.verdict.reason) for one in unplayable} == {(Decision.REJECTED, "not_public")}
    assert sorted(one.candidate.title for one in unplayable) == ["Cue 1", "Lost Cue"]
    assert {i for i in ids if judged.get(i) and judged[i].verdict.decision is Decision.TAKEN} == set(ids[1:])


def test_an_album_of_400_tracks_is_read_completely(world: Any, music: YouTubeMusic) -> None:
    tracks = [{"video": f"{n:011d}", "title": f"Cue {n}", "length": "3:00"} for n in range(400)]
    edited_album(world, tracks=tracks)
    assert [one.position for one in music.tracks(music.search(QUERY)[0])] == list(range(400))
    assert world.asked(MUSIC) == ["/", SEARCH, PAGE]


def test_an_album_without_tracks_is_no_failure(
    world: Any, music: YouTubeMusic, caplog: pytest.LogCaptureFixture
) -> None:
    edited_album(world, tracks=[])
    assert music.tracks(music.search(QUERY)[0]) == []
    assert "has a page on YouTube Music, but no tracks" in caplog.text


def test_tracks_that_a_page_states_and_does_not_list_are_reported(
    world: Any, music: YouTubeMusic, caplog: pytest.LogCaptureFixture
) -> None:
    edited_album(world, track_count=19)
    music.tracks(music.search(QUERY)[0])
    assert "states 19 tracks, but its page lists 3" in caplog.text


def test_an_album_of_an_artist_who_was_taken_down_is_not_opened(
    world: Any, add_films: Any, lake: Lake, find: Any
) -> None:
    edited_album(world)
    add_films(lake, [NIGHT])
    world.albums.clear()
    world.save()
    record_takedown(lake, f"channel:{world.music_albums[0]['artists'][0][1]}", "asked by the artist", "test")
    assert not find()
    assert PAGE not in world.asked(MUSIC)


def test_a_film_with_a_match_takes_two_requests_and_one_without_five(
    world: Any, add_films: Any, lake: Lake, find: Any
) -> None:
    ids = edited_album(world)
    add_films(lake, [NIGHT])
    assert list(find()) == ids
    assert (world.asked(MUSIC), world.asked(SITE)) == (["/", SEARCH, PAGE], [])
    world.music_albums.clear()
    world.albums.clear()
    world.save().log.write_text("")
    assert not find()
    assert world.asked(MUSIC) == ["/", SEARCH]
    assert world.asked(SITE) == ["", SEARCH] * 2


def test_every_search_tries_the_original_title_where_nothing_is_taken_by_the_pages(
    world: Any, add_films: Any, lake: Lake, find: Any
) -> None:
    video = world.add_video("originalone", "Nattfärjan Soundtrack - Main Theme", channel="Ann - Topic")
    world.searches.append(("Nattfärjan", [video]))
    world.save()
    [film_id] = add_films(lake, [NIGHT])
    row = {"film_id": film_id, "title": NIGHT[0], "year": NIGHT[1], "names": ["Nattfärjan"], "state": "present"}
    tables.append(lake, FILMS, [row], "test")
    assert list(find()) == [video]
    assert world.asked(MUSIC) == ["/", SEARCH, SEARCH]
    assert world.asked(SITE) == ["", SEARCH] * 4


@pytest.mark.parametrize("name", ["2024_03_get_album", "2026_05_get_album"])
def test_real_album_pages_are_read(world: Any, music: YouTubeMusic, name: str) -> None:
    if not DATA.is_dir():
        pytest.skip("the real answers of YouTube Music are not here")
    edited_album(world)
    [album] = music.search(QUERY)
    world.faults.append({"host": MUSIC, "path": PAGE, "body": json.loads((DATA / f"{name}.json").read_text())})
    world.save()
    tracks = music.tracks(album)
    assert len(tracks) == {"2024_03_get_album": 19, "2026_05_get_album": 11}[name]
    assert all(one.is_official_album and one.duration_seconds and len(one.media_id) == 11 for one in tracks)
    assert {one.release_year for one in tracks} == {2017}


def test_a_real_search_is_read(world: Any, music: YouTubeMusic) -> None:
    if not DATA.is_dir():
        pytest.skip("the real answers of YouTube Music are not here")
    world.faults.append({"host": MUSIC, "path": SEARCH, "body": json.loads((DATA / "2022_04_search.json").read_text())})
    world.save()
    albums = music.search("dhoom")
    assert [(one.title, one.release_year, one.is_official_album) for one in albums] == [
        ("Dhoom", 2018, True),
        ("Dhoom", 2004, True),
        ("Dhoom:2", 2006, True),
    ]
    assert [one.channel_id is None for one in albums] == [False, True, False]
