"""Judge what a run would fetch, without fetching it: `--find-only`.

The sources are searched as in a run, with its consent, budgets, breakers and takedowns; no page of a recording is
opened and no media requested. The lake gets no row about what is found, so the next run does what it would have done.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from storage.errors import ItemError, SourcePaused
from tasks.run_report import RunReport
from tasks.soundtracks.candidate_recordings import Decision, Film, Judged
from tasks.soundtracks.matching.track_selection import TRACKS_PER_FILM, order_candidates
from tasks.soundtracks.runs.open_sources import RunContext


@dataclass(frozen=True)
class Preview:
    """One line about a film: a recording with its decision, or a sentence why there is none."""

    film_id: str
    film: str
    decision: str
    reason: str
    score: float | None = None
    recording: str = ""
    album: str | None = None
    by: str | None = None
    url: str = ""


def preview(context: RunContext, films: Sequence[Film]) -> tuple[RunReport, list[dict[str, Any]]]:
    """Return counts, and what would be taken of each film or left for review, until a source pauses."""
    report, lines = RunReport(), []
    for number, film in enumerate(films, 1):
        try:
            found = list(_of_film(context, film))
        except SourcePaused as pause:
            report.paused = pause
            break
        lines += found
        report.counts["would_take"] += sum(line.decision == Decision.TAKEN for line in found)
        report.counts["would_review"] += sum(line.decision == Decision.REVIEW for line in found)
        report.counts["films_without_match"] += all(line.decision != Decision.TAKEN for line in found)
        context.progress("Looking for music", number, len(films))
    return report, [asdict(line) for line in lines]


def _of_film(context: RunContext, film: Film) -> Iterator[Preview]:
    """Yield the lines of one film, from the first source that has something to take."""
    if film.film_id in context.takedowns.read():
        yield Preview(film.film_id, film.title, str(Decision.REJECTED), "taken_down")
        return
    rejected: list[Judged] = []
    is_empty = True
    for source in context.sources:
        try:
            judged = order_candidates(source.find(film))
        except ItemError as error:
            yield Preview(film.film_id, film.title, "failed", error.reason, recording=str(error))
            is_empty = False
            continue
        taken = [one for one in judged if one.verdict.decision is Decision.TAKEN][:TRACKS_PER_FILM]
        doubtful = [one for one in judged if one.verdict.decision is Decision.REVIEW][: TRACKS_PER_FILM - len(taken)]
        rejected += [one for one in judged if one.verdict.decision is Decision.REJECTED]
        yield from (_line(one, film) for one in (*taken, *doubtful))
        is_empty = is_empty and not taken and not doubtful
        if taken:
            break
    if is_empty and not rejected:
        yield Preview(
            film.film_id, film.title, str(Decision.REJECTED), "no_match", recording="No source has a candidate"
        )
    elif is_empty:
        yield _line(max(rejected, key=lambda one: one.verdict.score or 0.0), film)


def _line(judged: Judged, film: Film) -> Preview:
    candidate, verdict = judged.candidate, judged.verdict
    score = None if verdict.score is None else round(verdict.score, 2)
    return Preview(
        film.film_id,
        film.title,
        str(verdict.decision),
        verdict.reason,
        score,
        candidate.title,
        candidate.album,
        candidate.artist or candidate.uploader,
        candidate.url,
    )
