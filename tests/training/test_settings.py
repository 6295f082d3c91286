"""Systems and presets: names, facts of the paper, stored names of runs, and invalid values."""

import json
from typing import Any

import pytest

from storage.errors import InputError
from training.presets import PRESETS, chosen_settings, label
from training.settings import settings_from_json
from training.systems import SYSTEMS, chosen_systems


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
    assert (paper.optimiser.name, paper.optimiser.rate) == ("adam", 1e-5)
    assert (paper.training.batch, paper.training.patience) == (16, 3)
    assert (paper.optimiser.clip_norm, paper.head.fusion, paper.data.triplet_negatives) == (None, "cross", "set")
    assert (paper.data.keep_decades, paper.data.keep_years) == (True, False)
    assert PRESETS["released"].head.fusion == PRESETS["small"].head.fusion == "released"


def test_settings_survive_json_and_any_change_changes_the_digest() -> None:
    for settings in PRESETS.values():
        assert settings_from_json(json.loads(json.dumps(settings.as_json()))) == settings
        changed = settings.changed({"optimiser.clip_norm": 1.0 if settings.optimiser.clip_norm is None else None})
        assert settings_from_json(json.loads(json.dumps(changed.as_json()))) == changed
        assert changed.digest != settings.digest


def test_pretrained_models_by_name_or_folder_replace_those_of_the_preset() -> None:
    settings = chosen_settings("paper", text_model="/models/bert", image_model="org/vit", epochs=None)
    assert (settings.text.pretrained, settings.image.pretrained) == ("/models/bert", "org/vit")
    assert settings.training == PRESETS["paper"].training


def test_pretrained_towers_are_not_trained_at_the_rate_of_random_weights_nor_cut() -> None:
    small = chosen_settings("small", text_model="/models/bert", image_model="org/vit")
    assert (small.optimiser.text_rate, small.optimiser.image_rate, small.optimiser.rate) == (2e-5, 2e-5, 1e-3)
    assert (small.text.max_tokens, small.image.adapt) == (512, False)
    own = chosen_settings("small", text_model="/models/clip", set=["text.max_tokens=77", "optimiser.text_rate=1e-4"])
    assert (own.text.max_tokens, own.optimiser.text_rate) == (77, 1e-4)
    frozen = chosen_settings("small", set=["text.pretrained=/models/bert", "text.frozen=true"])
    assert frozen.optimiser.text_rate is None
    assert chosen_settings("paper", text_model="/models/bert").optimiser.text_rate is None
    with pytest.raises(InputError, match=r"image.layers has no effect: .* cut a ViT to it by image.adapt=true"):
        chosen_settings("released", set=["image.layers=6"])


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"preset": "huge"}, "choose from paper, released, small"),
        ({"preset": "small", "batch": 1}, "training.batch is 1; give a whole number of at least 2"),
        ({"preset": "small", "epochs": 0}, "training.epochs is 0"),
        ({"preset": "small", "learning_rate": 0.0}, "optimiser.rate is 0.0; give a number above 0"),
    ],
)
def test_settings_out_of_range_are_an_error(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        chosen_settings(**given)


CHANGES: dict[str, dict[str, Any]] = {
    "none": {},
    "shorter": {"training.epochs": 3},
    "larger batch": {"training.batch": 64, "training.micro_batch": 4},
    "higher rate": {"optimiser.rate": 3e-4, "training.patience": 9},
    "fewer segments": {"evaluation.segments": 3},
    "text model": {"text.pretrained": "/models/bert"},
    "image model": {"image.pretrained": "org/vit"},
    "optimiser": {
        "optimiser.name": "adamw",
        "optimiser.weight_decay": 0.3,
        "optimiser.schedule": "cosine",
        "optimiser.warm_up_share": 0.25,
        "optimiser.clip_norm": 2.0,
    },
    "audio": {"audio.stem": (2, 4), "audio.dropout": 0.25},
    "head": {"head.form": "linear", "head.embedding": 32},
}


OLD_PAPER = {
    **{"preset": "paper", "fixed_paragraph": [], "keep_years": False, "mask_same_film": False},
    **{"triplet_negatives": "one", "optimiser": "adam", "learning_rate": 1e-05, "weight_decay": 0.0},
    **{"schedule": "constant", "warm_up_share": 0.0, "clip_norm": 1.0, "batch": 16, "micro_batch": None},
    **{"epochs": 100, "patience": 3, "eval_segments": 8},
    "text": {"pretrained": "bert-base-uncased"},
    "image": {"pretrained": "google/vit-base-patch16-224-in21k", "patch_pixels": 28, "layers": 6},
    "head": {"form": "paper", "dropout": 0.3},
}
"""What the first versions stored for the preset `paper`, but for the sizes that are those of every preset."""


@pytest.mark.parametrize(
    ("preset", "digests"),
    [
        ("paper", "acaa7ad1 fdf68695 502bd238 d911c69c 9cbbd180 77430c0f 38d8f2fa ff868afb 51c00d94 812adbd0"),
        ("released", "e0ba2940 65bdee86 b494532e 95fa5d5d 621d4670 f414b4e3 bd585005 04b59235 0b36138a c60ff904"),
        ("small", "07ca1901 f186fd5b 79438ad9 030b4eea bcc9b9a6 9f974caf 4c3be570 910d2892 ed00cccb 1122291e"),
    ],
)
def test_runs_of_earlier_versions_keep_their_names(preset: str, digests: str) -> None:
    settings = settings_from_json(OLD_PAPER) if preset == "paper" else PRESETS[preset]
    assert [settings.changed(changes).digest for changes in CHANGES.values()] == digests.split()


def test_stored_settings_of_the_first_versions_are_read_and_keep_their_digest() -> None:
    settings = settings_from_json(OLD_PAPER)
    assert (settings.optimiser.name, settings.optimiser.clip_norm, settings.training.batch) == ("adam", 1.0, 16)
    assert (settings.evaluation.segments, settings.image.patch_pixels, settings.head.form) == (8, 28, "paper")
    assert settings.digest == "acaa7ad1"


def test_stored_settings_that_this_version_does_not_know_are_an_error() -> None:
    with pytest.raises(KeyError, match=r"optimiser.momentum"):
        settings_from_json({**OLD_PAPER, "optimiser.momentum": 0.9})


def test_the_strong_preset_shares_its_towers_with_the_paper_and_has_the_switches_on_that_pay() -> None:
    strong, paper = PRESETS["strong"], PRESETS["paper"]
    assert (strong.text.pretrained, strong.image.pretrained) == (paper.text.pretrained, paper.image.pretrained)
    assert strong.training.batch >= 256 > strong.training.micro_batch
    on = ("optimiser.text_rate", "optimiser.audio_rate", "optimiser.ema", "data.mask_copies", "data.paragraphs")
    off = ("data.segments", "data.modality_dropout", "data.tag_subsets")
    assert all(strong.by_name()[name] != paper.by_name()[name] for name in (*on, "training.stop_on"))
    assert all(strong.by_name()[name] == paper.by_name()[name] for name in off)


@pytest.mark.parametrize("names", [["Everything"], []])
def test_an_unknown_or_missing_system_is_an_error_that_names_the_known_ones(names: list[str]) -> None:
    with pytest.raises(InputError, match="AVCA"):
        chosen_systems(names)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "paper"),
        ({"text.pretrained": "answerdotai/ModernBERT-base", "optimiser.rate": 1e-3},
         "paper, text=ModernBERT-base, optimiser.rate=1e-3"),
        ({"text.pretrained": "", "audio.stem": (2, 4), "head.dropout": 0.25, "training.micro_batch": 8},
         "paper, text=none, audio.stem=2+4, head.dropout=0.25, training.micro_batch=8"),
        ({"data.keep_years": True, "optimiser.rate": 3e-4}, "paper, optimiser.rate=3e-4, data.keep_years=true"),
    ],
)  # fmt: skip
def test_a_label_says_what_differs_from_the_preset(changes: dict[str, Any], expected: str) -> None:
    assert label(PRESETS["paper"].changed(changes)) == expected
