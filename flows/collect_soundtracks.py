"""The flow that finds each film's music, fetches it where that is needed, and keeps its mels.

Every run works out which films have no music yet and does only those, a batch at a time. What was
committed is never fetched again; a source that asks for a pause ends the run as "paused", not failed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.utilities.annotations import quote
from pydantic import Field

from storage.errors import InputError
from storage.flow_runs import record_flow_run
from storage.lake import Lake
from storage.mels import MelSettings
from storage.tables import open_tables
from tasks.films.progress import Bars, bars
from tasks.soundtracks.candidates import Film
from tasks.soundtracks.catalogue import read_catalogue
from tasks.soundtracks.collecting import Collector, Report, recover
from tasks.soundtracks.music_folder import check_music
from tasks.soundtracks.planning import music_source, plan

FILMS_PER_BATCH = 32
"""About twenty seconds of two cores: long enough for Prefect's share to vanish, short enough to see it move."""


@flow(name="collect-soundtracks", flow_run_name="collect-soundtracks-into-{lake}")
def collect_soundtracks(
    lake: str = "lake",
    music: list[str] | None = None,
    youtube: bool = False,
    i_have_the_right_to_collect: bool = False,
    workers: Annotated[int, Field(ge=1, le=64)] = 2,
) -> dict[str, Any]:
    """Collect the music of films that have none yet, from the first source that has any.

    Args:
        lake: Root of the lake: a folder, or s3://bucket/prefix.
        music: Music folders, whose tagged files are matched with films, or CSV lists
            (film,path,title,artist,licence) that pair them.
        youtube: Also look for soundtracks on YouTube.
        i_have_the_right_to_collect: Your statement that you may collect this audio; kept with the run.
        workers: Processes that decode audio side by side.
    """
    if not music and not youtube:
        raise InputError("Nothing says where music comes from; give --music FOLDER, --music LIST.csv or --youtube")
    check_music(music or [])
    run_id = str(flow_run.id)
    store = open_tables(lake)
    parameters = {"lake": lake, "music": music, "youtube": youtube, "right": i_have_the_right_to_collect}
    record_flow_run(store, run_id, "collect-soundtracks", "running", parameters)
    with bars() as progress:
        summary = _collect(store, music or [], workers, run_id, progress)
    record_flow_run(store, run_id, "collect-soundtracks", "completed", parameters, summary)
    return summary


def _collect(store: Lake, music: list[str], workers: int, run_id: str, progress: Bars) -> dict[str, Any]:
    total = Report()
    total.counts["recovered"] = recover(store, run_id)
    catalogue = read_catalogue(store)
    source = music_source(store, music, catalogue, lambda count: progress("Reading tags", count, 0))
    films, settled = plan(store, catalogue, source, run_id)
    collector = Collector(store, (source,), MelSettings(), run_id, workers, settled)
    for start in range(0, len(films), FILMS_PER_BATCH):
        batch = films[start : start + FILMS_PER_BATCH]
        report: Report = collect_batch(quote(collector), quote(batch))  # type: ignore[call-overload]  # not looked into
        total.counts += report.counts
        progress("Turning music into mels", min(start + FILMS_PER_BATCH, len(films)), len(films))
    return {"films": 0, "tracks": 0, **total.counts, "films_to_do": len(films)}


@task(name="collect-batch", cache_policy=NO_CACHE, persist_result=False)
def collect_batch(collector: Collector, films: Sequence[Film]) -> Report:
    """One batch of films, committed when it returns."""
    return collector.collect(films)
