"""Find and fetch recordings on YouTube: the film's official album first, then a search.

An album takes two lists (four requests) and gives ordered tracks that the label delivered, so most films need no
search. Only candidates that the rule takes by the metadata of the list are opened; they are judged again by the
metadata of their page before the media is requested.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote_plus

from tasks.soundtracks.download.downloader import Downloader
from tasks.soundtracks.download.ytdlp import FilteredOut
from tasks.soundtracks.extraction.jobs import Recording
from tasks.soundtracks.matching.evidence import is_delivered
from tasks.soundtracks.matching.matcher import TRACKS_PER_FILM, Matcher, with_decision
from tasks.soundtracks.matching.titles import plain_title
from tasks.soundtracks.models import Candidate, Decision, Film, Judged, Verdict
from tasks.soundtracks.sources.base import Fetched
from tasks.soundtracks.sources.metadata import album_title, candidate_from_entry, from_info, is_creative_commons

NAME = "youtube"
MAX_SEARCH_RESULTS = 20
MIN_ALBUM_TRACKS = 3
"""An album with fewer usable tracks is a single or incomplete, so a search follows."""
MAX_ALBUMS = 2
MIN_DELIVERED = 0.8
"""Share of an unofficial playlist's tracks that labels must have delivered, or its name is not used as an album's."""
_PLAYLISTS_ONLY = "EgIQAw%3D%3D"
_CREATIVE_COMMONS_ONLY = "EgIwAQ%3D%3D"
OFFICIAL_ALBUM_PREFIX = "OLAK5uy_"
"""Prefix of the playlists that YouTube makes from a label's delivery."""


class YouTubeSource:
    """The videos of YouTube as a source."""

    name = NAME
    has_many_hosts = False

    def __init__(self, downloader: Downloader, matcher: Matcher, *, creative_commons_only: bool = False) -> None:
        self.downloader = downloader
        self._matcher = matcher
        self._creative_commons_only = creative_commons_only

    def find(self, film: Film) -> Sequence[Judged]:
        """Return judged candidates of the film's album, and of a search if the album has too few."""
        judged: dict[str, Judged] = {}
        if not self._creative_commons_only:  # labels do not publish albums under such a licence
            for candidate in self._from_albums(film):
                judged.setdefault(candidate.media_id, self._matcher.judge(candidate, film))
        if sum(one.verdict.decision is Decision.TAKEN for one in judged.values()) < MIN_ALBUM_TRACKS:
            for candidate in self._from_search(film):
                judged.setdefault(candidate.media_id, self._matcher.judge(candidate, film))
        return list(judged.values())

    def _from_albums(self, film: Film) -> list[Candidate]:
        query = _words(film, "soundtrack")
        results = self.downloader.entries(_results_url(query, _PLAYLISTS_ONLY))
        judged: dict[Decision, list[tuple[bool, float, int, Candidate]]] = defaultdict(list)
        for position, entry in enumerate(results["entries"]):
            title = album_title(entry.get("title"))
            is_official = str(entry["id"]).startswith(OFFICIAL_ALBUM_PREFIX)
            album = Candidate(
                NAME, str(entry["id"]), "", title, album=title, is_official_album=is_official, position=position
            )
            verdict = self._matcher.judge(album, film).verdict
            judged[verdict.decision].append((not is_official, -(verdict.score or 0.0), position, album))
        ordered = {decision: sorted(albums, key=lambda one: one[:3]) for decision, albums in judged.items()}
        opened = [album for *_order, album in ordered.get(Decision.TAKEN, [])[:MAX_ALBUMS]]
        if not opened:  # a label's album that may be the film's: its first tracks are left for review
            doubtful = [album for *_order, album in ordered.get(Decision.REVIEW, []) if album.is_official_album]
            return [one for album in doubtful[:1] for one in self._tracks_of(album, query, 0)[:TRACKS_PER_FILM]]
        candidates: list[Candidate] = []
        for album in opened:
            candidates += self._tracks_of(album, query, len(candidates))
            if len(candidates) >= MIN_ALBUM_TRACKS:
                break
        return candidates

    def _tracks_of(self, album: Candidate, query: str, first_position: int) -> list[Candidate]:
        listed = self.downloader.entries(f"https://www.youtube.com/playlist?list={album.media_id}")
        tracks = [
            candidate_from_entry(entry, NAME, query, first_position + n) for n, entry in enumerate(listed["entries"])
        ]
        delivered = sum(is_delivered(track) for track in tracks)
        if not album.is_official_album and delivered < MIN_DELIVERED * len(tracks):
            return tracks  # anybody can name a playlist "soundtrack", so its name is no evidence
        return [replace(track, album=album.title, is_official_album=album.is_official_album) for track in tracks]

    def _from_search(self, film: Film) -> list[Candidate]:
        query = _words(film, "original motion picture soundtrack")
        url = f"ytsearch{MAX_SEARCH_RESULTS}:{query}"
        if self._creative_commons_only:
            url = _results_url(query, _CREATIVE_COMMONS_ONLY)
        results = self.downloader.entries(url)["entries"][:MAX_SEARCH_RESULTS]
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


def _words(film: Film, ending: str) -> str:
    return " ".join(filter(None, (plain_title(film.title), str(film.year or ""), ending)))


def _results_url(query: str, filter_code: str) -> str:
    return f"https://www.youtube.com/results?search_query={quote_plus(query)}&sp={quote_plus(filter_code)}"
