"""`needledrop retry` as it is typed: it retries the given reasons and nothing else, with every option that it has."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from needledrop.cli.main import run
from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import FLOW_RUNS, TRACKS

pytestmark = pytest.mark.integration
NETWORK = ["--youtube", "--i-have-the-right-to-collect", "--pace", "0", "--workers", "1"]
Retry = Callable[..., int]


@pytest.fixture
def retry(lake: Lake, prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> Retry:
    """A function that types `needledrop retry …` and returns the exit status."""

    def typed(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["needledrop", "retry", "--lake", lake.root, *arguments])
        with pytest.raises(SystemExit) as ended:
            run()
        return int(ended.value.code or 0)

    return typed


@pytest.fixture
def opened(lake: Lake, world: Any, add_films: Any, collect: Any) -> list[str]:
    """A film with one track and one that was private when it was collected, and another film that came since."""
    ids: list[str] = world.add_film("Night Ferry", 2015, 2)
    world.videos[ids[1]] |= {"status": "LOGIN_REQUIRED", "reason": "Private video"}
    world.save()
    add_films(lake, [("Night Ferry (2015 film)", 2015)])
    collect()
    world.videos[ids[1]] |= {"status": "OK", "reason": None}
    world.add_film("Slow Water", 2016, 1)
    world.save()
    add_films(lake, [("Night Ferry (2015 film)", 2015), ("Slow Water", 2016)])
    world.log.write_text("")
    return ids


def stored(lake: Lake) -> list[str]:
    return [row["media_id"] for row in tables.latest(lake, TRACKS).to_pylist() if row["segments"]]


def test_only_what_failed_for_the_given_reason_is_requested(
    lake: Lake, world: Any, opened: list[str], retry: Retry
) -> None:
    assert retry("--reason", "private", *NETWORK) == 0
    assert stored(lake) == opened
    assert {request["video"] for request in world.requests if request["video"]} == {opened[1]}


def test_a_reason_that_nothing_failed_for_requests_nothing(
    lake: Lake, world: Any, opened: list[str], retry: Retry
) -> None:
    assert retry("--reason", "geo", *NETWORK) == 0
    assert (stored(lake), world.requests) == (opened[:1], [])


def test_downloads_are_kept_with_the_option(lake: Lake, opened: list[str], retry: Retry) -> None:
    assert retry("--reason", "private", "--keep-audio", *NETWORK) == 0
    assert lake.list("audio") == [f"audio/enwiki-1/{opened[1]}.251.webm"]


def test_without_a_creative_commons_licence_nothing_is_taken_with_the_option(
    lake: Lake, world: Any, opened: list[str], retry: Retry
) -> None:
    assert retry("--reason", "private", "--creative-commons-only", *NETWORK) == 0
    assert stored(lake) == opened[:1]
    assert not world.media_requests()


@pytest.mark.parametrize("budget", ["--daily-requests", "--daily-downloads"])
def test_a_spent_budget_pauses_with_status_4_and_the_limits_are_recorded(
    lake: Lake, opened: list[str], retry: Retry, budget: str
) -> None:
    assert retry("--reason", "private", budget, "1", *NETWORK) == 4
    [recorded_run] = tables.latest(lake, FLOW_RUNS).to_pylist()
    assert json.loads(recorded_run["parameters"])[budget[2:].replace("-", "_")] == 1
    assert (recorded_run["state"], stored(lake)) == ("paused", opened[:1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (NETWORK, "--reason"),
        (["--reason", "privat", *NETWORK], "No failure is called privat"),
        (["--reason", "private"], "No source of music is given"),
        (["--reason", "private", "--youtube"], "--i-have-the-right-to-collect"),
    ],
)
def test_bad_input_is_one_message_and_status_2(retry: Retry, capfd: Any, arguments: list[str], message: str) -> None:
    assert retry(*arguments) == 2
    output = " ".join(capfd.readouterr().err.split())
    assert message in output
    assert "Traceback" not in output
