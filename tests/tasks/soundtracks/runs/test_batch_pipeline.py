"""Batches overlap in the pipeline, and what is not extracted yet is neither committed nor released."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from storage.coordination.holders_and_heartbeats import this_process
from storage.coordination.leases import LeaseKeeper, create_lease_file
from storage.coordination.list_and_free_leases import leased_items, list_leases
from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import done_films
from tasks.soundtracks.candidate_recordings import Film
from tasks.soundtracks.extraction.extract_film import extract_film
from tasks.soundtracks.extraction.film_jobs import FilmJob, FilmResult
from tasks.soundtracks.runs.batch_pipeline import BatchPipeline
from tasks.soundtracks.runs.collect_film import Collector
from tasks.soundtracks.runs.open_sources import RunContext, open_context
from tasks.soundtracks.runs.plan import plan
from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings

OLDER, NEWER = Film("enwiki-2", "Night Ferry (film)", 2015), Film("enwiki-1", "Slow Water", 2016)
BOTH = (OLDER.film_id, NEWER.film_id)


@dataclass
class SlowExtractor:
    """Extracts the films of a call during the next one, and with `drain` all of them."""

    context: RunContext
    waiting: list[FilmJob] = field(default_factory=list)

    def extract(self, jobs: Sequence[FilmJob], *, drain: bool) -> Iterator[FilmResult]:
        due, self.waiting = [*self.waiting, *(jobs if drain else ())], [] if drain else list(jobs)
        for job in due:
            yield extract_film(self.context.lake, job, self.context.settings.mels, self.context.run_id)


@pytest.fixture
def pipeline(lake: Lake, tmp_path: Path, write_clip: Callable[..., Path]) -> Iterator[BatchPipeline]:
    """A pipeline over a recording for each of two films."""
    for film, hertz in ((OLDER, 220.0), (NEWER, 330.0)):
        write_clip(tmp_path / "music" / f"{hertz}.opus", hertz=hertz, album=f"{film.title.split(' (')[0]} (Soundtrack)")
    with (
        open_context(lake, SoundtrackSettings(music=(str(tmp_path / "music"),)), "test") as context,
        LeaseKeeper(lake) as leases,
    ):
        yield BatchPipeline(Collector(context, plan(context)), SlowExtractor(context), leases)


def test_a_batch_is_committed_and_released_when_its_own_films_are_extracted(
    lake: Lake, pipeline: BatchPipeline
) -> None:
    assert pipeline.collect([OLDER], drain=False).counts["films"] == 0
    assert (leased_items(lake, BOTH), done_films(lake)) == ({OLDER.film_id}, {})
    assert pipeline.collect([NEWER], drain=False).counts["films"] == 1
    assert leased_items(lake, BOTH) == {NEWER.film_id}
    assert set(done_films(lake)) == {OLDER.film_id}


def test_draining_commits_every_batch(lake: Lake, pipeline: BatchPipeline) -> None:
    pipeline.collect([OLDER], drain=False)
    assert pipeline.collect([NEWER], drain=True).counts["films"] == 2
    assert set(done_films(lake)) == {OLDER.film_id, NEWER.film_id}
    assert not list_leases(lake)


def test_a_film_of_a_dead_worker_is_collected_after_the_others(lake: Lake, pipeline: BatchPipeline) -> None:
    dead = replace(this_process("", 1.0), boot_id="another")
    lake.write_json({"counter": 1, **vars(dead)}, "leases", "holders", f"{dead.token}.json")
    create_lease_file(lake, OLDER.film_id, 1, dead)
    first = pipeline.collect([OLDER, NEWER], drain=True)
    assert (first.counts["films"], first.counts["films_of_other_workers"]) == (1, 1)
    first.add(pipeline.collect_from_dead_workers())
    assert (first.counts["films"], first.counts["films_of_other_workers"]) == (2, 0)
    assert set(done_films(lake)) == set(BOTH)


def test_a_film_of_another_worker_is_left_to_it(lake: Lake, pipeline: BatchPipeline) -> None:
    with LeaseKeeper(lake) as others:
        others.acquire(OLDER.film_id)
        counts = pipeline.collect([OLDER, NEWER], drain=True).counts
    assert (counts["films"], counts["films_of_other_workers"]) == (1, 1)
    assert set(done_films(lake)) == {NEWER.film_id}
