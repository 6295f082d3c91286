"""The whole road as one flow: films, soundtracks, a data-set version, a model, its metrics.

Each step reads what is committed, works out what is missing and does only that, so a first run, a
scheduled refresh, a run after a crash and a run after a fix are all this same run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic import Field

from flows.collect_films import collect_films
from flows.collect_soundtracks import collect_soundtracks
from flows.curate_dataset import curate_dataset
from flows.refresh_report import as_markdown
from flows.train_and_evaluate import train_and_evaluate
from storage.coordination.leases import leased
from storage.datasets import versions as datasets
from storage.datasets.diff import compare, counted
from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.records.flow_runs import record_flow_run
from storage.tables.tables import open_tables
from storage.views.run_changes import changes_since, not_done_since, run_counts

NAME = "refresh"
Training = Literal["when_new", "always", "never"]


@flow(name=NAME, flow_run_name="refresh-of-{lake}")
def refresh(
    lake: str = "lake",
    export: str | None = None,
    images: str | None = None,
    years: list[int] | None = None,
    wiki: str = "https://en.wikipedia.org/w/api.php",
    contact: str | None = None,
    music: list[str] | None = None,
    urls: list[str] | None = None,
    youtube: bool = False,
    i_have_the_right_to_collect: bool = False,
    creative_commons_only: bool = False,
    daily_requests: Annotated[int, Field(ge=1)] = 20_000,
    daily_downloads: Annotated[int, Field(ge=1)] = 2_500,
    recheck_days: Annotated[int, Field(ge=0)] = 90,
    most_rechecks: Annotated[int, Field(ge=1)] = 200,
    limit: Annotated[int | None, Field(ge=1)] = None,
    workers: Annotated[int, Field(ge=1, le=64)] = 2,
    runner: Literal["workers", "processes", "dask"] = "workers",
    dask_address: str | None = None,
    train_until: int = 2021,
    test_from: int = 2023,
    require_thumbnail: bool = True,
    train: Training = "when_new",
    systems: list[str] | None = None,
    preset: str = "small",
    seeds: list[int] | None = None,
    epochs: Annotated[int | None, Field(ge=1)] = None,
) -> dict[str, Any] | State[dict[str, Any]]:
    """Collect what is new, make a data-set version if its content differs, train if that is asked or due.

    Args:
        lake: Root of the lake: a folder, or s3://bucket/prefix.
        export: A MediaWiki XML export or dump to read films from, instead of the wiki's API.
        images: Folder with the pictures that an export names.
        years: Release years whose films are collected from the wiki's API.
        wiki: Address of the wiki's api.php.
        contact: Your mail address or page, sent to the wiki in the User-Agent; required for its API.
        music: Music folders or CSV lists (film,path,title,artist,licence), in order of preference.
        urls: Lists of addresses: recordings, pages or RSS feeds, one a line, or a CSV (film,url,…) that pairs them.
        youtube: Also look for soundtracks on YouTube.
        i_have_the_right_to_collect: Your statement that you may collect this audio; kept with the run.
        creative_commons_only: Take only recordings from the network whose page states a Creative Commons licence.
        daily_requests: Requests a day to each networked source, over all runs and workers.
        daily_downloads: Downloads a day from each networked source, over all runs and workers.
        recheck_days: Ask for a track from the network again after so many days, whether it is still there; 0 never.
        most_rechecks: At most this many such questions in one run: two hundred take about an hour.
        limit: At most this many new pages and this many films' music in one run.
        workers: Processes that decode audio side by side.
        runner: Where they run: workers, processes (Prefect's process runner) or dask; see collect-soundtracks.
        dask_address: A running Dask scheduler for the runner dask.
        train_until: Last release year of the training split.
        test_from: First release year of the test split; the years between are for validation.
        require_thumbnail: Leave films without a picture out of the version.
        train: When to train: when_new (a version that has no run yet), always, or never.
        systems: Systems to train, such as All, Plo or TaPlo.
        preset: small (CPU-sized), paper or released.
        seeds: One training run a system and seed.
        epochs: At most this many epochs; by default the preset's.
    """
    parameters = dict(flow_run.parameters or {})
    store, run_id = open_tables(lake), str(flow_run.id)
    summary: dict[str, Any] = {}
    with leased(store, NAME) as lease:
        if lease is None:
            raise LakeError(f"Another refresh is at work on {lake}; wait until it ends and start this one again")
        with _recorded(store, run_id, parameters, summary):
            if export or years:
                summary["films"] = collect_films(
                    lake=lake, export=export, images=images, years=years, wiki=wiki, contact=contact, limit=limit
                )
            if music or urls or youtube:
                summary["soundtracks"] = collect_soundtracks(
                    lake=lake,
                    music=music,
                    urls=urls,
                    youtube=youtube,
                    i_have_the_right_to_collect=i_have_the_right_to_collect,
                    creative_commons_only=creative_commons_only,
                    daily_requests=daily_requests,
                    daily_downloads=daily_downloads,
                    recheck_days=recheck_days,
                    most_rechecks=most_rechecks,
                    limit=limit,
                    workers=workers,
                    runner=runner,
                    dask_address=dask_address,
                )
            before = datasets.current(store)
            summary["dataset"] = curate_dataset(
                lake=lake, train_until=train_until, test_from=test_from, require_thumbnail=require_thumbnail
            )
            summary["dataset"]["before"] = before
            if summary["dataset"]["new"] and before:
                summary["version_changes"] = _version_changes(store, before, summary["dataset"]["version"])
            if train != "never":
                summary["training"] = train_and_evaluate(
                    lake=lake,
                    dataset=summary["dataset"]["version"],
                    systems=systems,
                    preset=preset,
                    seeds=seeds,
                    epochs=epochs,
                    again=train == "always",
                )
    paused = summary.get("soundtracks", {}).get("paused")
    # What is there is curated and measured even when a source asked for a pause; the state says so all the same.
    return Completed(name="Paused", message=paused, data=summary) if paused else summary


def _version_changes(lake: Lake, before: str, version: str) -> dict[str, int]:
    """KIND_CHANGE -> how many films, tracks and tags came, went or changed with a new version."""
    return {f"{kind}_{change}": count for (kind, change), count in counted(compare(lake, before, version)).items()}


@contextmanager
def _recorded(lake: Lake, run_id: str, parameters: dict[str, Any], summary: dict[str, Any]) -> Iterator[None]:
    """Keep how the run ended, what it changed and what it did not do, and show it beside the run before."""
    began = datetime.now(UTC)
    try:
        yield
    except Exception as error:
        summary["error"] = str(error)
        with suppress(LakeError):  # the lake may be what is out of order
            _count(lake, summary, began)
        with suppress(LakeError):
            _publish(lake, run_id, "failed", parameters, summary)
        raise
    _count(lake, summary, began)
    paused = summary.get("soundtracks", {}).get("paused")
    _publish(lake, run_id, "paused" if paused else "completed", parameters, summary)


def _count(lake: Lake, summary: dict[str, Any], began: datetime) -> None:
    summary["changes"] = changes_since(lake, began)
    summary["not_done"] = not_done_since(lake, began)


def _publish(lake: Lake, run_id: str, state: str, parameters: dict[str, Any], summary: dict[str, Any]) -> None:
    record_flow_run(lake, run_id, NAME, state, parameters, summary)
    about, beside = f"Refresh of {lake.root}", run_counts(lake, run_id)
    create_markdown_artifact(key="refresh-summary", markdown=as_markdown(lake.root, summary, beside), description=about)
    create_table_artifact(key="refresh-difference", table=beside, description=f"{about}, beside the one before it")
