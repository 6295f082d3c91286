"""Decide whether a recording is a film's soundtrack: taken, left for review, or rejected, with a reason.

Precision goes before recall: a wrong pair teaches the model something false, a missing pair costs little. The score
(`scoring.py`) decides only if no guard does: guards reject a candidate, or leave it for review, whatever its score. A
video from YouTube is taken only if a label delivered it: among other uploads, names and words are wrong more often
than right, so these are left for review. Every candidate keeps its score, the parts of it, the decision, the reason
and `RULE_VERSION`, taken or not.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from tasks.soundtracks.matching import keywords
from tasks.soundtracks.matching.alternative_titles import is_alternative_title
from tasks.soundtracks.matching.keywords import plain
from tasks.soundtracks.matching.scoring import (
    OFFICIAL_CHANNEL,
    CandidateTexts,
    duration_part,
    is_delivered,
    score_parts,
    total_score,
    year_difference,
)
from tasks.soundtracks.matching.titles import Naming, is_one_word, naming, title_words, words_of
from tasks.soundtracks.models import Candidate, Decision, Film, Verdict

RULE_VERSION = 4
TAKE_SCORE = 0.70
REVIEW_SCORE = 0.55
MIN_NAMES_FILM = 0.6
"""Without the film's title as a phrase nothing is taken, however official it is."""
LISTED = "listed"
NOT_DELIVERED = "not_delivered"
"""Why an upload that would otherwise be taken is left for review."""
_REASONS_WITHOUT_TITLE = ("other_album", "names_no_film", "low_score")
"""Why a candidate that does not name the page's title is rejected."""


def judge(candidate: Candidate, film: Film, rivals: Collection[Film] = ()) -> Verdict:
    """Return the verdict on a candidate for a film. `rivals` are the other films whose titles its texts contain."""
    if candidate.listed_for is not None:
        return Verdict(Decision.TAKEN, LISTED)
    verdict = _judge_by_title(candidate, film, rivals)
    if verdict.reason in _REASONS_WITHOUT_TITLE and any(
        _fits_other_name(candidate, film, name, rivals) for name in film.names
    ):
        return Verdict(Decision.REVIEW, "other_name", verdict.score, verdict.parts)
    if verdict.decision is Decision.TAKEN and candidate.source == "youtube" and not is_delivered(candidate):
        return Verdict(Decision.REVIEW, NOT_DELIVERED, verdict.score, verdict.parts)
    return verdict


def _fits_other_name(candidate: Candidate, film: Film, name: str, rivals: Collection[Film]) -> bool:
    """Return whether an official candidate would be taken if the film had this name, and no rival is named."""
    verdict = _judge_by_title(candidate, replace(film, title=name), rivals)
    is_official = verdict.decision is Decision.TAKEN and verdict.parts["official"] >= OFFICIAL_CHANNEL
    return is_official and not _names_any(CandidateTexts.of(candidate), rivals)


def _judge_by_title(candidate: Candidate, film: Film, rivals: Collection[Film]) -> Verdict:
    texts = CandidateTexts.of(candidate)
    parts = score_parts(candidate, texts, film)
    score = total_score(parts)
    other = _other_title(texts, film)
    renamed = other is not None and _may_be_renamed(candidate, texts, film, parts, rivals)
    guard = (
        _unavailable(candidate)
        or _unwanted(candidate, texts, film, parts)
        or (None if renamed else other)
        or _other_film(candidate, texts, film, rivals)
        or _wrong_time(candidate, texts, film, parts)
        or ((Decision.REVIEW, "other_name") if renamed else None)
    )
    if guard:
        return Verdict(guard[0], guard[1], score, parts)
    return _by_score(texts, film, score, parts)


_Guard = tuple[Decision, str] | None


def _unavailable(candidate: Candidate) -> _Guard:
    if candidate.live_status in ("is_live", "is_upcoming", "was_live", "post_live"):
        return Decision.REJECTED, "live"
    if candidate.is_short:
        return Decision.REJECTED, "short_video"
    if candidate.availability not in (None, "public", "unlisted"):
        return Decision.REJECTED, "not_public"
    if candidate.categories and "Music" not in candidate.categories and not candidate.album:
        return Decision.REJECTED, "not_music"
    if candidate.duration_seconds is not None and duration_part(candidate) == 0.0:
        return Decision.REJECTED, "too_short" if candidate.duration_seconds < 60 else "too_long"
    return None


def _other_title(texts: CandidateTexts, film: Film) -> _Guard:
    """Reject sequels and longer titles. The album's name is more reliable than the video's title, so it goes first."""
    for text in (texts.album, texts.title):
        is_album = text is texts.album  # also the title of a playlist, which is its album's name
        match = naming(film.title, film.year, text, texts.neutral_words, is_album=is_album)
        if match is Naming.SEQUEL:
            return Decision.REJECTED, "sequel"
        if match is Naming.LONGER:
            return Decision.REJECTED, "longer_title"
        if match >= Naming.COVERED:
            return None
        if is_album and keywords.SOUNDTRACK.search(plain(text)):
            # An album that is called a soundtrack must name this film; otherwise it is another film's.
            return None if match is Naming.LOOSE else (Decision.REJECTED, "other_album")
    return None


def _may_be_renamed(
    candidate: Candidate, texts: CandidateTexts, film: Film, parts: Mapping[str, float], rivals: Collection[Film]
) -> bool:
    """Return whether an official album under another name may be this film's, and names no other film of the lake."""
    name = texts.album or texts.title
    years, is_reissue = year_difference(candidate, texts, film), _is_reissue(texts, film)
    fits = is_alternative_title(name, film.title, texts.neutral_words, years, is_reissue=is_reissue)
    return parts["official"] >= OFFICIAL_CHANNEL and fits and not _names_any(texts, rivals)


def _names_any(texts: CandidateTexts, films: Collection[Film]) -> bool:
    name = texts.album or texts.title
    return any(naming(f.title, f.year, name, texts.neutral_words, is_album=True) >= Naming.COVERED for f in films)


def _unwanted(candidate: Candidate, texts: CandidateTexts, film: Film, parts: Mapping[str, float]) -> _Guard:
    """Reject trailers, covers, compilations and other media, by words outside the film's title."""
    title, album = _without_title(texts.title, film), _without_title(texts.album, film)
    both = f"{title} | {album}"
    if keywords.OTHER_MEDIUM.search(both):
        return Decision.REJECTED, "other_medium"
    if keywords.INSPIRED.search(both) and not keywords.FROM_AND_INSPIRED.search(both):
        return Decision.REJECTED, "inspired_by"
    if match := keywords.UNWANTED.search(f"{both} | {plain(candidate.artist)}"):
        return Decision.REJECTED, "unwanted_" + _one_word(match.group())
    is_trusted = parts["official"] == 1.0 and parts["names_film"] == 1.0
    if not is_trusted and candidate.source != "music_folder" and (match := keywords.DOUBTFUL.search(title)):
        return Decision.REJECTED, "unwanted_" + _one_word(match.group())
    return None


def _other_film(candidate: Candidate, texts: CandidateTexts, film: Film, rivals: Collection[Film]) -> _Guard:
    """Reject a candidate that a rival fits better.

    The longest title that is named as completely wins; among films of the same title the one with the nearest year,
    or a review if the years do not decide.
    """
    own_title = title_words(film.title)
    own_naming = _namings(texts, film)
    difference = year_difference(candidate, texts, film)
    for rival in rivals:
        if rival.film_id == film.film_id:
            continue
        rival_title = title_words(rival.title)
        pairs = zip(_namings(texts, rival), own_naming, strict=True)
        is_named = any(theirs >= Naming.COVERED and theirs >= own for theirs, own in pairs)
        if is_named and len("".join(rival_title)) > len("".join(own_title)):
            return Decision.REJECTED, "belongs_to_another_film"
        if rival_title == own_title and (guard := _nearer(difference, year_difference(candidate, texts, rival))):
            return guard
    return None


def _namings(texts: CandidateTexts, film: Film) -> list[Naming]:
    """Return how far the album's name and the title name a film."""
    return [naming(film.title, film.year, text, texts.neutral_words) for text in (texts.album, texts.title)]


def _nearer(own: int | None, theirs: int | None) -> _Guard:
    if own is None or theirs is None or abs(own) == abs(theirs):
        return Decision.REVIEW, "same_title"
    return (Decision.REJECTED, "belongs_to_another_film") if abs(theirs) < abs(own) else None


def _wrong_time(candidate: Candidate, texts: CandidateTexts, film: Film, parts: Mapping[str, float]) -> _Guard:
    """Reject recordings older than the film; leave much younger ones for review unless they are reissues."""
    difference = year_difference(candidate, texts, film)
    if difference is None or abs(difference) <= 2:
        return None
    if difference < 0:
        return Decision.REJECTED, "older_than_film"
    if _is_reissue(texts, film) or parts["names_film"] < MIN_NAMES_FILM:
        return None
    return Decision.REVIEW, "younger_than_film"


def _is_reissue(texts: CandidateTexts, film: Film) -> bool:
    """Return whether an album is called a reissue, or states that it was first published in the film's year."""
    original = film.year is not None and re.search(rf"(?:℗|\(p\)|©)\s*{film.year}\b", plain(texts.description))
    return bool(original or keywords.REISSUE.search(plain(f"{texts.album} {texts.title}")))


def _by_score(texts: CandidateTexts, film: Film, score: float, parts: Mapping[str, float]) -> Verdict:
    """Return the verdict if no guard applies; the first doubt that applies is the reason of a review."""
    doubts = {
        "title_unsure": parts["names_film"] < MIN_NAMES_FILM,
        "no_soundtrack_words": parts["soundtrack_words"] == 0.0,
        "one_word_title": is_one_word(film.title) and not _surely_names_one_word(texts, film, parts),
        "middling_score": score < TAKE_SCORE,
    }
    doubt = next((reason for reason, applies in doubts.items() if applies), None)
    if parts["names_film"] == 0.0:
        return Verdict(Decision.REJECTED, "names_no_film", score, parts)
    if score < REVIEW_SCORE:
        return Verdict(Decision.REJECTED, "low_score", score, parts)
    return Verdict(Decision.REVIEW, doubt, score, parts) if doubt else Verdict(Decision.TAKEN, "matched", score, parts)


def _surely_names_one_word(texts: CandidateTexts, film: Film, parts: Mapping[str, float]) -> bool:
    """Return whether a title of one word ("It", "Up", "Her") is meant as the film's.

    It is if a soundtrack album has exactly this name, or an official channel writes "Up soundtrack" or the like.
    """
    if parts["names_film"] == 1.0 and keywords.SOUNDTRACK.search(plain(texts.album)):
        return True
    if parts["official"] < OFFICIAL_CHANNEL:
        return False
    word = re.escape(" ".join(title_words(film.title)))
    title = " ".join(words_of(texts.title).words)
    before = rf"\b{word} (?:original )?(?:(?:motion picture|movie|film) )?(?:soundtrack|ost|score)\b"
    after = rf"\b(?:music|songs?|theme) from (?:the )?(?:(?:motion picture|movie|film) )?{word}\b"
    return bool(re.search(f"{before}|{after}", title))


def _without_title(text: str, film: Film) -> str:
    """Return a text without the film's title, so that "The Interview" is not rejected for its name."""
    own = re.escape(plain(film.title).split(" (")[0])
    return re.sub(rf"(?<!\w){own}(?!\w)", " ", plain(text))


def _one_word(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text).strip("_") or "word"
