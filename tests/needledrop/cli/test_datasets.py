"""`needledrop curate`, `datasets`, `status` and `verify`, on a lake that a refresh has filled."""

import shutil
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from needledrop.cli import datasets
from needledrop.cli.inspect import status, verify
from storage.datasets import versions
from storage.errors import InputError, LakeError
from storage.lake.lake import Lake


def run(*arguments, **options):
    app = typer.Typer()
    for room in (datasets, status, verify):
        room.register(app)
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)


@pytest.fixture
def lake(walked_lake, tmp_path) -> Lake:
    """A copy that a test may change."""
    shutil.copytree(walked_lake, tmp_path / "lake")
    return Lake(str(tmp_path / "lake"))


def test_curating_what_was_curated_writes_nothing_and_says_so(lake):
    said = run("curate", "--lake", lake.root).stdout
    assert versions.current(lake) in said
    assert "nothing was written" in said


def test_other_rules_give_another_version_which_is_listed_and_compared(lake):
    before = versions.current(lake)
    assert "written" in run("curate", "--lake", lake.root, "--train-until", 2019, "--test-from", 2022).stdout
    after = versions.current(lake)
    listed = run("datasets", "list", "--lake", lake.root).stdout
    assert listed.index(before) < listed.index(after)
    compared = run("datasets", "compare", before, "--lake", lake.root).stdout
    assert "films changed" in compared
    assert run("datasets", "compare", before, before, "--lake", lake.root).stdout == "The same content.\n"


def test_deleting_asks_and_keeps_what_is_needed(lake):
    trained = versions.current(lake)
    for year in (2018, 2019):
        run("curate", "--lake", lake.root, "--train-until", year, "--test-from", 2022, "--no-charts")
    unneeded, current = versions.names(lake)[-2:]
    assert run("datasets", "delete", "--lake", lake.root, input="n\n").exit_code == 1
    assert len(versions.names(lake)) == 3
    assert unneeded in run("datasets", "delete", "--lake", lake.root, input="y\n").stdout
    assert versions.names(lake) == [trained, current]
    refused = run("datasets", "delete", trained, "--yes", "--lake", lake.root)
    assert isinstance(refused.exception, InputError)


def test_a_version_is_exported(lake, tmp_path):
    said = run("datasets", "export", tmp_path / "out", "--no-mels", "--lake", lake.root).stdout
    assert "Wrote 10 files" in said
    assert (tmp_path / "out" / "films" / "test.parquet").exists()


def test_an_export_that_has_no_room_says_so(lake, small_disk):
    disk = small_disk("size=64k")
    refused = run("datasets", "export", disk / "out", "--lake", lake.root)
    assert isinstance(refused.exception, InputError)
    assert "make room" in str(refused.exception)


def test_the_status_of_a_filled_lake_fits_a_screen(lake):
    said = run("status", "--lake", lake.root).stdout
    assert versions.current(lake) in said
    assert len(said.splitlines()) < 50


def test_a_whole_lake_verifies_and_a_damaged_one_does_not(lake):
    assert run("verify", "--deep", "--lake", lake.root).exit_code == 0
    shard = Path(lake.root, lake.list("mels", suffix=".parquet")[0])
    shard.write_bytes(shard.read_bytes()[:1000])
    damaged = run("verify", "--lake", lake.root)
    assert isinstance(damaged.exception, LakeError)
    assert "collect soundtracks again" in " ".join(damaged.stdout.replace("│", " ").split())


@pytest.mark.parametrize("command", [["status"], ["verify"], ["curate"], ["datasets", "list"]])
def test_a_lake_that_is_not_there_is_not_made(command, tmp_path):
    refused = run(*command, "--lake", tmp_path / "typo")
    assert isinstance(refused.exception, InputError)
    assert not (tmp_path / "typo").exists()
