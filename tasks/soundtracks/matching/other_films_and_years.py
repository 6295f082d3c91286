"""Reject what is another film's, or leave it for review: sequels, remakes, other editions, years and languages.

One guard per kind of error, whatever the score. A guard returns a decision with its reason, or None.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from tasks.soundtracks.candidate_recordings import Decision, Film
from tasks.soundtracks.matching import soundtrack_words
from tasks.soundtracks.matching.film_titles_and_sequels import (
    ARTICLES,
    Naming,
    has_same_article,
    naming,
    title_words,
    without_article,
)
from tasks.soundtracks.matching.normalise import contains, plain, same_name, words_of
from tasks.soundtracks.matching.official_evidence import Agreement, evidence_of, named_share
from tasks.soundtracks.matching.scoring import MIN_NAMES_FILM, CandidateTexts, Case, Guard, year_difference

SAME_TIME_YEARS = 2
"""Albums of this many years before or after the film are of its time."""
_BRACKET = re.compile(r"[(\[][^()\[\]]*[)\]]")


def other_title(case: Case) -> Guard:
    """Reject sequels and longer titles. The album's name is more reliable than the video's title, so it goes first."""
    texts, film = case.texts, case.film
    for text in (texts.album, texts.title):
        is_album = text is texts.album  # also the title of a playlist, which is its album's name
        match = naming(film.title, film.year, text, texts.neutral_words, is_album=is_album)
        if match is Naming.SEQUEL:
            return Decision.REJECTED, "sequel"
        if match is Naming.LONGER:
            return Decision.REJECTED, "longer_title"
        if match >= Naming.COVERED:
            return None
        if is_album and soundtrack_words.SOUNDTRACK.search(plain(text)):
            # An album that is called a soundtrack must name this film; otherwise it is another film's.
            return None if match is Naming.LOOSE else (Decision.REJECTED, "other_album")
    return None


def names_any(texts: CandidateTexts, films: Collection[Film]) -> bool:
    """Return whether the album, or the title without one, names any of these films."""
    name = texts.album or texts.title
    return any(naming(f.title, f.year, name, texts.neutral_words, is_album=True) >= Naming.COVERED for f in films)


def names_as_album(case: Case) -> bool:
    """Return whether the album's name is the film's title, another name of it, or that of a listed album."""
    texts, film = case.texts, case.film
    if any(same_name(album.title, texts.album) for album in film.listings):
        return True
    names = (film.title, *film.names)
    return any(
        naming(name, film.year, texts.album, texts.neutral_words, is_album=True) >= Naming.COVERED for name in names
    )


def other_films_too(case: Case) -> Guard:
    """Leave an album of several films for review, by its name: "One / Other (Original Motion Picture Soundtracks)"."""
    parts = re.split(r"\s[/|]\s", _BRACKET.sub(" ", case.texts.album))
    others = [part for part in parts if not _has_title(part, case.film)]
    is_other = any(_unknown_words(part, case) for part in others)
    return (Decision.REVIEW, "other_films_too") if is_other and len(others) < len(parts) else None


def other_edition(case: Case) -> Guard:
    """Leave an album for review that is named after the film and has other words in brackets: "(Piano Reworks)"."""
    album, film = case.texts.album, case.film
    is_listed = case.evidence.listed is Agreement.FOR or any(same_name(one.title, album) for one in film.listings)
    if not case.is_video or is_listed or not _has_title(_BRACKET.sub(" ", album), film):
        return None
    is_other = any(_unknown_words(one, case) and not _is_of_a_film(one) for one in _BRACKET.findall(album))
    return (Decision.REVIEW, "other_edition") if is_other else None


def _is_of_a_film(bracket: str) -> bool:
    """Return whether what an album's name has in brackets calls it a soundtrack, a film's or an edition."""
    patterns = (soundtrack_words.SOUNDTRACK, soundtrack_words.THEME, soundtrack_words.REISSUE, soundtrack_words.EDITION)
    has_film_word = not soundtrack_words.FILM_WORDS.isdisjoint(words_of(bracket).words)
    return has_film_word or any(pattern.search(plain(bracket)) for pattern in patterns)


def _has_title(text: str, film: Film) -> bool:
    words = words_of(text).words
    return any(contains(title_words(name), words) for name in (film.title, *film.names))


def _unknown_words(text: str, case: Case) -> list[str]:
    """Return the words that are neither neutral nor numbers nor of the film's title."""
    own = {word for name in (case.film.title, *case.film.names) for word in title_words(name)}
    known = case.texts.neutral_words | ARTICLES | own
    return [word for word in words_of(text).words if word not in known and not word.isdigit()]


def other_film(case: Case) -> Guard:
    """Reject a candidate that a rival fits better.

    The longest title that is named as completely wins. Films of the same title, or that differ by an article, are
    distinguished by their people, then by the nearest year, then by the article, else left for review.
    """
    own_title, own_naming = title_words(case.film.title), case.naming()
    for rival in case.rivals:
        if rival.film_id == case.film.film_id:
            continue
        rival_title = title_words(rival.title)
        if without_article(rival_title) == without_article(own_title):
            if guard := _other_twin(case, rival):
                return guard
            continue
        pairs = zip(case.naming(rival), own_naming, strict=True)
        is_named = any(theirs >= Naming.COVERED and theirs >= own for theirs, own in pairs)
        if is_named and len("".join(rival_title)) > len("".join(own_title)):
            return Decision.REJECTED, "belongs_to_another_film"
    return None


def _other_twin(case: Case, rival: Film) -> Guard:
    own, theirs = _twin_evidence(case, case.film, rival), _twin_evidence(case, rival, case.film)
    if own == theirs:
        return Decision.REVIEW, "same_title"
    return (Decision.REJECTED, "belongs_to_another_film") if theirs > own else None


def _twin_evidence(case: Case, film: Film, other: Film) -> tuple[float, ...]:
    """Return what ties a candidate to one of two films of one title, strongest first.

    People or track list, label, the film's very year, the share of its composers, the nearer year, the article.
    """
    evidence = evidence_of(case.candidate, film)
    own, theirs = (year_difference(case.candidate, case.texts, one) for one in (film, other))
    is_nearer = own is not None and theirs is not None and _distance(own) < _distance(theirs)
    return (
        evidence.is_certain,
        evidence.own_channel is not None or evidence.label is Agreement.FOR,
        is_nearer and own == 0,
        named_share(case.candidate, film),
        is_nearer,
        has_same_article(film.title, case.texts.album or case.texts.title),
    )


def _distance(years: int) -> int:
    """Return how far a recording is from a film, of which it is not if it is older."""
    return abs(years) if years >= -SAME_TIME_YEARS else 1000 - years


def wrong_time(case: Case) -> Guard:
    """Reject recordings older than the film; leave younger ones for review unless people or a track list decide.

    A soundtrack is often first released decades after its film; then its artist is the film's composer.
    """
    years, is_named = case.years, case.parts["names_film"] >= MIN_NAMES_FILM
    is_reissue, is_listed = called_reissue(case), case.evidence.listed is Agreement.FOR
    is_soundtrack = case.parts["soundtrack_words"] > 0 or is_listed or is_reissue
    is_certain = case.evidence.is_certain and is_soundtrack and is_named
    other_article = not has_same_article(case.film.title, case.texts.album or case.texts.title)
    if years is None or abs(years) <= SAME_TIME_YEARS:
        is_doubtful = other_article and years not in (None, 0) and not case.evidence.is_certain
        return (Decision.REVIEW, "other_article") if is_doubtful and is_named else None
    if years < 0:
        return None if is_listed and is_certain else (Decision.REJECTED, "older_than_film")
    if is_certain or not is_named or (is_reissue and not other_article):
        return None
    return Decision.REVIEW, "younger_than_film"


def called_reissue(case: Case) -> bool:
    """Return whether an album is called a reissue, or states that it was first published in the film's year."""
    year, texts = case.film.year, case.texts
    original = year is not None and re.search(rf"(?:℗|\(p\)|©)\s*{year}\b", plain(texts.description))
    return bool(original or soundtrack_words.REISSUE.search(plain(f"{texts.album} {texts.title}")))


def other_language(case: Case) -> Guard:
    """Leave an album for review that names a language the film is not in: a remake of the same title, or a dubbing."""
    languages = {plain(language) for language in case.film.languages}
    words = words_of(f"{case.texts.album} {case.texts.title}").words
    named = {word for word in words if word in soundtrack_words.LANGUAGES}
    if languages and named and not named & languages and not case.evidence.is_certain:
        return Decision.REVIEW, "other_language"
    return None
