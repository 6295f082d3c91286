"""The rule that says whether a recording is a film's soundtrack.

Precision over recall: a wrong pair teaches the model something false, a missing one costs
a little. The score is a weighted mean of five parts, each in 0…1:

    names the film .45 · is official .20 · soundtrack words .15 · year .10 · duration .10

and guards stand before it: they reject, or send to review, whatever the score. What is found on YouTube is
taken only if a label delivered it: among the uploads of others, names and words alone are wrong more often
than right, so these go to review. Every candidate keeps its
score, its parts, the decision, the reason and `RULE_VERSION`, taken or not.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace

from tasks.soundtracks.matching import keywords as vocabulary
from tasks.soundtracks.matching.alternative_titles import is_alternative_title
from tasks.soundtracks.matching.evidence import Evidence
from tasks.soundtracks.matching.keywords import plain
from tasks.soundtracks.matching.titles import Naming, is_one_word, naming, title_words, words_of
from tasks.soundtracks.models import Candidate, Decision, Film, Verdict

RULE_VERSION = 4
WEIGHTS = {"names_film": 0.45, "official": 0.20, "soundtrack_words": 0.15, "year": 0.10, "duration": 0.10}
TAKE_SCORE = 0.70
REVIEW_SCORE = 0.55
NEEDED_NAMING = 0.6
"""Without the film's title as a phrase nothing is taken, however official it looks."""
DELIVERED = "provided to youtube by"
"""Opens the description of a recording that a label delivered."""
LISTED = "listed"
UNOFFICIAL = "not_delivered"
"""Why an upload that would be taken is left to review."""
_UNNAMED = ("other_album", "names_no_film", "low_score")  # why one without the page's title is rejected


def judge(candidate: Candidate, film: Film, rivals: Collection[Film] = ()) -> Verdict:
    """Judge a candidate for a film. `rivals` are other films whose titles also stand in its texts."""
    if candidate.listed_for is not None:
        return Verdict(Decision.TAKEN, LISTED)
    verdict = _judge_by_title(candidate, film, rivals)
    if verdict.reason in _UNNAMED and any(_bears(candidate, film, name, rivals) for name in film.names):
        return Verdict(Decision.REVIEW, "other_name", verdict.score, verdict.parts)
    if verdict.decision is Decision.TAKEN and candidate.source == "youtube" and not is_delivered(candidate):
        return Verdict(Decision.REVIEW, UNOFFICIAL, verdict.score, verdict.parts)
    return verdict


def _bears(candidate: Candidate, film: Film, name: str, rivals: Collection[Film]) -> bool:
    """Whether it would be taken from an official source under a name that the article gives, and no other film has."""
    verdict = _judge_by_title(candidate, replace(film, title=name), rivals)
    is_official = verdict.decision is Decision.TAKEN and verdict.parts["official"] >= 0.7
    return is_official and not _names_any(Evidence.of(candidate), rivals)


def _judge_by_title(candidate: Candidate, film: Film, rivals: Collection[Film]) -> Verdict:
    evidence = Evidence.of(candidate)
    parts = score_parts(candidate, evidence, film)
    score = round(sum(WEIGHTS[name] * value for name, value in parts.items()), 4)
    other = _other_title(evidence, film)
    renamed = other is not None and _may_be_renamed(candidate, evidence, film, parts, rivals)
    guard = (
        _unavailable(candidate)
        or _unwanted(candidate, evidence, film, parts)
        or (None if renamed else other)
        or _other_film(candidate, evidence, film, rivals)
        or _wrong_time(candidate, evidence, film, parts)
        or ((Decision.REVIEW, "other_name") if renamed else None)
    )
    if guard:
        return Verdict(guard[0], guard[1], score, parts)
    return _by_score(evidence, film, score, parts)


def score_parts(candidate: Candidate, evidence: Evidence, film: Film) -> Mapping[str, float]:
    """The five parts of the score, each in 0…1, in the order of `WEIGHTS`."""
    return {
        "names_film": _names_film(evidence, film),
        "official": _official(candidate),
        "soundtrack_words": _soundtrack_words(evidence),
        "year": _year(candidate, evidence, film),
        "duration": _duration(candidate),
    }


def _names_film(evidence: Evidence, film: Film) -> float:
    album = naming(film.title, film.year, evidence.album, evidence.known, is_album=True)
    title = naming(film.title, film.year, evidence.title, evidence.known)
    in_description = naming(film.title, film.year, evidence.description, evidence.known) >= Naming.LOOSE
    return max(
        {Naming.WHOLE: 1.0, Naming.COVERED: 0.75, Naming.LOOSE: 0.5}.get(album, 0.0),
        {Naming.WHOLE: 0.9, Naming.COVERED: 0.65, Naming.LOOSE: 0.5}.get(title, 0.0),
        0.5 if in_description else 0.0,
    )


def _official(candidate: Candidate) -> float:
    """1 for a label's own delivery, .7 for a known, verified or the artist's channel and a person's own folder."""
    channel = plain(candidate.uploader)
    if is_delivered(candidate):
        return 1.0
    own = candidate.source == "music_folder" or bool(candidate.artist and channel == plain(candidate.artist))
    return 0.7 if own or candidate.is_verified or vocabulary.LABELS.search(channel) else 0.2


def is_delivered(candidate: Candidate) -> bool:
    """Whether a label delivered this recording: a Topic channel, an official album, or the delivery line."""
    return (
        candidate.is_official_album
        or plain(candidate.uploader).endswith(" - topic")
        or plain(candidate.description).lstrip().startswith(DELIVERED)
    )


def _soundtrack_words(evidence: Evidence) -> float:
    for text, full, weak in ((evidence.album, 1.0, 0.4), (evidence.title, 0.8, 0.4), (evidence.description, 0.4, 0.0)):
        if vocabulary.SOUNDTRACK.search(plain(text)):
            return full
        if weak and vocabulary.THEME.search(plain(text)):
            return weak
    return 0.0


def _year(candidate: Candidate, evidence: Evidence, film: Film) -> float:
    """1 within a year of the film, .6 at two, .3 for a later reissue, .5 unknown, 0 for years before the film."""
    difference = year_difference(candidate, evidence, film)
    if difference is None:
        return 0.5
    if abs(difference) <= 2:
        return 1.0 if abs(difference) <= 1 else 0.6
    return 0.3 if difference > 0 else 0.0


def year_difference(candidate: Candidate, evidence: Evidence, film: Film) -> int | None:
    """Years from the film to the recording, by the year nearest to the film; None when either is unknown."""
    if film.year is None:
        return None
    year = film.year
    years = [int(y) for y in re.findall(r"\b(?:19|20)\d\d\b", f"{evidence.album} {evidence.title}")]
    years = [y for y in years if str(y) not in title_words(film.title)]
    if candidate.release_year is not None:
        years.append(candidate.release_year)
    return min((y - year for y in years), key=abs, default=None)


def _duration(candidate: Candidate) -> float:
    """1 for the length of a track of a score, .5 for a very short or long one or an unknown length, else 0."""
    seconds = candidate.duration_seconds
    if candidate.source == "music_folder":
        return 1.0  # short recordings are welcome there, and a file's header may lie: the decoder counts
    if seconds is None:
        return 0.5
    if 60 <= seconds <= 480:
        return 1.0
    return 0.5 if 30 <= seconds <= 900 else 0.0


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
    if candidate.duration_seconds is not None and _duration(candidate) == 0.0:
        return Decision.REJECTED, "too_short" if candidate.duration_seconds < 60 else "too_long"
    return None


def _other_title(evidence: Evidence, film: Film) -> _Guard:
    """Sequels and longer titles: what the album says counts before what the video's title says."""
    for text in (evidence.album, evidence.title):
        found = naming(film.title, film.year, text, evidence.known, is_album=text is evidence.album)
        if found is Naming.SEQUEL:
            return Decision.REJECTED, "sequel"
        if found is Naming.LONGER:
            return Decision.REJECTED, "longer_title"
        if found >= Naming.COVERED:
            return None
        if text is evidence.album and vocabulary.SOUNDTRACK.search(plain(text)):
            # An album that is the soundtrack of something must name this film, or it is another's.
            return None if found is Naming.LOOSE else (Decision.REJECTED, "other_album")
    return None


def _may_be_renamed(
    candidate: Candidate, evidence: Evidence, film: Film, parts: Mapping[str, float], rivals: Collection[Film]
) -> bool:
    """Whether an official album under another name may be this film's, as no other film of the lake is named."""
    text = evidence.album or evidence.title
    years, reissue = year_difference(candidate, evidence, film), _is_reissue(evidence, film)
    fits = is_alternative_title(text, film.title, evidence.known, years, is_reissue=reissue)
    return parts["official"] >= 0.7 and fits and not _names_any(evidence, rivals)


def _names_any(evidence: Evidence, films: Collection[Film]) -> bool:
    text = evidence.album or evidence.title
    return any(naming(f.title, f.year, text, evidence.known, is_album=True) >= Naming.COVERED for f in films)


def _unwanted(candidate: Candidate, evidence: Evidence, film: Film, parts: Mapping[str, float]) -> _Guard:
    """Words of trailers, covers, compilations and other media, outside the film's own title."""
    title, album = _without_title(evidence.title, film), _without_title(evidence.album, film)
    both = f"{title} | {album}"
    if vocabulary.OTHER_MEDIUM.search(both):
        return Decision.REJECTED, "other_medium"
    if vocabulary.INSPIRED.search(both) and not vocabulary.FROM_AND_INSPIRED.search(both):
        return Decision.REJECTED, "inspired_by"
    if found := vocabulary.UNWANTED.search(f"{both} | {plain(candidate.artist)}"):
        return Decision.REJECTED, "unwanted_" + _one_word(found.group())
    trusted = parts["official"] == 1.0 and parts["names_film"] == 1.0
    if not trusted and candidate.source != "music_folder" and (found := vocabulary.DOUBTFUL.search(title)):
        return Decision.REJECTED, "unwanted_" + _one_word(found.group())
    return None


def _other_film(candidate: Candidate, evidence: Evidence, film: Film, rivals: Collection[Film]) -> _Guard:
    """The longest title wins where it is named as fully; among films of one title the nearest year, else nobody."""
    own = title_words(film.title)
    texts = (evidence.album, evidence.title)
    own_naming = [naming(film.title, film.year, text, evidence.known) for text in texts]
    difference = year_difference(candidate, evidence, film)
    for rival in rivals:
        if rival.film_id == film.film_id:
            continue
        theirs = title_words(rival.title)
        their_naming = [naming(rival.title, rival.year, text, evidence.known) for text in texts]
        named = any(t >= Naming.COVERED and t >= o for t, o in zip(their_naming, own_naming, strict=True))
        if named and len("".join(theirs)) > len("".join(own)):
            return Decision.REJECTED, "belongs_to_another_film"
        if theirs == own and (verdict := _nearer(difference, year_difference(candidate, evidence, rival))):
            return verdict
    return None


def _nearer(own: int | None, theirs: int | None) -> _Guard:
    if own is None or theirs is None or abs(own) == abs(theirs):
        return Decision.REVIEW, "same_title"
    return (Decision.REJECTED, "belongs_to_another_film") if abs(theirs) < abs(own) else None


def _wrong_time(candidate: Candidate, evidence: Evidence, film: Film, parts: Mapping[str, float]) -> _Guard:
    """A soundtrack is not older than its film, and one much younger must say that it is a reissue."""
    difference = year_difference(candidate, evidence, film)
    if difference is None or abs(difference) <= 2:
        return None
    if difference < 0:
        return Decision.REJECTED, "older_than_film"
    if _is_reissue(evidence, film) or parts["names_film"] < NEEDED_NAMING:
        return None
    return Decision.REVIEW, "younger_than_film"


def _is_reissue(evidence: Evidence, film: Film) -> bool:
    """Whether an album says that it is a reissue, or that it was first published in the film's year."""
    original = film.year is not None and re.search(rf"(?:℗|\(p\)|©)\s*{film.year}\b", plain(evidence.description))
    return bool(original or vocabulary.REISSUE.search(plain(f"{evidence.album} {evidence.title}")))


def _by_score(evidence: Evidence, film: Film, score: float, parts: Mapping[str, float]) -> Verdict:
    """The decision when no guard speaks; the first doubt that holds is the reason."""
    doubts = {
        "title_unsure": parts["names_film"] < NEEDED_NAMING,
        "no_soundtrack_words": parts["soundtrack_words"] == 0.0,
        "one_word_title": is_one_word(film.title) and not _surely_names_one_word(evidence, film, parts),
        "middling_score": score < TAKE_SCORE,
    }
    doubt = next((reason for reason, holds in doubts.items() if holds), None)
    if parts["names_film"] == 0.0:
        return Verdict(Decision.REJECTED, "names_no_film", score, parts)
    if score < REVIEW_SCORE:
        return Verdict(Decision.REJECTED, "low_score", score, parts)
    return Verdict(Decision.REVIEW, doubt, score, parts) if doubt else Verdict(Decision.TAKEN, "matched", score, parts)


def _surely_names_one_word(evidence: Evidence, film: Film, parts: Mapping[str, float]) -> bool:
    """For "It", "Up" and "Her": the soundtrack album of just that name, or "Up soundtrack" by an official channel."""
    if parts["names_film"] == 1.0 and vocabulary.SOUNDTRACK.search(plain(evidence.album)):
        return True
    if parts["official"] < 0.7:
        return False
    word = re.escape(" ".join(title_words(film.title)))
    spaced = " ".join(words_of(evidence.title).words)
    before = rf"\b{word} (?:original )?(?:(?:motion picture|movie|film) )?(?:soundtrack|ost|score)\b"
    after = rf"\b(?:music|songs?|theme) from (?:the )?(?:(?:motion picture|movie|film) )?{word}\b"
    return bool(re.search(f"{before}|{after}", spaced))


def _without_title(text: str, film: Film) -> str:
    """A text with the film's own title taken out, so that "The Interview" is not rejected for its name."""
    own = re.escape(plain(film.title).split(" (")[0])
    return re.sub(rf"(?<!\w){own}(?!\w)", " ", plain(text))


def _one_word(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text).strip("_") or "word"
