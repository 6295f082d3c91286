"""The whole pipeline in one process: its results, a second run, interrupted disks, and bad input."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from prefect.artifacts import Artifact
from prefect.settings import PREFECT_API_URL

from flows.refresh import refresh
from needledrop.cli.main import run
from needledrop.report.page import write_report
from storage.coordination.leases import leased
from storage.datasets import versions as datasets
from storage.lake.lake import Lake, lake_at
from storage.metrics.database import connect_metrics
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import FILMS, FLOW_RUNS, TRACKS, Table
from storage.verify import verify
from storage.views.lake_views import define_lake_views
from tasks.progress import artifact_key
from training.data.splits import newest_version
from training.training_runs import load_data

if TYPE_CHECKING:
    from collections.abc import Callable

    from needledrop.demo.corpus_and_library import Corpus
    from tests.conftest import Refreshed


LOW_SPACE = "GB are free at"


@dataclass(frozen=True)
class Grown:
    """A lake after two refreshes: the parameters and the summary of the second one, and the reports of both."""

    parameters: dict[str, Any]
    summary: dict[str, Any]
    reports: tuple[str, str]


def _files(root: str) -> set[str]:
    """The files of a lake without those that say that a run took place: its record, and the numbers of its leases."""
    left_out = {"flow_runs", "leases"}
    return {str(path) for path in Path(root).rglob("*") if path.is_file() and not left_out & set(path.parts)}


def test_every_test_track_is_ranked(refreshed_lake: str) -> None:
    lake = tables.open_tables(refreshed_lake)
    with connect_metrics(lake, read_only=True) as connection:
        ranked = connection.execute("SELECT count(DISTINCT track_id) FROM ranks").fetchone()
        test_tracks = connection.execute(
            "SELECT count(DISTINCT track_id) FROM segments WHERE split = 'test'"
        ).fetchone()
    assert ranked == test_tracks
    assert ranked and ranked[0] > 10


def test_no_film_and_no_recording_is_in_two_splits(refreshed_lake: str) -> None:
    lake = tables.open_tables(refreshed_lake)
    data = load_data(lake, newest_version(lake))
    ids = [(set(split.film_ids), set(split.track_ids)) for split in (data.train, data.valid, data.test)]
    for (films, tracks), (other_films, other_tracks) in itertools.combinations(ids, 2):
        assert films.isdisjoint(other_films) and tracks.isdisjoint(other_tracks)


def test_a_second_run_changes_no_file(refreshed: Refreshed, refreshed_lake: str) -> None:
    before = _files(refreshed_lake)
    second = refresh(**refreshed.parameters)
    assert _files(refreshed_lake) == before
    assert second["dataset"]["version"] == refreshed.summary["dataset"]["version"]


def test_a_version_that_has_a_run_is_trained_again_only_where_that_is_asked_for(
    refreshed: Refreshed, refreshed_copy: Lake
) -> None:
    options = {"lake": refreshed_copy.root, "epochs": refreshed.parameters["epochs"], "charts": False}
    when_new = refresh(**options, train="when_new")
    assert (when_new["dataset"]["new"], when_new["training"]["trained"]) == (False, 0)
    always = refresh(**options, train="always")
    assert always["dataset"]["version"] == when_new["dataset"]["version"]
    assert (always["training"]["trained"], always["training"]["already_done"]) == (1, 0)
    [first], [again] = when_new["training"]["runs"], always["training"]["runs"]
    assert first != again
    with connect_metrics(refreshed_copy) as connection:
        states = dict(connection.execute("SELECT run_id, state FROM runs WHERE source = 'trained'").fetchall())
    assert (states[first], states[again]) == ("completed", "completed")


def test_every_page_and_every_recording_has_an_outcome(refreshed_lake: str) -> None:
    lake = tables.open_tables(refreshed_lake)
    with connect_metrics(lake, read_only=True) as connection:
        without_outcome = connection.execute(
            "SELECT count(*) FROM films WHERE film_id NOT IN (SELECT item FROM outcomes WHERE stage = 'film')"
        ).fetchone()
        without_decision = connection.execute(
            "SELECT count(*) FROM tracks WHERE decision IS NULL OR reason IS NULL"
        ).fetchone()
    assert without_outcome == (0,)
    assert without_decision == (0,)


def _refreshes(root: str) -> list[dict[str, Any]]:
    lake = tables.open_tables(root)
    with duckdb_connection.connect(lake) as connection:
        define_lake_views(connection, lake, temporary=True)
        rows: list[dict[str, Any]] = connection.sql("FROM refreshes").to_arrow_table().to_pylist()
        return rows


def _artifact(lake: str, name: str) -> Any:
    artifact: Any = Artifact.get(artifact_key(lake_at(lake), name))
    return artifact.data


def test_a_summary_shows_each_number_next_to_the_run_before(refreshed: Refreshed, refreshed_lake: str) -> None:
    second = refresh(**refreshed.parameters)
    assert set(second["changes"].values()) == {0}
    report = _artifact(refreshed_lake, "refresh-summary")
    assert "- **Films**: nothing changed\n- **Tracks**: nothing changed\n" in report
    assert f"- **Version**: {second['dataset']['version']}, unchanged" in report
    assert "- **Training**: nothing to do; runs of this version: 1 done" in report
    rows = {row["name"]: row for row in json.loads(_artifact(refreshed_lake, "refresh-difference"))}
    first, names = refreshed.summary["changes"], ("films_new", "tracks_new")
    assert all(first[name] > 0 for name in names)
    [newest, *_others, oldest] = _refreshes(refreshed_lake)
    assert [newest[name] for name in names] == [0, 0]
    assert [oldest[name] for name in names] == [first[name] for name in names]
    assert (newest["is_new_version"], oldest["is_new_version"]) == (False, True)
    assert oldest["not_done"] == sum(refreshed.summary["not_done"].values())
    assert rows["dataset.films"]["more"] == 0


@pytest.fixture(scope="module")
def grown(
    prefect_server: None, demo_corpus: Callable[[int], Corpus], tmp_path_factory: pytest.TempPathFactory
) -> Grown:
    """A small lake that was refreshed without music, and then with it."""
    corpus = demo_corpus(2)
    inputs = {"export": str(corpus.export), "images": str(corpus.images), "train": "never"}
    parameters = {**inputs, "lake": str(tmp_path_factory.mktemp("grown") / "lake"), "music": [str(corpus.music)]}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.progress.LOG_SECONDS", 0.5)  # as in a run of hours
        refresh(**{**parameters, "music": []}, return_state=True)
        first = _artifact(parameters["lake"], "refresh-summary")
        return Grown(parameters, refresh(**parameters), (first, _artifact(parameters["lake"], "refresh-summary")))


def test_a_summary_names_changes_and_failures(grown: Grown) -> None:
    first, report = grown.reports
    assert "- **Nothing yet**: No version can be made yet: no recording of any film" in first
    assert f"- **Tracks**: {grown.summary['changes']['tracks_new']} new" in report
    assert f"- **Version**: {grown.summary['dataset']['version']} is new (" in report
    assert "- **Training**: not requested" in report
    assert "## Not done, by stage and reason" in report
    assert [row["state"] for row in _refreshes(grown.parameters["lake"])] == ["completed", "nothing_yet"]


def test_a_long_stage_has_an_artifact_of_its_progress(grown: Grown) -> None:
    assert _artifact(grown.parameters["lake"], "Turning music into mels") == 100.0


def _ask(path: str, **body: Any) -> Any:
    """Return what the server's API answers, as its pages ask it: to a POST where there is a body."""
    method = "POST" if body else "GET"
    answer = httpx.request(method, f"{PREFECT_API_URL.value()}/{path}", json=body or None, timeout=30)
    return answer.raise_for_status().json()


@pytest.fixture(scope="module")
def stages(refreshed_lake: str) -> dict[str, dict[str, Any]]:
    """The stages in the graph of the refresh that filled the lake: id of their flow run -> node."""
    first = _refreshes(refreshed_lake)[-1]["flow_run_id"]
    nodes = _ask(f"flow_runs/{first}/graph-v2")["nodes"]
    return {node["id"]: node for _, node in nodes if node["kind"] == "flow-run"}


def test_the_graph_shows_which_stage_waits_for_which(stages: dict[str, dict[str, Any]]) -> None:
    edges = [
        (stages[parent["id"]]["label"].split()[0], node["label"].split()[0])
        for node in stages.values()
        for parent in node["parents"]
        if parent["id"] in stages
    ]
    order = ["collect-films", "collect-soundtracks", "curate-dataset", "train-and-evaluate"]
    assert set(edges) == set(itertools.pairwise(order))


def test_flow_runs_are_named_by_lake_and_date_and_task_runs_by_their_place(stages: dict[str, dict[str, Any]]) -> None:
    name_of_run = re.compile(r"([a-z-]+) / \1 lake \d{4}-\d\d-\d\d \d\d:\d\d")
    assert not [node["label"] for node in stages.values() if not name_of_run.fullmatch(node["label"])]
    tasks = _ask("task_runs/filter", flow_runs={"id": {"any_": list(stages)}})
    names = {task["name"] for task in tasks}
    assert "make a version" in names
    assert {name.split()[0] for name in names if re.search(r" [\d,]+–[\d,]+ of [\d,]+$", name)} == {
        "bytes", "films", "images"
    }  # fmt: skip
    assert not [name for name in names if re.fullmatch(r"[a-z_-]+-[0-9a-f]{3}", name)], "Prefect's own names"


def test_a_leaderboard_is_shown_after_training(refreshed_lake: str) -> None:
    rows = json.loads(_artifact(refreshed_lake, "leaderboard"))
    assert {"All", "random", "nearest tags"} <= {row["system"] for row in rows}
    assert all(0 <= row["r_at_10"] <= 100 for row in rows if row["system"] == "All")


CASES = {
    "missing export": ["--export", "absent.xml"],
    "export that is not XML": ["--export", "not.xml"],
    "truncated export": ["--export", "cut.xml"],
    "empty corpus": ["--export", "empty.xml"],
    "music row without a file": ["--music", "music.csv"],
}


@pytest.fixture(scope="module")
def bad_inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of files that no refresh can start from."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "not.xml").write_text("this is no export")
    (folder / "cut.xml").write_text("<mediawiki><siteinfo><dbname>xwiki</dbname></siteinfo><page><title>A")
    (folder / "empty.xml").write_text("<mediawiki><siteinfo><dbname>xwiki</dbname></siteinfo></mediawiki>")
    (folder / "music.csv").write_text("film,path,title,artist,licence\nA film,absent.mp3,,,\n")
    return folder


def _refresh(*arguments: str) -> int:
    """Type `needledrop refresh …`; return the exit status."""
    with pytest.raises(SystemExit) as exit_:
        run(["refresh", *arguments])
    return int(exit_.value.code or 0)


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_sentence_and_status_2(
    case: str, bad_inputs: Path, prefect_server: None, capfd: pytest.CaptureFixture[str]
) -> None:
    option, name = CASES[case]
    status = _refresh(option, str(bad_inputs / name), "--lake", str(bad_inputs / "lake"))
    message = capfd.readouterr().err
    assert status == 2, message
    assert "Error: " in message
    assert "Traceback" not in message


def test_an_empty_split_is_bad_input_and_changes_nothing(
    refreshed_lake: str, capfd: pytest.CaptureFixture[str]
) -> None:
    before = _files(refreshed_lake)
    status = _refresh("--lake", refreshed_lake, "--train-until", "1950", "--test-from", "1960")
    assert status == 2
    assert "train" in capfd.readouterr().err
    assert _files(refreshed_lake) == before


def _last_state(root: str, flow: str) -> str:
    rows = tables.latest(tables.open_tables(root), FLOW_RUNS, ["flow", "state", "recorded_at"]).to_pylist()
    return str(max((r for r in rows if r["flow"] == flow), key=lambda r: r["recorded_at"])["state"])


def _content(root: str, table: Table) -> list[dict[str, Any]]:
    names = [name for name in table.schema.names if name not in ("run_id", "recorded_at", "url")]
    return tables.latest(tables.open_tables(root), table, names).to_pylist()


def test_a_full_disk_ends_a_refresh_with_one_sentence_and_the_next_one_completes(
    grown: Grown, small_disk: Callable[[str], Path], capfd: pytest.CaptureFixture[str]
) -> None:
    disk, given = small_disk("size=12m"), grown.parameters
    inputs = ["--export", given["export"], "--images", given["images"], "--music", given["music"][0]]
    command = [*inputs, "--train", "never", "--lake", str(disk / "lake")]
    assert _refresh(*command) == 3
    message = capfd.readouterr().err
    assert "No space left" in message
    assert "Traceback" not in message
    subprocess.run(["mount", "-o", "remount,size=512m", str(disk)], check=True)
    assert _refresh(*command) == 0
    assert list(verify(tables.open_tables(str(disk / "lake")), deep=True)) == []
    for table in (FILMS, TRACKS):
        assert _content(str(disk / "lake"), table) == _content(given["lake"], table)
    assert datasets.names(Lake(str(disk / "lake"))) == [grown.summary["dataset"]["version"]]


def test_a_read_only_lake_is_refused_by_a_refresh_and_can_still_be_read(
    refreshed: Refreshed,
    small_disk: Callable[[str], Path],
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    disk = small_disk("size=64m")
    command = ["--export", refreshed.parameters["export"], "--train", "never", "--lake", str(disk / "lake")]
    assert _refresh(*command) == 2  # no music yet, so no version
    assert _last_state(str(disk / "lake"), "refresh") == "nothing_yet"
    assert LOW_SPACE in caplog.text
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    assert _refresh(*command) == 3
    message = capfd.readouterr().err
    assert "make the lake writable" in message
    assert "Traceback" not in message
    for command in ("status", "verify"):
        with pytest.raises(SystemExit) as exit_:
            run([command, "--lake", str(disk / "lake")])
        assert not exit_.value.code
        assert (LOW_SPACE in capfd.readouterr().out) == (command == "status")


def test_a_second_refresh_of_a_lake_is_refused_while_one_runs(
    refreshed_lake: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with leased(tables.open_tables(refreshed_lake), "refresh"):
        status = _refresh("--lake", refreshed_lake)
    assert status == 3
    assert "Another refresh of" in capfd.readouterr().err


def test_training_ends_with_baselines_intervals_and_differences(refreshed_lake: str) -> None:
    with connect_metrics(tables.open_tables(refreshed_lake)) as connection:
        rows = connection.execute("SELECT system, r_at_10_low FROM leaderboard WHERE source IN ('trained', 'control')")
        bounds = dict(rows.fetchall())
        compared = {name for (name,) in connection.execute("SELECT DISTINCT system FROM comparisons").fetchall()}
    baselines = {"random", "language oracle", "nearest tags", "mean query", "years kept"}
    assert set(bounds) == {"All"} | baselines and None not in bounds.values()
    assert compared == baselines


def test_a_refreshed_lake_can_be_reported(refreshed_lake: str, tmp_path: Path) -> None:
    report = write_report(tables.open_tables(refreshed_lake), None, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    best = page.split("<h3>Best</h3>")[1]
    assert report.systems[0].epochs
    assert "<ol><li" in best, "the best film has suggestions"
