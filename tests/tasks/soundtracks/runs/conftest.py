"""A lake of three films."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import FILMS


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = tables.open_tables(str(tmp_path / "lake"))
    films = [("Slow Water", 2016), ("Night Ferry (film)", 2015), ("Silent One", 2014)]
    rows = [{"film_id": f"enwiki-{n}", "title": t, "year": y, "state": "present"} for n, (t, y) in enumerate(films, 1)]
    tables.append(made, FILMS, rows, "test")
    return made
