"""Find the work pools whose scheduled runs wait because no worker takes them."""

from __future__ import annotations

from collections import Counter

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateName,
)
from prefect.client.schemas.objects import WorkerStatus
from prefect.settings import PREFECT_API_URL

from tasks.prefect_client import NO_ANSWER, impatient_client


def runs_without_worker(client: SyncPrefectClient) -> list[str]:
    """Return a sentence for each work pool of which scheduled runs are late and no worker is online."""
    is_late = FlowRunFilterState(name=FlowRunFilterStateName(any_=["Late"]))
    late = client.read_flow_runs(flow_run_filter=FlowRunFilter(state=is_late))
    pools = Counter(run.work_pool_name for run in late if run.work_pool_name)
    return [
        f"{count} run{'s wait' if count > 1 else ' waits'} for a worker of the pool {pool}, which has none online"
        f"{how_to_start_workers(pool)}"
        for pool, count in sorted(pools.items())
        if not has_worker(client, pool)
    ]


def waiting_for_workers() -> list[str]:
    """Return the sentences of `runs_without_worker` for the server of `PREFECT_API_URL`; none where none answers."""
    if not PREFECT_API_URL.value():
        return []
    try:
        with impatient_client() as client:
            return runs_without_worker(client)
    except NO_ANSWER:
        return []


def has_worker(client: SyncPrefectClient, pool: str) -> bool:
    """Return whether a worker of a pool has sent the server a sign of life within the last minute or two."""
    return any(worker.status is WorkerStatus.ONLINE for worker in client.read_workers_for_work_pool(pool))


def how_to_start_workers(pool: str) -> str:
    """Return what to do about a pool without workers, to follow a sentence."""
    elsewhere = "; or run `needledrop bootstrap`, which puts training into another pool" if pool != "local" else ""
    return f"; start one with `needledrop worker --pool {pool}`{elsewhere}"
