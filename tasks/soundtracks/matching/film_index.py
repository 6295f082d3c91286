"""Index the films of the lake by the words of their titles, to find the films that a recording may belong to.

Every phrase of a candidate's texts is looked up among the titles, so that matching 70,000 recordings with 8,000 films
takes seconds: a candidate is never compared with a film that it does not name.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import ALBUM_LISTINGS, FILMS
from tasks.films.parsing.track_lists import AlbumListing, ListedTrack
from tasks.films.wiki.fetch_articles import page_of_address
from tasks.soundtracks.candidate_recordings import Candidate, Film
from tasks.soundtracks.matching.film_titles_and_sequels import (
    MIN_COVERAGE,
    MIN_WORDS_FOR_COVERAGE,
    plain_title,
    title_words,
    without_article,
)
from tasks.soundtracks.matching.normalise import words_of
from tasks.soundtracks.matching.scoring import DESCRIPTION_CHARACTERS

MAX_TITLE_WORDS = 25
_EVIDENCE_COLUMNS = ("names", "composers", "song_producers", "record_labels", "languages")
_FILM_COLUMNS = ("film_id", "title", "year", *_EVIDENCE_COLUMNS)


class FilmIndex:
    """Films by id, by exact title, and by the words of their titles."""

    def __init__(self, films: Iterable[Film]) -> None:
        self.films: dict[str, Film] = {film.film_id: film for film in films}
        # Lists, not sets: most have one entry, and an empty set takes 216 bytes.
        self._by_phrase: dict[str, list[str]] = defaultdict(list)
        self._by_word: dict[str, list[str]] = defaultdict(list)
        self._by_title: dict[str, list[str]] = defaultdict(list)
        for film in self.films.values():
            words = title_words(film.title)
            phrases = {words, without_article(words), *(title_words(name) for name in film.names)}
            for phrase in {"".join(phrase) for phrase in phrases}:
                self._by_phrase[phrase].append(film.film_id)
            if len(words) >= MIN_WORDS_FOR_COVERAGE:
                for word in set(words):
                    self._by_word[word].append(film.film_id)
            for name in {film.title.casefold(), plain_title(film.title).casefold()}:
                self._by_title[name].append(film.film_id)

    def named_in(self, candidate: Candidate) -> list[Film]:
        """Return the films whose titles a candidate's texts contain, as a phrase or by most of their words."""
        film_ids: set[str] = set()
        description = (candidate.description or "")[:DESCRIPTION_CHARACTERS]
        for text in (candidate.album or "", candidate.title, description):
            words = words_of(text).words
            for start in range(len(words)):
                for end in range(start + 1, min(len(words), start + MAX_TITLE_WORDS) + 1):
                    film_ids.update(self._by_phrase.get("".join(words[start:end]), ()))
            if text is not description:
                film_ids |= self._mostly_named(words)
            film_ids.update(self._by_title.get(text.split(" (")[0].casefold(), ()))
        return [self.films[film_id] for film_id in sorted(film_ids)]

    def rivals(self, film: Film, candidate: Candidate) -> list[Film]:
        """Return the other films that a candidate's texts name."""
        return [other for other in self.named_in(candidate) if other.film_id != film.film_id]

    def find(self, name: str) -> list[Film]:
        """Return the films that a film id, a page id, an article's address or a title names."""
        if re.match(r"https?://", name):
            name = str(page_of_address(name))
        key = name.strip()
        if key in self.films:
            return [self.films[key]]
        title = key.replace("_", " ").casefold()
        by_title = set(self._by_title.get(title, ()))
        exact = {film for film in by_title if self.films[film].title.casefold() == title}
        by_page = {film for film in self.films if film.rsplit("-", 1)[-1] == key} if key.isdigit() else set()
        return [self.films[film_id] for film_id in sorted(exact or by_title or by_page)]

    def _mostly_named(self, words: tuple[str, ...]) -> set[str]:
        counts = Counter(film_id for word in set(words) for film_id in self._by_word.get(word, ()))
        return {f for f, n in counts.items() if n >= MIN_COVERAGE * len(set(title_words(self.films[f].title)))}


def read_film_index(lake: Lake) -> FilmIndex:
    """Return the index of the films in the lake with their evidence, without those whose pages were deleted."""
    listings = _read_listings(lake)
    rows = tables.latest(lake, FILMS, [*_FILM_COLUMNS, "state"]).to_pylist()
    return FilmIndex(_film(row, listings) for row in rows if row["state"] != "gone")


def _film(row: Mapping[str, Any], listings: Mapping[str, list[AlbumListing]]) -> Film:
    evidence = {name: tuple(row[name] or ()) for name in _EVIDENCE_COLUMNS}
    albums = tuple(listings.get(row["film_id"], ()))
    return Film(row["film_id"], row["title"], row["year"], **evidence, listings=albums)


def _read_listings(lake: Lake) -> dict[str, list[AlbumListing]]:
    columns = ["film_id", "listing", "title", "artists", "record_label", "release_date", "tracks", "state"]
    listings: dict[str, list[AlbumListing]] = defaultdict(list)
    for row in tables.latest(lake, ALBUM_LISTINGS, columns).to_pylist():
        if row["state"] == "gone":
            continue
        tracks = tuple(ListedTrack(t["title"], t["seconds"], tuple(t["artists"] or ())) for t in row["tracks"] or ())
        album = AlbumListing(
            row["title"], tuple(row["artists"] or ()), row["record_label"], row["release_date"], tracks
        )
        listings[row["film_id"]].append(album)
    return listings
