"""The flow `collect-films`: pages from an export or a wiki, the films parsed from them, and their thumbnails.

A run does only what the lake lacks: a page whose revision is stored is not fetched again, and a newer parser
parses the stored wikitext. A wiki that asks for a pause, refuses this client or cannot be reached ends the run as
"Paused", not failed.
"""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Completed

from flows.parameters import CollectFilmsParameters, check, takes
from flows.runs.start_and_end import names_its_leases, recorded, run_name
from storage.coordination.breakers import keep_pause, note_success, read_breaker
from storage.coordination.budgets import BUDGET_SPENT, Budget
from storage.errors import SourcePaused
from storage.lake.lake import Lake
from storage.tables.tables import open_tables
from tasks.films.changes_since_last_run import FLOW, plan_fetch, recorded_for_next_run
from tasks.films.images import ImageFolder
from tasks.films.musicbrainz import MusicBrainz
from tasks.films.rate_limited_http import RefusedError
from tasks.films.tasks import (
    collect_from_export,
    collect_from_wiki,
    look_up_evidence,
    look_up_musicbrainz,
    make_missing_thumbnails,
    parse_stale_pages,
)
from tasks.films.wiki.api_client import Wikipedia
from tasks.progress import ReportProgress, shown_progress
from tasks.run_report import RunReport, check_failures
from tasks.source_concurrency_limits import source_slot


@flow(name=FLOW, flow_run_name=run_name, timeout_seconds=3 * 24 * 3600)
@takes(CollectFilmsParameters)
@names_its_leases
def collect_films(parameters: CollectFilmsParameters) -> dict[str, Any] | State[dict[str, Any]]:
    """Collect films that are new or changed: from an export, or from a wiki by year or by name."""
    check(parameters)
    lake, run_id = open_tables(parameters.lake), str(flow_run.id)
    with recorded(lake, FLOW, run_id, _requested(parameters)) as record, shown_progress(lake) as progress:
        if parameters.export:
            summary = _from_export(lake, parameters, run_id, progress).summary()
            record.update(summary)
        else:
            report = RunReport()
            record.update(_from_wiki(lake, parameters, run_id, progress, report))
            summary = report.summary()
        if "paused" not in summary:
            check_failures(lake, run_id, parameters.max_failed_share)
    return Completed(name="Paused", message=summary["paused"], data=summary) if "paused" in summary else summary


def _requested(parameters: CollectFilmsParameters) -> dict[str, Any]:
    return {
        "export": parameters.export,
        "years": list(parameters.release_years()),
        "films": list(parameters.films),
        "wiki": parameters.wiki,
        "limit": parameters.limit,
    }


def _from_export(lake: Lake, parameters: CollectFilmsParameters, run_id: str, progress: ReportProgress) -> RunReport:
    folder = ImageFolder(parameters.images) if parameters.images else None
    report = RunReport(collect_from_export(lake, str(parameters.export), parameters.limit, run_id, progress))
    report.counts.update(parse_stale_pages(lake, run_id, progress))
    report.add(make_missing_thumbnails(lake, folder, None, frozenset(), run_id, progress))
    return report


def _from_wiki(
    lake: Lake, parameters: CollectFilmsParameters, run_id: str, progress: ReportProgress, report: RunReport
) -> dict[str, Any]:
    """Collect into the report until a pause; return what is recorded: also the wiki's time, where the next run begins.

    A pause that the wiki asked for is kept in the lake, so that no run calls it before it ends.
    """
    folder = ImageFolder(parameters.images) if parameters.images else None
    source, plan = urlsplit(parameters.wiki).netloc, None
    if (breaker := read_breaker(lake, source)).is_open(""):
        report.paused = breaker.error
        return report.summary()
    client = Wikipedia(parameters.wiki, parameters.contact, requests_per_minute=parameters.requests_per_minute)
    with closing(client):
        try:
            with source_slot("wikipedia"):
                plan = plan_fetch(lake, client, parameters.release_years(), parameters.films, parameters.limit)
                report.add(collect_from_wiki(lake, client, plan, run_id, progress))
                report.counts.update(parse_stale_pages(lake, run_id, progress))
                if not report.paused:
                    hosts = plan.site.file_hosts
                    report.add(make_missing_thumbnails(lake, folder, client, hosts, run_id, progress))
                if not report.paused and parameters.daily_evidence:
                    budget = _budget(lake, source, parameters)
                    report.add(look_up_evidence(lake, client, plan.site, budget, run_id, progress))
        except SourcePaused as pause:
            report.paused = pause
        except RefusedError as error:  # no film is to blame, and what else a refresh does needs no wiki
            report.paused = SourcePaused("wikipedia", "refused", datetime.now(UTC), str(error))
    report.counts["api_calls"] = client.calls
    _note_end(lake, source, report.paused, run_id)
    if parameters.musicbrainz and parameters.daily_evidence and not report.paused:
        report.counts.update(_from_musicbrainz(lake, parameters, parameters.musicbrainz, run_id, progress))
    return {**report.summary(), **recorded_for_next_run(plan, report)}


def _budget(lake: Lake, source: str, parameters: CollectFilmsParameters) -> Budget:
    """Return the day's budget of a host, with a hyphen before its port: it is the name of a folder."""
    return Budget(lake, source.replace(":", "-"), {"requests": parameters.daily_evidence})


def _from_musicbrainz(
    lake: Lake, parameters: CollectFilmsParameters, address: str, run_id: str, progress: ReportProgress
) -> Counter[str]:
    """Ask MusicBrainz until the day's budget is spent or it asks for a pause, which ends nothing else."""
    source = urlsplit(address).netloc
    if read_breaker(lake, source).is_open(""):
        return Counter(musicbrainz_paused=1)
    budget = _budget(lake, source, parameters)
    with closing(MusicBrainz(address, parameters.contact)) as client:
        counts, pause = look_up_musicbrainz(lake, client, budget, run_id, progress)
    if pause is None or pause.reason == BUDGET_SPENT:
        note_success(lake, source, run_id)
        return counts
    get_run_logger().warning("%s", pause)
    keep_pause(lake, source, pause, run_id)
    return counts + Counter(musicbrainz_paused=1)


def _note_end(lake: Lake, source: str, pause: SourcePaused | None, run_id: str) -> None:
    if pause is None:
        note_success(lake, source, run_id)
    elif pause.reason == "asked_to_wait":
        keep_pause(lake, source, pause, run_id)
