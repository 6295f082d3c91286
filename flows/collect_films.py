"""The flow `collect-films`: pages from an export or a wiki, the films parsed from them, and their thumbnails.

A run does only what the lake lacks: a page whose revision is stored is not fetched again, and a newer parser
parses the stored wikitext.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from flows.parameter_checks import check
from flows.parameters import CollectFilmsParameters, takes
from storage.lake.lake import Lake
from storage.records.flow_runs import record_flow_run
from storage.tables.tables import open_tables
from tasks.films.images.thumbnails import ImageFolder
from tasks.films.tasks import collect_from_export, collect_from_wiki, make_missing_thumbnails, parse_stale_pages
from tasks.films.wiki.changes import FLOW, FetchPlan, plan_fetch
from tasks.films.wiki.client import Wikipedia
from tasks.progress import bars
from tasks.source_slots import source_slot


@flow(name=FLOW, flow_run_name="collect-films-into-{lake}")
@takes(CollectFilmsParameters)
def collect_films(parameters: CollectFilmsParameters) -> dict[str, Any]:
    """Collect films that are new or changed: from an export, or from a wiki by year or by name."""
    check(parameters)
    folder = ImageFolder(parameters.images) if parameters.images else None
    lake, run_id = open_tables(parameters.lake), str(flow_run.id)
    if parameters.export:
        with bars() as report:
            counts = collect_from_export(lake, parameters.export, parameters.limit, run_id, report)
            counts.update(parse_stale_pages(lake, run_id, report))
            counts.update(make_missing_thumbnails(lake, folder, None, frozenset(), run_id, report))
        return dict(counts)
    rate = parameters.requests_per_minute
    with (
        closing(Wikipedia(parameters.wiki, parameters.contact, requests_per_minute=rate)) as client,
        bars() as report,
        source_slot("wikipedia"),
    ):
        plan = plan_fetch(lake, client, parameters.release_years(), parameters.films, parameters.limit)
        counts = collect_from_wiki(lake, client, plan, run_id, report)
        counts.update(parse_stale_pages(lake, run_id, report))
        counts.update(make_missing_thumbnails(lake, folder, client, plan.site.file_hosts, run_id, report))
    summary = {**counts, "api_calls": client.calls}
    _record(lake, run_id, parameters, plan, summary)
    return summary


def _record(
    lake: Lake, run_id: str, parameters: CollectFilmsParameters, plan: FetchPlan, summary: dict[str, Any]
) -> None:
    """Record what was requested, and the wiki's time, from which the next run looks for changes."""
    requested = {
        "years": list(parameters.release_years()),
        "films": list(parameters.films),
        "wiki": parameters.wiki,
        "limit": parameters.limit,
    }
    result = {**summary, "wiki": plan.site.wiki}
    if plan.is_complete:  # otherwise a changed page beyond the limit would never be fetched
        result["wiki_time"] = plan.site.time.isoformat()
    record_flow_run(lake, run_id, FLOW, "completed", requested, result)
