"""One run at a time uses a source, over all runs of a server."""

from __future__ import annotations

from datetime import timedelta

import pytest
from prefect.client.orchestration import get_client

from storage.errors import SourcePaused
from tasks.source_concurrency_limits import SOURCES, create_limit, source_slot


@pytest.mark.parametrize("source", SOURCES)
def test_a_second_run_pauses_while_the_first_holds_the_slot(source: str, prefect_server: None) -> None:
    with (
        source_slot(source),
        pytest.raises(SourcePaused, match=f"has held the slot '{source}'"),
        source_slot(source, timedelta(seconds=1)),
    ):
        pass


def test_a_time_out_of_the_work_is_no_pause(prefect_server: None) -> None:
    with pytest.raises(TimeoutError, match="of the work"), source_slot("wikipedia"):
        raise TimeoutError("of the work")


def test_a_limit_that_an_operator_changed_stays(prefect_server: None) -> None:
    from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate

    create_limit("youtube")
    with get_client(sync_client=True) as client:
        client.update_global_concurrency_limit("youtube", GlobalConcurrencyLimitUpdate(limit=3))
        create_limit("youtube")
        assert client.read_global_concurrency_limit_by_name("youtube").limit == 3
        client.update_global_concurrency_limit("youtube", GlobalConcurrencyLimitUpdate(limit=1))
