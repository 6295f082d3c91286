"""A lake that an earlier version made opens, answers SQL, refreshes and trains as if this version had made it.

`tests/fixtures/README.md` says how it was made and what it holds. Only the command line and SQL are used here, so
that a change inside the packages cannot make this test follow it.
"""

from __future__ import annotations

import csv
import io
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from needledrop.cli.main import run

ARCHIVE = Path(__file__).parents[1] / "fixtures" / "lake-c495504.tar.xz"
MATERIAL = ("--export", "export.xml", "--images", "images", "--music", "music", "--music", "library.csv")
"""What the lake was collected from; it is next to the lake in the archive."""
MORE = ("--export", "more/export.xml", "--images", "more/images", "--music", "more/music", "--music", "late.csv")
"""The same films and one more, its album, and the recording for a film that a killed process was working on."""
TRAINED = ("--train-until", "2014", "--system", "Ta", "--epochs", "1")
NEW_FILMS = {"samplewiki-5000", "samplewiki-1500"}
VIEWS = {
    "breakers", "dataset_films", "dataset_tracks", "epochs", "exclusions", "failures", "films", "flow_runs",
    "intervals", "leaderboard", "mels", "outcomes", "pages", "ranks", "reviews", "runs", "segments", "takedowns",
    "thumbnails", "tracks", "versions",
}  # fmt: skip
CONTENT = ("shards", "films", "tracks", "versions", "runs", "measured")
STATE = """
SELECT 'shards' AS kind, shard AS item FROM mels UNION SELECT 'films', film_id FROM mels
UNION SELECT 'tracks', film_id || '/' || track_id FROM tracks WHERE segments > 0
UNION SELECT 'versions', version FROM versions UNION SELECT 'runs', run_id FROM runs
UNION SELECT 'measured', run_id || ' ' || system FROM ranks JOIN runs USING (run_id) WHERE preset = 'small'
UNION SELECT 'leaderboard', system FROM leaderboard WHERE preset = 'small'
UNION SELECT 'current', arg_max(version, number) FROM versions
UNION SELECT 'reasons', reason FROM outcomes WHERE status <> 'ok'
UNION SELECT 'reviews', concat_ws(' ', is_match, note) FROM reviews
UNION SELECT 'takedowns', concat_ws(' ', active, because) FROM takedowns
UNION SELECT 'breakers', concat_ws(' ', source, reason) FROM breakers
UNION SELECT 'views', table_name FROM information_schema.tables
"""

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


@dataclass(frozen=True)
class Commands:
    """The command line, in the folder where the archive was unpacked."""

    folder: Path

    def __call__(self, *arguments: str) -> str:
        """Type `needledrop …` on the lake; returns what it printed. A status other than 0 fails the test."""
        printed, errors = io.StringIO(), io.StringIO()
        with chdir(self.folder), redirect_stdout(printed), redirect_stderr(errors), pytest.raises(SystemExit) as ended:
            run([*arguments, "--lake", "lake"])
        assert not ended.value.code, f"{' '.join(arguments)}\n{printed.getvalue()}\n{errors.getvalue()}"
        return printed.getvalue()

    def rows(self, query: str) -> list[list[str]]:
        """The rows that answer a query, as text."""
        return list(csv.reader(io.StringIO(self("sql", query))))[1:]

    def state(self) -> dict[str, set[str]]:
        """What the lake holds: kind -> names."""
        held: defaultdict[str, set[str]] = defaultdict(set)
        for kind, item in self.rows(STATE):
            held[kind].add(item)
        return held


@dataclass(frozen=True)
class Step:
    """What a command printed, and what the lake held before and after it."""

    printed: str
    before: dict[str, set[str]]
    after: dict[str, set[str]]


@pytest.fixture(scope="module")
def needledrop(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    """The unpacked lake and its material."""
    folder = tmp_path_factory.mktemp("old")
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        yield Commands(folder)


@pytest.fixture(scope="module")
def made(needledrop: Commands) -> dict[str, set[str]]:
    """What the lake held when it was made."""
    return needledrop.state()


@pytest.fixture(scope="module")
def same(needledrop: Commands, made: dict[str, set[str]]) -> Step:
    """A refresh from the material and with the options that made the lake."""
    printed = needledrop("refresh", *MATERIAL, *TRAINED, "--workers", "1")
    return Step(printed, made, needledrop.state())


@pytest.fixture(scope="module")
def trained(needledrop: Commands, same: Step) -> Step:
    """Another system, on the version that the old run was trained on."""
    printed = needledrop("train", "--system", "ImPlo", "--epochs", "1", "--dataset", *same.after["current"])
    return Step(printed, same.after, needledrop.state())


@pytest.fixture(scope="module")
def grown(needledrop: Commands, trained: Step) -> Step:
    """A refresh with one film and two recordings more."""
    printed = needledrop("refresh", *MORE, "--train-until", "2014", "--train", "never", "--workers", "1")
    return Step(printed, trained.after, needledrop.state())


def test_the_status_of_the_lake_is_shown(needledrop: Commands, made: dict[str, set[str]]) -> None:
    printed = needledrop("status")
    assert all(said in printed for said in ("no_plot", *made["current"]))


def test_every_file_is_intact(needledrop: Commands, made: dict[str, set[str]]) -> None:
    assert "are intact" in needledrop("verify", "--deep")


def test_every_view_answers_and_the_old_ones_have_rows(needledrop: Commands, made: dict[str, set[str]]) -> None:
    # As text, so that every column of a row is read; in one query, because each makes all views first.
    each = (
        f"SELECT '{name}', count(*), max(length(one::VARCHAR)) FROM (SELECT one FROM \"{name}\" AS one LIMIT 5)"
        for name in sorted(made["views"] | VIEWS)
    )
    answered = needledrop.rows(" UNION ALL ".join(each))
    assert {name for name, rows, _letters in answered if rows != "0"} >= VIEWS


def test_failed_items_keep_their_reason(made: dict[str, set[str]]) -> None:
    assert made["reasons"] >= {"no_plot", "no_year", "redirect", "not_a_film", "missing", "not_an_image"}
    assert made["reasons"] >= {"no_match", "no_film", "unknown_film", "not_audio", "too_short", "http_gone"}


def test_reviews_and_takedowns_are_kept(made: dict[str, set[str]]) -> None:
    assert made["reviews"] == {"true Heard in the end credits."}
    assert made["takedowns"] == {"true Asked by its owner."}
    assert made["breakers"] == {"url_list rate_limit"}


def test_both_versions_are_listed(needledrop: Commands, made: dict[str, set[str]]) -> None:
    printed = needledrop("datasets", "list")
    assert len(made["versions"]) == 2
    assert all(version in printed for version in made["versions"])


def test_a_refresh_from_the_same_material_changes_nothing(same: Step) -> None:
    assert {kind: same.after[kind] for kind in CONTENT} == {kind: same.before[kind] for kind in CONTENT}


def test_the_old_films_have_their_composers_from_the_kept_pages(needledrop: Commands, same: Step) -> None:
    [[films, credited]] = needledrop.rows("SELECT count(*), count(*) FILTER (len(composers) > 0) FROM films")
    assert int(credited) > int(films) / 2


def test_the_finished_run_is_recognised(same: Step) -> None:
    assert "already done 1" in same.printed
    assert [run.split()[1] for run in same.after["measured"]] == ["Ta"]


def test_another_system_is_listed_next_to_the_old_run(trained: Step) -> None:
    assert trained.after["leaderboard"] == {"Ta", "ImPlo"}
    assert trained.after["measured"] > trained.before["measured"]
    assert trained.after["versions"] == trained.before["versions"]


def test_one_more_film_adds_only_itself_and_what_a_killed_process_did_not_finish(grown: Step) -> None:
    assert grown.after["films"] - grown.before["films"] == NEW_FILMS
    assert len(grown.after["shards"] - grown.before["shards"]) == len(NEW_FILMS)
    assert {pair.split("/")[0] for pair in grown.after["tracks"] ^ grown.before["tracks"]} == NEW_FILMS
    assert len(grown.after["versions"] - grown.before["versions"]) == 1
    assert grown.after["runs"] == grown.before["runs"]


def test_the_old_run_still_finds_music(needledrop: Commands, grown: Step) -> None:
    [run] = [item.split()[0] for item in grown.after["measured"] if item.endswith(" Ta")]
    found = list(csv.DictReader(io.StringIO(needledrop("search", "--tags", "Ferry films", "--run", run))))
    assert found
    assert {row["track_id"] for row in found} <= {item.split("/")[1] for item in grown.after["tracks"]}
