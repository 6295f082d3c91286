"""A run fails when too many of its items did, and says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.errors import ItemError, Retry, TooManyFailed
from storage.lake.lake import Lake
from storage.records import outcomes
from storage.records.outcomes import Stage
from storage.tables import tables
from tasks.run_report import check_failures


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tables.open_tables(str(tmp_path / "my-lake"))


def record_tracks(lake: Lake, *reasons: str) -> None:
    """Record one track per reason in the run "now"; "ok" is a success."""
    items = [
        outcomes.ok(Stage.TRACK, f"film/{number}")
        if reason == "ok"
        else outcomes.from_error(Stage.TRACK, f"film/{number}", ItemError(reason, f"why {reason}", Retry.LATER))
        for number, reason in enumerate(reasons)
    ]
    outcomes.record(lake, items, "now")


def test_more_failures_than_allowed_name_the_commonest_reasons(lake: Lake) -> None:
    record_tracks(lake, *["missing_file"] * 4, *["timeout"] * 3, "truncated", "truncated", "too_short", *["ok"] * 9)
    with pytest.raises(TooManyFailed, match="10 of 19 items of stage track failed") as raised:
        check_failures(lake, "now", 0.5)
    text = str(raised.value)
    assert text.index("4 missing_file") < text.index("3 timeout") < text.index("2 truncated")
    assert "too_short" not in text


@pytest.mark.parametrize(
    ("reasons", "share"),
    [
        (["timeout"] * 5 + ["ok"] * 5, 0.5),
        (["timeout"] * 29 + ["ok"] * 71, 0.29),
        (["timeout"] * 4, 0.5),
        (["timeout"] * 9, 1.0),
    ],
)
def test_few_failures_and_an_allowed_share_fail_no_run(lake: Lake, reasons: list[str], share: float) -> None:
    record_tracks(lake, *reasons)
    check_failures(lake, "now", share)


def test_a_share_of_zero_allows_not_even_one_failure(lake: Lake) -> None:
    record_tracks(lake, "timeout", "ok")
    with pytest.raises(TooManyFailed, match="1 of 2 items"):
        check_failures(lake, "now", 0)
    check_failures(lake, "a run that tried nothing", 0)


def test_failures_of_earlier_runs_do_not_count(lake: Lake) -> None:
    record_tracks(lake, *["timeout"] * 9)
    check_failures(lake, "another run", 0.1)
