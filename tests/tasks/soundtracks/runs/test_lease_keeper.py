"""Claims live as long as the work on their films, and no longer."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from pathlib import Path

import pytest

from storage.coordination import leases as claims
from storage.coordination.leases import claim
from storage.lake.lake import Lake
from storage.tables.tables import open_tables
from tasks.soundtracks.runs.lease_keeper import HeldClaims


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_tables(str(tmp_path / "lake"))


def until(lake: Lake, item: str) -> str:
    return json.loads(Path(lake.root, "claims", item, "000001.json").read_text())["until"]


def test_claims_are_renewed_while_a_batch_takes_longer_than_a_lease(lake, monkeypatch):
    monkeypatch.setattr(claims, "LEASE", timedelta(seconds=0.6))
    with HeldClaims(lake) as held:
        held.take("enwiki-1")
        first = until(lake, "enwiki-1")
        time.sleep(1.0)
        assert until(lake, "enwiki-1") > first
        assert claim(lake, "enwiki-1") is None


def test_claims_end_with_their_batch_and_the_rest_with_the_run(lake):
    with HeldClaims(lake) as held:
        assert held.take("enwiki-1")
        assert held.take("enwiki-2")
        held.release(["enwiki-1", "enwiki-3"])
        assert claim(lake, "enwiki-2") is None
        assert [name.split("/")[1] for name in lake.list("claims")] == ["enwiki-2"]
    assert not lake.list("claims")
