"""A server that asks for a pause in the middle of a run ends it as paused, with every runner."""

from __future__ import annotations

from typing import Any

import pytest

from flows.collect_soundtracks import collect_soundtracks
from storage.coordination.list_and_free_leases import list_leases
from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import FILMS

pytestmark = pytest.mark.integration
ADDRESSES = ["one.mp3", "two.m4a", "status-429/three.webm", "four.opus"]


@pytest.mark.parametrize("runner", ["local", "dask"])
def test_films_before_the_pause_are_committed_and_nothing_is_requested_after_it(
    lake: Lake, server: Any, tmp_path: Any, runner: str, prefect_server: None
) -> None:
    if runner == "dask":
        pytest.importorskip("prefect_dask")
    films = [
        {"film_id": f"enwiki-{n}", "page_id": n, "title": f"Film {n}", "year": 2010 + n, "state": "present"}
        for n in range(4)
    ]
    tables.append(lake, FILMS, films, "test")
    listing = tmp_path / "urls.csv"
    listing.write_text("film,url\n" + "".join(f"enwiki-{n},{server.url}/{a}\n" for n, a in enumerate(ADDRESSES)))

    def run() -> Any:
        return collect_soundtracks(
            lake=lake.root,
            urls=[str(listing)],
            i_have_the_right_to_collect=True,
            pace=0.0,
            workers=1,
            runner=runner,
            return_state=True,
        )

    state = run()
    assert state.name == "Paused"
    assert (state.result()["films"], len(lake.list("mels"))) == (2, 2)
    assert not list_leases(lake)
    assert not any("four" in path for _method, path, _range in server.log)
    request_count = len(server.log)
    assert run().name == "Paused"
    assert len(server.log) == request_count
