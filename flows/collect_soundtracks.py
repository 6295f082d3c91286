"""The flow that finds each film's music, fetches it where needed, and commits its mels.

Every run works out which films have no music yet and does only those, one batch at a time. What was committed is never
fetched again; a source that pauses ends the run as "Paused", not failed.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.utilities.annotations import quote

from flows.parameters import CollectSoundtracksParameters, takes
from storage.errors import LakeError, SourcePaused
from storage.lake.lake import Lake
from storage.records.flow_runs import record_flow_run
from storage.tables.tables import open_tables
from tasks.progress import bars
from tasks.soundtracks.runs.availability import AvailabilityChecker
from tasks.soundtracks.runs.backfill import Reopener
from tasks.soundtracks.runs.collect import Collector, RunReport
from tasks.soundtracks.runs.context import RunContext, open_context
from tasks.soundtracks.runs.plan import plan
from tasks.soundtracks.runs.reconcile import recover
from tasks.soundtracks.runs.settings import SoundtrackSettings
from tasks.soundtracks.tasks import collect_in_batches, recheck_tracks, reopen_films
from tasks.source_slots import source_slot

NAME = "collect-soundtracks"


@flow(name=NAME, flow_run_name="collect-soundtracks-into-{lake}")
@takes(CollectSoundtracksParameters)
def collect_soundtracks(parameters: CollectSoundtracksParameters) -> dict[str, Any] | State[dict[str, Any]]:
    """Collect the music of films that have none yet, from the first source that has any."""
    settings = SoundtrackSettings(**parameters.part(SoundtrackSettings))
    settings.check()
    lake = open_tables(parameters.lake)
    settings = settings.in_encoding_of(lake)
    summary = _collect_and_record(lake, settings, str(flow_run.id))
    if "paused" in summary:
        return Completed(name="Paused", message=summary["paused"], data=summary)
    return summary


def _collect_and_record(lake: Lake, settings: SoundtrackSettings, run_id: str) -> dict[str, Any]:
    """Collect, and record how the run ended: completed, paused, failed or cancelled."""
    parameters = settings.as_parameters()
    record_flow_run(lake, run_id, NAME, "running", parameters)
    try:
        with bars() as progress, _slot(settings), open_context(lake, settings, run_id, progress) as context:
            for warning in context.warnings:
                get_run_logger().warning(warning)
            summary = _collect(context)
    except SourcePaused as pause:  # before any film was begun: another run has the slot
        summary = {"films": 0, "tracks": 0, "paused": str(pause)}
    except BaseException as error:
        state = "failed" if isinstance(error, Exception) else "cancelled"  # by Ctrl-C or by Prefect
        try:
            record_flow_run(lake, run_id, NAME, state, parameters)
        except LakeError as second:
            error.add_note(f"The end of this run is not recorded: {second}")
        raise
    record_flow_run(lake, run_id, NAME, "paused" if "paused" in summary else "completed", parameters, summary)
    return summary


def _slot(settings: SoundtrackSettings) -> AbstractContextManager[None]:
    """Return the slot of YouTube where it is a source: two runs at once would ask for twice its pace."""
    return source_slot("youtube") if settings.youtube else nullcontext()


def _collect(context: RunContext) -> dict[str, Any]:
    """Recover, plan, collect, reopen, recheck: each step only while no source has paused."""
    report = RunReport(paused=context.paused)
    report.counts.update(films=0, tracks=0, recovered=recover(context.lake, context.run_id))
    planned = plan(context)
    films = context.settings.chosen(planned.films, context.matcher.film_index)
    if films and not report.paused:
        report.add(collect_in_batches(Collector(context, planned), films))
    if planned.reopened and not report.paused:
        report.add(reopen_films(quote(Reopener(context)), quote(planned.reopened)))  # type: ignore[call-overload]
    if context.settings.rechecks and not report.paused:
        report.add(recheck_tracks(quote(AvailabilityChecker(context))))  # type: ignore[call-overload]
    summary: dict[str, Any] = {**report.counts, "films_to_do": len(films)}
    if context.settings.is_networked:
        summary["requests"] = context.requests
    return {**summary, "paused": str(report.paused)} if report.paused else summary
