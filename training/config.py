"""Configuration of an experiment as data: settings, and the job of one run. Imports no torch.

`Settings` has sizes, rates and rules in the groups of `training.setting_groups`, and `training.presets` has the values
of the presets. The loop, the model and the evaluation read these, and the rows of `training.systems`.

The digest of the settings is part of a run's name. A setting that was added later and has its default is not part of
the digest, so that runs of earlier versions keep their names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any

from training.setting_groups import (
    AudioSettings,
    DataSettings,
    EvaluationSettings,
    HeadSettings,
    ImageSettings,
    Needs,
    OptimiserSettings,
    TextSettings,
    TrainingSettings,
)
from training.systems import System

TAG_MARKER, PLOT_MARKER = "<TAG>", "<PLOT>"


@dataclass(frozen=True)
class Settings:
    """Everything that determines what a run computes; its `digest` is part of the run's name."""

    preset: str
    text: Annotated[TextSettings, Needs("text")] = field(default_factory=TextSettings)
    image: Annotated[ImageSettings, Needs("image")] = field(default_factory=ImageSettings)
    audio: AudioSettings = field(default_factory=AudioSettings)
    head: HeadSettings = field(default_factory=HeadSettings)
    optimiser: OptimiserSettings = field(default_factory=OptimiserSettings)
    data: DataSettings = field(default_factory=DataSettings)
    training: TrainingSettings = field(default_factory=TrainingSettings)
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)

    def by_name(self) -> dict[str, Any]:
        """Return every setting by its dotted name, as in `optimiser.rate`, but not the preset's name."""
        groups = {group.name: getattr(self, group.name) for group in fields(self) if group.name != "preset"}
        return {f"{name}.{setting}": value for name, group in groups.items() for setting, value in vars(group).items()}

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """Return these settings with other values for some, by dotted name. Raises `KeyError` for an unknown name."""
        groups: dict[str, dict[str, Any]] = {}
        for name, value in changes.items():
            if name not in self.by_name():
                raise KeyError(name)
            group, _, setting = name.partition(".")
            groups.setdefault(group, {})[setting] = value
        return replace(self, **{name: replace(getattr(self, name), **values) for name, values in groups.items()})

    def as_json(self) -> dict[str, Any]:
        """Return what config.json and the column `config_json` of runs hold; `settings_from_json` reads it.

        The settings of the first versions have their old places, those added since their dotted names, and only where
        they differ from their default: a later setting does not change how an earlier run is stored.
        """
        values = json.loads(json.dumps(self.by_name()))
        stored: dict[str, Any] = {"preset": self.preset}
        stored |= {old: values.pop(name) for old, name in _OLD_NAMES.items()}
        for group, settings in _OLD_GROUPS.items():
            stored[group] = {setting: values.pop(f"{group}.{setting}") for setting in settings}
        defaults = json.loads(json.dumps(Settings(self.preset).by_name()))
        return stored | {name: value for name, value in values.items() if value != defaults[name]}

    @property
    def digest(self) -> str:
        """Return eight hexadecimal digits that change with any setting; a setting of None does not count."""
        values = {name: value for name, value in self.as_json().items() if value is not None}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


_OLD_NAMES = {
    "fixed_paragraph": "data.fixed_paragraph",
    "keep_years": "data.keep_years",
    "mask_same_film": "data.mask_same_film",
    "triplet_negatives": "data.triplet_negatives",
    "optimiser": "optimiser.name",
    "learning_rate": "optimiser.rate",
    "weight_decay": "optimiser.weight_decay",
    "schedule": "optimiser.schedule",
    "warm_up_share": "optimiser.warm_up_share",
    "clip_norm": "optimiser.clip_norm",
    "batch": "training.batch",
    "micro_batch": "training.micro_batch",
    "epochs": "training.epochs",
    "patience": "training.patience",
    "eval_segments": "evaluation.segments",
}
"""Where the first versions stored settings that are in groups now. Nothing is added: the names of runs depend on it."""
_OLD_GROUPS = {
    "text": ("pretrained", "width", "layers", "heads", "mlp", "vocabulary", "max_tokens", "pooling"),
    "image": ("pretrained", "patch_pixels", "width", "layers", "heads", "mlp"),
    "audio": (
        "stem", "channels", "blocks", "width", "layers", "heads", "mlp", "dropout", "position_deviation",
    ),
    "head": ("form", "dropout", "width", "embedding"),
}  # fmt: skip
"""The groups that the first versions stored as such, with the settings that each had then."""


def settings_from_json(stored: Mapping[str, Any]) -> Settings:
    """Return the settings that `Settings.as_json` stored. Raises `KeyError` for a setting this version does not know.

    A setting that is not stored has its default.
    """
    values: dict[str, Any] = {}
    for key, value in stored.items():
        if key in _OLD_GROUPS:
            values |= {f"{key}.{setting}": own for setting, own in value.items()}
        elif key != "preset":
            values[_OLD_NAMES.get(key, key)] = value
    in_tuples = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    return Settings(stored["preset"]).changed(in_tuples)


@dataclass(frozen=True)
class Job:
    """One training run: what its `config.json` holds next to the tower configurations, and what names the run."""

    run_id: str
    system: System
    settings: Settings
    seed: int
    dataset: str
    held_out: tuple[str, ...] = ()
    """Tracks of the data set that training leaves out, so that what users decided about them is a test of it."""

    def identity(self) -> dict[str, Any]:
        """Return what two runs must share for one to resume from the other's checkpoint."""
        described: dict[str, Any] = {"system": self.system.name, "seed": self.seed, "dataset": self.dataset}
        if self.held_out:
            described["held_out"] = list(self.held_out)
        return {**described, "settings": self.settings.as_json()}


def answers_any_parts(system: System, settings: Settings) -> bool:
    """Return whether a model is trained with dropped parts, and so answers for whatever parts are given."""
    return system.several_parts and settings.data.modality_dropout > 0
