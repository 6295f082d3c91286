"""The whole road in one process: what it leaves behind, what a second run does, what bad input says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prefect.artifacts import Artifact

from needledrop.cli.main import run
from storage.coordination.leases import leased
from storage.datasets import versions as datasets
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics
from storage.tables import tables
from storage.tables.schemas import FILMS, FLOW_RUNS, TRACKS, Table
from storage.verify import verify
from storage.views.lake_views import define_lake_views


def _files(root: str) -> set[str]:
    return {str(path) for path in Path(root).rglob("*") if path.is_file() and "flow_runs" not in str(path)}


def test_the_road_ends_in_ranks_for_every_test_track(walk: Any, walked_lake: str) -> None:
    lake = tables.open_tables(walked_lake)
    with connect_metrics(lake, read_only=True) as connection:
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
    with connect_metrics(lake, read_only=True) as connection:
        lost = connection.execute(
            "SELECT count(*) FROM films WHERE film_id NOT IN (SELECT item FROM outcomes WHERE stage = 'film')"
        ).fetchone()
        undecided = connection.execute(
            "SELECT count(*) FROM tracks WHERE decision IS NULL OR reason IS NULL"
        ).fetchone()
    assert lost == (0,)
    assert undecided == (0,)


def _refreshes(root: str) -> list[dict[str, Any]]:
    lake = tables.open_tables(root)
    with tables.connect(lake) as connection:
        define_lake_views(connection, lake, temporary=True)
        rows: list[dict[str, Any]] = connection.sql("FROM refreshes").to_arrow_table().to_pylist()
        return rows


def _artifact(key: str) -> Any:
    found: Any = Artifact.get(key)
    return found.data


def test_two_runs_stand_side_by_side_for_an_operator(walk: Any, walked_lake: str) -> None:
    from flows.refresh import refresh

    second = refresh(**walk.parameters)
    assert set(second["changes"].values()) == {0}
    report = _artifact("refresh-summary")
    assert "- **Films**: nothing changed\n- **Tracks**: nothing changed\n" in report
    assert f"- **Version**: {second['dataset']['version']}, unchanged" in report
    assert "- **Training**: nothing to do; runs of this version: 1 done" in report
    rows = {row["name"]: row for row in json.loads(_artifact("refresh-difference"))}
    first, names = walk.summary["changes"], ("films_new", "tracks_new")
    assert all(first[name] > 0 for name in names)
    [newest, *_others, oldest] = _refreshes(walked_lake)
    assert [newest[name] for name in names] == [0, 0]
    assert [oldest[name] for name in names] == [first[name] for name in names]
    assert (newest["is_new_version"], oldest["is_new_version"]) == (False, True)
    assert oldest["not_done"] == sum(walk.summary["not_done"].values())
    assert rows["dataset.films"]["more"] == 0


def test_what_a_changed_run_did_is_said_in_words(walk: Any, tmp_path: Path, prefect_server: None) -> None:
    from flows.refresh import refresh

    parameters = {**walk.parameters, "lake": str(tmp_path / "lake"), "train": "never"}
    refresh(**{**parameters, "music": [], "export": walk.parameters["export"]}, return_state=True)
    assert "- **Failed**: " in _artifact("refresh-summary")
    done = refresh(**parameters)
    report = _artifact("refresh-summary")
    assert f"- **Tracks**: {done['changes']['tracks_new']} new" in report
    assert f"- **Version**: {done['dataset']['version']} is new (" in report
    assert "- **Training**: not asked for" in report
    assert "## Not done, by stage and reason" in report
    assert [row["state"] for row in _refreshes(parameters["lake"])] == ["completed", "failed"]


CASES = {
    "missing export": ["--export", "absent.xml"],
    "export that is not XML": ["--export", "not.xml"],
    "truncated export": ["--export", "cut.xml"],
    "empty corpus": ["--export", "empty.xml"],
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


def _outcome_of(root: str, flow: str) -> str:
    rows = tables.latest(tables.open_tables(root), FLOW_RUNS, ["flow", "state", "recorded_at"]).to_pylist()
    return str(max((r for r in rows if r["flow"] == flow), key=lambda r: r["recorded_at"])["state"])


def _content(root: str, table: Table) -> list[dict[str, Any]]:
    names = [name for name in table.schema.names if name not in ("run_id", "recorded_at", "url")]
    return tables.latest(tables.open_tables(root), table, names).to_pylist()


def test_a_full_disk_stops_a_refresh_with_one_sentence_and_room_lets_it_end(
    walk: Any, walked_lake: str, small_disk: Any, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = small_disk("size=12m")
    inputs = ["--export", walk.parameters["export"], "--images", walk.parameters["images"]]
    command = [*inputs, "--music", walk.parameters["music"][0], "--train", "never", "--lake", str(disk / "lake")]
    assert _refresh(monkeypatch, *command) == 3
    said = capfd.readouterr().err
    assert "No space left" in said
    assert "Traceback" not in said
    subprocess.run(["mount", "-o", "remount,size=512m", str(disk)], check=True)
    assert _refresh(monkeypatch, *command) == 0
    assert list(verify(tables.open_tables(str(disk / "lake")), deep=True)) == []
    for table in (FILMS, TRACKS):
        assert _content(str(disk / "lake"), table) == _content(walked_lake, table)
    assert datasets.names(Lake(str(disk / "lake"))) == [walk.summary["dataset"]["version"]]


def test_a_read_only_lake_is_said_by_a_refresh_and_can_still_be_looked_at(
    walk: Any, small_disk: Any, capfd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = small_disk("size=64m")
    command = ["--export", walk.parameters["export"], "--train", "never", "--lake", str(disk / "lake")]
    assert _refresh(monkeypatch, *command) == 2  # no music yet, so no version
    assert _outcome_of(str(disk / "lake"), "refresh") == "failed"
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert _refresh(monkeypatch, *command) == 3
    said = capfd.readouterr().err
    assert "make the lake writable" in said
    assert "Traceback" not in said
    for look in ("status", "verify"):
        monkeypatch.setattr(sys, "argv", ["needledrop", look, "--lake", str(disk / "lake")])
        with pytest.raises(SystemExit) as ended:
            run()
        assert not ended.value.code


def test_a_second_refresh_waits_its_turn(walked_lake: str, capfd: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with leased(tables.open_tables(walked_lake), "refresh"):
        status = _refresh(monkeypatch, "--lake", walked_lake)
    assert status == 3
    assert "Another refresh is at work" in capfd.readouterr().err
