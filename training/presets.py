"""The presets: named settings for the paper, its released code, a small machine, and what should beat them. No torch.

Where the paper's text and its released code disagree, `paper` follows the text and `released` the code without its
defects; `small` builds every tower from configuration and trains in a minute on two CPU cores. `strong` has the
switches that should beat the paper's table on a GPU, on the paper's pretrained towers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from storage.errors import InputError
from training.settings import Settings, TextSettings
from training.settings_checks import check_used, checked
from training.settings_parsing import SHORT_NAMES, read_changes, read_settings_file
from training.systems import System

_PATHS = ("text.pretrained", "image.pretrained", "audio.encoder")
"""Settings that may be folders."""
FINE_TUNING_RATE = 2e-5
"""Peak learning rate of a pretrained tower in a preset that is made for random weights (Devlin et al. 2019)."""

PRESETS: dict[str, Settings] = {
    name: Settings(name).changed(values)
    for name, values in {
        "paper": {
            "text.pretrained": "bert-base-uncased",
            "image.pretrained": "google/vit-base-patch16-224-in21k",
            "image.adapt": True,
            "image.patch_pixels": 28,  # 8 x 8 = 64 patches, six blocks
            "image.layers": 6,
            "head.form": "paper",
            "head.dropout": 0.3,
            "head.fusion": "cross",
            "optimiser.clip_norm": None,
            "data.keep_decades": True,
            "data.triplet_negatives": "set",
        },
        "released": {
            "text.pretrained": "bert-base-uncased",
            "image.pretrained": "google/vit-base-patch16-224-in21k",
            "optimiser.weight_decay": 1e-5,
            "data.fixed_paragraph": ("All", "AVCA", "AVCA-tuned"),
            "data.keep_years": True,
            "evaluation.segments": 1,
        },
        "small": {
            "text.width": 96,
            "text.layers": 2,
            "text.heads": 4,
            "text.mlp": 192,
            "text.vocabulary": 4000,
            "text.max_tokens": 128,
            "text.pooling": "mean",
            "image.patch_pixels": 32,
            "image.width": 96,
            "image.layers": 2,
            "image.heads": 4,
            "image.mlp": 192,
            "audio.stem": (4, 8),
            "audio.channels": 32,
            "audio.blocks": 3,
            "audio.width": 128,
            "audio.layers": 2,
            "audio.heads": 4,
            "audio.mlp": 256,
            "audio.position_deviation": 0.02,
            "head.form": "linear",
            "head.dropout": 0.1,
            "head.width": 128,
            "optimiser.name": "adamw",
            "optimiser.rate": 1e-3,
            "optimiser.weight_decay": 0.05,
            "optimiser.schedule": "cosine",
            "optimiser.warm_up_share": 0.1,
            "data.mask_same_film": True,
            "data.triplet_negatives": "all",
            "training.batch": 32,
            "training.epochs": 12,
            "training.patience": 6,
        },
        "strong": {
            "text.pretrained": "bert-base-uncased",
            "text.pooling": "mean",
            "text.paragraph_pooling": "attention",
            "image.pretrained": "google/vit-base-patch16-224-in21k",
            "audio.position_deviation": 0.02,
            "head.form": "linear",
            "head.dropout": 0.1,
            "optimiser.name": "adamw",
            "optimiser.rate": 1e-3,
            "optimiser.text_rate": 2e-5,
            "optimiser.image_rate": 2e-5,
            "optimiser.audio_rate": 3e-4,
            "optimiser.weight_decay": 0.05,
            "optimiser.schedule": "cosine",
            "optimiser.warm_up_share": 0.1,
            "optimiser.ema": 0.999,
            "data.mask_same_film": True,
            "data.mask_copies": True,
            "data.triplet_negatives": "all",
            "data.paragraphs": "all",
            "data.max_paragraphs": 8,
            "data.separate_streams": True,
            "training.batch": 256,
            "training.micro_batch": 32,
            "training.epochs": 30,
            "training.patience": 5,
            "training.stop_on": "medr",
        },
    }.items()
}


def chosen_settings(
    preset: str,
    systems: Collection[System] = (),
    *,
    set: Iterable[str | Mapping[str, Any]] | Mapping[str, Any] = (),
    settings: str | None = None,
    **options: Any,
) -> Settings:
    """Return the settings of a preset, changed by a TOML file, by name, and by options of their own.

    `set` (`training.settings_parsing.read_changes`) and `options` (those of `SHORT_NAMES`) count over the file
    `settings`, and the file over the preset. Raises `InputError` for an unknown preset or setting, a value of another
    type or out of range, a setting that `set` and an option give differently, and one that none of the `systems` uses.
    """
    if preset not in PRESETS:
        raise InputError(f"There is no preset {preset!r}; choose from {', '.join(PRESETS)}")
    named, of_file = read_changes(set), {} if settings is None else read_settings_file(settings)
    given = {SHORT_NAMES[name]: value for name, value in options.items() if value is not None}
    if twice := [name for name, value in given.items() if named.get(name, value) != value]:
        raise InputError(f"{twice[0]} has two values, by its own option and by --set; give one of them")
    changes = {name: _at_home(name, value) for name, value in {**of_file, **named, **given}.items()}
    chosen = checked(PRESETS[preset].changed(_of_pretrained(PRESETS[preset], changes) | changes))
    check_used([*of_file, *named, *given], chosen, systems)
    return chosen


def _at_home(name: str, value: Any) -> Any:
    """Return a value with the home folder in the place of ~/, which a shell leaves in NAME=~/models as it is."""
    is_path = name in _PATHS and isinstance(value, str) and value.startswith("~/")
    return str(Path(value).expanduser()) if is_path else value


def _of_pretrained(preset: Settings, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what goes with a pretrained tower in a preset whose own towers have random weights.

    At the rate of such a preset it would lose what it knows, and the preset's short texts are for a small tower.
    """
    added: dict[str, Any] = {}
    for tower, own in (("text", preset.text), ("image", preset.image)):
        if changes.get(f"{tower}.pretrained") and not own.pretrained:
            if not changes.get(f"{tower}.frozen"):
                added[f"optimiser.{tower}_rate"] = FINE_TUNING_RATE
            if tower == "text":
                added["text.max_tokens"] = TextSettings.max_tokens
    return added


def with_options(settings: Settings, options: Mapping[str, Any]) -> Settings:
    """Return settings changed by those options that are not None, named as in `SHORT_NAMES` or as settings are."""
    given = {name: value for name, value in options.items() if value is not None}
    return settings.changed({SHORT_NAMES.get(name, name): value for name, value in given.items()})


def label(settings: Settings) -> str:
    """Return the preset's name and what differs from it, as in "paper, text=ModernBERT-base, optimiser.rate=1e-3"."""
    usual = PRESETS[settings.preset].by_name() if settings.preset in PRESETS else {}
    different = [(name, value) for name, value in settings.by_name().items() if value != usual.get(name, value)]
    return ", ".join([settings.preset, *(f"{name.removesuffix('.pretrained')}={_short(v)}" for name, v in different)])


def _short(value: Any) -> str:
    """Return a value for a label: of a model's name or folder the last part, no digits that say nothing."""
    if isinstance(value, float):
        digits, _, power = f"{value:e}".partition("e")
        in_powers = f"{digits.rstrip('0').rstrip('.')}e{int(power)}"
        return min(f"{value:g}", in_powers, key=len)
    if isinstance(value, tuple):
        return "+".join(map(_short, value)) or "none"
    if isinstance(value, str):
        return value.rstrip("/").rsplit("/", 1)[-1] or "none"
    return "none" if value is None else str(value).lower()
