"""A lake for the tests of runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.lake.lake import Lake
from storage.tables import tables


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tables.open_tables(str(tmp_path / "my-lake"))
