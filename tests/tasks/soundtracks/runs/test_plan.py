"""Which films a run collects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from storage.lake.lake import Lake
from tasks.soundtracks.candidate_recordings import Film, Judged
from tasks.soundtracks.matching.track_selection import Matcher
from tasks.soundtracks.runs.open_sources import open_context
from tasks.soundtracks.runs.plan import WorkQueue, plan
from tasks.soundtracks.runs.reopen_finished_films import FilmToReopen
from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings
from tasks.soundtracks.sources.music_folders_and_url_lists import PreassignedSource
from tasks.soundtracks.sources.source_protocol import Fetched


class Archive:
    """A source that is searched for each film; it is never asked for anything while a run is planned."""

    name = "archive"

    def find(self, film: Film) -> Sequence[Judged]:
        raise NotImplementedError

    def fetch(self, judged: Judged, film: Film) -> Fetched:
        raise NotImplementedError


class EmptyFolder(PreassignedSource):
    name = "empty_folder"

    def __init__(self, matcher: Matcher) -> None:
        super().__init__([], matcher)

    def fetch(self, judged: Judged, film: Film) -> Fetched:
        raise NotImplementedError


def test_every_film_is_planned_for_a_source_that_has_to_be_searched(lake: Lake) -> None:
    with open_context(lake, SoundtrackSettings(), "test") as context:
        context.sources += [EmptyFolder(context.matcher), Archive()]
        assert [film.film_id for film in plan(context).films] == ["enwiki-3", "enwiki-2", "enwiki-1"]


def test_no_film_is_planned_for_a_source_without_a_recording_of_it(lake: Lake) -> None:
    with open_context(lake, SoundtrackSettings(), "test") as context:
        context.sources.append(EmptyFolder(context.matcher))
        assert plan(context).films == []


def test_retries_take_their_share_of_the_requests_while_new_films_wait() -> None:
    films = [Film(f"enwiki-{n}", "A") for n in range(400)]
    spent: Counter[str] = Counter()
    queue = WorkQueue(films, {film.film_id for film in films[:200]}, 0.25, lambda: spent)
    first = [film.film_id for film in queue.take(8)]
    assert first == [f"enwiki-{n}" for n in range(200, 208)]
    spent["requests"] += 8 * 49
    while len(queue) > 200:
        batch = queue.take(8)
        is_retry = batch[0] in films[:200]
        spent["requests"] += len(batch) * (16 if is_retry else 49)
        spent["retry_requests"] += len(batch) * 16 * is_retry
    assert 0.22 < spent["retry_requests"] / spent["requests"] < 0.28


def test_finished_films_are_opened_again_within_the_share_of_retries() -> None:
    films, spent = [Film(f"enwiki-{n}", "A") for n in range(100)], Counter[str]()
    finished = [FilmToReopen(Film(f"old-{n}", "A"), "shard", ()) for n in range(10)]
    queue = WorkQueue(films, (), 0.25, lambda: spent, finished)
    assert (queue.take_reopened(8), len(queue.take(8)), len(queue)) == ([], 8, 102)
    spent.update(requests=8 * 49)
    assert queue.take_reopened(8) == finished[:8]
    spent.update(requests=200, retry_requests=200)
    assert (queue.take_reopened(8), len(queue.take(100))) == ([], 92)
    assert (queue.take_reopened(8), len(queue)) == (finished[8:], 0)


def test_films_with_music_are_searched_again_after_those_without() -> None:
    films, spent = [Film(f"enwiki-{n}", "A") for n in range(2)], Counter[str](requests=100)
    finished = [FilmToReopen(Film("old-1", "A"), "shard", (), is_searched_again=True)]
    queue = WorkQueue(films, {"enwiki-1"}, 0.25, lambda: spent, finished)
    assert (queue.take_reopened(8), [film.film_id for film in queue.take(8)]) == ([], ["enwiki-1"])
    assert (queue.take_reopened(8), [film.film_id for film in queue.take(8)]) == (finished, ["enwiki-0"])
