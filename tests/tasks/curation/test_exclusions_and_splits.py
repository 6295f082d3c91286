"""Films, tracks and rare tags that break a rule are excluded by name, and are kept when the rule is switched off.

An empty or an impossible split is refused with the parameter to change.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from storage.errors import InputError
from storage.records.review_answers_and_agreement import record_new_rows, record_review
from storage.tables import tables
from storage.tables.schemas import ALBUM_REVIEWS, FILMS
from storage.takedown_list_and_erasure import record_takedown
from tasks.curation.exclusions_and_splits import CurationSettings, check_splits

if TYPE_CHECKING:
    from storage.lake.lake import Lake
    from tests.lakes import SmallLake
    from tests.tasks.curation.conftest import Selection


Select = Callable[..., "Selection"]

BROKEN_FILMS: dict[str, tuple[dict[str, Any], str, str | None]] = {
    # film: its change, the rule that it breaks, the setting that switches the rule off
    "wiki-00": ({"plot": []}, "no_plot", "require_plot"),
    "wiki-01": ({"plot": None}, "no_plot", "require_plot"),
    "wiki-02": ({"year": None}, "no_year", None),
    "wiki-03": ({"state": "gone"}, "gone", None),
    "wiki-04": ({"tags": ["Lone films"]}, "only_rare_tags", "require_tag"),
    "wiki-05": ({"tags": None}, "only_rare_tags", "require_tag"),
    "wiki-10": ({}, "no_thumbnail", "require_thumbnail"),
    "wiki-11": ({}, "no_track", "require_tracks"),
}


@pytest.fixture(scope="module")
def broken_lake(new_small_lake: Callable[[], SmallLake]) -> Lake:
    """Return a lake in which every film of `BROKEN_FILMS` breaks one rule."""
    lake = new_small_lake()
    for film_id, (change, _, _) in BROKEN_FILMS.items():
        lake.films[film_id].update(change)
    del lake.images["wiki-10"]
    lake.tracks["wiki-11", "folder:11-0"].update({"decision": "review"})
    lake.tracks["wiki-11", "folder:11-1"].update({"shard": None, "segments": None})
    return lake.committed()


@pytest.fixture(scope="module")
def selection(broken_lake: Lake, select: Select) -> Selection:
    return select(broken_lake)


@pytest.mark.parametrize("film_id", BROKEN_FILMS)
def test_a_film_that_breaks_a_rule_is_excluded_by_that_rule(film_id: str, selection: Selection) -> None:
    rule = BROKEN_FILMS[film_id][1]
    assert selection.exclusions["film", film_id][0] == rule
    assert film_id not in selection.films
    if rule != "no_track":
        number = int(film_id.removeprefix("wiki-"))
        assert selection.exclusions["track", f"{film_id}/folder:{number}-0"] == ("film_excluded", rule)


@pytest.mark.parametrize("setting", ["require_plot", "require_tag", "require_thumbnail", "require_tracks"])
def test_a_rule_that_is_switched_off_excludes_no_film(
    setting: str, broken_lake: Lake, select: Select, selection: Selection
) -> None:
    kept = set(select(broken_lake, **{setting: False}).films) - set(selection.films)
    assert kept == {film_id for film_id, (_, _, switch) in BROKEN_FILMS.items() if switch == setting}


def test_a_film_without_a_usable_recording_names_why_each_is_unusable(selection: Selection) -> None:
    assert selection.exclusions["film", "wiki-11"] == ("no_track", "not_tried")
    assert selection.exclusions["track", "wiki-11/folder:11-0"] == ("not_taken", "review")
    assert selection.exclusions["track", "wiki-11/folder:11-1"][0] == "no_mels"


def test_every_candidate_is_selected_or_excluded(small_lake: SmallLake, select: Select) -> None:
    small_lake.films["wiki-03"]["plot"] = []
    small_lake.tracks["wiki-04", "folder:4-1"]["decision"] = "rejected"
    selected = select(small_lake.committed())
    excluded = {kind: {item for k, item in selected.exclusions if k == kind} for kind in ("film", "track")}
    assert set(selected.films) | excluded["film"] == set(small_lake.films)
    assert set(selected.tracks) | excluded["track"] == {"/".join(key) for key in small_lake.tracks}
    assert not set(selected.films) & excluded["film"]


def test_a_recording_whose_shard_is_missing_is_excluded(small_lake: SmallLake, select: Select) -> None:
    lake = small_lake.committed()
    shard = "mels/year=2018/page=wiki-03.parquet"
    lake.remove(shard)
    assert select(lake).exclusions["track", "wiki-03/folder:3-0"] == ("shard_missing", shard)


def test_a_silent_recording_is_excluded(small_lake: SmallLake, select: Select) -> None:
    small_lake.tracks["wiki-03", "folder:3-0"]["fingerprint"] = b""
    assert select(small_lake.committed()).exclusions["track", "wiki-03/folder:3-0"][0] == "silent"


def test_films_and_tracks_named_by_leave_out_are_excluded(small_lake: SmallLake, select: Select) -> None:
    leave_out = ("wiki-03", "folder:4-0", "wiki-05/folder:5-1")
    exclusions = select(small_lake.committed(), leave_out=leave_out).exclusions
    assert exclusions["film", "wiki-03"][0] == "asked_out"
    assert exclusions["track", "wiki-04/folder:4-0"][0] == "asked_out"
    assert exclusions["track", "wiki-05/folder:5-1"][0] == "asked_out"


def test_an_active_takedown_excludes_its_tracks(small_lake: SmallLake, select: Select) -> None:
    small_lake.tracks["wiki-05", "folder:5-0"]["channel_id"] = "loud"
    lake = small_lake.committed()
    items = ("wiki-03", "folder:4-0", "channel:loud")
    tracks = {"wiki-03/folder:3-0", "wiki-04/folder:4-0", "wiki-05/folder:5-0"}
    for item in items:
        record_takedown(lake, item, "its owner asked", "run")
    assert not tracks & set(select(lake).tracks)
    for item in items:
        record_takedown(lake, item, "its owner agreed", "run", is_active=False)
    assert tracks <= set(select(lake).tracks)


def test_the_newest_row_of_a_film_counts(small_lake: SmallLake, select: Select) -> None:
    lake = small_lake.committed()
    tables.append(lake, FILMS, [{**small_lake.films["wiki-03"], "title": "Renamed"}], "second")
    assert select(lake).films["wiki-03"]["title"] == "Renamed"


def test_an_empty_lake_is_refused(copy_of_empty_lake: Callable[[], Lake], select: Select) -> None:
    with pytest.raises(InputError, match="collect films first"):
        select(copy_of_empty_lake())


def test_a_lake_where_every_film_is_excluded_is_refused_with_the_rules(small_lake: SmallLake, select: Select) -> None:
    for film in small_lake.films.values():
        film["plot"] = []
    with pytest.raises(InputError, match=r"every film was excluded \(no_plot 12\)"):
        select(small_lake.committed())


def test_a_tag_of_one_film_is_rare_however_often_it_is_listed(small_lake: SmallLake, select: Select) -> None:
    small_lake.films["wiki-03"]["tags"] = ["Drama films", "Heist films", "Heist films"]
    selected = select(small_lake.committed())
    assert selected.exclusions["tag", "Heist films"] == ("rare", "1")
    assert selected.films["wiki-03"]["tags"] == ["Drama films"]


def test_tags_are_kept_once_and_in_the_order_of_the_page(small_lake: SmallLake, select: Select) -> None:
    for film in ("wiki-03", "wiki-04"):
        small_lake.films[film]["tags"] = ["Western films", "Lone " + film, "Drama films", "Western films", "Art films"]
    films = select(small_lake.committed()).films
    assert films["wiki-03"]["tags"] == films["wiki-04"]["tags"] == ["Western films", "Drama films", "Art films"]


def test_a_tag_shared_only_with_an_excluded_film_is_rare(small_lake: SmallLake, select: Select) -> None:
    small_lake.films["wiki-03"]["tags"] = small_lake.films["wiki-04"]["tags"] = ["Drama films", "Heist films"]
    small_lake.films["wiki-04"]["plot"] = []
    assert select(small_lake.committed()).exclusions["tag", "Heist films"] == ("rare", "1")


def test_excluding_a_film_can_make_another_tag_rare(small_lake: SmallLake, select: Select) -> None:
    # Both have the tag "Heist films", but wiki-03 has only duplicates of recordings of wiki-02.
    small_lake.films["wiki-03"]["tags"] = ["Drama films", "Heist films"]
    small_lake.films["wiki-04"]["tags"] = ["Heist films"]
    for index in range(2):
        sound = small_lake.tracks["wiki-02", f"folder:2-{index}"]["audio_sha256"]
        small_lake.tracks["wiki-03", f"folder:3-{index}"]["audio_sha256"] = sound
    exclusions = select(small_lake.committed()).exclusions
    assert exclusions["film", "wiki-03"][0] == "only_duplicates"
    assert exclusions["film", "wiki-04"][0] == "only_rare_tags"


def test_the_threshold_is_a_setting(small_lake: SmallLake, select: Select) -> None:
    exclusions = select(small_lake.committed(), min_films_per_tag=3).exclusions
    assert {item for kind, item in exclusions if kind == "tag"} == {f"{year} films" for year in range(2000, 2006)}


@pytest.mark.parametrize("seed", range(5))
def test_the_selection_is_a_fixed_point_of_its_rules(small_lake: SmallLake, select: Select, seed: int) -> None:
    random = Random(seed)
    for film in small_lake.films.values():
        film["tags"] = random.sample([f"Tag {n} films" for n in range(14)], 2)
    for key in list(small_lake.tracks)[::3]:
        small_lake.tracks[key]["audio_sha256"] = f"shared {random.randrange(4)}"
    selected = select(small_lake.committed(), train_until=2018, test_from=2022)
    tags = [film["tags"] for film in selected.films.values()]
    assert all(tags)
    assert min(Counter(tag for of_film in tags for tag in of_film).values()) >= 2
    assert set(selected.films) == {track.split("/")[0] for track in selected.tracks}


def test_a_collected_recording_that_a_person_refused_is_excluded_until_it_is_accepted(
    small_lake: SmallLake, select: Select
) -> None:
    lake = small_lake.committed()
    record_review(lake, "wiki-03", "folder:3-0", is_match=False, note="a cover", run_id="command")
    selected = select(lake)
    assert selected.exclusions["track", "wiki-03/folder:3-0"] == ("refused", "folder:3-0")
    assert "wiki-03/folder:3-1" in selected.tracks
    record_review(lake, "wiki-03", "folder:3-0", is_match=True, note="it is not", run_id="command")
    assert "wiki-03/folder:3-0" in select(lake).tracks


def test_a_refused_album_excludes_all_its_recordings_of_this_film(small_lake: SmallLake, select: Select) -> None:
    for film_id, track_id in (("wiki-03", "folder:3-0"), ("wiki-03", "folder:3-1"), ("wiki-04", "folder:4-0")):
        small_lake.tracks[film_id, track_id]["album"] = "Greatest Hits"
    lake = small_lake.committed()
    answer = {"film_id": "wiki-03", "album": "name:greatest hits", "rater": "", "is_match": False}
    record_new_rows(lake, ALBUM_REVIEWS, [{**answer, "album_title": "Greatest Hits", "note": ""}], "command")
    selected = select(lake)
    assert selected.exclusions["film", "wiki-03"][0] == "no_track" and "wiki-04/folder:4-0" in selected.tracks


@pytest.mark.parametrize(
    ("train_until", "test_from", "message"),
    [
        (2010, 2023, "The train split is empty.*2015, .*raise train_until"),
        (2019, 2021, "The valid split is empty.*lower train_until or raise test_from"),
        (2021, 2030, "The test split is empty.*lower test_from"),
    ],
)
def test_an_empty_split_is_refused(train_until: int, test_from: int, message: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE films AS SELECT unnest(range(2015, 2027)) AS year")
        connection.execute("DELETE FROM films WHERE year = 2020")
        with pytest.raises(InputError, match=message):
            check_splits(connection, CurationSettings(train_until=train_until, test_from=test_from))


def test_splits_that_overlap_are_refused() -> None:
    with pytest.raises(InputError, match="chronological"):
        CurationSettings(train_until=2022, test_from=2022)


def test_splits_without_a_year_to_validate_on_are_refused() -> None:
    with pytest.raises(InputError, match="test_from=2022 leaves no year after train_until=2021 to validate on"):
        CurationSettings(train_until=2021, test_from=2022)
