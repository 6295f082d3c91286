"""Progress in the log: the first and the last numbers of a stage, and one line every half minute between them."""

from __future__ import annotations

import logging
import socket
import time
from pathlib import Path

import pytest
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

from storage.lake.lake import lake_at
from tasks.progress import StageProgress, artifact_key, as_duration, place, shown_progress
from tasks.run_report import as_words


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, logger="needledrop")
    return caplog


def test_a_long_stage_logs_its_start_every_half_minute_and_its_end(log: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    stage = StageProgress("Making thumbnails", clock=lambda: now[0])
    for completed in range(1, 101):
        now[0] += 1.0
        stage.report(completed, 100)
    assert log.messages == [
        "Making thumbnails: started, 1 of 100",
        "Making thumbnails: 31 of 100, 1.00 per second, about 69 s left",
        "Making thumbnails: 61 of 100, 1.00 per second, about 39 s left",
        "Making thumbnails: 91 of 100, 1.00 per second, about 9 s left",
        "Making thumbnails: ended, 100 of 100 in 2 min",
    ]


def test_a_stage_of_unknown_length_ends_with_the_run(log: pytest.LogCaptureFixture) -> None:
    with shown_progress() as report:
        report("Reading tags", 200, 0)
        report("Reading tags", 300, 0)
    assert log.messages == ["Reading tags: started, 200", "Reading tags: ended, 300 in 0 s"]


def test_a_stage_with_nothing_to_do_logs_nothing(log: pytest.LogCaptureFixture) -> None:
    with shown_progress() as report:
        report("fingerprints, films", 0, 0)
    assert log.messages == []


def test_the_time_of_a_stage_of_unknown_length_ends_with_its_last_report(log: pytest.LogCaptureFixture) -> None:
    now = [0.0]
    stage = StageProgress("Reading tags", clock=lambda: now[0])
    for now[0] in (1.0, 9.0):
        stage.report(int(now[0]), 0)
    now[0] = 600.0
    stage.end()
    assert log.messages[-1] == "Reading tags: ended, 9 in 9 s"


def test_a_task_run_is_named_by_its_place() -> None:
    assert place("films", 64, 64, 1800) == "films 65–128 of 1,800"


def test_artifact_keys_differ_by_lake_and_have_only_allowed_letters() -> None:
    keys = [artifact_key(lake_at(root), "Refresh summary") for root in ("s3://one/Lake_1", "s3://two/Lake_1")]
    assert all(key.startswith("refresh-summary-lake-1-") and key.replace("-", "").isalnum() for key in keys)
    assert keys[0] != keys[1]


@pytest.mark.parametrize("is_listening", [False, True], ids=["away", "stopped"])
def test_a_server_that_is_away_does_not_hold_up_the_work(
    is_listening: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.progress.PUBLISH_SECONDS", 0.5)
    now = [0.0]
    stage = StageProgress("Making thumbnails", lake_at(str(tmp_path)), lambda: now[0])
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        if is_listening:
            server.listen()  # and answers nothing
        api = f"http://127.0.0.1:{server.getsockname()[1]}/api"
        with temporary_settings({PREFECT_API_URL: api, PREFECT_CLIENT_MAX_RETRIES: 8}):
            began = time.monotonic()
            for completed in range(1, 4):
                now[0] += 40.0
                stage.report(completed, 100)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(("seconds", "text"), [(45.2, "45 s"), (720, "12 min"), (12_000, "3 h 20 min")])
def test_a_duration_is_given_in_words(seconds: float, text: str) -> None:
    assert as_duration(seconds) == text


def test_a_hidden_log_line_is_printed_where_no_terminal_shows_bars(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("needledrop"), "level", logging.WARNING)
    with shown_progress() as report:
        report("Writing music", 1, 2)
        report("Writing music", 2, 2)
    lines = capsys.readouterr().err.splitlines()
    assert [line[9:] for line in lines] == ["Writing music: started, 1 of 2", "Writing music: ended, 2 of 2 in 0 s"]


def test_a_summary_is_in_words_and_leaves_out_what_is_zero() -> None:
    summary = {
        "films": {"pages_read": 1200, "failed": 0},
        "dataset": {"version": "v1", "new": True},
        "runs": ["a", "b"],
    }
    assert as_words(summary) == "films (pages read 1,200), dataset (version v1, new), runs a, b"
