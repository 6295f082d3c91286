"""Show how far the stages of a run are: bars in a terminal, lines with numbers, a progress artifact on a server.

A stage is known by its description. Its first report, one every `LOG_SECONDS` and its last become log lines; a stage
that takes longer than that also gets a progress artifact, which the page of the flow run shows.
"""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.exceptions import MissingContextError, PrefectException
from prefect.logging import get_run_logger
from prefect.runtime import flow_run, task_run
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from storage.lake.lake import Lake
from tasks.prefect_client import HTTP_ERRORS, impatient_client

ReportProgress = Callable[[str, int, int], None]
"""Progress callback (description, completed, total); total is 0 if it is not known."""
LOG_SECONDS = 30.0
"""Between two log lines of one stage."""
PUBLISH_SECONDS = 5.0
"""Longest wait for a server that takes a progress artifact."""


def no_progress(_description: str, _completed: int, _total: int) -> None:
    """Show nothing."""


@contextmanager
def shown_progress(lake: Lake | None = None) -> Iterator[ReportProgress]:
    """Yield a callback that shows progress: bars in a terminal and, in a flow run, log lines and artifacts.

    The artifacts are named after the lake; without one there are none.
    """
    stages: dict[str, StageProgress] = {}
    with _bars() as show_bar:

        def report(description: str, completed: int, total: int) -> None:
            stage = stages.setdefault(description, StageProgress(description, lake))
            stage.report(completed, total)
            show_bar(description, completed, total)

        yield report
    for stage in stages.values():
        stage.end()


@dataclass
class StageProgress:
    """The log lines and the artifact of one stage."""

    description: str
    lake: Lake | None = None
    clock: Callable[[], float] = time.monotonic
    completed: int = 0
    total: int = 0
    _started: float = field(init=False)
    _reported: float = field(init=False)
    _logged: float | None = None
    _has_ended: bool = False
    _artifact: UUID | None = None

    def __post_init__(self) -> None:
        """Start the clock."""
        self._started = self._reported = self.clock()

    def report(self, completed: int, total: int) -> None:
        """Take over the numbers; log them at the first report of any, every `LOG_SECONDS` and when all is done."""
        self.completed, self.total, self._reported = completed, total, self.clock()
        if total and completed >= total:
            self.end()
        elif self._logged is None:
            if completed or total:
                self._log("%s: started, %s", self.description, self._amount())
        elif self.clock() - self._logged >= LOG_SECONDS:
            self._log("%s: %s, %s", self.description, self._amount(), self._remaining())
            self._publish()

    def end(self) -> None:
        """Log the last numbers and the time until they were reported, once.

        A stage of unknown length is known to have ended only when the run has, long after its last report.
        """
        if not self._has_ended:
            self._has_ended = True
            if not (self.completed or self.total):
                return  # there was nothing to do
            self._log(
                "%s: ended, %s in %s", self.description, self._amount(), as_duration(self._reported - self._started)
            )
            if self._artifact is not None:
                self._publish()

    @property
    def _seconds(self) -> float:
        return self.clock() - self._started

    def _amount(self) -> str:
        return f"{self.completed:,} of {self.total:,}" if self.total else f"{self.completed:,}"

    def _remaining(self) -> str:
        per_second = self.completed / max(self._seconds, 1e-9)
        if not self.total or not self.completed:
            return f"{per_second:,.2f} per second"
        left = (self.total - self.completed) / per_second
        return f"{per_second:,.2f} per second, about {as_duration(left)} left"

    def _log(self, message: str, *values: Any) -> None:
        self._logged = self.clock()
        log_line(message, *values)

    def _publish(self) -> None:
        """Create the stage's progress artifact or move it on; a server that is away must not end or delay the work."""
        if self.lake is None or not self.total:
            return
        percent = round(100.0 * self.completed / self.total, 1)
        text = f"{self.description} ({self.lake.root}): {self._amount()}"
        with suppress(PrefectException, *HTTP_ERRORS, RuntimeError), impatient_client(PUBLISH_SECONDS) as client:
            if self._artifact is None:
                key = artifact_key(self.lake, self.description)
                ids = {"flow_run_id": flow_run.id, "task_run_id": task_run.id}
                new = ArtifactCreate(type="progress", key=key, description=text, data=percent, **ids)
                self._artifact = client.create_artifact(new).id
            else:
                client.update_artifact(self._artifact, ArtifactUpdate(description=text, data=percent))


def place(items: str, done: int, size: int, total: int) -> str:
    """Return the name of a task run by its place among all items: "films 65–128 of 800"."""
    return f"{items} {done + 1:,}–{done + size:,} of {total:,}"


def run_logger() -> logging.Logger | logging.LoggerAdapter[Any]:
    """Return the logger of the flow or task run, or an ordinary one where there is none (under torchrun)."""
    try:
        return get_run_logger()
    except MissingContextError:
        return logging.getLogger("needledrop")


def log_line(message: str, *values: Any) -> None:
    """Log how far a run is; print it where a command hides log lines and no terminal shows bars instead."""
    logger, console = run_logger(), Console(stderr=True, soft_wrap=True, markup=False, highlight=False)
    if logger.isEnabledFor(logging.INFO):
        logger.info(message, *values)
    elif not console.is_terminal:
        console.print(f"{datetime.now():%H:%M:%S} {message % values}")


def artifact_key(lake: Lake, name: str) -> str:
    """Return the key of an artifact of one lake: lower-case letters, digits and dashes, as Prefect requires.

    It ends with a digest of the lake's root, since two lakes may have one name.
    """
    digest = hashlib.sha256(lake.root.encode()).hexdigest()[:6]
    words = re.findall(r"[a-z0-9]+", f"{name} {lake.name} {digest}".lower())
    return "-".join(words)


def as_duration(seconds: float) -> str:
    """Return a length of time in words: 45 s, 12 min, 3 h 20 min."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"


@contextmanager
def _bars() -> Iterator[ReportProgress]:
    """Yield a callback that shows one bar per description, or does nothing if stderr is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield no_progress
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bars = {}

        def report(description: str, completed: int, total: int) -> None:
            if description not in bars:
                bars[description] = progress.add_task(description, total=total or None)
            progress.update(bars[description], completed=completed, total=total or None)

        yield report
