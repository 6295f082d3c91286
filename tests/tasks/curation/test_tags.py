"""Rare tags: counted by distinct films of the version, after the other filters, until nothing changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.lakes import SmallLake
    from tests.tasks.curation.conftest import Selection

Select = Callable[..., "Selection"]


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
