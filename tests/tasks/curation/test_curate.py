"""A version of the data set: what is in it, what is not and why, and that it is the same every time."""

import hashlib
import os
from pathlib import Path

import pytest

from storage.datasets import versions as datasets
from storage.errors import InputError
from storage.records.takedown_list import record_takedown
from storage.tables import tables
from storage.tables.schemas import FILMS, VERSIONS
from tasks.curation.curate import curate
from tasks.curation.settings import CurationSettings

DEFAULT = CurationSettings()


def folder_hashes(lake, version) -> dict[str, str]:
    folder = Path(lake.root, "datasets", version)
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_every_candidate_is_in_the_version_or_in_its_exclusions(small_lake, exclusions, column):
    small_lake.films["wiki-03"]["plot"] = []
    small_lake.tracks["wiki-04", "folder:4-1"]["decision"] = "rejected"
    lake = small_lake.committed()
    version = curate(lake, DEFAULT, "run", charts=False).version
    out = exclusions(lake, version)
    kept = set(column(lake, version, "films", "film_id"))
    kept_tracks = set(column(lake, version, "tracks", "film_id || '/' || track_id"))
    assert kept | {item for kind, item in out if kind == "film"} == set(small_lake.films)
    assert kept_tracks | {item for kind, item in out if kind == "track"} == {"/".join(key) for key in small_lake.tracks}
    assert not kept & {item for kind, item in out if kind == "film"}


@pytest.mark.parametrize(
    ("change", "rule", "setting"),
    [
        ({"plot": []}, "no_plot", "require_plot"),
        ({"plot": None}, "no_plot", "require_plot"),
        ({"year": None}, "no_year", None),
        ({"state": "gone"}, "gone", None),
        ({"tags": ["Lone films"]}, "only_rare_tags", "require_tag"),
        ({"tags": None}, "only_rare_tags", "require_tag"),
    ],
)
def test_a_film_that_breaks_a_rule_is_excluded_by_name_unless_the_rule_is_off(
    small_lake, exclusions, column, change, rule, setting
):
    small_lake.films["wiki-03"].update(change)
    lake = small_lake.committed()
    made = curate(lake, DEFAULT, "run", charts=False)
    out = exclusions(lake, made.version)
    assert out["film", "wiki-03"][0] == rule
    assert out["track", "wiki-03/folder:3-0"] == ("film_excluded", rule)
    if setting:
        relaxed = curate(lake, CurationSettings(**{setting: False}), "run", charts=False)
        assert "wiki-03" in column(lake, relaxed.version, "films", "film_id")


def test_a_film_without_a_picture_is_excluded_or_kept_without_one(small_lake, exclusions, column):
    del small_lake.pictures["wiki-03"]
    lake = small_lake.committed()
    assert exclusions(lake, curate(lake, DEFAULT, "run", charts=False).version)["film", "wiki-03"][0] == "no_thumbnail"
    relaxed = curate(lake, CurationSettings(require_thumbnail=False), "run", charts=False).version
    assert column(lake, relaxed, "films", "film_id") == sorted(small_lake.films)
    assert column(lake, relaxed, "films", "thumbnail").count(None) == 1


def test_a_film_without_a_usable_recording_is_excluded_or_kept_without_one(small_lake, exclusions, column):
    for position, change in enumerate(({"decision": "review"}, {"shard": None, "segments": None})):
        small_lake.tracks["wiki-03", f"folder:3-{position}"].update(change)
    lake = small_lake.committed()
    out = exclusions(lake, curate(lake, DEFAULT, "run", charts=False).version)
    assert out["film", "wiki-03"] == ("no_track", "not_tried")
    assert out["track", "wiki-03/folder:3-0"] == ("not_taken", "review")
    assert out["track", "wiki-03/folder:3-1"][0] == "no_mels"
    relaxed = curate(lake, CurationSettings(require_tracks=False), "run", charts=False).version
    assert "wiki-03" in column(lake, relaxed, "films", "film_id")


def test_a_recording_whose_shard_is_gone_is_excluded(small_lake, exclusions):
    lake = small_lake.committed()
    lake.remove("mels/year=2018/page=wiki-03.parquet")
    out = exclusions(lake, curate(lake, DEFAULT, "run", charts=False).version)
    assert out["track", "wiki-03/folder:3-0"] == ("shard_missing", "mels/year=2018/page=wiki-03.parquet")


def test_whoever_asked_is_left_out(small_lake, exclusions):
    lake = small_lake.committed()
    settings = CurationSettings(leave_out=("wiki-03", "folder:4-0", "wiki-05/folder:5-1"))
    out = exclusions(lake, curate(lake, settings, "run", charts=False).version)
    assert out["film", "wiki-03"][0] == "asked_out"
    assert out["track", "wiki-04/folder:4-0"][0] == out["track", "wiki-05/folder:5-1"][0] == "asked_out"


def test_the_newest_row_of_a_film_counts(small_lake, column):
    lake = small_lake.committed()
    tables.append(lake, FILMS, [{**small_lake.films["wiki-03"], "title": "Renamed"}], "second")
    version = curate(lake, DEFAULT, "run", charts=False).version
    assert "Renamed" in column(lake, version, "films", "title")


def test_segments_point_at_their_rows_in_order(small_lake, column):
    lake = small_lake.committed()
    version = curate(lake, DEFAULT, "run", charts=False).version
    assert column(lake, version, "segments", "row")[:6] == [0, 1, 2, 3, 4, 5]
    assert column(lake, version, "segments", "segment")[:6] == [0, 1, 2, 0, 1, 2]
    assert column(lake, version, "segments", "start_seconds")[:3] == pytest.approx([0, 9.92, 19.84])
    assert column(lake, version, "segments", "shard")[0] == "mels/year=2015/page=wiki-00.parquet"


def test_two_lakes_of_the_same_content_give_the_same_bytes(small_lake, tmp_path):
    first = small_lake.committed("monday")
    small_lake.lake = tables.open_tables(str(tmp_path / "other"))
    second = small_lake.committed("tuesday")
    version = curate(first, DEFAULT, "a", charts=False).version
    assert curate(second, DEFAULT, "b", charts=False).version == version
    assert folder_hashes(first, version) == folder_hashes(second, version)


def test_a_second_run_writes_nothing_and_says_so(small_lake):
    lake = small_lake.committed()
    first = curate(lake, DEFAULT, "a", charts=False)
    before = {path: path.stat().st_mtime_ns for path in Path(lake.root).rglob("*")}
    second = curate(lake, DEFAULT, "b", charts=False)
    assert (first.is_new, second.is_new) == (True, False)
    assert {path: path.stat().st_mtime_ns for path in Path(lake.root).rglob("*")} == before


def test_a_version_cut_short_is_none_and_the_next_run_writes_the_same_bytes(small_lake):
    lake = small_lake.committed()
    version = curate(lake, DEFAULT, "a", charts=False).version
    before = folder_hashes(lake, version)
    lake.remove("datasets", version, "manifest.json")
    lake.write_bytes(b"half", "datasets", version, "segments.parquet")
    assert datasets.names(lake) == []
    assert datasets.current(lake) is None
    again = curate(lake, DEFAULT, "b", charts=False)
    assert (again.is_new, again.version, folder_hashes(lake, version)) == (True, version, before)


def test_a_new_revision_with_the_same_content_is_no_new_version(small_lake):
    lake = small_lake.committed()
    first = curate(lake, DEFAULT, "a", charts=False)
    tables.append(lake, FILMS, [{**small_lake.films["wiki-03"], "revision_id": 99}], "second")
    assert curate(lake, DEFAULT, "b", charts=False).version == first.version


def test_a_content_that_comes_back_makes_its_version_current_again(small_lake):
    lake = small_lake.committed()
    first = curate(lake, DEFAULT, "a", charts=False)
    other = curate(lake, CurationSettings(require_tag=False), "b", charts=False)
    again = curate(lake, DEFAULT, "c", charts=False)
    assert (again.version, again.is_new, again.previous) == (first.version, False, other.version)
    assert datasets.current(lake) == first.version
    assert tables.latest(lake, VERSIONS).num_rows == 2


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (CurationSettings(2010, 2023), "The train split is empty.*2015, .*raise train_until"),
        (CurationSettings(2022, 2023), "The valid split is empty.*lower train_until or raise test_from"),
        (CurationSettings(2021, 2030), "The test split is empty.*lower test_from"),
    ],
)
def test_an_empty_side_is_refused_by_name(small_lake, settings, said):
    lake = small_lake.committed()
    with pytest.raises(InputError, match=said):
        curate(lake, settings, "run", charts=False)
    assert datasets.names(lake) == []


def test_an_empty_lake_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match="collect films first"):
        curate(tables.open_tables(str(tmp_path)), DEFAULT, "run")


def test_a_lake_where_every_film_is_excluded_says_why(small_lake):
    for film in small_lake.films.values():
        film["plot"] = []
    with pytest.raises(InputError, match=r"every film was left out \(no_plot 12\)"):
        curate(small_lake.committed(), DEFAULT, "run", charts=False)


def test_sides_that_overlap_are_refused():
    with pytest.raises(InputError, match="chronological"):
        CurationSettings(train_until=2022, test_from=2022)


@pytest.mark.parametrize("item", ["wiki-03", "folder:3-0", "channel:loud"])
def test_what_was_taken_down_is_in_no_new_version(small_lake, exclusions, column, item):
    small_lake.tracks["wiki-03", "folder:3-0"]["channel_id"] = "loud"
    lake = small_lake.committed()
    record_takedown(lake, item, "its owner asked", "run")
    version = curate(lake, DEFAULT, "run", charts=False).version
    assert "folder:3-0" not in column(lake, version, "tracks", "track_id")
    record_takedown(lake, item, "its owner agreed", "run", is_active=False)
    assert "folder:3-0" in column(lake, curate(lake, DEFAULT, "run", charts=False).version, "tracks", "track_id")


def test_a_silent_recording_is_excluded(small_lake, exclusions):
    small_lake.tracks["wiki-03", "folder:3-0"]["fingerprint"] = b""
    lake = small_lake.committed()
    out = exclusions(lake, curate(lake, DEFAULT, "run", charts=False).version)
    assert out["track", "wiki-03/folder:3-0"][0] == "silent"


def test_what_a_killed_curation_spilled_is_swept_and_a_living_one_is_left(small_lake, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead, alive = tmp_path / "needledrop-spill-999999999-x", tmp_path / f"needledrop-spill-{os.getpid()}-x"
    dead.mkdir()
    alive.mkdir()
    curate(small_lake.committed(), DEFAULT, "run", charts=False)
    assert (dead.exists(), alive.exists()) == (False, True)
