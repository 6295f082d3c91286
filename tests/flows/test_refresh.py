"""The whole road in one process: what it leaves behind, what a second run does, what bad input says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from storage import metrics, tables


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


def _refresh(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "needledrop", "refresh", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def bad_inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Command lines that cannot work, each for a reason of its own."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "not.xml").write_text("this is no export")
    (folder / "cut.xml").write_text("<mediawiki><siteinfo><dbname>xwiki</dbname></siteinfo><page><title>A")
    (folder / "empty.xml").write_text("<mediawiki><siteinfo><dbname>xwiki</dbname></siteinfo></mediawiki>")
    (folder / "music.csv").write_text("film,path,title,artist,licence\nA film,absent.mp3,,,\n")
    return {
        "missing export": ["--films", str(folder / "absent.xml")],
        "export that is not XML": ["--films", str(folder / "not.xml")],
        "truncated export": ["--films", str(folder / "cut.xml")],
        "empty corpus": ["--films", str(folder / "empty.xml")],
        "music row without a file": ["--music", str(folder / "music.csv")],
    }


@pytest.mark.parametrize(
    "case",
    ["missing export", "export that is not XML", "truncated export", "empty corpus", "music row without a file"],
)
def test_bad_input_is_one_sentence_and_status_2(case: str, bad_inputs: dict[str, list[str]], tmp_path: Path) -> None:
    done = _refresh("--lake", str(tmp_path / "lake"), *bad_inputs[case])
    assert done.returncode == 2, done.stderr
    assert "InputError" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_side_of_the_split_is_said_and_nothing_is_lost(walk: Any, walked_lake: str) -> None:
    before = _files(walked_lake)
    done = _refresh("--lake", walked_lake, "--train-until", "1950", "--test-from", "1960")
    assert done.returncode == 2, done.stderr
    assert "train" in done.stderr
    assert _files(walked_lake) == before
