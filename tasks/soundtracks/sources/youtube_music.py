"""Ask YouTube Music for official albums, a search and an album's page at a time, through ytmusicapi.

The site lists there what labels deliver: title, artists, year, the album's playlist, and each track's video and length.
Nobody is signed in, no cookie is kept, and no answer is followed to another host. ytmusicapi reports a status as text
only and fails with whatever a changed page makes it fail with, so statuses, foreign pages and broken connections are
classified in the session, and everything else where `_ask` calls it. Searches and pages have a breaker each: a pause
of one concerns nothing else, but a bot check or a rate limit concerns the whole address.
"""

from __future__ import annotations

import json
import locale
import logging
import re
import time
from collections.abc import Callable, Mapping
from http.cookiejar import DefaultCookiePolicy
from importlib.metadata import version
from typing import Any, TypeVar
from urllib.parse import urlparse

import requests
from ytmusicapi import YTMusic

from storage.coordination.breakers import read_breaker
from storage.errors import SourcePaused
from tasks.retry_after_and_backoff import retry_after_seconds
from tasks.soundtracks.candidate_recordings import Candidate
from tasks.soundtracks.download.downloader_and_staging import attempt
from tasks.soundtracks.download.error_classification import Failure, classify
from tasks.soundtracks.download.error_patterns_and_pauses import RULES, Action, CallKind
from tasks.soundtracks.download.throttle_and_breaker import Pace, SourceThrottle
from tasks.soundtracks.download.ytdlp import CallFailed
from tasks.soundtracks.sources.ytdlp_metadata import is_official

ALBUM_PREFIX = "MPREb_"
"""Prefix of the ids of album pages."""
TIMEOUTS_SECONDS = (10.0, 20.0)
"""For the connection, and between two reads."""
MAX_ANSWER_SECONDS = 60.0
MAX_ANSWER_BYTES = 16 << 20
"""An album of 400 tracks takes about 8 MB: 20 kB for each."""
WHOLE_ADDRESS = frozenset({"bot", "rate_limit"})
"""Pauses that the site means for this machine, whichever of its pages was asked for."""
BREAKERS = (SEARCHES, PAGES) = ("youtube_music_search", "youtube_music_album")
"""The names of the two breakers: of searches for albums, and of albums' pages."""
_SHOWN_CHARACTERS = 120
_READ_BYTES = 65_536
_BOT = re.compile(RULES["bot"].words, re.IGNORECASE)
_CONSENT = re.compile(r"\bconsent\.(?:youtube|google)\.|before you continue", re.IGNORECASE)
_REASONS_BY_STATUS = {403: "blocked", 408: "timeout", 425: "rate_limit", 429: "rate_limit"}
_KINDS = {"EP": 1, "Single": 2}
"""Albums go first: of a film's songs there may be a dozen singles."""
_LENGTH = re.compile(r"(?:\d+:)?\d{1,2}:\d\d")
_T = TypeVar("_T")

log = logging.getLogger(__name__)


class YouTubeMusic:
    """The albums of YouTube Music, asked for within the throttle and the daily budget of `youtube`."""

    def __init__(self, youtube: SourceThrottle, pace: Pace) -> None:
        self._youtube, self._pace = youtube, pace
        self.throttles = {
            name: SourceThrottle(youtube.lake, name, youtube.run_id, version("ytmusicapi"), youtube.limits)
            for name in BREAKERS
        }
        self._session = _Session(pace, youtube.count_request)
        self._client = _open_client(self._session)

    def close(self) -> None:
        """Close the connections and end canary calls."""
        self._session.close()
        for throttle in self.throttles.values():
            throttle.close()

    def search(self, query: str) -> list[Candidate]:
        """Return the albums of a search as candidates, best first; `media_id` is the id of an album's page.

        One request, and one for the site's front page before the first search of a run.
        Raises `ItemError`, or `SourcePaused` for YouTube Music or for all of YouTube.
        """
        found = self._ask(SEARCHES, query, lambda: self._search_once(query))
        found.sort(key=lambda one: _KINDS.get(str(one.get("type")), 0))
        return [music_album(one, query, position) for position, one in enumerate(found)]

    def note_results(self, film_id: str, *, anything: bool) -> None:
        """Report whether the searches for a film listed anything at all. Raises `SourcePaused` after many that did not.

        A search that can no longer be read looks like a catalogue without a single album.
        """
        self.throttles[SEARCHES].found(film_id, CallKind.ALBUM_SEARCH, anything=anything)

    def tracks(self, album: Candidate, first_position: int = 0) -> list[Candidate]:
        """Return the tracks of an album's page in order, playable or not. One request. Raises as `search` does."""
        page = self._ask(PAGES, album.media_id, lambda: self._page_once(album.media_id))
        return music_tracks(page, album, first_position)

    def _ask(self, name: str, item: str, call: Callable[[], _T]) -> _T:
        """Call within the breaker of this kind of request, unless the whole address is paused."""
        for throttle in (self._youtube, *self.throttles.values()):
            breaker = read_breaker(throttle.lake, throttle.source)
            concerns_all = throttle is self._youtube or breaker.reason in WHOLE_ADDRESS
            if concerns_all and breaker.is_open(throttle.tool_version):
                raise breaker.error
        kind = CallKind.ALBUM_SEARCH if name == SEARCHES else CallKind.ALBUM
        return attempt(self.throttles[name], self._pace, item, lambda: _answer_of(call), kind)

    def _search_once(self, query: str) -> list[dict[str, Any]]:
        # With `limit` 1 the first page is enough, and all of its results are returned: never a second request.
        found = self._client.search(query, filter="albums", limit=1)
        albums = [one for one in found if str(one.get("browseId")).startswith(ALBUM_PREFIX) and one.get("title")]
        if not albums and f'"{ALBUM_PREFIX}' in self._session.answer:
            raise CallFailed(_changed("a search that lists albums where they were not listed before"))
        return albums

    def _page_once(self, album_id: str) -> Mapping[str, Any]:
        try:
            return self._client.get_album(album_id)
        except (KeyError, IndexError):
            answer = self._session.answer
            if "musicResponsiveHeaderRenderer" in answer and "musicResponsiveListItemRenderer" not in answer:
                return {}  # an album without tracks
            raise


def _open_client(session: requests.Session) -> YTMusic:
    """Return the client without an account. It sets the locale of the process, which is put back."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        return YTMusic(auth=None, requests_session=session)
    finally:
        locale.setlocale(locale.LC_ALL, before)


def _answer_of(call: Callable[[], _T]) -> _T:
    """Call ytmusicapi once. Raises `CallFailed`, also for an answer that it cannot read, or `SourcePaused`."""
    try:
        return call()
    except (CallFailed, SourcePaused):
        raise
    except Exception as error:  # the parsers raise whatever a changed page makes them raise
        problem = f"{type(error).__name__}: {error}"[:_SHOWN_CHARACTERS]
        raise CallFailed(
            _changed(f"an answer that ytmusicapi {version('ytmusicapi')} cannot read ({problem})")
        ) from error


def _changed(what: str) -> Failure:
    """Return the failure that counts for the breaker; the same request would fail again, so it is not repeated."""
    message = f"YouTube Music gave {what}; upgrade ytmusicapi if this goes on"
    return Failure("extractor", Action.LATER, message)


class _Session(requests.Session):
    """A session that counts and paces requests, bounds time and size of answers, and raises `CallFailed` for others."""

    def __init__(self, pace: Pace, on_request: Callable[[], None]) -> None:
        super().__init__()
        self._pace, self._on_request = pace, on_request
        self._last_request = 0.0
        self.auth = lambda request: request  # without it, requests would send a password from ~/.netrc
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))  # what the site sets is not sent back
        self.answer = ""
        """The text of the newest answer."""

    def request(self, method: str | bytes, url: str | bytes, *args: Any, **options: Any) -> requests.Response:
        """Send one request and return its complete answer, which is JSON unless the front page was asked for."""
        self._on_request()
        self._wait()
        options |= {"timeout": TIMEOUTS_SECONDS, "allow_redirects": False, "stream": True}
        try:
            response = super().request(method, url, *args, **options)
            with response:
                response._content = _read(response)
        except (requests.RequestException, OSError) as error:
            raise CallFailed(classify(error)) from error
        response.encoding = "utf-8"
        self.answer = response.text
        if failure := _failure(response, self.answer, wants_json=str(method).upper() == "POST"):
            raise CallFailed(failure)
        return response

    def _wait(self) -> None:
        pause = self._pace.between_requests_seconds * self._pace.factor
        time.sleep(max(0.0, self._last_request + pause - time.monotonic()))
        self._last_request = time.monotonic()


def _read(response: requests.Response) -> bytes:
    """Return the body. Raises `CallFailed` when it is too large or too slow."""
    started, body = time.monotonic(), bytearray()
    for block in response.iter_content(_READ_BYTES):
        body += block
        if len(body) > MAX_ANSWER_BYTES:
            raise CallFailed(_changed(f"more than {MAX_ANSWER_BYTES >> 20} MB"))
        if time.monotonic() - started > MAX_ANSWER_SECONDS:
            message = f"YouTube Music did not finish its answer in {MAX_ANSWER_SECONDS:.0f} s"
            raise CallFailed(Failure("timeout", RULES["timeout"].action, message))
    return bytes(body)


def _failure(response: requests.Response, text: str, *, wants_json: bool) -> Failure | None:
    """Return what is wrong with a response, by its status, where it leads, and whether it is JSON; None if nothing."""
    url = urlparse(response.url)
    asked, status = f"{url.hostname}{url.path}", response.status_code
    target = response.headers.get("Location", "") if response.is_redirect else ""
    is_object = _is_object(text)
    if target or (not is_object and (wants_json or status >= 400)):
        if _BOT.search(target or text) or "/sorry/" in target:
            return Failure("bot", Action.PAUSE, f"{asked} led to a bot check", retry_after_seconds(response.headers))
        if _CONSENT.search(target or text):
            return _changed(f"a consent page instead of an answer from {asked}")
    if status >= 400:
        return _by_status(status, f"{asked} answered {status}", retry_after_seconds(response.headers))
    if target or (wants_json and not is_object):
        return _changed(f"{f'a redirect to {target[:60]}' if target else 'a page that is no JSON'} from {asked}")
    return _changed(f"an error without a status from {asked}") if wants_json and "error" in json.loads(text) else None


def _by_status(status: int, message: str, wait_seconds: float | None) -> Failure:
    reason = _REASONS_BY_STATUS.get(status) or ("http_5xx" if status >= 500 else "youtube_4xx")
    action = Action.LATER if reason == "youtube_4xx" else RULES[reason].action
    return Failure(reason, action, message, wait_seconds)


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


def music_album(found: Mapping[str, Any], query: str, position: int) -> Candidate:
    """Return an album of a search of YouTube Music; `media_id` is the id of the album's page."""
    playlist_id = _text(found, "playlistId")
    title = _text(found, "title") or ""
    artists, channel_id = _artists(found.get("artists"))
    return Candidate(
        "youtube",
        str(found["browseId"]),
        _playlist_url(playlist_id),
        title,
        artist=artists,
        album=title,
        album_id=playlist_id,
        album_artist=artists,
        channel_id=channel_id,
        is_official_album=is_official(playlist_id),
        release_year=_year(found),
        query=query,
        position=position,
        tool_versions={"ytmusicapi": version("ytmusicapi")},
    )


def music_tracks(page: Mapping[str, Any], album: Candidate, first_position: int) -> list[Candidate]:
    """Return the tracks of an album's page on YouTube Music. What the page leaves out is known from the search.

    A track without a video has a made-up id, so that it has a row with its reason too.
    """
    playlist_id = _text(page, "audioPlaylistId") or album.album_id
    title = _text(page, "title") or album.title
    album_artist = _artists(page.get("artists"))[0] or album.album_artist
    tracks = [one for one in page.get("tracks") or () if isinstance(one, Mapping)]
    _report_missing(page, title, len(tracks))
    candidates = []
    for number, track in enumerate(tracks):
        media_id = _text(track, "videoId")
        is_playable = media_id is not None and track.get("isAvailable") is not False
        media_id = media_id or f"{playlist_id or album.media_id}/{number + 1}"
        artists, channel_id = _artists(track.get("artists"))
        candidates.append(
            Candidate(
                "youtube",
                media_id,
                f"https://www.youtube.com/watch?v={media_id}" if is_playable else _playlist_url(playlist_id),
                _text(track, "title") or "",
                artist=artists or album_artist,
                album=title,
                album_id=playlist_id,
                album_artist=album_artist,
                channel_id=channel_id,
                is_official_album=is_official(playlist_id),
                release_year=_year(page) or album.release_year,
                duration_seconds=_seconds(track),
                availability=None if is_playable else "unavailable",
                query=album.query,
                position=first_position + number,
                tool_versions={"ytmusicapi": version("ytmusicapi")},
            )
        )
    return candidates


def _report_missing(page: Mapping[str, Any], title: str, listed: int) -> None:
    stated = page.get("trackCount")
    if not listed:
        log.warning("The album %r has a page on YouTube Music, but no tracks", title)
    elif isinstance(stated, int) and stated > listed:
        log.warning("The album %r states %d tracks, but its page lists %d", title, stated, listed)


def _artists(listed: Any) -> tuple[str | None, str | None]:
    """Return the names of artists, and the channel if there is one artist and it has one."""
    artists = [one for one in listed or () if isinstance(one, Mapping) and _text(one, "name")]
    channel_id = _text(artists[0], "id") if len(artists) == 1 else None
    return ", ".join(str(one["name"]).strip() for one in artists) or None, channel_id


def _text(values: Mapping[str, Any], name: str) -> str | None:
    value = values.get(name)
    return value.strip() or None if isinstance(value, str) else None


def _year(values: Mapping[str, Any]) -> int | None:
    year = _text(values, "year") or ""
    return int(year) if re.fullmatch(r"(?:18|19|20|21)\d\d", year) else None


def _seconds(track: Mapping[str, Any]) -> float | None:
    """Return a track's length, or None for one that is not written as a length ("3:5")."""
    seconds = track.get("duration_seconds")
    is_length = _LENGTH.fullmatch(_text(track, "duration") or "")
    return float(seconds) if is_length and isinstance(seconds, int) and seconds > 0 else None


def _playlist_url(playlist_id: str | None) -> str:
    return f"https://music.youtube.com/playlist?list={playlist_id}" if playlist_id else "https://music.youtube.com"
