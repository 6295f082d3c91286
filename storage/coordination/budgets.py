"""Daily budgets: how many requests and downloads a source may see in a day, over all runs and workers.

Each worker writes what it is about to spend to a file of its own, `budgets/SOURCE/day=…/WORKER.json`, and
only then adds up everybody's: so two workers can never spend the same rest, and a crash can only count
too much. What was reserved and not used is given back.
"""

from __future__ import annotations

import json
import os
import re
import socket
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from storage.errors import SourcePaused
from storage.lake.lake import Lake

FOLDER = "budgets"
REASON = "daily_budget"


def _worker_name() -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", f"{socket.gethostname()}-{os.getpid()}").strip("-")


@dataclass
class Budget:
    """One worker's share in a source's daily budget. `limits` maps what is counted to how much a day may have."""

    lake: Lake
    source: str
    limits: dict[str, int]
    worker: str = field(default_factory=_worker_name)

    def reserve(self, **amounts: int) -> None:
        """Count amounts before they are spent; raises `SourcePaused` until tomorrow when they do not fit."""
        self._add(amounts)
        spent = self.spent_today()
        for name, amount in amounts.items():
            if amount > 0 and spent.get(name, 0) > self.limits[name]:
                self.give_back(**amounts)
                raise self._paused(name)

    def give_back(self, **amounts: int) -> None:
        """Return what was reserved and not spent."""
        self._add({name: -amount for name, amount in amounts.items()})

    def spent_today(self) -> dict[str, int]:
        """What all workers together have counted today, by name."""
        total: dict[str, int] = {}
        for path in self.lake.list(FOLDER, self.source, f"day={_today()}", suffix=".json"):
            for name, amount in json.loads(self.lake.read_bytes(path)).items():
                total[name] = total.get(name, 0) + amount
        return total

    def _add(self, amounts: dict[str, int]) -> None:
        place = (FOLDER, self.source, f"day={_today()}", f"{self.worker}.json")
        mine = json.loads(self.lake.read_bytes(*place)) if self.lake.exists(*place) else {}
        for name, amount in amounts.items():
            mine[name] = max(0, mine.get(name, 0) + amount)
        self.lake.write_json(mine, *place)

    def _paused(self, name: str) -> SourcePaused:
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
        message = (
            f"Today's {self.limits[name]} {name} for {self.source} are spent; "
            "run again after midnight UTC, or raise the daily limit"
        )
        return SourcePaused(self.source, REASON, midnight, message)


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"
