"""Which films a run collects."""

from __future__ import annotations

from collections.abc import Sequence

from storage.lake.lake import Lake
from tasks.soundtracks.candidate_recordings import Film, Judged
from tasks.soundtracks.matching.track_selection import Matcher
from tasks.soundtracks.runs.plan import plan
from tasks.soundtracks.runs.run_context import open_context
from tasks.soundtracks.runs.run_settings import SoundtrackSettings
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
