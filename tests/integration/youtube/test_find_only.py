"""`--find-only`: what would be taken is judged and printed; nothing is downloaded or stored."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from needledrop.cli.main import run
from storage.coordination.budgets import Budget
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import OUTCOMES, TRACKS
from tasks.soundtracks.runs.open_sources import open_context
from tasks.soundtracks.runs.preview import preview
from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings

pytestmark = pytest.mark.integration
FILMS = [("Night Ferry", 2015), ("Slow Water", 2016), ("Third Film", 2017)]


def previewed(lake: Lake) -> tuple[Any, list[dict[str, Any]]]:
    settings = SoundtrackSettings(youtube=True, i_have_the_right_to_collect=True, pace=0.0, find_only=True)
    with open_context(lake, settings, "test") as context:
        return preview(context, list(context.matcher.film_index.films.values()))


def test_every_film_has_a_line_and_nothing_is_stored_of_it(lake: Lake, world: Any, add_films: Any) -> None:
    world.add_film(*FILMS[0], 11)
    fan = world.add_video("fanfanfan01", "Slow Water (2016) Soundtrack - Main Theme", channel="A Fan")
    world.searches.append(("Slow Water", [fan]))
    world.save()
    add_films(lake, FILMS)
    report, lines = previewed(lake)
    by_film = {title: {line["decision"] for line in lines if line["film"] == title} for title, _year in FILMS}
    assert by_film == {"Night Ferry": {"taken"}, "Slow Water": {"review"}, "Third Film": {"rejected"}}
    assert {line["reason"] for line in lines if line["film"] == "Third Film"} == {"no_match"}
    assert all(line["score"] for line in lines if line["decision"] == "taken")
    assert dict(report.counts) == {"would_take": 9, "would_review": 1, "films_without_match": 2}
    assert not world.media_requests()
    assert "/youtubei/v1/player" not in {one["path"] for one in world.requests}
    assert not tables.latest(lake, TRACKS).num_rows
    assert not tables.latest(lake, OUTCOMES).num_rows


def test_its_requests_count_in_the_daily_budget(lake: Lake, world: Any, add_films: Any) -> None:
    world.add_film(*FILMS[0], 3)
    world.save()
    add_films(lake, FILMS[:1])
    previewed(lake)
    assert Budget(lake, "youtube", {}).spent_today()["requests"] == len(world.requests) == 3


def test_looking_needs_the_statement_too() -> None:
    with pytest.raises(InputError, match="--i-have-the-right-to-collect"):
        SoundtrackSettings(youtube=True, find_only=True).check()


def test_a_pause_ends_the_look(lake: Lake, world: Any, add_films: Any) -> None:
    world.faults.append({"path": "/youtubei/v1/search", "status": 429})
    world.save()
    add_films(lake, FILMS)
    report, lines = previewed(lake)
    assert (report.paused.reason, lines) == ("rate_limit", [])


def test_the_command_prints_a_table(
    lake: Lake,
    world: Any,
    add_films: Any,
    prefect_server: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    world.add_film(*FILMS[0], 3)
    world.save()
    add_films(lake, FILMS[:1])
    options = ["--youtube", "--i-have-the-right-to-collect", "--pace", "0", "--find-only"]
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setattr(sys, "argv", ["needledrop", "soundtracks", "--lake", lake.root, *options])
    with pytest.raises(SystemExit) as ended:
        run()
    printed = capsys.readouterr().out
    assert not ended.value.code
    assert printed.count("matched") == 3
    assert "would take 3" in printed
    assert not tables.latest(lake, TRACKS).num_rows
