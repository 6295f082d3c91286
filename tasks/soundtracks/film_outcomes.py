"""Why a film has no music, as its outcome says: it awaits a review, nothing matched, or nothing could be fetched."""

from __future__ import annotations

from collections.abc import Collection

from storage.errors import ItemError, Retry
from storage.records.outcomes import Outcome, Stage, Status, from_error
from tasks.soundtracks.candidate_recordings import Decision, Film, Judged


def nothing_taken(film_id: str, candidates: Collection[Judged], *, was_searched: bool = False) -> Outcome:
    """Return the outcome of a film of whose candidates none was taken: it awaits a review, or nothing matched.

    A search that lists nothing at all is a reason of its own: it may be the site's layout.
    """
    if any(judged.verdict.decision is Decision.REVIEW for judged in candidates):
        message = "Its candidates are doubtful; say yes or no with needledrop review"
        return _skipped(film_id, ItemError("awaiting_review", message, Retry.LATER))
    if was_searched and not candidates:
        message = "No source lists anything at all for this film; it is asked for again, sooner with another yt-dlp"
        return _skipped(film_id, ItemError("nothing_found", message, Retry.LATER))
    message = "No source has music that matches; add some or wait for more"
    return _skipped(film_id, ItemError("no_match", message, Retry.LATER))


def nothing_fetched(film_id: str, tried: Collection[Outcome]) -> Outcome:
    """Return the outcome of a film of whose recordings, with these outcomes, none could be fetched.

    It is tried again if one of them is.
    """
    may_be_retried = any(outcome.retry is not Retry.NEVER for outcome in tried)
    message = "No candidate could be fetched; see the outcomes of stage track"
    error = ItemError("no_usable_track", message, Retry.LATER if may_be_retried else Retry.NEVER)
    return _skipped(film_id, error)


def recording_may_come(film_id: str) -> Outcome:
    """Return the outcome of a film that waits for a recording that failed, with those that were fetched kept."""
    message = "A recording may still come; what was fetched is kept for the next run"
    return _skipped(film_id, ItemError("incomplete", message, Retry.SOON))


def taken_down(film: Film) -> Outcome:
    """Return the outcome of a film that is on the takedown list."""
    return _skipped(film.film_id, ItemError("taken_down", "The film is on the takedown list"))


def _skipped(film_id: str, error: ItemError) -> Outcome:
    return from_error(Stage.SOUNDTRACK, film_id, error, Status.SKIPPED)
