"""Search: the parts of a query, the choice of a run, the suggested tracks."""

import io
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
import typer
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from needledrop.cli.retrieval import search as command
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics, refresh_views
from storage.metrics.record_measurements import record_ranks
from storage.tables import tables
from storage.tables.schemas import TRACKS
from storage.tables.tables import open_existing, open_tables
from storage.takedown_list_and_erasure import record_takedown
from training.loop.devices_and_torchrun import Machine
from training.presets import chosen_settings
from training.retrieval.choose_run import choose_run, describe_run
from training.retrieval.dataset_search import Suggestion, search
from training.retrieval.query_and_filters import FilmQuery, unknown_tags
from training.systems import SYSTEMS
from training.training_runs import load_data, plan_jobs, run_experiment


@pytest.fixture(scope="module")
def trained_once(tmp_path_factory: pytest.TempPathFactory, write_into: Callable[..., str], machine: Machine) -> Lake:
    """A lake with the systems All and Plo, trained for an epoch, which is enough to search with them."""
    lake = open_tables(str(tmp_path_factory.mktemp("trained") / "lake"))
    data = load_data(lake, write_into(lake))
    settings = chosen_settings("small", epochs=1)
    for job in plan_jobs(data.version, [SYSTEMS["All"], SYSTEMS["Plo"]], settings, [0]):
        run_experiment(lake, data, job, machine)
    return lake


@pytest.fixture
def trained(trained_once: Lake, tmp_path: Path) -> Lake:
    """A copy of the trained lake, which the test may change."""
    return Lake(str(shutil.copytree(trained_once.root, tmp_path / "trained")))


def png() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (40, 30), 90).save(buffer, "PNG")
    return buffer.getvalue()


def test_an_empty_query_is_an_error() -> None:
    with pytest.raises(InputError, match="nothing to search by"):
        FilmQuery()


def test_an_unreadable_image_is_an_error() -> None:
    with pytest.raises(InputError, match="given as image cannot be read"):
        FilmQuery(image=b"hello")


def test_a_lake_without_runs_is_an_error_that_names_the_next_command(lake: Lake) -> None:
    with pytest.raises(InputError, match="needledrop curate"):
        choose_run(lake, frozenset({"plot"}))


def test_a_run_is_chosen_that_needs_only_what_is_given(trained: Lake) -> None:
    assert "-Plo-" in choose_run(trained, frozenset({"plot"}))
    assert choose_run(trained, frozenset({"tags"}))


def test_a_lake_can_be_searched_after_it_was_moved(trained: Lake, machine: Machine, tmp_path: Path) -> None:
    refresh_views(trained)
    query = FilmQuery(plot=("A chase.",))
    before = search(trained, choose_run(trained, query.parts), query, 3, machine)
    moved = open_existing(str(Path(trained.root).rename(tmp_path / "moved")))
    assert search(moved, choose_run(moved, query.parts), query, 3, machine) == before
    assert all(track.film for track in before)


def test_the_best_tracks_are_from_the_test_films_or_from_all_films(trained: Lake, machine: Machine) -> None:
    query = FilmQuery(("A chase.", "A race."), ("Horror films",), png())
    run_id = choose_run(trained, query.parts)
    few = search(trained, run_id, query, 5, machine)
    assert [track.rank for track in few] == [1, 2, 3, 4, 5] and few[0].film is not None
    assert all(better.score >= worse.score for better, worse in itertools.pairwise(few))
    everything = search(trained, run_id, query, 1000, machine, all_tracks=True)
    assert len(everything) == 36 and {track.track_id for track in few} < {track.track_id for track in everything}
    assert search(trained, run_id, query, 1000, machine, all_tracks=True) == everything


@pytest.mark.parametrize("item", ["track", "film", "channel"])
@pytest.mark.parametrize("all_tracks", [False, True])
def test_what_was_taken_down_since_the_version_was_made_is_not_found(
    trained: Lake, machine: Machine, item: str, all_tracks: bool
) -> None:
    query = FilmQuery(("A chase.",))
    run_id = choose_run(trained, query.parts)
    before = [track.track_id for track in search(trained, run_id, query, 1000, machine, all_tracks=all_tracks)]
    track_id = before[0]
    film_id = track_id.removeprefix("music_folder:").rpartition("-")[0]
    row = {"film_id": film_id, "track_id": track_id, "source": "music_folder", "channel_id": "UC1"}
    tables.append(trained, TRACKS, [row], "test")
    named = {"track": track_id, "film": film_id, "channel": "channel:UC1"}[item]
    record_takedown(trained, named, "asked", "test")
    gone = {one for one in before if film_id in one} if item == "film" else {track_id}
    found = [track.track_id for track in search(trained, run_id, query, 1000, machine, all_tracks=all_tracks)]
    assert found == [one for one in before if one not in gone]
    record_takedown(trained, named, "taken back", "test", is_active=False)
    assert search(trained, run_id, query, 1, machine, all_tracks=all_tracks)[0].track_id == track_id


def test_a_search_in_which_all_is_taken_down_finds_nothing(trained: Lake, machine: Machine) -> None:
    query = FilmQuery(("A chase.",))
    run_id = choose_run(trained, query.parts)
    for track in search(trained, run_id, query, 1000, machine):
        record_takedown(trained, track.track_id, "asked", "test")
    assert search(trained, run_id, query, 10, machine) == ()


def test_a_run_that_is_not_there_is_an_error_that_names_those_that_are(trained: Lake) -> None:
    with pytest.raises(InputError, match=r"There is no run nope; there are: .*-All-.*-Plo-"):
        describe_run(trained, "nope")


def test_a_search_says_how_much_it_searches_and_which_tags_are_unknown(trained: Lake) -> None:
    searched = describe_run(trained, choose_run(trained, frozenset({"plot"})))
    known = min(searched.tags)
    assert known in unknown_tags([known, known[:-1]], searched.tags)[known[:-1]]
    first, unknown = command._notes(searched, ["xyzzy"], all_tracks=False)
    assert f"{searched.test_tracks} tracks" in first and "36: --all-tracks" in first
    assert "the tag 'xyzzy'" in unknown


def test_a_terminal_shows_title_and_place_of_each_track() -> None:
    console = Console(file=io.StringIO(), width=80)
    track = Suggestion(1, 0.5, "music_folder:1", "Theme", None, "A film", "a film/01 theme.mp3")
    command._show(console, [track], ["/music"])
    lines = ["  1  Theme", "     of A film, score 0.500, a film/01 theme.mp3", "Files are below /music"]
    assert console.file.getvalue().splitlines() == lines  # type: ignore[attr-defined]


def test_the_command_prints_csv_into_a_pipe(trained: Lake, tmp_path: Path) -> None:
    (tmp_path / "plot.txt").write_text("A chase.\n\nA race.")
    app = typer.Typer()
    app.command("other")(lambda: None)
    command.register(app)
    options = ["--lake", trained.root, "--plot", f"@{tmp_path / 'plot.txt'}", "--count", "3"]
    lines = CliRunner().invoke(app, ["search", *options]).stdout.splitlines()
    assert lines[0] == "rank,title,artist,film,score,track_id,url" and len(lines) == 4


def test_a_run_is_chosen_by_the_policy_that_search_uses(trained: Lake) -> None:
    with connect_metrics(trained) as connection:
        rows = connection.sql("SELECT run_id, system, ranks.* EXCLUDE (run_id) FROM ranks JOIN runs USING (run_id)")
        ranks = rows.to_arrow_table().to_pylist()
    best_by = {"All": "segments8", "Plo": "segments8-paragraphs"}  # and worst by the other policy
    for system, policy in best_by.items():
        own = [row for row in ranks if row["system"] == system and row["policy"] != "segments1"]
        for row in own:
            row["rank_lo"] = row["rank_hi"] = 1 if row["policy"] == policy else row["candidates"]
        record_ranks(trained, own[0]["run_id"], pa.Table.from_pylist(own))
    assert "-Plo-" in choose_run(trained, FilmQuery(("A chase.",), ("Horror films",), png()).parts)
