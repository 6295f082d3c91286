"""The table that ends `needledrop train`, at the widths of real terminals."""

import io

import pytest
from rich.console import Console

from needledrop.cli.tables.training_table import measured_rows, training_table
from storage.metrics.records import connect_metrics


@pytest.fixture
def drawn(measured):
    rows = measured_rows(measured.root, "v1", ["All-run", "Im-run"])

    def draw(width):
        console = Console(width=width, file=io.StringIO(), color_system=None)
        console.print(training_table(rows, width))
        return console.file.getvalue()

    return draw


@pytest.mark.parametrize("width", [80, 100, 120, 140])
def test_no_figure_is_cut_at_any_width(drawn, width):
    text = drawn(width)
    assert "…" not in text and "100.0" in text
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width


def test_every_width_shows_intervals_chance_and_the_paper(drawn, measured):
    with connect_metrics(measured) as connection:
        value, low, high = connection.execute(
            "SELECT r_at_10, r_at_10_low, r_at_10_high FROM leaderboard WHERE system = 'All' AND policy = 'segments8'"
        ).fetchall()[0]
    for width in (80, 140):
        lines = {line.split("  ")[0].strip(): line for line in drawn(width).splitlines()}
        assert f"{value:.1f}  {low:.1f}–{high:.1f}" in " ".join(lines["All"].split()).replace(" ", "  ")
        assert {"ceiling", "Im", "language oracle", "chance"} <= set(lines)
        assert lines["All"].rstrip().endswith("5.2")  # the paper's 2.65 over its chance of 0.51


def test_a_wide_terminal_shows_all_of_table_1(drawn):
    heading = drawn(140).splitlines()[1]
    assert all(f"R@{k}" in heading for k in (1, 5, 10, 20, 50, 100)) and heading.count("95 %") == 2
