"""The card of a version states its numbers, and the Hugging Face hub can read it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import numpy as np
import pytest
import yaml
from matplotlib.figure import Figure
from PIL import Image

from storage.datasets import versions as datasets
from storage.mels.settings_and_shard_format import MelSettings
from storage.records.review_answers_and_agreement import record_new_rows
from storage.tables import tables
from storage.tables.schemas import RATINGS, VERSIONS
from storage.verify import verify
from tasks.curation.card_charts import draw_tags, mel_sheet
from tasks.curation.curate import curate
from tasks.curation.exclusions_and_splits import CurationSettings
from tasks.soundtracks.audio.melspectrogram import band_corners_hz
from tasks.soundtracks.candidate_recordings import Decision
from tasks.soundtracks.reviews.draw_sample import draw_sample

if TYPE_CHECKING:
    from storage.lake.lake import Lake
    from tests.lakes import LakeWithMels, SmallLake


@pytest.fixture(scope="module")
def folder(new_lake_with_mels: Callable[[], LakeWithMels]) -> Path:
    """Return the folder of a version with charts."""
    lake = new_lake_with_mels()
    lake.films["wiki-03"]["plot"] = []
    lake.films["wiki-04"]["tags"] += ["Tamil-language films"]
    lake.films["wiki-05"]["tags"] += ["Tamil-language films"]
    version = curate(lake.committed(), CurationSettings(), "run").version
    return Path(lake.lake.root, "datasets", version)


def test_the_card_states_what_is_in_the_version_and_what_is_not(folder: Path) -> None:
    card = (folder / "README.md").read_text()
    assert "11 films with plot" in card
    assert "| film | `no_plot` | 1 |" in card
    assert "| Tamil | 2 |" in card
    assert "| tracks | unknown | 22 |" in card
    assert "Nobody had rated a sample of the pairs" in card
    for heading in ("Splits", "Files", "Known biases", "How to cite", "How to have something taken down", "Charts"):
        assert f"## {heading}" in card


def test_the_sheet_of_mels_has_axes_in_khz_and_seconds_and_a_bar_in_decibels() -> None:
    settings = MelSettings()
    mels = np.full((6, *settings.shape), -60.0, np.float32)
    mels[:, 40] = 0.0
    *sheet, bar = mel_sheet(mels, ["A film: Theme"] * 6, settings).axes
    assert [axes.get_ylabel() for axes in sheet] == ["kHz", "", "", ""] * 2
    assert [axes.get_xlabel() for axes in sheet] == ["", "", *["seconds"] * 4, "", ""]
    assert bar.get_ylabel() == "dB below the loudest of the segment"
    assert [label.get_text() for label in sheet[0].get_yticklabels()] == ["0.5", "1", "2", "4", "8"]
    [position] = sheet[0].get_yticks()[1:2]
    assert band_corners_hz(settings)[1 + int(position)] <= 1000 <= band_corners_hz(settings)[2 + int(position)]


def test_the_chart_of_tags_says_what_each_colour_is() -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE tag_counts AS SELECT 'tag ' || i AS tag, i AS films FROM range(1, 31) t(i)")
        connection.execute(
            "CREATE TABLE exclusions AS SELECT 'tag' AS kind, tag AS item FROM tag_counts WHERE films < 5"
        )
        axes = Figure().subplots()
        draw_tags(connection, axes)
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["all 30 tags", "26 kept by the rule for rare tags"]


def test_the_card_and_the_version_state_the_recordings_that_several_tracks_are(small_lake: SmallLake) -> None:
    for item in (("wiki-01", "folder:1-0"), ("wiki-02", "folder:2-0"), ("wiki-11", "folder:11-0")):
        small_lake.tracks[item]["audio_sha256"] = "the same"  # two of training, one of test
    small_lake.tracks["wiki-04", "folder:4-1"]["audio_sha256"] = small_lake.tracks["wiki-04", "folder:4-0"][
        "audio_sha256"
    ]
    made = curate(small_lake.committed(), CurationSettings(), "run", charts=False)
    counts = {"joined": 2, "tracks_left_out": 3, "by_sound": 0, "in_test": 1, "across_splits": 1}
    assert made.manifest["recordings"] == {**counts, "without_fingerprint": 24}
    card = Path(small_lake.lake.root, "datasets", made.version, "README.md").read_text()
    assert "found under several films or twice under one: 2, with 3 further tracks" in card
    assert "With a track in the test split: 1. In two splits, " in card
    assert "24 tracks have a fingerprint of an earlier version or none" in card
    [version] = tables.latest(small_lake.lake, VERSIONS, ["recordings_joined", "joined_in_test"]).to_pylist()
    assert version == {"recordings_joined": 2, "joined_in_test": 1}


def test_the_front_matter_is_what_the_hub_expects(folder: Path) -> None:
    front = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    assert front["license"] == "other"
    assert front["language"] == ["en"]
    assert front["size_categories"] == ["n<1K"]
    for config in front["configs"]:
        assert (folder / config["data_files"][0]["path"]).is_file()


def test_every_chart_of_the_card_is_an_image_that_shows_something(folder: Path) -> None:
    shown = {part.split(")")[0] for part in (folder / "README.md").read_text().split("](plots/")[1:]}
    assert shown == {"years.png", "tags.png", "tracks.png", "durations.png", "mels.png"}
    for name in shown:
        with Image.open(folder / "plots" / name) as chart:
            assert chart.width > 500
            assert len(chart.convert("L").getcolors(256) or ()) > 5


def test_the_manifest_has_the_hash_of_every_file(folder: Path) -> None:
    files = json.loads((folder / "manifest.json").read_text())["files"]
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert set(files) == present - {"manifest.json"}
    assert all(facts["sha256"] == datasets.sha256_of(folder / name) for name, facts in files.items())


def test_a_version_whose_mels_cannot_be_read_has_a_card_without_them(small_lake: SmallLake) -> None:
    lake = small_lake.committed()
    version = curate(lake, CurationSettings(), "run").version
    assert not lake.exists("datasets", version, "plots", "mels.png")
    assert "mels.png" not in lake.read_bytes("datasets", version, "README.md").decode()


def rate(lake: Lake, *, wrong: int) -> None:
    sample = draw_sample(lake, Decision.TAKEN, 50, 0, "run")
    answers = [
        {"film_id": row["film_id"], "track_id": row["track_id"], "rater": "anna"}
        | {"answer": "no" if n < wrong else "yes"}
        for n, row in enumerate(sample.rows)
    ]
    record_new_rows(lake, RATINGS, answers, "run")


def test_the_card_states_the_precision_that_people_found(small_lake: SmallLake) -> None:
    lake = small_lake.committed()
    rate(lake, wrong=2)
    version = curate(lake, CurationSettings(), "run", charts=False).version
    card = lake.read_bytes("datasets", version, "README.md").decode()
    assert "People rated 24 of 24 collected pairs" in card and "91.7% (74.2%–97.7%) are right" in card
    assert "| track | `refused` | 2 |" in card and "| band | no score | 24 | 24 | 91.7% (74.2%–97.7%) |" in card


def test_ratings_that_change_no_pair_are_stated_on_the_card_of_the_same_version(small_lake: SmallLake) -> None:
    lake = small_lake.committed()
    version = curate(lake, CurationSettings(), "first", charts=False).version
    films = lake.read_bytes("datasets", version, "films.parquet")
    rate(lake, wrong=0)
    again = curate(lake, CurationSettings(), "second", charts=False)
    card = lake.read_bytes("datasets", version, "README.md").decode()
    assert (again.version, again.is_new, again.previous) == (version, False, None)
    assert "People rated 24 of 24 collected pairs" in card and "Nobody had rated" not in card
    assert card.count("\n## ") == 9 and lake.read_bytes("datasets", version, "films.parquet") == films
    assert not [damage for damage in verify(lake) if damage.path.startswith("datasets/")]
    before = lake.read_bytes("datasets", version, "manifest.json"), tables.parts(lake, VERSIONS)
    curate(lake, CurationSettings(), "third", charts=False)
    assert (lake.read_bytes("datasets", version, "manifest.json"), tables.parts(lake, VERSIONS)) == before
