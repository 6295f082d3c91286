"""What a run changed is counted from what stood before it began."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from storage.errors import ItemError, Retry
from storage.lake.lake import Lake
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage, Status, not_done_since
from storage.tables import tables
from storage.tables.schemas import FILMS, TRACKS
from storage.views.run_changes import changes_since


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return tables.open_tables(str(tmp_path / "lake"))


def films(lake: Lake, **revisions: int | None) -> None:
    """Record films at these revisions; None for one that is gone."""
    rows = [
        {"film_id": film, "revision_id": revision, "state": "present" if revision else "gone"}
        for film, revision in revisions.items()
    ]
    tables.append(lake, FILMS, rows, "run")


def tracks(lake: Lake, **segments: int | None) -> None:
    rows = [{"film_id": "a", "track_id": track, "segments": count} for track, count in segments.items()]
    tables.append(lake, TRACKS, rows, "run")


def asked(lake: Lake, **statuses: Status) -> None:
    reasons = {Status.OK: "ok", Status.FAILED: "private", Status.SKIPPED: "timeout"}
    answers = [Outcome(Stage.AVAILABILITY, track, status, reasons[status]) for track, status in statuses.items()]
    outcomes.record(lake, answers, "run")


def changed(lake: Lake, since: datetime) -> dict[str, int]:
    return {name: count for name, count in changes_since(lake, since).items() if count}


def test_nothing_changed_is_all_zeros(lake: Lake) -> None:
    films(lake, a=1)
    assert set(changes_since(lake, datetime.now(UTC)).values()) == {0}


def test_films_are_new_changed_gone_or_only_read_again(lake: Lake) -> None:
    films(lake, same=1, changed=1, gone=1, back=None, never=None)
    since = datetime.now(UTC)
    films(lake, same=1, changed=2, gone=None, back=1, never=None, new=1, other=None)
    assert changed(lake, since) == {"films_new": 2, "films_changed": 1, "films_gone": 1}


def test_a_track_is_new_when_its_mels_are(lake: Lake) -> None:
    tracks(lake, waiting=None, kept=3, purged=3)
    since = datetime.now(UTC)
    tracks(lake, waiting=3, kept=3, purged=None, rejected=None, new=3)
    assert changed(lake, since) == {"tracks_new": 2, "tracks_removed": 1}


def test_a_track_is_newly_dead_only_once(lake: Lake) -> None:
    asked(lake, dead=Status.FAILED, alive=Status.OK, back=Status.FAILED, doubted=Status.FAILED)
    asked(lake, doubted=Status.SKIPPED)
    since = datetime.now(UTC)
    asked(lake, dead=Status.FAILED, alive=Status.FAILED, back=Status.OK, doubted=Status.FAILED, unasked=Status.SKIPPED)
    assert changed(lake, since) == {"tracks_dead": 1, "tracks_back": 1}


def test_what_was_not_done_in_this_run_is_counted_by_its_last_reason(lake: Lake) -> None:
    def fail(item: str, reason: str) -> Any:
        return outcomes.from_error(Stage.TRACK, item, ItemError(reason, "no", Retry.SOON))

    outcomes.record(lake, [fail("early", "geo")], "run")
    since = datetime.now(UTC)
    outcomes.record(lake, [fail("a", "timeout"), fail("b", "private"), fail("c", "private")], "run")
    outcomes.record(lake, [fail("a", "private"), outcomes.ok(Stage.TRACK, "b")], "run")
    assert not_done_since(lake, since) == {"track_private": 2}
