"""Systems and presets are data: names, facts of the paper, and what cannot be used."""

import dataclasses
import json

import pytest

from storage.errors import InputError
from training.config import PRESETS, SYSTEMS, chosen_settings, chosen_systems, settings_from_json


def test_all_in_small_letters_is_the_whole_table_and_capitalised_one_row():
    assert [system.name for system in chosen_systems(["All"])] == ["All"]
    assert len(chosen_systems(["all"])) == 9  # eight rows, the baseline frozen and tuned
    assert {"Im", "Plo", "Ta", "ImPlo", "ImTa", "TaPlo", "AVCA", "AVCA-tuned"} < set(SYSTEMS)


def test_a_name_is_trained_once_even_if_given_twice():
    assert [system.name for system in chosen_systems(["Ta", "Plo", "Ta"])] == ["Ta", "Plo"]


def test_markers_stand_only_where_tags_and_plot_are_both_read():
    assert {name for name, system in SYSTEMS.items() if system.markers} == {"All", "TaPlo", "AVCA", "AVCA-tuned"}


def test_paper_preset_is_what_the_papers_text_says():
    paper = PRESETS["paper"]
    assert (224 // paper.image.patch_pixels) ** 2 == 64
    assert paper.image.layers == 6
    assert (paper.head.form, paper.head.dropout, paper.head.embedding) == ("paper", 0.3, 64)
    assert (paper.optimiser, paper.learning_rate, paper.batch, paper.patience) == ("adam", 1e-5, 16, 3)


def test_settings_come_back_from_json_and_any_change_changes_the_digest():
    for settings in PRESETS.values():
        again = settings_from_json(json.loads(json.dumps(dataclasses.asdict(settings))))
        assert again == settings
        assert dataclasses.replace(settings, clip_norm=2.0).digest != settings.digest


def test_models_given_by_name_or_folder_replace_the_presets():
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
def test_settings_that_no_run_can_use_are_refused(given: dict, sentence: str):
    with pytest.raises(InputError, match=sentence):
        chosen_settings(**given)


@pytest.mark.parametrize("names", [["Everything"], []])
def test_an_unknown_or_missing_system_is_refused_with_the_names_there_are(names: list[str]):
    with pytest.raises(InputError, match="AVCA"):
        chosen_systems(names)
