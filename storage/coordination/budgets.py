"""Daily budgets: how many requests and downloads a source may see per day, over all runs and workers.

Each worker first adds what it is about to spend to its file, `budgets/SOURCE/day=…/WORKER.json`, and then sums the
files of all workers: so two workers can never spend the same remainder, and a crash can only overcount. What was
reserved but not used is given back.
"""

from __future__ import annotations

import logging
import os
import re
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from storage.errors import SourcePaused
from storage.lake.lake import Lake, read_json
from storage.processes_and_signals import place_digest

BUDGETS_FOLDER = "budgets"
BUDGET_SPENT = "daily_budget"
"""The reason of a pause until tomorrow."""
log = logging.getLogger(__name__)


def _worker_name() -> str:
    """Return a name that no process elsewhere has: containers may share host name and process number."""
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{socket.gethostname()}-{place_digest()}-{os.getpid()}").strip("-")


@dataclass
class Budget:
    """A source's daily budget as one worker sees it. `limits` maps each name that is counted to its daily limit."""

    lake: Lake
    source: str
    limits: dict[str, int]
    worker: str = field(default_factory=_worker_name)

    def reserve(self, **amounts: int) -> None:
        """Count amounts before they are spent; raises `SourcePaused` until tomorrow when they exceed the limit."""
        self._add(amounts)
        spent = self.spent_today()
        for name, amount in amounts.items():
            if amount > 0 and spent.get(name, 0) > self.limits[name]:
                self.give_back(**amounts)
                raise self._paused(name)

    def count(self, **amounts: int) -> None:
        """Count amounts that have no limit."""
        self._add(amounts)

    def give_back(self, **amounts: int) -> None:
        """Give back what was reserved and not spent."""
        self._add({name: -amount for name, amount in amounts.items()})

    def spent_today(self) -> dict[str, int]:
        """Return what all workers together have counted today, by name."""
        total: dict[str, int] = {}
        for path in self.lake.list(BUDGETS_FOLDER, self.source, f"day={_today()}", suffix=".json"):
            for name, amount in self._read(path).items():
                total[name] = total.get(name, 0) + amount
        return total

    def _add(self, amounts: dict[str, int]) -> None:
        path = (BUDGETS_FOLDER, self.source, f"day={_today()}", f"{self.worker}.json")
        own = self._read("/".join(path)) if self.lake.exists(*path) else {}
        for name, amount in amounts.items():
            own[name] = max(0, own.get(name, 0) + amount)
        self.lake.write_json(own, *path)

    def _read(self, path: str) -> dict[str, int]:
        """Return the amounts in a worker's file; none, with a warning, from one that no version writes."""
        content = read_json(self.lake, path)
        if isinstance(content, dict) and all(isinstance(amount, int) for amount in content.values()):
            return content
        log.warning("%s is damaged, so what it counted today is left out; delete it", path)
        return {}

    def _paused(self, name: str) -> SourcePaused:
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        message = (
            f"Today's {self.limits[name]} {name} for {self.source} are spent; "
            "run again after midnight UTC, or raise the daily limit"
        )
        return SourcePaused(self.source, BUDGET_SPENT, midnight, message)


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"
