"""Rare tags: counted by distinct films of the version, after the other filters, until nothing changes."""

from collections import Counter
from random import Random

import pytest

from tasks.curation.curate import curate
from tasks.curation.settings import CurationSettings

DEFAULT = CurationSettings()


def test_a_tag_of_one_film_is_rare_however_often_it_is_listed(small_lake, exclusions, column):
    small_lake.films["wiki-03"]["tags"] = ["Drama films", "Heist films", "Heist films"]
    lake = small_lake.committed()
    version = curate(lake, DEFAULT, "run", charts=False).version
    assert exclusions(lake, version)["tag", "Heist films"] == ("rare", "1")
    assert column(lake, version, "films", "tags")[3] == ["Drama films"]


def test_kept_tags_stand_once_and_in_the_order_of_the_page(small_lake, column):
    for film in ("wiki-03", "wiki-04"):
        small_lake.films[film]["tags"] = ["Western films", "Lone " + film, "Drama films", "Western films", "Art films"]
    lake = small_lake.committed()
    kept = column(lake, curate(lake, DEFAULT, "run", charts=False).version, "films", "tags")
    assert kept[3] == kept[4] == ["Western films", "Drama films", "Art films"]


def test_a_tag_that_only_an_excluded_film_shares_is_rare(small_lake, exclusions):
    small_lake.films["wiki-03"]["tags"] = small_lake.films["wiki-04"]["tags"] = ["Drama films", "Heist films"]
    small_lake.films["wiki-04"]["plot"] = []
    lake = small_lake.committed()
    assert exclusions(lake, curate(lake, DEFAULT, "run", charts=False).version)["tag", "Heist films"] == ("rare", "1")


def test_a_film_that_leaves_can_make_another_tag_rare(small_lake, exclusions):
    # wiki-03 holds "Heist films" up for wiki-04, but has itself only a duplicate recording of wiki-02.
    small_lake.films["wiki-03"]["tags"] = ["Drama films", "Heist films"]
    small_lake.films["wiki-04"]["tags"] = ["Heist films"]
    for position in range(2):
        sound = small_lake.tracks["wiki-02", f"folder:2-{position}"]["audio_sha256"]
        small_lake.tracks["wiki-03", f"folder:3-{position}"]["audio_sha256"] = sound
    lake = small_lake.committed()
    out = exclusions(lake, curate(lake, DEFAULT, "run", charts=False).version)
    assert out["film", "wiki-03"][0] == "only_duplicates"
    assert out["film", "wiki-04"][0] == "only_rare_tags"


def test_the_threshold_is_a_setting(small_lake, exclusions):
    lake = small_lake.committed()
    out = exclusions(lake, curate(lake, CurationSettings(min_films_per_tag=3), "run", charts=False).version)
    assert {item for kind, item in out if kind == "tag"} == {f"{year} films" for year in range(2000, 2006)}


@pytest.mark.parametrize("seed", range(5))
def test_the_result_is_a_fixed_point_of_its_own_rules(small_lake, column, seed):
    random = Random(seed)
    for film in small_lake.films.values():
        film["tags"] = random.sample([f"Tag {n} films" for n in range(14)], 2)
    for key in list(small_lake.tracks)[::3]:
        small_lake.tracks[key]["audio_sha256"] = f"shared {random.randrange(4)}"
    lake = small_lake.committed()
    version = curate(lake, CurationSettings(train_until=2018, test_from=2022), "run", charts=False).version
    tags = column(lake, version, "films", "tags")
    counts = Counter(tag for of_film in tags for tag in of_film)
    assert all(tags)
    assert min(counts.values()) >= 2
    assert set(column(lake, version, "films", "film_id")) == set(column(lake, version, "tracks", "film_id"))
