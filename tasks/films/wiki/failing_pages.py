"""Look up a batch around the pages that make the wiki fail, so that such a page costs itself and not its batch.

Fifty pages are asked for at a time. One of them may make the server answer 500, or a proxy refuse the request, each
time: the other forty-nine would never be looked up. A wiki that is down as a whole is distinguished by a question
about itself.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

from storage.errors import InputError, Retry, SourcePaused
from storage.lake.lake import Lake
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage, Status
from tasks.films.rate_limited_http import ATTEMPTS, ApiError
from tasks.films.wiki.api_client import Wikipedia
from tasks.films.wiki.site_and_pages import describe_site

T = TypeVar("T")

ATTEMPTS_OF_PARTS = 2
"""For the parts of a batch that failed in all attempts."""
MOST_FAILING = 3
"""So many pages that fail before any is answered mean that the wiki refuses such questions as a whole."""

WIKI_FAILS = "wiki_fails"
"""The reason of the outcome of such a page."""

log = logging.getLogger(__name__)


def look_up_around_failures(
    client: Wikipedia,
    batch: Sequence[T],
    look_up: Callable[[Sequence[T]], Counter[str]],
    give_up: Callable[[T], Counter[str]],
) -> Counter[str]:
    """Return the counts of a batch; if it fails although the wiki answers, those of its halves, down to single pages.

    A page that fails alone is given to `give_up`. Raises what its pages raise when the wiki asks to wait, does not
    answer a question about itself, or fails for the first `MOST_FAILING` pages.
    """
    counts: Counter[str] = Counter()
    waiting, failing, is_answered = [batch], 0, False
    while waiting:
        part = waiting.pop()
        try:
            with client.attempting(ATTEMPTS if part is batch else ATTEMPTS_OF_PARTS):
                counts.update(look_up(part))
            is_answered = True
            continue
        except (SourcePaused, InputError, ApiError) as error:
            if isinstance(error, SourcePaused) and error.reason != "unavailable":
                raise
            failure = error
        describe_site(client)  # raises when it is the wiki that fails
        log.warning("%d pages cannot be looked up together (%s)", len(part), failure)
        if len(part) > 1:
            waiting += [part[len(part) // 2 :], part[: len(part) // 2]]
            continue
        counts.update(give_up(part[0]))
        failing += 1
        if failing == MOST_FAILING and not is_answered:
            raise failure
    return counts


def failing_outcomes(lake: Lake, stage: Stage, items: Sequence[str]) -> list[Outcome]:
    """Return the outcomes of items for which the wiki fails: each waits longer than after the failure before."""
    message = "the wiki answers about other pages, and fails for this one each time"
    tries = outcomes.times_in_a_row(lake, stage, WIKI_FAILS, items)
    return [
        Outcome(
            stage,
            item,
            Status.FAILED,
            WIKI_FAILS,
            Retry.LATER,
            outcomes.later(tries.get(item, 0)),
            f"{item}: {message}",
        )
        for item in items
    ]
