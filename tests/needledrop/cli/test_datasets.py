"""`needledrop curate`, `datasets`, `status` and `verify` on a lake that a refresh has filled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from storage.datasets import versions
from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from tests.commands import run


@pytest.fixture
def lake(refreshed_copy: Lake) -> Lake:
    return refreshed_copy


def test_curating_the_same_films_again_writes_nothing(lake: Lake) -> None:
    output = run("curate", "--lake", lake.root).stdout
    assert str(versions.current(lake)) in output
    assert "nothing was written" in output


def test_other_rules_give_another_version_which_is_listed_and_compared(lake: Lake) -> None:
    before = str(versions.current(lake))
    assert "written" in run("curate", "--lake", lake.root, "--train-until", 2019, "--test-from", 2022).stdout
    after = str(versions.current(lake))
    listed = run("datasets", "list", "--lake", lake.root).stdout
    assert listed.index(before) < listed.index(after)
    compared = run("datasets", "compare", before, "--lake", lake.root).stdout
    assert "films changed" in compared
    assert run("datasets", "compare", before, before, "--lake", lake.root).stdout == "The same content.\n"


def test_delete_asks_first_and_keeps_versions_that_are_needed(lake: Lake) -> None:
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


def test_a_version_is_exported(lake: Lake, tmp_path: Path) -> None:
    output = run("datasets", "export", tmp_path / "out", "--no-mels", "--lake", lake.root).stdout
    assert "Wrote 10 files" in output
    assert (tmp_path / "out" / "films" / "test.parquet").exists()


def test_an_export_to_a_full_disk_is_bad_input(lake: Lake, small_disk: Callable[[str], Path]) -> None:
    disk = small_disk("size=64k")
    refused = run("datasets", "export", disk / "out", "--lake", lake.root)
    assert isinstance(refused.exception, InputError)
    assert "free space there or choose another folder" in str(refused.exception)


def test_the_status_of_a_filled_lake_fits_a_screen(lake: Lake) -> None:
    output = run("status", "--lake", lake.root).stdout
    assert str(versions.current(lake)) in output
    assert len(output.splitlines()) < 50


def test_an_intact_lake_verifies_and_a_damaged_one_does_not(lake: Lake) -> None:
    assert run("verify", "--deep", "--lake", lake.root).exit_code == 0
    shard = Path(lake.root, lake.list("mels", suffix=".parquet")[0])
    shard.write_bytes(shard.read_bytes()[:1000])
    damaged = run("verify", "--lake", lake.root)
    assert isinstance(damaged.exception, LakeError)
    assert "collect soundtracks again" in " ".join(damaged.stdout.replace("│", " ").split())
