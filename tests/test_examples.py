"""The scripts in examples/ do what their docstrings say, on a small lake."""

from __future__ import annotations

import runpy
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from PIL import Image

from storage.metrics.database import connect_metrics
from storage.metrics.record_measurements import record_ranks
from storage.metrics.run_files import RANKS_SCHEMA
from storage.tables import tables
from storage.tables.schemas import TRACKS
from storage.tables.tables import open_tables

Run = Callable[..., str]
"""Runs an example with arguments and returns what it printed."""
EXAMPLES = sorted(path.name for path in (Path(__file__).parents[1] / "examples").glob("*.py"))


@pytest.fixture
def lake(repository: Path, tmp_path: Path) -> Path:
    """A lake of eleven films with one measured run, and next to it what it was made from (tests/fixtures/README.md)."""
    with tarfile.open(repository / "tests" / "fixtures" / "lake-c495504.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "lake"


@pytest.fixture
def run(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run an example as a script, in this process because importing torch takes longer than the examples."""

    def run(script: str, *arguments: str | Path) -> str:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        capsys.readouterr()
        try:
            runpy.run_path(str(repository / "examples" / script), run_name="__main__")
        except SystemExit as end:
            if end.code:
                raise
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("script", EXAMPLES)
def test_every_example_explains_itself(run: Run, script: str) -> None:
    assert f"python examples/{script}" in run(script, "--help")


@pytest.mark.parametrize("script", EXAMPLES)
def test_a_lake_that_does_not_exist_is_a_usage_error(
    run: Run, script: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = {"train_and_search.py": ["--plot", "A chase."], "own_source.py": ["--archives", tmp_path]}
    with pytest.raises(SystemExit, match="2"):
        run(script, "--lake", "nowhere", *arguments.get(script, []))
    assert "no lake at nowhere" in capsys.readouterr().err


def test_recall_is_plotted_for_each_system_and_chance(run: Run, lake: Path, tmp_path: Path) -> None:
    _measure_also_by_best_moment(lake)
    assert run("plot_recall.py", "--lake", lake, "--out", "recall.png").strip() == "recall.png: Ta, chance"
    with Image.open(tmp_path / "recall.png") as plot:
        assert plot.format == "PNG"
        assert len(plot.getcolors(1 << 20) or ()) > 10


def _measure_also_by_best_moment(lake: Path) -> None:
    """Add the ranks under a policy that the run of an older version lacks, as every run has them now."""
    opened = open_tables(str(lake))
    with connect_metrics(opened) as connection:
        rows = (
            connection.sql("FROM ranks WHERE policy = 'segments8' AND run_id LIKE '%-Ta-%'")
            .to_arrow_table()
            .to_pylist()
        )
    ranks = [{**row, "policy": "segments8-best"} for row in rows]
    record_ranks(opened, rows[0]["run_id"], pa.Table.from_pylist(rows + ranks, RANKS_SCHEMA))


def test_a_system_is_trained_once_and_then_searched(run: Run, lake: Path) -> None:
    query = ("--plot", "A ghost walks the cellar.", "--count", "3")
    arguments = ("train_and_search.py", "--lake", lake, "--system", "Plo", "--epochs", "1", *query)
    first = run(*arguments)
    assert len(first.splitlines()) == 3
    assert run(*arguments) == first
    with duckdb.connect(str(lake / "needledrop.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT count(*), min(state) FROM runs WHERE system = 'Plo'").fetchall() == [
            (1, "completed")
        ]


def test_recordings_come_from_the_archive_of_their_film(run: Run, lake: Path, tmp_path: Path) -> None:
    (tmp_path / "archives").mkdir()
    with zipfile.ZipFile(tmp_path / "archives" / "Ask Me on Thursday.zip", "w") as archive:
        archive.write(tmp_path / "late" / "01.wav", "theme.wav")
        archive.writestr("damaged.mp3", "no audio")
    arguments = ("own_source.py", "--lake", lake, "--archives", "archives")
    assert run(*arguments) == "1 films with 1 tracks; 1 tracks failed\n"
    assert run(*arguments) == "0 films with 0 tracks; 0 tracks failed\n"
    rows = tables.latest(
        open_tables(str(lake)), TRACKS, ["source", "film_id", "title", "segments", "reason"]
    ).to_pylist()
    added = {row["title"]: row for row in rows if row["source"] == "zip_archive"}
    assert (added["theme"]["film_id"], added["theme"]["segments"]) == ("samplewiki-1500", 1)
    assert added["damaged"]["reason"] == "not_audio"
