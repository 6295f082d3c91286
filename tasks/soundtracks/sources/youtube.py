"""YouTube as a source: the film's official album first, a plain search after it.

An album costs two lists (four requests) and brings ordered tracks that the label itself delivered, so
most films need no search. Only what passes the rule on the list's own words is opened; the page's words
are judged again before the media is asked for.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote_plus

from tasks.soundtracks.download.downloader import Downloader
from tasks.soundtracks.download.ytdlp import FilteredOut
from tasks.soundtracks.extraction.film import Recording
from tasks.soundtracks.matching.matcher import Matcher
from tasks.soundtracks.matching.scoring import is_delivered
from tasks.soundtracks.matching.selection import TRACKS_PER_FILM, with_decision
from tasks.soundtracks.matching.titles import plain_title
from tasks.soundtracks.models import Candidate, Decision, Film, Judged, Verdict
from tasks.soundtracks.sources.base import Fetched
from tasks.soundtracks.sources.metadata import album_title, candidate_from_entry, from_info, is_creative_commons

NAME = "youtube"
SEARCH_HITS = 20
ENOUGH_ALBUM_TRACKS = 3
"""An album with fewer usable tracks is a single or a leftover: the search is asked too."""
ALBUMS_OPENED = 2
DELIVERED_SHARE = 0.8
"""Of a person's playlist, from which its name is believed: so many of its tracks come from labels."""
_PLAYLISTS_ONLY = "EgIQAw%3D%3D"
_CREATIVE_COMMONS_ONLY = "EgIwAQ%3D%3D"
OFFICIAL_ALBUM_PREFIX = "OLAK5uy_"
"""Playlists that the service itself makes from a label's delivery."""


class YouTubeSource:
    """Finds and fetches a film's recordings on YouTube."""

    name = NAME

    def __init__(self, downloader: Downloader, matcher: Matcher, *, creative_commons_only: bool = False) -> None:
        self.downloader = downloader
        self._judging = matcher
        self._creative_commons_only = creative_commons_only

    def find(self, film: Film) -> Sequence[Judged]:
        """Judged candidates of the film's album, and of a search if the album has too few."""
        found: dict[str, Judged] = {}
        if not self._creative_commons_only:  # labels do not publish albums under such a licence
            for candidate in self._from_albums(film):
                found.setdefault(candidate.media_id, self._judging.judge(candidate, film))
        if sum(one.verdict.decision is Decision.TAKEN for one in found.values()) < ENOUGH_ALBUM_TRACKS:
            for candidate in self._from_search(film):
                found.setdefault(candidate.media_id, self._judging.judge(candidate, film))
        return list(found.values())

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
            verdict = self._judging.judge(album, film).verdict
            judged[verdict.decision].append((not is_official, -(verdict.score or 0.0), position, album))
        ordered = {decision: sorted(found, key=lambda one: one[:3]) for decision, found in judged.items()}
        opened = [album for *_order, album in ordered.get(Decision.TAKEN, [])[:ALBUMS_OPENED]]
        if not opened:  # a label's album that may be the film's: a person is shown its first tracks
            doubtful = [album for *_order, album in ordered.get(Decision.REVIEW, []) if album.is_official_album]
            return [one for album in doubtful[:1] for one in self._tracks_of(album, query, 0)[:TRACKS_PER_FILM]]
        candidates: list[Candidate] = []
        for album in opened:
            candidates += self._tracks_of(album, query, len(candidates))
            if len(candidates) >= ENOUGH_ALBUM_TRACKS:
                break
        return candidates

    def _tracks_of(self, album: Candidate, query: str, first_position: int) -> list[Candidate]:
        listed = self.downloader.entries(f"https://www.youtube.com/playlist?list={album.media_id}")
        tracks = [
            candidate_from_entry(entry, NAME, query, first_position + n) for n, entry in enumerate(listed["entries"])
        ]
        delivered = sum(is_delivered(track) for track in tracks)
        if not album.is_official_album and delivered < DELIVERED_SHARE * len(tracks):
            return tracks  # anybody can call a list of favourites a soundtrack: its name is no evidence
        return [replace(track, album=album.title, is_official_album=album.is_official_album) for track in tracks]

    def _from_search(self, film: Film) -> list[Candidate]:
        query = _words(film, "original motion picture soundtrack")
        url = _results_url(query, _CREATIVE_COMMONS_ONLY) if self._creative_commons_only else None
        hits = self.downloader.entries(url or f"ytsearch{SEARCH_HITS}:{query}")["entries"][:SEARCH_HITS]
        return [candidate_from_entry(entry, NAME, query, n) for n, entry in enumerate(hits)]

    def fetch(self, judged: Judged, film: Film) -> Fetched:
        """Open the page, judge again by what it says, and download what is still wanted."""
        latest = judged

        def wanted(info: dict[str, object]) -> str | None:
            nonlocal latest
            latest = self._judge_page(judged, from_info(judged.candidate, info), film)
            return None if latest.verdict.decision is Decision.TAKEN else latest.verdict.reason

        candidate = judged.candidate
        try:
            info, path = self.downloader.download(film.film_id, candidate.media_id, candidate.url, wanted)
        except FilteredOut:
            return Fetched(None, latest)
        latest = self._judge_page(judged, from_info(candidate, info), film)
        if latest.verdict.decision is not Decision.TAKEN:
            return Fetched(None, latest)  # it lay finished from a run that was allowed more
        return Fetched(Recording(candidate.track_id, str(path), info.get("duration")), latest)

    def _judge_page(self, listed: Judged, candidate: Candidate, film: Film) -> Judged:
        """The verdict by the whole page; a person's yes stands against the rule, never against a licence."""
        judged = self._judging.judge(candidate, film)
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
