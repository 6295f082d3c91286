"""The flow that finds each film's music, fetches it where needed, and commits its mels.

Every run works out which films have no music yet and does only those, one batch at a time. What was committed is never
fetched again; a source that pauses ends the run as "Paused", not failed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.utilities.annotations import quote

from flows.parameters import CollectSoundtracksParameters, takes
from flows.runs.start_and_end import names_its_leases, recorded, run_name, without_lake
from flows.runs.version_and_pause_events import announce_pause
from storage.audio_embeddings import register
from storage.errors import SourcePaused
from storage.lake.lake import Lake
from storage.tables.tables import open_existing
from tasks.progress import ReportProgress, run_logger, shown_progress
from tasks.run_report import RunReport, check_failures
from tasks.soundtracks.runs.availability import AvailabilityChecker, recheck_tracks
from tasks.soundtracks.runs.batch_pipeline import collect_in_batches
from tasks.soundtracks.runs.collect_film import Collector
from tasks.soundtracks.runs.crash_recovery import recover
from tasks.soundtracks.runs.embed_collected_audio import encode_collected
from tasks.soundtracks.runs.fingerprint_upgrade import bring_up_to_date
from tasks.soundtracks.runs.open_sources import RunContext, open_context
from tasks.soundtracks.runs.plan import plan
from tasks.soundtracks.runs.preview import preview
from tasks.soundtracks.runs.reopen_finished_films import Reopener, reopen_films
from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings
from tasks.source_concurrency_limits import source_slot
from training.audio_encoders.model_files import check_encoder, licence_warning, remember_model
from training.audio_encoders.process import open_encoders

NAME = "collect-soundtracks"


@flow(name=NAME, flow_run_name=run_name, timeout_seconds=3 * 24 * 3600)
@takes(CollectSoundtracksParameters)
@names_its_leases
def collect_soundtracks(parameters: CollectSoundtracksParameters) -> dict[str, Any] | State[dict[str, Any]]:
    """Collect the music of films that have none yet, from the first source that has any."""
    settings = SoundtrackSettings(**parameters.part(SoundtrackSettings))
    settings.check()
    for name in settings.audio_encoders:
        check_encoder(name)
    if ending := without_lake(parameters.lake):
        return ending
    lake, run_id = open_existing(parameters.lake), str(flow_run.id)
    settings = settings.for_lake(lake)
    with recorded(lake, NAME, run_id, settings.as_parameters()) as summary, shown_progress(lake) as progress:
        if not settings.find_only and (made := bring_up_to_date(lake, run_id, progress)):
            summary["fingerprints"] = made
        collected = _collect_from_sources(lake, settings, run_id, progress)
        found = {"found": collected.pop("found")} if "found" in collected else {}  # for who called, not for the lake
        summary.update(collected)
        if "paused" not in summary:
            check_failures(lake, run_id, parameters.max_failed_share)
    result = {**summary, **found}
    return Completed(name="Paused", message=summary["paused"], data=result) if "paused" in summary else result


def _collect_from_sources(
    lake: Lake, settings: SoundtrackSettings, run_id: str, progress: ReportProgress
) -> dict[str, Any]:
    try:
        with _slot(settings), open_context(lake, settings, run_id, progress) as context:
            for warning in context.warnings:
                run_logger().warning(warning)
            if settings.encode:
                return _encode(context)
            return _preview(context) if settings.find_only else _collect(context)
    except SourcePaused as pause:  # before any film was begun: another run has the slot
        return {"films": 0, "tracks": 0, "paused": str(pause)}


def _slot(settings: SoundtrackSettings) -> AbstractContextManager[None]:
    """Return the slot of YouTube where it is a source: two runs at once would ask for twice its pace."""
    return source_slot("youtube") if settings.youtube else nullcontext()


def _preview(context: RunContext) -> dict[str, Any]:
    """Look for the music of the films that a run would collect; fetch nothing."""
    films = context.settings.chosen(plan(context).films, context.matcher.film_index)
    report, found = preview(context, films)
    for line in found:
        run_logger().info(
            "%s (%s): %s, %s, %s", *(line[name] for name in ("film", "film_id", "decision", "reason", "url"))
        )
    return report.summary(films_to_do=len(films), requests=context.requests, found=found)


def _encode(context: RunContext) -> dict[str, Any]:
    """Embed what was collected without an encoder, as far as its audio is at hand."""
    with _encoders(context):
        return encode_collected(context).summary()


@contextmanager
def _encoders(context: RunContext) -> Iterator[None]:
    """Start the process of the run's audio encoders, if any are named, and say what they are before they are used."""
    names = context.settings.audio_encoders
    if not names:
        yield
        return
    with open_encoders(names) as encoders:
        for name, card in zip(names, encoders.cards, strict=True):
            register(context.lake, card)
            remember_model(context.lake, card, name)
            run_logger().info("Audio encoder %s (licence: %s) on %s", card.name, card.licence, encoders.device)
            if (warning := licence_warning(card)) is not None:
                run_logger().warning("%s", warning)
        context.encoders = encoders
        yield
        context.encoders = None


def _collect(context: RunContext) -> dict[str, Any]:
    """Recover, plan, collect, reopen, recheck: each step only while no source has paused."""
    report = RunReport(paused=context.paused)
    report.counts.update(films=0, tracks=0, recovered=recover(context.lake, context.run_id))
    planned = plan(context)
    films = context.settings.chosen(planned.films, context.matcher.film_index)
    with _encoders(context) if (films or planned.reopened) and not report.paused else nullcontext():
        if films and not report.paused:
            report.add(collect_in_batches(Collector(context, planned), films))
        elif planned.reopened and not report.paused:
            report.add(reopen_films(quote(Reopener(context)), quote(planned.reopened)))  # type: ignore[call-overload]
    if context.settings.rechecks and not report.paused:
        report.add(recheck_tracks(quote(AvailabilityChecker(context))))  # type: ignore[call-overload]
    if report.paused:
        announce_pause(context.lake, report.paused)
    requests = {"requests": context.requests} if context.settings.is_networked else {}
    return report.summary(films_planned=len(films), **requests)
