"""Decide whether a recording is a film's soundtrack: taken, left for review, or rejected, with a reason.

Precision goes before recall: a wrong pair teaches the model something false, a missing pair costs little. A recording
from YouTube is taken only on official evidence, named field by field (`official_evidence.py`): a label delivered it on
an album that names the film, or it is on a channel of the film's own composer or label. Any other upload is left for
review at most. Guards (`unwanted_recordings.py`, `other_films_and_years.py`) reject a candidate, or leave it for
review, whatever its score; the score (`scoring.py`) decides about the user's own files and lists, and orders what is
taken. Every candidate keeps its score, the parts of it, the decision, the reason and `RULE_VERSION`, taken or not.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import replace

from tasks.soundtracks.candidate_recordings import Candidate, Decision, Film, Verdict
from tasks.soundtracks.matching import soundtrack_words
from tasks.soundtracks.matching.film_titles_and_sequels import (
    Naming,
    is_alternative_title,
    is_one_word,
    is_sequel_mark,
    naming,
    plain_title,
    title_words,
)
from tasks.soundtracks.matching.label_channels_and_descriptions import with_delivery_notes
from tasks.soundtracks.matching.normalise import occurrences, plain, same_name, words_of
from tasks.soundtracks.matching.official_evidence import Agreement, Evidence, evidence_of, is_comparable
from tasks.soundtracks.matching.other_films_and_years import (
    called_reissue,
    names_any,
    names_as_album,
    other_edition,
    other_film,
    other_films_too,
    other_language,
    other_title,
    wrong_time,
)
from tasks.soundtracks.matching.scoring import MIN_NAMES_FILM, OFFICIAL_CHANNEL, Case, total_score
from tasks.soundtracks.matching.unwanted_recordings import other_artist, unavailable, unwanted

RULE_VERSION = 9
TAKE_SCORE = 0.70
REVIEW_SCORE = 0.55
LISTED = "listed"
NOT_DELIVERED = "not_delivered"
"""Why an upload that would otherwise be taken is left for review."""
MIN_BARS = 2
"""Bars in the title of a label's video of a song: "Film: Song | Hero, Heroine | Composer"."""
_REASONS_WITHOUT_TITLE = ("other_album", "names_no_film", "low_score", "longer_title", "title_unsure", "sequel")
"""Why a candidate that does not name the page's title is rejected, or doubted."""


def judge(candidate: Candidate, film: Film, rivals: Collection[Film] = ()) -> Verdict:
    """Return the verdict on a candidate for a film. `rivals` are the other films whose titles its texts contain."""
    if candidate.listed_for is not None:
        return Verdict(Decision.TAKEN, LISTED)
    candidate = with_delivery_notes(candidate)
    case = Case.of(candidate, film, rivals, evidence_of(candidate, film))
    verdict = _judge_by_title(case)
    if verdict.reason in _REASONS_WITHOUT_TITLE:
        verdict = _judge_by_other_names(case) or verdict
    if verdict.decision is Decision.TAKEN and case.is_video and not _is_official(case.evidence):
        return replace(verdict, decision=Decision.REVIEW, reason=NOT_DELIVERED)
    return verdict


def _is_official(evidence: Evidence) -> bool:
    return evidence.is_delivered or evidence.own_channel is not None


def _judge_by_other_names(case: Case) -> Verdict | None:
    """Return the verdict on an official candidate under an original title or the name of a listed album.

    It is taken if people, a track list or the channel tie it to the film, or if it is of the film's year.
    """
    if names_any(case.texts, case.rivals):
        return None
    evidence, years, doubtful = case.evidence, case.years, None
    is_labels = evidence.own_channel is not None or evidence.label is Agreement.FOR
    is_sure = evidence.is_certain or is_labels or years in (-1, 0, 1)
    for name in _other_names(case.film, evidence):
        renamed = Case.of(case.candidate, replace(case.film, title=name), case.rivals, evidence)
        verdict = _judge_by_title(renamed)
        if verdict.decision is Decision.REJECTED or verdict.parts["official"] < OFFICIAL_CHANNEL:
            continue
        if verdict.decision is Decision.TAKEN and is_sure:
            return verdict
        doubtful = doubtful or replace(verdict, decision=Decision.REVIEW, reason="other_name")
    return doubtful


def _other_names(film: Film, evidence: Evidence) -> Iterator[str]:
    yield from film.names
    if evidence.own_channel is not None and ":" in plain_title(film.title):
        yield plain_title(film.title).split(":")[0]  # "Pushpa" for "Pushpa: The Rise"
    yield from (album.title for album in film.listings if not same_name(album.title, film.title))


def _judge_by_title(case: Case) -> Verdict:
    other = other_title(case)
    if other is not None and other[1] == "longer_title" and _is_song_of_film(case):
        other = None
    is_renamed = other is not None and _may_be_renamed(case)
    guard = (
        unavailable(case)
        or other_artist(case)
        or unwanted(case)
        or (None if is_renamed else other)
        or other_film(case)
        or wrong_time(case)
        or other_language(case)
        or other_films_too(case)
        or (None if is_renamed else other_edition(case))
    )
    if guard:
        return case.verdict(*guard)
    if is_renamed:
        is_sure = case.evidence.is_certain and case.years == 0  # a sequel may be a year younger, by the same people
        return case.verdict(Decision.TAKEN, "matched") if is_sure else case.verdict(Decision.REVIEW, "other_name")
    return _judge_by_doubts(case)


def _may_be_renamed(case: Case) -> bool:
    """Return whether an official album under another name may be this film's, and names no other film of the lake."""
    texts, is_reissue = case.texts, called_reissue(case)
    name = texts.album or texts.title
    fits = is_alternative_title(name, case.film.title, texts.neutral_words, case.years, is_reissue=is_reissue)
    return case.parts["official"] >= OFFICIAL_CHANNEL and fits and not names_any(texts, case.rivals)


def _judge_by_doubts(case: Case) -> Verdict:
    """Return the verdict if no guard applies; the first doubt that applies is the reason of a review.

    The score is no doubt about a recording with official evidence: that already says whose it is.
    """
    evidence, parts, score = case.evidence, case.parts, total_score(case.parts)
    is_official = case.is_video and _is_official(evidence)
    is_tied = _is_tied(case)
    doubts = {
        "title_unsure": parts["names_film"] < MIN_NAMES_FILM and not _is_own_track(case),
        "other_album": _is_of_other_album(case),
        "no_album": _has_no_album(case),
        "no_soundtrack_words": parts["soundtrack_words"] == 0.0 and not is_tied and not _is_listed_album(case),
        "one_word_title": is_one_word(case.film.title) and not is_tied and not _surely_names_one_word(case),
        "by_others": evidence.is_by_others and not is_tied,
        "whole_album": bool(soundtrack_words.JUKEBOX.search(plain(case.texts.title))) and not evidence.is_delivered,
        "not_in_track_list": evidence.listed is Agreement.AGAINST and not is_tied,
        "middling_score": score < TAKE_SCORE and not case.is_video,
    }
    doubt = next((reason for reason, applies in doubts.items() if applies), None)
    if parts["names_film"] == 0.0 and doubt == "title_unsure":
        return case.verdict(Decision.REJECTED, "names_no_film")
    if score < REVIEW_SCORE and not is_official:
        return case.verdict(Decision.REJECTED, "low_score")
    return case.verdict(Decision.REVIEW, doubt) if doubt else case.verdict(Decision.TAKEN, "matched")


def _is_listed_album(case: Case) -> bool:
    """Return whether it is of a listed album of the film by its whole name, if that is more than the film's title."""
    name, film = case.texts.album, case.film
    is_more = not same_name(name, plain_title(film.title))
    return case.evidence.is_delivered and is_more and any(same_name(album.title, name) for album in film.listings)


def _is_tied(case: Case) -> bool:
    """Return whether people, a track list, a channel or a label tie a recording to the film, so that words need not."""
    evidence = case.evidence
    by_label = evidence.own_channel is not None or evidence.label is Agreement.FOR
    return evidence.is_certain or by_label or _is_named_like_the_film(case)


def _is_named_like_the_film(case: Case) -> bool:
    """Return whether it is an Indian film's album of the film's year, whose name is just the film's.

    Such albums have the film's name alone. If artists and composers are written in one script and differ, it is not.
    """
    film, texts = case.film, case.texts
    return (
        case.evidence.is_delivered
        and bool({plain(language) for language in film.languages} & soundtrack_words.LANGUAGES)
        and case.years == 0
        and naming(film.title, film.year, texts.album, texts.neutral_words, is_album=True) is Naming.WHOLE
        and not is_comparable(case.candidate, film)
    )


def _is_own_track(case: Case) -> bool:
    """Return whether a video on the channel of the film's own people is of the film although its title is not sure.

    It has a listed track, or the title next to the song's, or its own title or the description says that it is from the
    film.
    """
    if case.evidence.own_channel is None:
        return False
    is_song = _is_song_of_film(case) and case.naming()[1] in (Naming.LOOSE, Naming.LONGER)
    is_from_film = _ends_with_film(case.texts.title, case.film) or _is_from_film(case.texts.description, case.film)
    return case.evidence.listed is Agreement.FOR or is_song or is_from_film


def _is_song_of_film(case: Case) -> bool:
    """Return whether a video on its own channel has the song's name after the film's: "Tamasha: Heer VIDEO Song"."""
    title = case.texts.title
    is_song = bool(soundtrack_words.SONG_VIDEO.search(plain(title))) or len(re.findall(r"[|｜]", title)) >= MIN_BARS
    return case.evidence.own_channel is not None and not case.texts.album and is_song


def _ends_with_film(title: str, film: Film) -> bool:
    """Return whether a section of a title ends with a word for film and the film's whole title: "Song Ost. Film"."""
    text = words_of(title)
    return any(
        start > 0
        and text.words[start - 1] in soundtrack_words.FILM_WORDS
        and text.sections[start - 1 : end] == (text.sections[start],) * (end - start + 1)
        and (end == len(text.words) or text.sections[end] != text.sections[end - 1])
        for start, end in occurrences(title_words(film.title), text.words)
    )


def _is_from_film(description: str, film: Film) -> bool:
    """Return whether a description says "from the TITLE soundtrack" or "Film: TITLE"."""
    words, title = words_of(description).words, title_words(film.title)
    for start, end in occurrences(title, words):
        before, after = words[max(0, start - 2) : start], words[end : end + 5]
        if soundtrack_words.FILM_WORDS & set(before) or ("from" in before and "soundtrack" in after):
            return end == len(words) or not is_sequel_mark(words, end, film.year)
    return False


def _is_of_other_album(case: Case) -> bool:
    """Return whether a delivered recording names the film in its own title only: its album is another one."""
    texts, evidence = case.texts, case.evidence
    if not case.is_video or not evidence.is_delivered or not texts.album or names_as_album(case):
        return False
    is_single = plain(texts.title).startswith(plain(texts.album)) and case.years in (-1, 0, 1)
    return not (is_single and evidence.is_certain)


def _has_no_album(case: Case) -> bool:
    """Return whether the page of a delivered video, which has categories, names no album; a search result cannot."""
    is_page = bool(case.candidate.categories) and case.is_video
    is_sure = case.evidence.own_channel is not None or case.evidence.listed is Agreement.FOR
    return is_page and case.evidence.is_delivered and not case.texts.album and not is_sure


def _surely_names_one_word(case: Case) -> bool:
    """Return whether a title of one word ("It", "Up", "Her") is meant as the film's.

    It is if a soundtrack album has exactly this name, or an official channel writes "Up soundtrack" or the like.
    """
    if case.parts["names_film"] == 1.0 and soundtrack_words.SOUNDTRACK.search(plain(case.texts.album)):
        return True
    if case.parts["official"] < OFFICIAL_CHANNEL:
        return False
    word = re.escape(" ".join(title_words(case.film.title)))
    title = " ".join(words_of(case.texts.title).words)
    before = rf"\b{word} (?:original )?(?:(?:motion picture|movie|film) )?(?:soundtrack|ost|score)\b"
    after = rf"\b(?:music|songs?|theme) from (?:the )?(?:(?:motion picture|movie|film) )?{word}\b"
    return bool(re.search(f"{before}|{after}", title))
