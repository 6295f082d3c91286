"""The whole road in one process: what it leaves behind, what a second run does, what bad input says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from needledrop.main import run
from storage import metrics, tables
from storage.claims import held


def _files(root: str) -> set[str]:
    return {str(path) for path in Path(root).rglob("*") if path.is_file() and "flow_runs" not in str(path)}


def test_the_road_ends_in_ranks_for_every_test_track(walk: Any, walked_lake: str) -> None:
    lake = tables.open_tables(walked_lake)
    with metrics.connect_metrics(lake, read_only=True) as connection:
        ranked = connection.execute("SELECT count(DISTINCT track_id) FROM ranks").fetchone()
        wanted = connection.execute("SELECT count(DISTINCT track_id) FROM segments WHERE split = 'test'").fetchone()
    assert ranked == wanted
    assert ranked and ranked[0] > 10


def test_a_second_run_changes_no_file(walk: Any, walked_lake: str) -> None:
    from flows.refresh import refresh

    before = _files(walked_lake)
    second = refresh(**walk.parameters)
    assert _files(walked_lake) == before
    assert second["dataset"]["version"] == walk.summary["dataset"]["version"]


def test_every_page_and_every_recording_ends_somewhere(walked_lake: str, walk: Any) -> None:
    lake = tables.open_tables(walked_lake)
    with metrics.connect_metrics(lake, read_only=True) as connection:
        lost = connection.execute(
            "SELECT count(*) FROM films WHERE film_id NOT IN (SELECT item FROM outcomes WHERE stage = 'film')"
        ).fetchone()
        undecided = connection.execute(
            "SELECT count(*) FROM tracks WHERE decision IS NULL OR reason IS NULL"
        ).fetchone()
    assert lost == (0,)
    assert undecided == (0,)


CASES = {
    "missing export": ["--films", "absent.xml"],
    "export that is not XML": ["--films", "not.xml"],
    "truncated export": ["--films", "cut.xml"],
    "empty corpus": ["--films", "empty.xml"],
    "music row without a file": ["--music", "music.csv"],
}


@pytest.fixture(scope="module")
def bad_inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with files that no road starts from."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "not.xml").write_text("this is no export")
    (folder / "cut.xml").write_text("<mediawiki><siteinfo><dbname>xwiki</dbname></siteinfo><page><title>A")
    (folder / "empty.xml").write_text("<mediawiki><siteinfo><dbname>xwiki</dbname></siteinfo></mediawiki>")
    (folder / "music.csv").write_text("film,path,title,artist,licence\nA film,absent.mp3,,,\n")
    return folder


def _refresh(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Type `needledrop refresh …`; returns the exit status."""
    monkeypatch.setattr(sys, "argv", ["needledrop", "refresh", *arguments])
    with pytest.raises(SystemExit) as ended:
        run()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_sentence_and_status_2(
    case: str, bad_inputs: Path, prefect_server: None, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    option, name = CASES[case]
    status = _refresh(monkeypatch, option, str(bad_inputs / name), "--lake", str(bad_inputs / "lake"))
    said = capfd.readouterr().err
    assert status == 2, said
    assert "InputError" in said
    assert "Traceback" not in said


def test_an_empty_side_of_the_split_is_said_and_nothing_is_lost(
    walked_lake: str, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _files(walked_lake)
    status = _refresh(monkeypatch, "--lake", walked_lake, "--train-until", "1950", "--test-from", "1960")
    assert status == 2
    assert "train" in capfd.readouterr().err
    assert _files(walked_lake) == before


def test_a_second_refresh_waits_its_turn(walked_lake: str, capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with held(tables.open_tables(walked_lake), "refresh"):
        status = _refresh(monkeypatch, "--lake", walked_lake)
    assert status == 3
    assert "Another refresh is at work" in capfd.readouterr().err
