"""MusicBrainz's answers, good and bad: which albums are read, what is recorded, and how fast is asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from storage.coordination.budgets import Budget
from storage.errors import InputError, SourcePaused
from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import ALBUM_LISTINGS, FILMS, OUTCOMES
from tasks.films.musicbrainz import (
    MusicBrainz,
    WantedAlbums,
    find_albums,
    look_up_releases,
    wanted_from_musicbrainz,
)
from tasks.films.parsing.track_lists import ListedTrack
from tasks.films.rate_limited_http import ApiError

if TYPE_CHECKING:
    from tests.tasks.films.conftest import Edge

ADDRESS = "https://musicbrainz.example/ws/2"
SCORE, REMIX = "e0b56cbe-df98-4ab7-a5d6-d2f62b35eb34", "13a48695-785a-4b04-bfbe-433c604c7f4f"
LIMIT = {"error": "Your requests are exceeding the allowable rate limit. Please see the documentation."}
FILM = WantedAlbums("enwiki-7", "tt2582802", "Q15648198")


def _linked(*groups: str) -> bytes:
    """The look-up of a film's page; the types of the groups are not in it."""
    relations = [
        {"type": "IMDb", "target-type": "release_group", "direction": "backward", "ended": False, "attributes": [],
         "release_group": {"id": group, "title": "X", "primary-type": None, "secondary-types": []}}
        for group in groups
    ]  # fmt: skip
    return json.dumps({"id": "eda4cbf2-f9b9-4173-8be2-1bc04d6d7123", "resource": "x", "relations": relations}).encode()


def _release(
    group: str, *tracks: tuple[str, int | None], types: tuple[str, ...] = ("Soundtrack",), **more: Any
) -> dict[str, Any]:
    artist = [{"name": "Ida Lund", "joinphrase": "", "artist": {"id": "x", "name": "Lund, Ida"}}]
    return {
        "id": "r", "title": "Ember: Original Score", "status": "Official", "date": "2014-10", "artist-credit": artist,
        "label-info": [{"catalog-number": "1", "label": None}, {"label": {"id": "l", "name": "Milan Records"}}],
        "release-group": {"id": group, "title": "Ember", "primary-type": "Album", "secondary-types": list(types),
                          "first-release-date": "2014-09-26"},
        "media": [{"position": 1, "format": "CD", "track-count": len(tracks), "tracks": [
            {"id": "t", "position": n, "number": str(n), "title": title, "length": length, "artist-credit": artist,
             "recording": {"id": "q", "title": title, "length": length}}
            for n, (title, length) in enumerate(tracks, 1)]}],
        **more,
    }  # fmt: skip


def _releases(*releases: dict[str, Any]) -> bytes:
    return json.dumps({"release-count": len(releases), "release-offset": 0, "releases": releases}).encode()


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def client(edge: Edge, slept: list[float]) -> Iterator[MusicBrainz]:
    with closing(MusicBrainz(ADDRESS, "t@example.org", sleep=slept.append)) as client:
        yield client


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = tables.open_tables(str(tmp_path / "lake"))
    films = [
        {"film_id": f"enwiki-{n}", "title": "X", "year": 2000 + n, "imdb_id": f"tt000000{n}", "state": "present"}
        for n in (1, 2)
    ]
    tables.append(lake, FILMS, films, "run")
    return lake


def test_the_most_complete_official_release_of_a_soundtrack_is_the_album(edge: Edge, client: MusicBrainz) -> None:
    full = _release(SCORE, ("Coal", 185_400), ("Ash", None))
    bootleg = _release(SCORE, ("Coal", 1), ("Ash", 1), ("Tin", 1), status="Bootleg")
    edge.bodies = [
        _linked(SCORE, REMIX),
        _releases(_release(SCORE, ("Coal", 185_400)), bootleg, full),
        _releases(_release(REMIX, types=())),
    ]
    albums = find_albums(client, FILM)
    assert list(albums) == [SCORE]
    assert (albums[SCORE].record_label, albums[SCORE].release_date) == ("Milan Records", "2014-09-26")
    assert albums[SCORE].tracks == (ListedTrack("Coal", 185.4, ("Ida Lund",)), ListedTrack("Ash", None, ("Ida Lund",)))
    assert "resource=https%3A%2F%2Fwww.imdb.com%2Ftitle%2Ftt2582802%2F" in edge.asked[0]
    assert "inc=recordings+artist-credits" in edge.asked[1]


def test_the_wikidata_item_is_asked_for_where_the_imdb_page_has_no_album(edge: Edge, client: MusicBrainz) -> None:
    edge.bodies = [_linked(), _linked(SCORE), _releases(_release(SCORE, ("Coal", 1000)))]
    assert list(find_albums(client, FILM)) == [SCORE]
    assert "wikidata.org%2Fwiki%2FQ15648198" in edge.asked[1]


def test_an_album_of_a_merged_group_has_the_id_of_the_group_it_became(edge: Edge, client: MusicBrainz) -> None:
    edge.bodies = [_linked(REMIX), _releases(_release(SCORE, ("Coal", 1000)))]
    assert list(find_albums(client, FILM)) == [SCORE]


def test_one_request_is_sent_per_second(edge: Edge, client: MusicBrainz, slept: list[float]) -> None:
    edge.bodies = [_linked(SCORE), _releases(_release(SCORE, ("Coal", 1000)))]
    find_albums(client, FILM)
    assert slept == [pytest.approx(1.0, abs=0.3)]


def test_a_rate_limit_is_waited_for_and_then_pauses(edge: Edge, client: MusicBrainz, slept: list[float]) -> None:
    edge.bodies, edge.status, edge.headers = [json.dumps(LIMIT).encode()], 503, {"Retry-After": "7"}
    with pytest.raises(SourcePaused, match="503"):
        find_albums(client, FILM)
    assert slept.count(7.0) == 5


def test_a_page_that_musicbrainz_does_not_know_has_no_album(edge: Edge, client: MusicBrainz) -> None:
    edge.bodies, edge.status = [b'{"error": "Not Found", "help": "..."}'], 404
    assert find_albums(client, FILM) == {}


@pytest.mark.parametrize("body", [b'<p class="error">Not Found</p>', b"", b"[]", b"{}"])
def test_a_404_of_another_server_is_no_answer_about_a_film(
    body: bytes, lake: Lake, edge: Edge, client: MusicBrainz
) -> None:
    edge.bodies, edge.status = [body], 404
    counts, pause = look_up_releases(lake, client, wanted_from_musicbrainz(lake), lambda count: None, "run")
    assert not counts and pause is not None and "check the address" in str(pause)
    assert len(wanted_from_musicbrainz(lake)) == 2


def test_a_redirect_elsewhere_is_refused_and_a_circle_ends(edge: Edge, client: MusicBrainz) -> None:
    edge.status, edge.headers = 301, {"Location": "https://elsewhere.example/ws/2/url"}
    with pytest.raises(InputError, match="moved"):
        client.find("url")
    edge.headers = {"Location": "/ws/2/url?x"}
    with pytest.raises(ApiError, match="redirects"):
        client.find("url")


@pytest.mark.parametrize("body", [b"[]", b"3", b'"x"'])
def test_json_in_no_known_form_is_a_sentence(body: bytes, edge: Edge, client: MusicBrainz) -> None:
    edge.bodies = [body]
    with pytest.raises(ApiError, match="unknown form"):
        find_albums(client, FILM)


@pytest.mark.parametrize("odd", [None, "x", 3, [], [None], {}, {"a": 1}, True])
@pytest.mark.parametrize("name", ["media", "label-info", "artist-credit", "title", "release-group", "date", "status"])
def test_a_field_in_another_form_is_left_out(name: str, odd: Any, edge: Edge, client: MusicBrainz) -> None:
    edge.bodies = [_linked(SCORE), _releases({**_release(SCORE, ("Coal", 1000)), name: odd})]
    assert set(find_albums(client, FILM)) <= {SCORE}
    edge.bodies = [_linked(SCORE), json.dumps({"releases": odd}).encode()]
    assert find_albums(client, FILM) == {}


def test_found_albums_are_committed_and_nothing_is_asked_twice(lake: Lake, edge: Edge, client: MusicBrainz) -> None:
    edge.bodies = [_linked(SCORE), _releases(_release(SCORE, ("Coal", 185_400))), b'{"relations": []}']
    wanted = wanted_from_musicbrainz(lake)
    assert [film.film_id for film in wanted] == ["enwiki-2", "enwiki-1"]
    counts, pause = look_up_releases(lake, client, wanted, lambda count: None, "run")
    assert (dict(counts), pause) == ({"ok": 1, "no_album": 1}, None)
    [row] = tables.latest(lake, ALBUM_LISTINGS).to_pylist()
    assert (row["listing"], row["licence"], row["source"]) == (f"musicbrainz:{SCORE}", "CC0 1.0", "musicbrainz")
    assert row["url"] == f"https://musicbrainz.example/release-group/{SCORE}"
    assert wanted_from_musicbrainz(lake) == []


def test_a_spent_budget_ends_the_batch_and_the_rest_is_asked_another_day(
    lake: Lake, edge: Edge, client: MusicBrainz
) -> None:
    edge.bodies = [b'{"relations": []}']
    budget = Budget(lake, "musicbrainz.example", {"requests": 1})
    reserve = lambda count: budget.reserve(requests=count)  # noqa: E731
    _, pause = look_up_releases(lake, client, wanted_from_musicbrainz(lake), reserve, "run")
    assert pause is not None and pause.reason == "daily_budget"
    assert [film.film_id for film in wanted_from_musicbrainz(lake)] == ["enwiki-1"]
    assert [row["reason"] for row in tables.latest(lake, OUTCOMES).to_pylist()] == ["no_album"]


def test_a_film_that_alone_gets_no_answer_costs_itself(lake: Lake, edge: Edge, client: MusicBrainz) -> None:
    edge.bodies = [b"<html>Timeout"] * 6 + [b'{"relations": []}']
    counts, pause = look_up_releases(lake, client, wanted_from_musicbrainz(lake), lambda count: None, "run")
    assert (dict(counts), pause) == ({"no_album": 1}, None)
    assert [film.film_id for film in wanted_from_musicbrainz(lake)] == ["enwiki-2"]


def test_the_last_film_that_alone_gets_no_answer_pauses_nothing_either(
    lake: Lake, edge: Edge, client: MusicBrainz
) -> None:
    edge.bodies = [b'{"relations": []}', b"<html>Timeout"]
    counts, pause = look_up_releases(lake, client, wanted_from_musicbrainz(lake), lambda count: None, "run")
    assert (dict(counts), pause) == ({"no_album": 1}, None)
    assert [film.film_id for film in wanted_from_musicbrainz(lake)] == ["enwiki-1"]


def test_two_films_without_an_answer_are_a_pause_and_no_verdict(lake: Lake, edge: Edge, client: MusicBrainz) -> None:
    edge.bodies = [b"<html>Timeout"]
    counts, pause = look_up_releases(lake, client, wanted_from_musicbrainz(lake), lambda count: None, "run")
    assert not counts and pause is not None and pause.reason == "unavailable"
    assert len(wanted_from_musicbrainz(lake)) == 2


@pytest.mark.parametrize("address", ["", "musicbrainz.org", "https://musicbrainz.org", "ftp://musicbrainz.org/ws/2"])
def test_an_address_that_is_no_web_service_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="ws/2"):
        MusicBrainz(address, "t@example.org")
