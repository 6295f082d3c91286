"""Let a run go on that has lost its slot of its deployment's concurrency limit."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from prefect import flow_engine
from prefect.concurrency._leases import maintain_concurrency_lease


def keep_running_without_slot() -> None:
    """Have flow runs of this process log that they lost the slot of their deployment, and go on.

    Prefect allows one run of a deployment at a time. Its server keeps the slots in memory, and frees one that was not
    renewed for five minutes; its client then ends the run as if its time were up. So each restart of the server would
    end the runs that are at work. Two runs at once do no harm here: the leases of the lake keep them apart.
    """

    def maintain(lease_id: Any, seconds: float, **_options: bool) -> AbstractContextManager[None]:
        return maintain_concurrency_lease(lease_id, seconds, raise_on_lease_renewal_failure=False)

    # Prefect has no setting for this; tests/flows/runs/test_deployment_slots.py notices when it moves the function.
    vars(flow_engine)["maintain_concurrency_lease"] = maintain
