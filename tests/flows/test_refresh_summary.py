"""The page that an operator reads after a refresh: each subject in a line, each number beside the run before."""

from __future__ import annotations

from typing import Any

from flows.refresh_summary import as_markdown

CHANGES = {"films_new": 3, "films_changed": 2, "films_gone": 0, "tracks_new": 1_270, "tracks_dead": 4, "tracks_back": 1}
DATASET = {"version": "v2", "before": "v1", "new": True, "films": 120, "tracks": 1_400}
TRAINING = {"version": "v2", "trained": 1, "already_done": 0, "failed": 1, "runs": ["All-small-0"]}


def report(**summary: Any) -> str:
    return as_markdown("lake", summary, summary.pop("counted", []))


def test_what_came_went_and_died_is_one_line_each() -> None:
    said = report(changes=CHANGES)
    assert "- **Films**: 3 new, 2 changed\n" in said
    assert "- **Tracks**: 1,270 new, 4 dead, 1 back\n" in said


def test_a_new_version_says_what_differs_from_the_one_before() -> None:
    said = report(dataset=DATASET, version_changes={"film_came": 3, "film_went": 1, "track_came": 27})
    assert (
        "- **Version**: v2 is new (120 films, 1,400 tracks) since v1: 3 films came, 1 films went, 27 tracks came"
        in said
    )


def test_an_unchanged_version_says_so() -> None:
    assert "- **Version**: v2, unchanged (120 films, 1,400 tracks)" in report(dataset={**DATASET, "new": False})


def test_what_was_trained_and_what_failed_is_named() -> None:
    assert "- **Training**: 1 trained, 1 failed on v2: All-small-0\n" in report(training=TRAINING)


def test_a_pause_and_a_failure_are_said_in_their_own_words() -> None:
    said = report(soundtracks={"paused": "youtube is paused until noon"}, error="No room is left")
    assert "- **Paused**: youtube is paused until noon" in said
    assert "- **Failed**: No room is left" in said


def test_failures_stand_by_reason_beside_the_run_before() -> None:
    rows = [
        {"name": "not_done.track_private", "this_run": 5.0, "run_before": 2.0, "more": 3.0},
        {"name": "films.read", "this_run": 0.0, "run_before": 0.0, "more": 0.0},
        {"name": "films.ok", "this_run": 7.0, "run_before": None, "more": None},
    ]
    said = report(counted=rows)
    assert "| track private | 5 | 2 | +3 |" in said
    assert "| films.ok | 7 |  |  |" in said
    assert "films.read" not in said
