"""The table that ends `needledrop train`, at the widths of real terminals."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from needledrop.cli.train import leaderboard_rows, training_table
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics


@pytest.fixture
def drawn(measured: Lake) -> Callable[[int], str]:
    rows = leaderboard_rows(measured.root, "v1", ["All-run", "Im-run"])

    def draw(width: int) -> str:
        console = Console(width=width, file=io.StringIO(), color_system=None)
        console.print(training_table(rows, width))
        return console.file.getvalue()

    return draw


@pytest.mark.parametrize("width", [80, 100, 120, 140])
def test_no_figure_is_clipped_at_any_width(drawn: Callable[[int], str], width: int) -> None:
    text = drawn(width)
    assert "…" not in text and "100.0" in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width


def test_every_width_shows_intervals_chance_and_the_paper(drawn: Callable[[int], str], measured: Lake) -> None:
    with connect_metrics(measured) as connection:
        value, low, high = connection.execute(
            "SELECT r_at_10, r_at_10_low, r_at_10_high FROM leaderboard WHERE system = 'All' AND policy = 'segments8'"
        ).fetchall()[0]
    for width in (80, 140):
        lines = {line.split("  ")[0].strip(): line for line in drawn(width).splitlines()}
        assert f"{value:.1f}  {low:.1f}–{high:.1f}" in " ".join(lines["All"].split()).replace(" ", "  ")
        assert {"ceiling", "Im", "language oracle", "chance"} <= set(lines)
        assert lines["All"].rstrip().endswith("5.2")  # the paper's 2.65 over its chance of 0.51


def test_a_wide_terminal_shows_all_of_table_1(drawn: Callable[[int], str]) -> None:
    heading = drawn(140).splitlines()[1]
    assert all(f"R@{k}" in heading for k in (1, 5, 10, 20, 50, 100)) and heading.count("95 %") == 2


@pytest.mark.parametrize("width", [30, 60, 80, 100, 120, 140])
def test_long_figures_are_shown_complete_in_fewer_columns(measured: Lake, width: int) -> None:
    rows = leaderboard_rows(measured.root, "v1", ["All-run"])
    longest = {f"{name}{end}": 100.0 for name in ("r_at_1", "r_at_10") for end in ("", "_low", "_high")}
    longest |= {f"medr{end}": 35_107.5 for end in ("", "_low", "_high")}
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(training_table([row | longest for row in rows], width))
    text = console.file.getvalue()
    assert "…" not in text and "100.0" in text and "35,107.5" in text
    assert ("100.0–100.0" in text) == (width >= 60)
