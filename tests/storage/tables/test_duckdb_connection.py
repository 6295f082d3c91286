"""A signal during a DuckDB query has the effect that it has elsewhere."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from storage.tables import tables
from storage.tables.duckdb_connection import connect

LONG = "SELECT count(*) FROM range(3000) a, range(100000) b WHERE a.range * b.range % 7 = 3"
"""Some seconds of a core."""


class Terminated(BaseException):
    """What a handler of SIGTERM raises."""


def _raise_terminated(_number: int, _frame: object) -> None:
    raise Terminated


@pytest.fixture
def handlers() -> Iterator[None]:
    """A handler of each signal that raises, as in a flow run."""
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGTERM: signal.signal(signal.SIGTERM, _raise_terminated),
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)], ids=["SIGINT", "SIGTERM"]
)
def test_a_signal_during_a_query_raises_what_its_handler_raises(
    number: int, error: type[BaseException], tmp_path: Path, handlers: None
) -> None:
    lake = tables.open_tables(str(tmp_path / "lake"))
    installed = signal.getsignal(number)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), number))
    with pytest.raises(error), connect(lake) as outer, connect(lake) as inner:
        outer.execute("SELECT 1").fetchall()
        timer.start()
        inner.execute(LONG).fetchall()
    assert signal.getsignal(number) is installed
    with connect(lake) as connection:
        assert connection.execute("SELECT 42").fetchall() == [(42,)]


def test_a_signal_while_a_query_reads_rows_of_arrow_raises_what_its_handler_raises(
    tmp_path: Path, handlers: None
) -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.record_batch({"number": [1]})
        signal.raise_signal(signal.SIGTERM)
        yield pa.record_batch({"number": [2]})

    lake = tables.open_tables(str(tmp_path / "lake"))
    rows = pa.RecordBatchReader.from_batches(pa.schema([("number", pa.int64())]), batches())
    with pytest.raises(Terminated), connect(lake) as connection:
        connection.register("numbers", rows)
        connection.execute("SELECT sum(number) FROM numbers").fetchall()
