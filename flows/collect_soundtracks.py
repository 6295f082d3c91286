"""The flow that finds each film's music, fetches it where that is needed, and keeps its mels.

Every run works out which films have no music yet and does only those, a batch at a time. What was
committed is never fetched again; a source that asks for a pause ends the run as "Paused", not failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.utilities.annotations import quote

from flows.parameters import CollectSoundtracksParameters, takes
from storage.coordination.leases import LeaseKeeper
from storage.records.flow_runs import record_flow_run
from storage.tables.tables import open_tables
from tasks.progress import bars
from tasks.soundtracks.models import Film
from tasks.soundtracks.runs.availability import Rechecker
from tasks.soundtracks.runs.backfill import Reopener
from tasks.soundtracks.runs.collect import LOCAL_FILMS_TOGETHER, Collector, Report
from tasks.soundtracks.runs.context import Supply, open_supply
from tasks.soundtracks.runs.pipeline import Line
from tasks.soundtracks.runs.plan import Reopened, plan
from tasks.soundtracks.runs.reconcile import recover
from tasks.soundtracks.runs.runners import open_extraction
from tasks.soundtracks.runs.settings import SoundtrackSettings

REMOTE_FILMS_PER_BATCH = 8
"""A film takes minutes to fetch politely; each is committed by itself inside the batch."""
NAME = "collect-soundtracks"


@flow(name=NAME, flow_run_name="collect-soundtracks-into-{lake}")
@takes(CollectSoundtracksParameters)
def collect_soundtracks(parameters: CollectSoundtracksParameters) -> dict[str, Any] | State[dict[str, Any]]:
    """Collect the music of films that have none yet, from the first source that has any."""
    return run_to_end(parameters.lake, SoundtrackSettings(**parameters.part(SoundtrackSettings)))


def run_to_end(root: str, settings: SoundtrackSettings) -> dict[str, Any] | State[dict[str, Any]]:
    """Run and record how it ended: completed, paused or failed."""
    settings.check()
    store, run_id = open_tables(root), str(flow_run.id)
    settings = settings.in_encoding_of(store)
    record_flow_run(store, run_id, NAME, "running", settings.as_parameters())
    state, summary = "failed", {}
    try:
        with bars() as progress, open_supply(store, settings, run_id, progress) as supply:
            for warning in supply.warnings:
                get_run_logger().warning(warning)
            summary = _collect(supply, run_id, progress)
        state = "paused" if "paused" in summary else "completed"
    finally:
        record_flow_run(store, run_id, NAME, state, settings.as_parameters(), summary)
    if state == "paused":
        return Completed(name="Paused", message=summary["paused"], data=summary)
    return summary


def _collect(supply: Supply, run_id: str, progress: Any) -> dict[str, Any]:
    settings, lake = supply.settings, supply.lake
    counts = Counter({"films": 0, "tracks": 0, "recovered": recover(lake, run_id)})
    planned = plan(lake, supply, run_id)
    todo = settings.chosen(planned.films, supply.matcher.film_index)
    ended: list[str] = []

    def film_ended(film_id: str) -> None:
        ended.append(film_id)
        progress("Turning music into mels", len(ended), len(todo))

    paused = supply.paused
    if todo and not paused:
        for report in _collect_films(Collector(supply, planned, run_id, film_ended), todo):
            counts.update(report.counts)
            paused = report.paused
    if planned.reopened and not paused:
        report = reopen_films(quote(Reopener(supply, run_id)), quote(planned.reopened))  # type: ignore[call-overload]
        counts.update(report.counts)
        paused = report.paused
    if settings.rechecks and not paused:
        report = recheck_tracks(quote(Rechecker(supply, run_id, progress)))  # type: ignore[call-overload]
        counts.update(report.counts)
        paused = report.paused
    summary: dict[str, Any] = {**counts, "films_to_do": len(todo)}
    if settings.is_networked:
        summary["requests"] = supply.requests
    return {**summary, "paused": str(paused)} if paused else summary


def _collect_films(collector: Collector, films: Sequence[Film]) -> Iterator[Report]:
    """What each batch came to, until the last or until a source asks for a pause."""
    settings = collector.supply.settings
    per_batch = REMOTE_FILMS_PER_BATCH if settings.is_networked else LOCAL_FILMS_TOGETHER
    batches = [films[start : start + per_batch] for start in range(0, len(films), per_batch)]
    if settings.is_networked and settings.runner == "workers":
        for batch in batches:  # fetching takes minutes a film, so each film is committed by itself
            report: Report = collect_batch(quote(collector.collect), quote(batch))  # type: ignore[call-overload]
            yield report
            if report.paused:
                return
        return
    with LeaseKeeper(collector.lake) as leases, open_extraction(collector) as extraction:
        line = Line(collector, extraction, leases)
        for batch in batches:
            collect = partial(line.collect, is_last=batch is batches[-1])
            # On a task runner the task runs are those of extraction.
            report = collect_batch(quote(collect), quote(batch)) if settings.runner == "workers" else collect(batch)  # type: ignore[call-overload]
            yield report
            if report.paused:
                return


@task(name="collect-batch", cache_policy=NO_CACHE, persist_result=False)
def collect_batch(collect: Callable[[Sequence[Film]], Report], films: Sequence[Film]) -> Report:
    """One batch of films: gathered, extracted and committed, but for films that the next batch need not wait for."""
    return collect(films)


@task(name="reopen-films", cache_policy=NO_CACHE, persist_result=False)
def reopen_films(reopener: Reopener, films: Sequence[Reopened]) -> Report:
    """Add to films that are done what a person approved or what is tried again."""
    return reopener.reopen(films)


@task(name="recheck-tracks", cache_policy=NO_CACHE, persist_result=False)
def recheck_tracks(rechecker: Rechecker) -> Report:
    """Ask whether what was collected from the network is still there."""
    return rechecker.recheck()
