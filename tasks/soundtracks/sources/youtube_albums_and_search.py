"""Find and fetch recordings on YouTube: the film's official album first, then a search.

Albums come from YouTube Music, in one search and one page. Where it has none, or cannot be asked, yt-dlp searches for
the album among YouTube's playlists. An album gives ordered tracks that the label delivered, so most films need no
search for videos. Only candidates that the rule takes by the metadata of the list are opened; they are judged again by
the metadata of their page before the media is requested.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote_plus

from storage.errors import ItemError, Retry, SourcePaused
from tasks.soundtracks.candidate_recordings import Candidate, Decision, Film, Judged, Recording, Verdict, with_decision
from tasks.soundtracks.download.downloader_and_staging import Downloader
from tasks.soundtracks.download.ytdlp import FilteredOut
from tasks.soundtracks.matching.film_titles_and_sequels import plain_title
from tasks.soundtracks.matching.label_channels_and_descriptions import is_delivered
from tasks.soundtracks.matching.track_selection import TRACKS_PER_FILM, Matcher
from tasks.soundtracks.sources.source_protocol import Fetched
from tasks.soundtracks.sources.youtube_music import BREAKERS, WHOLE_ADDRESS, YouTubeMusic
from tasks.soundtracks.sources.ytdlp_metadata import (
    album_title,
    candidate_from_entry,
    from_info,
    is_creative_commons,
    is_official,
)

NAME = "youtube"
MAX_SEARCH_RESULTS = 20
SEARCHED_WORDS = "original motion picture soundtrack"
MIN_ALBUM_TRACKS = 3
"""An album with fewer usable tracks is a single or incomplete, so a search follows."""
MAX_ALBUMS = 2
MIN_DELIVERED = 0.8
"""Share of an unofficial playlist's tracks that labels must have delivered, or its name is not used as an album's."""
_PLAYLISTS_ONLY = "EgIQAw%3D%3D"
_CREATIVE_COMMONS_ONLY = "EgIwAQ%3D%3D"

TracksOf = Callable[[Candidate, int], list[Candidate]]
"""Opens an album: its tracks, whose positions begin with the number given."""

log = logging.getLogger(__name__)


class YouTubeSource:
    """The videos of YouTube as a source."""

    name = NAME
    has_many_hosts = False

    def __init__(
        self, downloader: Downloader, music: YouTubeMusic, matcher: Matcher, *, creative_commons_only: bool = False
    ) -> None:
        self.downloader = downloader
        self.music = music
        self._matcher = matcher
        self._creative_commons_only = creative_commons_only
        self._reported: set[str] = set()

    def find(self, film: Film) -> Sequence[Judged]:
        """Return judged candidates of the film's albums, and of a search if these have too few tracks.

        Raises `ItemError` when YouTube Music could not be asked and nothing else has an album: a film that is
        collected without its album does not get it later.
        """
        judged: dict[str, Judged] = {}

        def is_enough(candidates: Sequence[Candidate]) -> bool:
            for candidate in candidates:
                judged.setdefault(candidate.media_id, self._matcher.judge(candidate, film))
            return sum(one.verdict.decision is Decision.TAKEN for one in judged.values()) >= MIN_ALBUM_TRACKS

        if self._creative_commons_only:  # labels do not publish albums under such a licence
            is_enough(self._from_search(film))
            return list(judged.values())
        candidates, problem = self._from_music(film)
        if is_enough(candidates) or (not candidates and is_enough(self._from_playlists(film))):
            return list(judged.values())
        if not is_enough(self._from_search(film)) and problem is not None:
            message = f"YouTube Music could not be asked for its album, and nothing else has one ({problem})"
            raise ItemError("album_not_searched", message, Retry.LATER)
        return list(judged.values())

    def find_albums(self, film: Film) -> Sequence[Judged]:
        """Return judged tracks of the film's albums on YouTube Music. Raises `ItemError` when it could not be asked."""
        if self._creative_commons_only:
            return []
        candidates, problem = self._from_music(film)
        if problem is not None:
            raise ItemError("album_not_searched", str(problem), Retry.LATER)
        return [self._matcher.judge(candidate, film) for candidate in candidates]

    def _from_music(self, film: Film) -> tuple[list[Candidate], Exception | None]:
        """Return the tracks of the film's albums on YouTube Music, and why it could not be asked if it could not."""
        try:
            albums = self._by_each_title(film, lambda title: self.music.search(_words(title, film, "soundtrack")))
            self.music.note_results(film.film_id, anything=bool(albums))
        except (ItemError, SourcePaused) as error:
            self._report(error)
            return [], error
        return self._from_albums(albums, film, self._tracks_on_music), None

    def _from_playlists(self, film: Film) -> list[Candidate]:
        """Return the tracks of the film's albums among YouTube's playlists."""
        albums = self._by_each_title(film, lambda title: self._playlists(_words(title, film, "soundtrack")))
        return self._from_albums(albums, film, self._tracks_of_playlist)

    def _playlists(self, query: str) -> list[Candidate]:
        found = []
        for position, entry in enumerate(_with_ids(self.downloader.entries(_results_url(query, _PLAYLISTS_ONLY)))):
            title, playlist_id = album_title(entry.get("title")), str(entry["id"])
            found.append(
                Candidate(
                    NAME,
                    playlist_id,
                    "",
                    title,
                    album=title,
                    album_id=playlist_id,
                    is_official_album=is_official(playlist_id),
                    query=query,
                    position=position,
                )
            )
        return found

    def _by_each_title(self, film: Film, search: Callable[[str], list[Candidate]]) -> list[Candidate]:
        """Return what a search finds by the page's title and, unless the rule takes some of it, by the original one."""
        found: list[Candidate] = []
        for title in _titles(film):
            found += search(title)
            if any(self._matcher.judge(one, film).verdict.decision is Decision.TAKEN for one in found):
                break
        return found

    def _from_albums(self, albums: Sequence[Candidate], film: Film, tracks_of: TracksOf) -> list[Candidate]:
        """Return the tracks of the albums that the rule takes, official ones first; at most `MAX_ALBUMS` are opened.

        If it takes none, the first tracks of a label's album that may be the film's are left for review.
        """
        judged = [self._matcher.judge(album, film) for album in albums]
        judged.sort(key=lambda one: (not one.candidate.is_official_album, -(one.verdict.score or 0.0)))
        taken = [one.candidate for one in judged if one.verdict.decision is Decision.TAKEN]
        candidates: list[Candidate] = []
        for album in taken[:MAX_ALBUMS]:
            candidates += tracks_of(album, len(candidates))
            if len(candidates) >= MIN_ALBUM_TRACKS:
                break
        if taken:
            return candidates
        doubtful = [one.candidate for one in judged if one.verdict.decision is Decision.REVIEW]
        official = [album for album in doubtful if album.is_official_album]
        return [track for album in official[:1] for track in tracks_of(album, 0)[:TRACKS_PER_FILM]]

    def _tracks_on_music(self, album: Candidate, first_position: int) -> list[Candidate]:
        """Return the tracks of an album's page on YouTube Music or, if that fails, of the album's playlist."""
        try:
            return self.music.tracks(album, first_position)
        except (ItemError, SourcePaused) as error:
            self._report(error)
        return self._tracks_of_playlist(album, first_position) if album.is_official_album else []

    def _tracks_of_playlist(self, album: Candidate, first_position: int) -> list[Candidate]:
        url = f"https://www.youtube.com/playlist?list={album.album_id}"
        listed = _with_ids(self.downloader.list_or_nothing(str(album.album_id), url))
        tracks = [
            candidate_from_entry(one, NAME, album.query or "", first_position + n) for n, one in enumerate(listed)
        ]
        delivered = sum(is_delivered(track) for track in tracks)
        if not album.is_official_album and delivered < MIN_DELIVERED * len(tracks):
            return tracks  # anybody can name a playlist "soundtrack", so its name is no evidence
        return [
            replace(
                track,
                album=album.title,
                album_id=album.album_id,
                album_artist=album.album_artist,
                is_official_album=album.is_official_album,
                release_year=track.release_year or album.release_year,
            )
            for track in tracks
        ]

    def _report(self, error: ItemError | SourcePaused) -> None:
        """Log once per run that YouTube Music pauses, and every other failure. Raises what concerns all of YouTube."""
        if isinstance(error, SourcePaused) and (error.source not in BREAKERS or error.reason in WHOLE_ADDRESS):
            raise error
        if str(error) not in self._reported:
            log.warning("%s; until then albums are looked for among YouTube's playlists", error)
            self._reported.add(str(error))

    def _from_search(self, film: Film) -> list[Candidate]:
        return self._by_each_title(film, lambda title: self._videos(_words(title, film, SEARCHED_WORDS)))

    def _videos(self, query: str) -> list[Candidate]:
        url = f"ytsearch{MAX_SEARCH_RESULTS}:{query}"
        if self._creative_commons_only:
            url = _results_url(query, _CREATIVE_COMMONS_ONLY)
        results = _with_ids(self.downloader.entries(url))[:MAX_SEARCH_RESULTS]
        return [candidate_from_entry(entry, NAME, query, n) for n, entry in enumerate(results)]

    def fetch(self, judged: Judged, film: Film) -> Fetched:
        """Open the page, judge the candidate by its metadata, and download it if it is still taken."""
        latest = judged

        def rejection(info: dict[str, object]) -> str | None:
            nonlocal latest
            latest = self._judge_page(judged, from_info(judged.candidate, info), film)
            return None if latest.verdict.decision is Decision.TAKEN else latest.verdict.reason

        candidate = judged.candidate
        try:
            info, path = self.downloader.download(film.film_id, candidate.media_id, candidate.url, rejection)
        except FilteredOut:
            return Fetched(None, latest)
        latest = self._judge_page(judged, from_info(candidate, info), film)
        if latest.verdict.decision is not Decision.TAKEN:
            return Fetched(None, latest)  # staged by an earlier run with other settings
        return Fetched(Recording(candidate.track_id, str(path), info.get("duration")), latest)

    def _judge_page(self, listed: Judged, candidate: Candidate, film: Film) -> Judged:
        """Judge by the page's metadata. An approval in a review overrides the rule, but never the licence."""
        judged = self._matcher.judge(candidate, film)
        if listed.verdict.reason == "approved":
            judged = replace(
                judged, verdict=Verdict(Decision.TAKEN, "approved", judged.verdict.score, judged.verdict.parts)
            )
        if self._creative_commons_only and not is_creative_commons(candidate.licence):
            return with_decision(judged, Decision.REJECTED, "not_creative_commons")
        return judged


def _with_ids(listed: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the videos and lists of a result. The site lists hashtags and shelves among them, which have no id."""
    return [entry for entry in listed["entries"] if entry.get("id")]


def _titles(film: Film) -> list[str]:
    """Return the titles to search for: the page's and, if it is another one, the first other name: the original."""
    title = plain_title(film.title)
    others = [name for name in film.names if plain_title(name).casefold() != title.casefold()]
    return [title, *map(plain_title, others[:1])]


def _words(title: str, film: Film, ending: str) -> str:
    return " ".join(filter(None, (title, str(film.year or ""), ending)))


def _results_url(query: str, filter_code: str) -> str:
    return f"https://www.youtube.com/results?search_query={quote_plus(query)}&sp={quote_plus(filter_code)}"
