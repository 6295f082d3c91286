"""The flow that finds each film's music, fetches it where that is needed, and keeps its mels.

Every run works out which films have no music yet and does only those, a batch at a time. What was
committed is never fetched again; a source that asks for a pause ends the run as "Paused", not failed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Annotated, Any, Literal

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed
from prefect.utilities.annotations import quote
from pydantic import Field

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
def collect_soundtracks(
    lake: str = "lake",
    music: list[str] | None = None,
    urls: list[str] | None = None,
    youtube: bool = False,
    order: list[Literal["music", "urls", "youtube"]] | None = None,
    i_have_the_right_to_collect: bool = False,
    creative_commons_only: bool = False,
    keep_audio: bool = False,
    films: list[str] | None = None,
    limit: Annotated[int | None, Field(ge=1)] = None,
    retry_reasons: list[str] | None = None,
    daily_requests: Annotated[int, Field(ge=1)] = 20_000,
    daily_downloads: Annotated[int, Field(ge=1)] = 2_500,
    recheck_days: Annotated[int, Field(ge=0)] = 90,
    most_rechecks: Annotated[int, Field(ge=1)] = 200,
    pace: Annotated[float, Field(ge=0.0, le=10.0)] = 1.0,
    workers: Annotated[int, Field(ge=1, le=64)] = 2,
    runner: Literal["workers", "processes", "dask"] = "workers",
    dask_address: str | None = None,
    short_tracks: Literal["pad", "refuse"] = "refuse",
    encoding: Literal["uint8", "float16"] | None = None,
) -> dict[str, Any] | State[dict[str, Any]]:
    """Collect the music of films that have none yet, from the first source that has any.

    Args:
        lake: Root of the lake: a folder, or s3://bucket/prefix.
        music: Music folders, whose tagged files are matched with films, or CSV lists
            (film,path,title,artist,licence) that pair them.
        urls: Lists of addresses: recordings, pages or RSS feeds, one a line, or a CSV (film,url,…) that pairs them.
        youtube: Also look for soundtracks on YouTube.
        order: Which source is asked first, second and third: music, urls, youtube.
        i_have_the_right_to_collect: Your statement that you may collect this audio; kept with the run. Anything
            from the network needs it.
        creative_commons_only: Take only recordings from the network whose page states a Creative Commons licence.
        keep_audio: Keep what was downloaded in the lake; it is deleted once its mels are committed otherwise.
        films: Only these films, by film id, page id or title.
        limit: At most this many films.
        retry_reasons: Only films with failures of these reasons, such as http_403 or timeout, which are tried again.
        daily_requests: Requests a day to each networked source, over all runs and workers.
        daily_downloads: Downloads a day from each networked source, over all runs and workers.
        recheck_days: Ask for a track from the network again after so many days, whether it is still there; 0 never.
        most_rechecks: At most this many such questions in one run: two hundred take about an hour.
        pace: Multiplies every wait between requests; below 1 only for servers of your own.
        workers: Processes that decode audio side by side; with dask_address, how many the cluster keeps busy.
        runner: Where they run: workers (processes of this task run), processes (Prefect's process runner: a task run
            for each 16 films) or dask (the same on Dask, also on other machines; needs the extra 'dask').
        dask_address: A running Dask scheduler, such as tcp://host:8786; without it one is started here.
        short_tracks: What becomes of a recording shorter than a segment of 9.92 s: refuse, or pad with silence.
        encoding: uint8 (steps of 0.31 dB) or float16 (decibels, twice the bytes). By default what the lake's shards
            have, and uint8 in a new lake.
    """
    settings = SoundtrackSettings(
        music=tuple(music or ()),
        urls=tuple(urls or ()),
        youtube=youtube,
        order=tuple(order or ("music", "urls", "youtube")),
        has_consent=i_have_the_right_to_collect,
        creative_commons_only=creative_commons_only,
        keep_audio=keep_audio,
        films=tuple(films or ()),
        limit=limit,
        retry_reasons=tuple(retry_reasons or ()),
        daily_requests=daily_requests,
        daily_downloads=daily_downloads,
        recheck_days=recheck_days,
        most_rechecks=most_rechecks,
        pace=pace,
        workers=workers,
        runner=runner,
        dask_address=dask_address,
        short_tracks=short_tracks,
        encoding=encoding,
    )
    return run_to_end(lake, settings)


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
