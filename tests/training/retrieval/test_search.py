"""Music for a new film: the query's parts, the run that is asked, what comes back."""

import io
import itertools

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from needledrop.cli import search as command
from storage.errors import InputError
from storage.metrics import records as metrics
from training.config import SYSTEMS, chosen_settings
from training.experiments import load_data, plan_jobs, run_experiment
from training.retrieval.search import FilmQuery, choose_run, search


@pytest.fixture
def trained(lake, write_version, machine):
    """All and Plo, trained for an epoch, which is enough to ask them."""
    data = load_data(lake, write_version())
    settings = chosen_settings("small", epochs=1)
    for job in plan_jobs(data.version, [SYSTEMS["All"], SYSTEMS["Plo"]], settings, [0]):
        run_experiment(lake, data, job, machine)
    metrics.refresh_views(lake)
    return lake


def picture(kind="PNG", mode="L", size=(40, 30)):
    buffer = io.BytesIO()
    Image.new(mode, size, 90).save(buffer, kind)
    return buffer.getvalue()


def test_a_query_without_any_part_is_refused():
    with pytest.raises(InputError, match="nothing to search by"):
        FilmQuery()


def test_a_picture_that_is_none_is_refused():
    with pytest.raises(InputError, match="not a picture"):
        FilmQuery(picture=b"hello")


def test_a_lake_without_runs_says_what_to_do(lake):
    with pytest.raises(InputError, match="needledrop train"):
        choose_run(lake, FilmQuery(plot=("A chase.",)))


def test_the_run_that_needs_no_more_than_is_given_is_asked(trained):
    assert "-Plo-" in choose_run(trained, FilmQuery(plot=("A chase.",)))
    assert choose_run(trained, FilmQuery(tags=("Horror films",)))


def test_the_best_tracks_of_the_test_films_or_of_all_films_come_back(trained, machine):
    query = FilmQuery(("A chase.", "A race."), ("Horror films",), picture())
    run_id = choose_run(trained, query)
    few = search(trained, run_id, query, 5, machine)
    assert [track.place for track in few] == [1, 2, 3, 4, 5] and few[0].film is not None
    assert all(better.score >= worse.score for better, worse in itertools.pairwise(few))
    everything = search(trained, run_id, query, 1000, machine, all_tracks=True)
    assert len(everything) == 36 and {track.track_id for track in few} < {track.track_id for track in everything}
    assert search(trained, run_id, query, 1000, machine, all_tracks=True) == everything


def test_the_command_prints_csv_into_a_pipe(trained, tmp_path):
    (tmp_path / "plot.txt").write_text("A chase.\n\nA race.")
    app = typer.Typer()
    app.command("other")(lambda: None)
    command.register(app)
    given = ["--lake", trained.root, "--plot", f"@{tmp_path / 'plot.txt'}", "--count", "3"]
    lines = CliRunner().invoke(app, ["search", *given]).stdout.splitlines()
    assert lines[0] == "place,title,artist,film,score,track_id,url" and len(lines) == 4
