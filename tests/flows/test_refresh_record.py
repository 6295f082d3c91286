"""The record of a refresh: one line per subject, each number next to the run before, and how the run ended."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from prefect import flow

from flows.refresh import as_markdown, recorded_refresh
from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import FLOW_RUNS

CHANGES = {"films_new": 3, "films_changed": 2, "films_gone": 0, "tracks_new": 1_270, "tracks_dead": 4, "tracks_back": 1}
DATASET = {"version": "v2", "before": "v1", "new": True, "films": 120, "tracks": 1_400}
TRAINING = {"version": "v2", "trained": 1, "already_done": 0, "failed": 1, "runs": ["All-small-0"]}


def summary_of(counts: list[dict[str, Any]] | None = None, **summary: Any) -> str:
    return as_markdown("lake", summary, counts or [])


def state_of_last_run(lake: Lake) -> str:
    [state] = tables.latest(lake, FLOW_RUNS, ["state"])["state"].to_pylist()
    return str(state)


@pytest.fixture
def lake(tmp_path: Path, prefect_server: None) -> Lake:
    return tables.open_tables(str(tmp_path / "lake"))


def test_new_removed_and_dead_items_are_one_line_per_subject() -> None:
    text = summary_of(changes=CHANGES)
    assert "- **Films**: 3 new, 2 changed\n" in text
    assert "- **Tracks**: 1,270 new, 4 dead, 1 back\n" in text


def test_a_new_version_lists_its_differences_from_the_one_before() -> None:
    text = summary_of(dataset=DATASET, version_changes={"film_came": 3, "film_went": 1, "track_came": 27})
    line = "- **Version**: v2 is new (120 films, 1,400 tracks) since v1: 3 films came, 1 films went, 27 tracks came"
    assert line in text


def test_an_unchanged_version_is_called_unchanged() -> None:
    text = summary_of(dataset={**DATASET, "new": False})
    assert "- **Version**: v2, unchanged (120 films, 1,400 tracks)" in text


def test_trained_and_failed_runs_are_counted() -> None:
    assert "- **Training**: 1 trained, 1 failed on v2: All-small-0\n" in summary_of(training=TRAINING)


def test_a_training_that_another_process_is_at_is_not_called_done() -> None:
    elsewhere = "Another process is training All-small-1"
    none = {**TRAINING, "trained": 0, "failed": 0, "runs": []}
    assert f"- **Training**: {elsewhere}\n" in summary_of(training={**none, "skipped": elsewhere})
    assert f"1 failed on v2: All-small-0. {elsewhere}\n" in summary_of(training={**TRAINING, "message": elsewhere})


def test_a_pause_and_a_failure_keep_their_messages() -> None:
    text = summary_of(paused="youtube is paused until noon", error="No room is left")
    assert "- **Paused**: youtube is paused until noon" in text
    assert "- **Failed**: No room is left" in text


def test_failures_are_listed_by_reason_next_to_the_run_before() -> None:
    rows = [
        {"name": "not_done.track_private", "this_run": 5.0, "run_before": 2.0, "more": 3.0},
        {"name": "films.read", "this_run": 0.0, "run_before": 0.0, "more": 0.0},
        {"name": "films.ok", "this_run": 7.0, "run_before": None, "more": None},
    ]
    text = summary_of(rows)
    assert "| track private | 5 | 2 | +3 |" in text
    assert "| films.ok | 7 |  |  |" in text
    assert "films.read" not in text


def end_with(error: BaseException, lake: Lake, *, breaks_the_lake: bool = False) -> None:
    """Run a flow whose recorded block ends with an error."""

    @flow(name="ends-with-an-error")
    def failing() -> None:
        with recorded_refresh(lake, "run", {}):
            if breaks_the_lake:
                shutil.rmtree(Path(lake.root, FLOW_RUNS.name), ignore_errors=True)
                Path(lake.root, FLOW_RUNS.name).write_text("a file where a folder belongs")
            raise error

    failing()


def test_an_interrupted_run_is_recorded_as_cancelled(lake: Lake) -> None:
    with pytest.raises(KeyboardInterrupt):
        end_with(KeyboardInterrupt(), lake)
    assert state_of_last_run(lake) == "cancelled"


def test_a_failed_run_is_recorded_as_failed(lake: Lake) -> None:
    with pytest.raises(ValueError, match="first"):
        end_with(ValueError("first"), lake)
    assert state_of_last_run(lake) == "failed"


def test_a_lake_that_cannot_be_written_does_not_replace_the_first_error(lake: Lake) -> None:
    with pytest.raises(ValueError, match="first") as raised:
        end_with(ValueError("first"), lake, breaks_the_lake=True)
    assert "record of this run is incomplete" in raised.value.__notes__[0]


def test_the_error_of_a_record_that_cannot_be_begun_is_raised(lake: Lake) -> None:
    Path(lake.root, FLOW_RUNS.name, "part-000000000-0000.parquet").write_bytes(b"PAR1, cut")
    with pytest.raises(LakeError, match="needledrop verify"):
        end_with(ValueError("never reached"), lake)
