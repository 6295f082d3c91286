"""`needledrop compare`: any two systems or settings on the test films, with intervals and p-values."""

from __future__ import annotations

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from needledrop.cli.options import LakeRoot
from storage.tables.tables import open_existing

_SHARES = ("mrr", "map", "ndcg")
"""Metrics between 0 and 1; recalls and hits are in percent, the median rank in tracks."""

_CAPTION = (
    "Over test films; for medr less is better. The interval is of a bootstrap over films, p of a test that swaps the "
    "two systems film by film, adjusted for no other comparison: with few films the interval can leave out 0 where p "
    "is above 0.05: such a difference is uncertain."
)


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("compare")(compare_command)


def compare_command(
    one: str = typer.Argument(help="SYSTEM, or SYSTEM@DIGEST, SYSTEM@PRESET or 'SYSTEM@SETTINGS' of the leaderboard."),
    other: str = typer.Argument(help="The system that the first one is compared with."),
    lake: LakeRoot = "lake",
    dataset: str = typer.Option(None, help="Data-set version; default: the current one."),
    policy: str = typer.Option(
        None,
        help="What was embedded; default: the mean of several segments, and all paragraphs where both systems have "
        "that (segments8-paragraphs), else the first (segments8).",
    ),
) -> None:
    """Compare any two systems or settings on the test films: the differences with 95 % intervals and p-values.

    Baselines have names too, such as "language oracle". Both systems are evaluated on the same resampled films; p is
    of a randomisation test that swaps their results film by film, and not adjusted for other comparisons.

    [bold]Examples[/]

    needledrop compare All@paper "All@paper, optimiser.rate=1e-4"

    needledrop compare All "language oracle"
    """
    opened = open_existing(lake)

    from training.data.splits import newest_version
    from training.evaluation.intervals_and_comparisons import compare

    found = compare(opened, dataset or newest_version(opened), one, other, policy)
    table = Table("metric", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, caption_justify="left")
    for heading in ("one", "other", "one − other", "95 %", "p"):
        table.add_column(heading, justify="right", no_wrap=True)
    for metric, (first, second, paired) in found.values.items():
        digits = 4 if metric in _SHARES else 1
        value, low, high = (f"{figure:+.{digits}f}" for figure in (paired.value, paired.low, paired.high))
        table.add_row(
            metric, f"{first:,.{digits}f}", f"{second:,.{digits}f}", value, f"{low} to {high}", f"{paired.p:.4f}"
        )
    console = Console()
    chosen = "" if policy else "; the report may show another, which --policy takes"
    named = f"one:    {found.one}\nother:  {found.other}\npolicy: {found.policy}{chosen}"
    console.print(named, soft_wrap=True, highlight=False)
    table.caption = _CAPTION
    console.print(table)
