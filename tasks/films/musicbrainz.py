"""Ask MusicBrainz for the soundtrack albums of films, by their IMDb or Wikidata id: one request per second.

Two kinds of request (https://musicbrainz.org/doc/MusicBrainz_API): the look-up of an address, whose relationships name
release groups, and the releases of a group with their tracks. MusicBrainz names the secondary types of a group only
with its releases, which tells a single or a remix from a soundtrack. Its data is CC0.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urljoin, urlsplit

from storage.errors import InputError, SourcePaused
from storage.lake.lake import Lake
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import FILMS
from tasks.films.album_articles_and_wikidata import evidence_outcome
from tasks.films.commit import commit_listings, commit_outcomes
from tasks.films.parsing.track_lists import AlbumListing, ListedTrack
from tasks.films.rate_limited_http import TIMEOUTS_SECONDS, ApiError, PoliteClient, TransientError

MUSICBRAINZ = "musicbrainz"
LICENCE = "CC0 1.0"
REQUESTS_PER_MINUTE = 60
MAX_GROUPS = 5
"""Release groups per film that are asked for: the soundtrack, the score, and a few singles."""
MAX_REDIRECTS = 3
MAX_ANSWER_BYTES = 8 * 2**20
MAX_TRACKS = 1_000
RELEASES_PER_REQUEST = 25
FILMS_PER_BATCH = 20
_RELEASE_PARTS = "recordings artist-credits labels release-groups media"
_MBID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DATE = re.compile(r"\d{4}(?:-\d{2}(?:-\d{2})?)?", re.ASCII)
_OF_ONE_FILM = frozenset({"unavailable", "refused"})
"""Pauses that may be about one query that MusicBrainz cannot answer, such as an album of hundreds of releases."""
_VARIOUS_ARTISTS = "89ad4ac3-39f7-470e-963a-56509c546377"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WantedAlbums:
    """A film whose albums MusicBrainz was not asked for, and its ids."""

    film_id: str
    imdb_id: str | None
    wikidata_id: str | None


class MusicBrainz:
    """MusicBrainz's web service, version 2. Threads must not share it."""

    def __init__(
        self,
        address: str,
        contact: str | None,
        *,
        timeouts_seconds: tuple[float, float] = TIMEOUTS_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Prepare a session without sending anything. Raises `InputError` for a bad address or contact."""
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname or not parts.path.rstrip("/").endswith("ws/2"):
            raise InputError(f"{address!r} is not MusicBrainz's web service; give https://musicbrainz.org/ws/2")
        self.address = address.rstrip("/")
        self._http = PoliteClient(
            MUSICBRAINZ,
            contact,
            requests_per_minute=REQUESTS_PER_MINUTE,
            burst=1,
            timeouts_seconds=timeouts_seconds,
            sleep=sleep,
        )

    @property
    def calls(self) -> int:
        """How many requests were sent."""
        return self._http.calls

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def find(self, path: str, **fields: str | int) -> dict[str, Any] | None:
        """Return an entity or a list of them, or None if MusicBrainz does not have it.

        A merged entity redirects to the one it became. Raises `ApiError`, `InputError` or `SourcePaused`.
        """
        url = f"{self.address}/{path}"
        parameters: dict[str, Any] = {**fields, "fmt": "json"}
        for _ in range(MAX_REDIRECTS):
            answer = self._http.with_retries(lambda url=url, sent=parameters: self._request(url, sent), url)  # type: ignore[misc]
            if not isinstance(answer, str):
                return answer
            url, parameters = answer, {}
        raise ApiError("redirects", f"{self.address}/{path} redirects again and again; try again another day")

    def _request(self, url: str, fields: dict[str, Any]) -> dict[str, Any] | str | None:
        """Return the answer to one request, the address that it redirects to, or None for nothing."""
        response = self._http.send(url, fields, MAX_ANSWER_BYTES)
        if response.status == 404 and _is_own_error(response.body):
            return None
        if response.status in (301, 302, 303, 307, 308) and response.location:
            target = urljoin(url, response.location)
            if urlsplit(target)[:2] == urlsplit(url)[:2]:
                return target
        response.check()
        answer = response.json()
        if not isinstance(answer, dict):
            raise ApiError("form", f"{url} answers in an unknown form; check --musicbrainz")
        if "error" in answer:
            raise TransientError(f"the answer is an error: {str(answer['error'])[:160]}", response.wait_seconds)
        return answer


def find_albums(client: MusicBrainz, wanted: WantedAlbums) -> dict[str, AlbumListing]:
    """Return the soundtrack albums that are linked to a film's page, by the id of their release group."""
    albums: dict[str, AlbumListing] = {}
    for group in _linked_groups(client, wanted)[:MAX_GROUPS]:
        fields: dict[str, str | int] = {"release-group": group, "inc": _RELEASE_PARTS, "limit": RELEASES_PER_REQUEST}
        answer = client.find("release", **fields)
        releases = [release for release in _objects((answer or {}).get("releases")) if _is_soundtrack(release)]
        if releases:
            best = max(releases, key=_completeness)
            now = _text(_object(best.get("release-group")).get("id"))  # of the group that it was merged into
            albums[now if _MBID.fullmatch(now) else group] = read_release(best)
    return albums


def _linked_groups(client: MusicBrainz, wanted: WantedAlbums) -> list[str]:
    """Return the ids of the release groups linked to the film's page on IMDb, else to its Wikidata item."""
    pages = [f"https://www.imdb.com/title/{wanted.imdb_id}/"] if wanted.imdb_id else []
    pages += [f"https://www.wikidata.org/wiki/{wanted.wikidata_id}"] if wanted.wikidata_id else []
    for page in pages:
        answer = client.find("url", resource=page, inc="release-group-rels") or {}
        related = [_object(relation.get("release_group")) for relation in _objects(answer.get("relations"))]
        groups = [_text(group.get("id")) for group in related if _MBID.fullmatch(_text(group.get("id")))]
        if groups:
            return list(dict.fromkeys(groups))
    return []


def read_release(release: dict[str, Any]) -> AlbumListing:
    """Return a release as an album; what is not in the documented form is left out."""
    group = _object(release.get("release-group"))
    dates = [_text(group.get("first-release-date")), _text(release.get("date"))]
    labels = [_text(_object(info.get("label")).get("name")) for info in _objects(release.get("label-info"))]
    media = _objects(release.get("media"))
    tracks = [track for medium in media for track in _objects(medium.get("tracks"))]
    return AlbumListing(
        title=_text(release.get("title")) or _text(group.get("title")),
        artists=_artists(release),
        record_label=next((label for label in labels if label), None),
        release_date=next((date for date in dates if _DATE.fullmatch(date)), None),
        tracks=tuple(one for track in tracks[:MAX_TRACKS] if (one := _track(track))),
    )


def _track(track: dict[str, Any]) -> ListedTrack | None:
    recording = _object(track.get("recording"))
    title = _text(track.get("title")) or _text(recording.get("title"))
    milliseconds = track.get("length") or recording.get("length")
    seconds = None
    if isinstance(milliseconds, int | float) and not isinstance(milliseconds, bool) and 0 < milliseconds < 86_400_000:
        seconds = milliseconds / 1000
    return ListedTrack(title, seconds, _artists(track)) if title else None


def _artists(credited: dict[str, Any]) -> tuple[str, ...]:
    credits = _objects(credited.get("artist-credit"))
    own = [credit for credit in credits if _object(credit.get("artist")).get("id") != _VARIOUS_ARTISTS]
    names = (_text(credit.get("name")) or _text(_object(credit.get("artist")).get("name")) for credit in own)
    return tuple(dict.fromkeys(name for name in names if name))


def _is_soundtrack(release: dict[str, Any]) -> bool:
    types = _object(release.get("release-group")).get("secondary-types")
    return isinstance(types, list) and "Soundtrack" in types


def _completeness(release: dict[str, Any]) -> tuple[bool, int, int]:
    """Order releases of a group: official ones first, then those with more tracks, then with more lengths."""
    tracks = read_release(release).tracks
    return release.get("status") == "Official", len(tracks), sum(track.seconds is not None for track in tracks)


def wanted_from_musicbrainz(lake: Lake) -> list[WantedAlbums]:
    """Return the films with an IMDb or Wikidata id that MusicBrainz was not asked about, the newest first."""
    asked = outcomes.not_due(lake, Stage.EVIDENCE)
    with duckdb_connection.connect(lake) as connection:
        rows = connection.execute(
            f"SELECT film_id, imdb_id, wikidata_id FROM {tables.latest_sql(lake, FILMS)} WHERE state = 'present' "
            "AND coalesce(imdb_id, wikidata_id) IS NOT NULL ORDER BY year DESC NULLS LAST, film_id"
        ).fetchall()
    return [WantedAlbums(*row) for row in rows if f"{row[0]}/{MUSICBRAINZ}" not in asked]


def look_up_releases(
    lake: Lake, client: MusicBrainz, batch: Sequence[WantedAlbums], reserve: Callable[[int], None], run_id: str
) -> tuple[Counter[str], SourcePaused | None]:
    """Ask for the albums of a batch of films and commit them; return the films by reason, and the pause that ended it.

    `reserve` counts requests of the day's budget before they are sent, and raises `SourcePaused` when it is spent.
    A film that alone gets no answer costs itself: it is asked about again in the next run. Two in a row are a pause.
    """
    rows: dict[str, list[dict[str, Any]]] = {}
    results: list[Outcome] = []
    pause: SourcePaused | None = None
    unanswered = False
    owed = 0
    for wanted in batch:
        before = client.calls
        try:
            reserve(1 + owed)
            albums = find_albums(client, wanted)
        except (SourcePaused, InputError) as error:
            stopped = error if isinstance(error, SourcePaused) else _pause_of(client, error)
            if unanswered or stopped.reason not in _OF_ONE_FILM:
                pause = stopped
                break
            unanswered = True
            log.warning("%s: %s", wanted.film_id, error)
        except ApiError as error:
            unanswered = False
            log.warning("%s", error)
            results.append(_outcome(wanted, "odd_answer"))
        else:
            unanswered = False
            rows[wanted.film_id] = [_row(wanted.film_id, mbid, album, client) for mbid, album in albums.items()]
            results.append(_outcome(wanted, "ok" if albums else "no_album"))
        owed = max(0, client.calls - before - 1)
    commit_listings(lake, MUSICBRAINZ, rows, run_id)
    return commit_outcomes(lake, results, run_id), pause


def _row(film: str, mbid: str, album: AlbumListing, client: MusicBrainz) -> dict[str, Any]:
    site = client.address.removesuffix("/ws/2")
    provenance = {"source": MUSICBRAINZ, "url": f"{site}/release-group/{mbid}", "licence": LICENCE}
    return {"film_id": film, "listing": f"{MUSICBRAINZ}:{mbid}", **asdict(album), **provenance}


def _outcome(wanted: WantedAlbums, reason: str) -> Outcome:
    return evidence_outcome(f"{wanted.film_id}/{MUSICBRAINZ}", reason, f"Albums of {wanted.film_id}")


def _pause_of(client: MusicBrainz, error: InputError) -> SourcePaused:
    """Return a refusal as a pause: the films are collected all the same, and no film is to blame."""
    return SourcePaused(MUSICBRAINZ, "refused", datetime.now(UTC) + timedelta(hours=6), f"{client.address}: {error}")


def _is_own_error(body: bytes) -> bool:
    """Return whether an error is MusicBrainz's own: the 404 of a wrong address says nothing about its albums."""
    try:
        return "error" in _object(json.loads(body))
    except (ValueError, RecursionError):
        return False


def _objects(value: object) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value.strip()[:500] if isinstance(value, str) else ""
