"""What a user has decided about found tracks: keeps and rejects per query.

    library_queries/      what was searched for, with the poster as a thumbnail, so that it can be asked again
    library_decisions/    per query and track: keep, reject, or undecided again; which run ranked it, and where
    decision_results/     per trained run: how often what was kept ranks above what was rejected

These are tables of the lake like all others: rows are appended, and the newest of a key counts. The views of the same
names have them in SQL. A track of the data set has `dataset:VERSION` where others have their library.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.tables.duckdb_connection import connect, fetch_rows
from storage.tables.schemas import (
    DECISION_RESULTS,
    LIBRARY_DECISIONS,
    LIBRARY_QUERIES,
)
from storage.tables.tables import append, latest_sql

Verdict = Literal["keep", "reject", "undecided"]
"""`undecided` withdraws an earlier decision."""
TrackKey = tuple[str, str]
"""Library and track_id."""
Row = dict[str, Any]
NOTE_CHARACTERS = 2_000


@dataclass(frozen=True)
class AskedQuery:
    """A query as a user has put it."""

    plot: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    image: bytes | None = field(default=None, repr=False)
    """The poster as a thumbnail, JPEG."""
    likes: tuple[str, ...] = ()
    """The track_ids of what it should sound like."""
    not_likes: tuple[str, ...] = ()
    like_weight: float = 0.5

    @property
    def query_id(self) -> str:
        """Return a hash of the query: who asks the same again has the same decisions."""
        weight = self.like_weight if self.likes or self.not_likes else 0
        content = [self.plot, sorted(self.tags), self.image_sha256, sorted(self.likes), sorted(self.not_likes), weight]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    @property
    def image_sha256(self) -> str | None:
        """Return the hash of the poster's thumbnail."""
        return None if self.image is None else hashlib.sha256(self.image).hexdigest()


@dataclass(frozen=True)
class Decision:
    """What a user decides about a track that a query has found."""

    query_id: str
    library: str
    track_id: str
    decision: Verdict
    model_run: str | None = None
    ranking: str | None = None
    rank: int | None = None
    score: float | None = None
    note: str | None = None


def record_query(lake: Lake, query: AskedQuery, run_id: str) -> str:
    """Commit a query that is not known yet, and return its id."""
    query_id = query.query_id
    with connect(lake) as connection:
        known = latest_sql(lake, LIBRARY_QUERIES, "query_id = $id")
        if fetch_rows(connection, f"SELECT query_id FROM {known}", id=query_id):
            return query_id
    lists = {name: list(getattr(query, name)) for name in ("plot", "tags", "likes", "not_likes")}
    row = {"query_id": query_id, "image": query.image, "image_sha256": query.image_sha256, **lists}
    append(lake, LIBRARY_QUERIES, [{**row, "like_weight": query.like_weight}], run_id)
    return query_id


def read_queries(lake: Lake) -> list[Row]:
    """Return every query that was recorded."""
    with connect(lake) as connection:
        return fetch_rows(connection, f"FROM {latest_sql(lake, LIBRARY_QUERIES)} ORDER BY query_id")


def record_decision(lake: Lake, decision: Decision, run_id: str) -> None:
    """Commit a decision; it replaces an earlier one about the same query and track."""
    if decision.decision not in get_args(Verdict):
        raise InputError(f"{decision.decision!r} is no decision; give {', '.join(get_args(Verdict))}")
    append(
        lake, LIBRARY_DECISIONS, [{**asdict(decision), "note": checked_note(decision.note, NOTE_CHARACTERS)}], run_id
    )


def read_decisions(lake: Lake, query_id: str | None = None) -> list[Row]:
    """Return the decisions that count, of one query or of all, newest first; withdrawn ones are left out."""
    wanted = "true" if query_id is None else "query_id = $query_id"
    values = {} if query_id is None else {"query_id": query_id}
    with connect(lake) as connection:
        return fetch_rows(
            connection,
            f"SELECT * EXCLUDE (run_id) FROM {latest_sql(lake, LIBRARY_DECISIONS, wanted)} "
            "WHERE decision <> 'undecided' ORDER BY recorded_at DESC, library, track_id",
            **values,
        )


def record_result(lake: Lake, result: Mapping[str, Any], run_id: str) -> None:
    """Commit what a run reaches on the decisions: a row of `decision_results`, which replaces an earlier one."""
    append(lake, DECISION_RESULTS, [result], run_id)


def checked_note(text: str | None, characters: int) -> str | None:
    """Return a text that is not too long. Raises `InputError` for one that is: nothing is cut off silently."""
    if text is not None and len(text) > characters:
        raise InputError(f"A note may have {characters:,} characters, and this one has {len(text):,}; shorten it")
    return text
