"""A takedown during a run: the run honours it, and a later run deletes what slipped through."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from storage.coordination.leases import LeaseKeeper, leased
from storage.lake.lake import Lake
from storage.mels.reader import read_mels
from storage.mels.settings_and_shard_format import done_films
from storage.tables import tables
from storage.tables.schemas import TRACKS
from storage.takedown_list_and_erasure import record_takedown
from tasks.run_report import RunReport
from tasks.soundtracks.candidate_recordings import Film
from tasks.soundtracks.download.downloader_and_staging import staging_folder
from tasks.soundtracks.extraction.extract_film import extract_film
from tasks.soundtracks.extraction.film_jobs import FilmJob, FilmResult
from tasks.soundtracks.runs.batch_pipeline import BatchPipeline
from tasks.soundtracks.runs.collect_film import Collector
from tasks.soundtracks.runs.open_sources import RunContext, open_context
from tasks.soundtracks.runs.plan import plan
from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings
from tasks.soundtracks.runs.takedown import take_down

FILM = Film("enwiki-2", "Night Ferry (film)", 2015)
Extract = Callable[[Sequence[FilmJob]], Iterator[FilmResult]]


@pytest.fixture
def music(tmp_path: Path, write_clip: Callable[..., Path]) -> str:
    """A folder with two recordings of one film."""
    for hertz in (220.0, 330.0):
        write_clip(
            tmp_path / "music" / f"{hertz}.opus", hertz=hertz, title=str(hertz), album="Night Ferry (Soundtrack)"
        )
    return str(tmp_path / "music")


@pytest.fixture
def collect(lake: Lake, music: str, run_collection: Callable[..., RunReport]) -> Callable[[], RunReport]:
    """A function that does one run."""
    return lambda: run_collection(lake, SoundtrackSettings(music=(music,), workers=1))


@dataclass(frozen=True)
class _During:
    """Extracts films, and then, before the run commits them, does what a test asks for."""

    context: RunContext
    action: Callable[[], object]

    def extract(self, jobs: Sequence[FilmJob], *, drain: bool) -> Iterator[FilmResult]:
        for job in jobs:
            result = extract_film(self.context.lake, job, self.context.settings.mels, "test")
            self.action()
            yield result


def collect_and(lake: Lake, music: str, action: Callable[[], object]) -> None:
    """Do one run with something that happens between the shard and its rows."""
    with open_context(lake, SoundtrackSettings(music=(music,)), "test") as context, LeaseKeeper(lake) as leases:
        pipeline = BatchPipeline(Collector(context, plan(context)), _During(context, action), leases)
        pipeline.collect([FILM], drain=True)


def stored(lake: Lake) -> dict[str, tuple[str, int | None]]:
    return {row["track_id"]: (row["reason"], row["segments"]) for row in tables.latest(lake, TRACKS).to_pylist()}


def blank(lake: Lake) -> list[bool]:
    return [not mels.stored.any() for _track, mels in read_mels(lake, done_films(lake)[FILM.film_id])[1]]


def test_a_run_honours_the_takedown_of_a_film_that_it_works_on(lake: Lake, music: str) -> None:
    said: list[dict[str, str]] = []
    collect_and(lake, music, lambda: said.append(take_down(lake, FILM.film_id, "asked", "command").held))
    assert list(said[0]) == [FILM.film_id]
    assert done_films(lake) == {}
    assert set(stored(lake).values()) == {("taken_down", None)}


def test_a_run_honours_the_takedown_of_a_recording_that_it_works_on(lake: Lake, music: str) -> None:
    collect_and(lake, music, lambda: record_takedown(lake, sorted(_ids(lake, music))[0], "asked", "command"))
    assert sorted(blank(lake)) == [False, True]
    assert sorted(reason for reason, _segments in stored(lake).values()) == ["matched", "taken_down"]


def _ids(lake: Lake, music: str) -> set[str]:
    with open_context(lake, SoundtrackSettings(music=(music,)), "test") as context:
        [source] = context.assigned
        return {judged.candidate.track_id for judged in source.by_film[FILM.film_id]}


def test_a_film_taken_down_before_its_turn_is_not_extracted(lake: Lake, music: str) -> None:
    with open_context(lake, SoundtrackSettings(music=(music,)), "test") as context, LeaseKeeper(lake) as leases:
        collector = Collector(context, plan(context))
        record_takedown(lake, FILM.film_id, "asked", "command")
        assert collector.gather([FILM], leases).jobs == []


def test_a_takedown_says_who_holds_the_film_and_the_next_run_deletes_it(
    lake: Lake, collect: Callable[[], RunReport]
) -> None:
    collect()
    with leased(lake, FILM.film_id):
        assert list(take_down(lake, FILM.film_id, "asked", "command").held) == [FILM.film_id]
    assert done_films(lake) != {}
    collect()
    assert done_films(lake) == {}
    assert set(stored(lake).values()) == {("taken_down", None)}


def test_mels_that_came_back_after_a_takedown_are_deleted_by_the_next_run(
    lake: Lake, collect: Callable[[], RunReport]
) -> None:
    collect()
    shard = Path(lake.uri(done_films(lake)[FILM.film_id]))
    before = shard.read_bytes()
    take_down(lake, sorted(stored(lake))[0], "asked", "command")
    shard.write_bytes(before)
    assert blank(lake) == [False, False]
    collect()
    assert sorted(blank(lake)) == [False, True]


def test_downloads_of_what_was_taken_down_elsewhere_are_deleted_by_the_next_run_here(
    lake: Lake, collect: Callable[[], RunReport]
) -> None:
    record_takedown(lake, FILM.film_id, "asked", "command")
    folder = staging_folder(lake, FILM.film_id) / "video"
    folder.mkdir(parents=True)
    collect()
    assert not folder.exists()
