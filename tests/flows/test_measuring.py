"""What a finished walk leaves to be compared: controls, intervals, differences, and a report of it."""

from __future__ import annotations

from pathlib import Path

from needledrop.report.page import write_report
from storage.metrics.database import connect_metrics
from storage.tables import tables


def test_training_ends_with_controls_intervals_and_differences(walked_lake: str) -> None:
    with connect_metrics(tables.open_tables(walked_lake)) as connection:
        rows = connection.execute("SELECT system, r_at_10_low FROM leaderboard WHERE source IN ('trained', 'control')")
        bounds = dict(rows.fetchall())
        compared = {name for (name,) in connection.execute("SELECT DISTINCT system FROM comparisons").fetchall()}
    controls = {"random", "language oracle", "nearest tags", "mean query", "years kept"}
    assert set(bounds) == {"All"} | controls and None not in bounds.values()
    assert compared == controls


def test_a_walk_can_be_reported(walked_lake: str, tmp_path: Path) -> None:
    report = write_report(tables.open_tables(walked_lake), None, tmp_path / "report.html")
    assert report.best[0].suggestions and report.systems[0].epochs
    assert report.best[0].title in (tmp_path / "report.html").read_text()
