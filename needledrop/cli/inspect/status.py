"""`needledrop status`: the state of the lake on one screen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import typer
from rich.console import Console, Group
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from needledrop.cli.options import LakeRoot
from storage.coordination.list_and_free_leases import HeldLease
from storage.records.flow_runs import RUNNING
from storage.tables.tables import open_existing
from storage.views.status import Status, read_status, seconds_left

FAILURES_SHOWN = 12
EXAMPLE_LETTERS = 160
"""Longest example of a failure; a narrow terminal wraps it."""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("status")(status_command)


def status_command(lake: LakeRoot = "lake") -> None:
    """Show what is collected, due, failed and why, and paused, and how long the due work will take.

    In SQL: the views progress, waiting, failures, pace, missing, version_history, run_counts.

    [bold]Examples[/]: needledrop status · needledrop sql "SELECT * FROM missing WHERE year = 2023"
    """
    from flows.runs.missing_trainings_and_workers import waiting_for_workers
    from flows.runs.start_and_end import asking_prefect

    opened = open_existing(lake)
    now = datetime.now(UTC)
    console = Console()
    with asking_prefect():
        status = read_status(opened)
    console.print(as_screen(opened.root, status, now))
    for sentence in waiting_for_workers():
        console.print(f"[yellow]Waiting[/]: {escape(sentence)}", soft_wrap=True)


def as_screen(root: str, status: Status, now: datetime) -> Panel:
    """Return the status as a panel that fits the terminal it is printed in."""
    parts = [
        _progress(status),
        _waiting(status, now),
        _failures(status, now),
        _leases(status),
        _sources(status, now),
        _last(status, now),
    ]
    return Panel(Group(*(part for part in parts if part)), title=f"[bold]{root}[/]", subtitle=_estimate(status, now))


def _progress(status: Status) -> Table | Text:
    if not status.progress:
        return Text.from_markup("[bold]Collected[/] nothing yet: run `needledrop refresh` or `needledrop demo`")
    table = _table("Collected", "stage", "items", "ok", "skipped", "failed", "newest (UTC)")
    for row in status.progress:
        numbers = (f"{row[name]:,}" for name in ("items", "ok", "skipped", "failed"))
        table.add_row(row["stage"], *numbers, f"{row['newest']:%Y-%m-%d %H:%M}")
    return table


def _waiting(status: Status, now: datetime) -> Table | None:
    if not status.waiting and not status.reviews:
        return None
    table = _table("Waiting", "stage", "items", "state (UTC)", "work")
    for row in status.waiting:
        states = {"never_tried": "never tried", "due": "due now"}
        state = states.get(row["state"]) or f"from {_when(row['next_due'], now)}"
        table.add_row(row["stage"], f"{row['items']:,}", state, _duration(row["estimated_seconds"]))
    if status.reviews:
        table.add_row("track", f"{status.reviews:,}", "to review: `needledrop review`", "")
    return table


def _failures(status: Status, now: datetime) -> Table | None:
    if not status.failures:
        return None
    table = _table("Not done, by reason", "stage", "reason", "items", "retry (UTC)", "for example")
    for row in status.failures[:FAILURES_SHOWN]:
        retry = _when(row["next_retry"], now) if row["next_retry"] else row["retry"]
        example = escape(_truncated(row["message"] or row["example"], EXAMPLE_LETTERS))
        table.add_row(row["stage"], row["reason"], f"{row['items']:,}", retry, example)
    rest = sum(row["items"] for row in status.failures[FAILURES_SHOWN:])
    if rest:
        table.add_row("", "other reasons", f"{rest:,}", "", "SELECT * FROM failures")
    return table


def _truncated(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "…"


def _leases(status: Status) -> Table | None:
    """Return a line per process that holds leases; `needledrop leases` has one per lease, and the flow run's id."""
    if not status.leases:
        return None
    table = _table("Leases", "holder", "items", "for", "state", "for example")
    by_holder: dict[tuple[str, str], list[HeldLease]] = {}
    for lease in status.leases:
        holder = f"process {lease.holder.pid} on {lease.holder.host}" if lease.holder else "unknown"
        by_holder.setdefault((holder, lease.standing.value), []).append(lease)
    for (holder, standing), held in sorted(by_holder.items()):
        longest = max((lease.seconds for lease in held if lease.seconds is not None), default=None)
        table.add_row(holder, f"{len(held):,}", _duration(longest), standing, held[0].item)
    return table


def _sources(status: Status, now: datetime) -> Text | None:
    lines = [f"[red]{b['source']} is paused until {_when(b['until'], now)}[/]: {b['reason']}" for b in status.breakers]
    for source, spent in status.spent_today.items():
        if not spent:
            continue  # its only file is damaged, which a warning names
        left = (_left(name, used, status.daily_limits.get(name)) for name, used in spent.items())
        lines.append(f"[bold]{source}[/] today: {', '.join(left)}")
    return Text.from_markup("\n".join(lines)) if lines else None


def _left(name: str, used: int, limit: int | None) -> str:
    return f"{used:,} {name} spent" + (f", {max(0, limit - used):,} left" if limit is not None else "")


def _last(status: Status, now: datetime) -> Text:
    incomplete = f", {status.missing_films:,} of them incomplete (SELECT * FROM missing)" if status.films else ""
    next_step = "`needledrop curate` makes one" if status.films else "it needs films and music first"
    lines = [
        f"[bold]Films[/] {status.films:,}{incomplete}",
        f"[bold]Version[/] {status.version or f'none yet: {next_step}'}",
    ]
    runs = (
        f"{run['flow']} {run['state'].replace('_', ' ')} {_when(run['recorded_at'], now)}" for run in status.last_runs
    )
    lines += [f"[bold]Runs[/] {', '.join(runs)}"] if status.last_runs else []
    folders = ", ".join(f"{name} {_size(size)}" for name, size in status.folder_bytes.items() if size > 1_000_000)
    largest = f" ({folders})" if folders else ""
    free = f"; {_size(status.space.free_bytes)} free" if status.space else ""
    lines.append(f"[bold]Disk[/] {_size(sum(status.folder_bytes.values()))}{largest}{free}")
    lines += [f"[red]{escape(str(status.space))}[/]"] if status.space and status.space.is_low else []
    return Text.from_markup("\n".join(lines))


def _estimate(status: Status, now: datetime) -> str:
    seconds = seconds_left(status, now)
    if seconds is None:
        is_due = any(row["state"] != "later" for row in status.waiting)
        if not is_due and any(run["state"] == RUNNING for run in status.last_runs):
            return "a run is at work"
        return "work is due; how long it takes is not known yet" if is_due else "nothing is due now"
    return f"about {_duration(seconds)} of work is due, processed one after another"


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, expand=False)
    for name in columns:
        is_number = name in ("items", "ok", "skipped", "failed")
        table.add_column(name, justify="right" if is_number else "left", no_wrap=name != "for example", overflow="fold")
    return table


def _when(moment: Any, now: datetime) -> str:
    """Return "today" and the time for a moment of today, the date and time for others; both are UTC."""
    return f"today {moment:%H:%M}" if moment.date() == now.date() else f"{moment:%Y-%m-%d %H:%M}"


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return str(timedelta(seconds=round(seconds))) if seconds >= 1 else "under 1 s"


def _size(count: int) -> str:
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.1f} {unit}"
