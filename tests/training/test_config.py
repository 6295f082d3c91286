"""Systems and presets: names, facts of the paper, stored names of runs, and invalid values."""

import dataclasses
import json
from typing import Any

import pytest

from storage.errors import InputError
from training.config import PRESETS, SYSTEMS, chosen_settings, chosen_systems, settings_from_json


def test_all_in_small_letters_is_every_system_and_capitalised_one() -> None:
    assert [system.name for system in chosen_systems(["All"])] == ["All"]
    assert len(chosen_systems(["all"])) == 9  # eight rows, the baseline frozen and tuned
    assert {"Im", "Plo", "Ta", "ImPlo", "ImTa", "TaPlo", "AVCA", "AVCA-tuned"} < set(SYSTEMS)


def test_a_name_is_trained_once_even_if_given_twice() -> None:
    assert [system.name for system in chosen_systems(["Ta", "Plo", "Ta"])] == ["Ta", "Plo"]


def test_markers_are_used_only_with_both_tags_and_plot() -> None:
    assert {name for name, system in SYSTEMS.items() if system.markers} == {"All", "TaPlo", "AVCA", "AVCA-tuned"}


def test_paper_preset_has_the_values_of_the_papers_text() -> None:
    paper = PRESETS["paper"]
    assert (224 // paper.image.patch_pixels) ** 2 == 64
    assert paper.image.layers == 6
    assert (paper.head.form, paper.head.dropout, paper.head.embedding) == ("paper", 0.3, 64)
    assert (paper.optimiser, paper.learning_rate, paper.batch, paper.patience) == ("adam", 1e-5, 16, 3)


def test_settings_survive_json_and_any_change_changes_the_digest() -> None:
    for settings in PRESETS.values():
        loaded = settings_from_json(json.loads(json.dumps(dataclasses.asdict(settings))))
        assert loaded == settings
        assert dataclasses.replace(settings, clip_norm=2.0).digest != settings.digest


def test_pretrained_models_by_name_or_folder_replace_those_of_the_preset() -> None:
    settings = chosen_settings("paper", text_model="/models/bert", image_model="org/vit", epochs=None)
    assert (settings.text.pretrained, settings.image.pretrained) == ("/models/bert", "org/vit")
    assert settings.epochs == PRESETS["paper"].epochs


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"preset": "huge"}, "choose from paper, released, small"),
        ({"preset": "small", "batch": 1}, "batch is 1; give at least 2"),
        ({"preset": "small", "epochs": 0}, "epochs is 0"),
        ({"preset": "small", "learning_rate": 0.0}, "above 0"),
    ],
)
def test_settings_out_of_range_are_an_error(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        chosen_settings(**given)


def test_presets_have_the_digests_that_name_the_runs_of_earlier_versions() -> None:
    assert {name: preset.digest for name, preset in PRESETS.items()} == {
        "paper": "acaa7ad1",
        "released": "e0ba2940",
        "small": "07ca1901",
    }


@pytest.mark.parametrize("names", [["Everything"], []])
def test_an_unknown_or_missing_system_is_an_error_that_names_the_known_ones(names: list[str]) -> None:
    with pytest.raises(InputError, match="AVCA"):
        chosen_systems(names)
