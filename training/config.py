"""Configuration of an experiment as data: systems, presets, settings, and the job of one run. Imports no torch.

`SYSTEMS` has one row per system of the paper's Table 1: its inputs and its loss. `Settings` has sizes, rates and
rules. The loop, the model and the evaluation read these and never test for a system's name. Where the paper's text
and its released code disagree, the preset `paper` follows the text and `released` the code without its defects;
`small` builds every tower from configuration and trains in a minute on two CPU cores.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from storage.errors import InputError

TAG_MARKER, PLOT_MARKER = "<TAG>", "<PLOT>"
IMAGE_PIXELS = 224
"""Width and height of the image that a film is represented by."""


@dataclass(frozen=True)
class System:
    """One row of Table 1: the parts of a film that form the query, and the loss it is trained with."""

    name: str
    image: bool = False
    tags: bool = False
    plot: bool = False
    loss: Literal["info_nce", "triplet"] = "info_nce"
    frozen: bool = False
    """The text and image towers keep their pretrained weights."""

    @property
    def text(self) -> bool:
        """Return whether the system has a text tower."""
        return self.tags or self.plot

    @property
    def markers(self) -> bool:
        """Return whether marker tokens separate tags and plot: only where both are given (paper, section 4)."""
        return self.tags and self.plot


SYSTEMS: dict[str, System] = {
    system.name: system
    for system in (
        System("All", image=True, tags=True, plot=True),
        System("AVCA", image=True, tags=True, plot=True, loss="triplet", frozen=True),
        System("AVCA-tuned", image=True, tags=True, plot=True, loss="triplet"),
        System("Im", image=True),
        System("Plo", plot=True),
        System("Ta", tags=True),
        System("ImPlo", image=True, plot=True),
        System("ImTa", image=True, tags=True),
        System("TaPlo", tags=True, plot=True),
    )
}
"""Table 1, with its AVCA baseline twice: towers frozen as released, and fine-tuned like every other row."""


@dataclass(frozen=True)
class TextSettings:
    """The text tower: BERT, pretrained (a hub name or a folder) or of these sizes with random weights."""

    pretrained: str = ""
    width: int = 768
    layers: int = 12
    heads: int = 12
    mlp: int = 3072
    vocabulary: int = 30522
    """Size of the tokenizer built from the training texts where nothing pretrained is used."""
    max_tokens: int = 512
    pooling: Literal["summary", "mean"] = "summary"
    """The [CLS] token, or the mean over tokens: in a randomly initialised tower [CLS] stays uninformative for long."""


@dataclass(frozen=True)
class ImageSettings:
    """The image tower: a ViT on 224 x 224 pixels."""

    pretrained: str = ""
    patch_pixels: int = 16
    width: int = 768
    layers: int = 12
    heads: int = 12
    mlp: int = 3072


@dataclass(frozen=True)
class AudioSettings:
    """The audio tower of Won et al. 2021 with the sizes of the release; always trained from random weights."""

    stem: tuple[int, int] = (1, 1)
    """Mel bands and frames averaged before the first convolution; (1, 1) keeps the full resolution."""
    channels: int = 128
    blocks: int = 4
    width: int = 256
    layers: int = 4
    heads: int = 8
    mlp: int = 1024
    dropout: float = 0.1
    position_deviation: float = 1.0
    """Initial standard deviation of position embeddings and summary token: 1 as released; 0.02 masks less signal."""


@dataclass(frozen=True)
class HeadSettings:
    """The heads that map tower outputs into the shared space."""

    form: Literal["paper", "code", "linear"] = "code"
    """Embedding net: one layer (paper), two layers (code), or a plain linear map (linear)."""
    dropout: float = 0.2
    width: int = 256
    embedding: int = 64


@dataclass(frozen=True)
class Settings:
    """Everything that determines what a run computes; its `digest` is part of the run's name."""

    preset: str
    text: TextSettings = field(default_factory=TextSettings)
    image: ImageSettings = field(default_factory=ImageSettings)
    audio: AudioSettings = field(default_factory=AudioSettings)
    head: HeadSettings = field(default_factory=HeadSettings)
    fixed_paragraph: tuple[str, ...] = ()
    """Systems that always read a plot's first paragraph in training; all others draw one at random."""
    keep_years: bool = False
    """Keep release years in tags: at test time such a year is a word that never occurred in training."""
    mask_same_film: bool = False
    """Exclude other tracks of the same film from the negatives (the paper counts them as negatives)."""
    triplet_negatives: Literal["one", "all"] = "one"
    """Negative films per item: one at random (release), whose triplet soon has no loss left, or every other film of
    the batch."""
    optimiser: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 1e-5
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine"] = "constant"
    warm_up_share: float = 0.0
    clip_norm: float = 1.0
    batch: int = 16
    micro_batch: int | None = None
    """Films or tracks encoded at once where the batch does not fit in memory (`training.loop.optimisation`)."""
    epochs: int = 100
    patience: int = 3
    """Epochs without a lower validation loss before training stops."""
    eval_segments: int = 8
    """Number of evenly spaced segments whose mean is a track's embedding; 1 takes the middle one."""

    @property
    def digest(self) -> str:
        """Return eight hexadecimal digits that change with any setting; a setting of None does not count."""
        values = {name: value for name, value in asdict(self).items() if value is not None}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class Job:
    """One training run: what its `config.json` holds next to the tower configurations, and what names the run."""

    run_id: str
    system: System
    settings: Settings
    seed: int
    dataset: str

    def identity(self) -> dict[str, Any]:
        """Return what two runs must share for one to resume from the other's checkpoint."""
        settings = json.loads(json.dumps(asdict(self.settings)))
        return {"system": self.system.name, "seed": self.seed, "dataset": self.dataset, "settings": settings}


_BERT = TextSettings(pretrained="bert-base-uncased")
_VIT = ImageSettings(pretrained="google/vit-base-patch16-224-in21k")

PRESETS: dict[str, Settings] = {
    "paper": Settings(
        "paper",
        text=_BERT,
        image=dataclasses.replace(_VIT, patch_pixels=28, layers=6),  # 8 x 8 = 64 patches, six blocks
        head=HeadSettings("paper", dropout=0.3),
    ),
    "released": Settings(
        "released",
        text=_BERT,
        image=_VIT,
        fixed_paragraph=("All", "AVCA", "AVCA-tuned"),
        keep_years=True,
        weight_decay=1e-5,
        eval_segments=1,
    ),
    "small": Settings(
        "small",
        text=TextSettings(width=96, layers=2, heads=4, mlp=192, vocabulary=4000, max_tokens=128, pooling="mean"),
        image=ImageSettings(patch_pixels=32, width=96, layers=2, heads=4, mlp=192),
        audio=AudioSettings(
            stem=(4, 8), channels=32, blocks=3, width=128, layers=2, heads=4, mlp=256, position_deviation=0.02
        ),
        head=HeadSettings("linear", dropout=0.1, width=128),
        mask_same_film=True,
        triplet_negatives="all",
        optimiser="adamw",
        learning_rate=1e-3,
        weight_decay=0.05,
        schedule="cosine",
        warm_up_share=0.1,
        batch=32,
        epochs=12,
        patience=6,
    ),
}


def chosen_systems(names: list[str]) -> list[System]:
    """Return the systems of these names; "all" (in small letters) is the whole table, "All" the trimodal row.

    Raises `InputError` for a name that is not in the table, and for an empty list.
    """
    requested = list(SYSTEMS) if "all" in names else list(dict.fromkeys(names))
    unknown = [name for name in requested if name not in SYSTEMS]
    if unknown or not requested:
        raise InputError(
            f"There is no system {', '.join(unknown) or '(none was named)'}; choose from {', '.join(SYSTEMS)}, "
            "or 'all' for every one of them"
        )
    return [SYSTEMS[name] for name in requested]


def chosen_settings(
    preset: str, text_model: str | None = None, image_model: str | None = None, **changes: Any
) -> Settings:
    """Return the settings of a preset with those changes that are not None; the models are hub names or folders.

    Raises `InputError` for an unknown preset or a value out of range.
    """
    if preset not in PRESETS:
        raise InputError(f"There is no preset {preset!r}; choose from {', '.join(PRESETS)}")
    overrides = {name: value for name, value in changes.items() if value is not None}
    settings = dataclasses.replace(PRESETS[preset], **overrides)
    if text_model:
        settings = dataclasses.replace(settings, text=dataclasses.replace(settings.text, pretrained=text_model))
    if image_model:
        settings = dataclasses.replace(settings, image=dataclasses.replace(settings.image, pretrained=image_model))
    for name in ("batch", "micro_batch", "epochs", "patience", "eval_segments"):
        least, value = 2 if name == "batch" else 1, getattr(settings, name)
        if value is not None and value < least:
            raise InputError(f"{name} is {value}; give at least {least}")
    if settings.learning_rate <= 0:
        raise InputError(f"The learning rate is {settings.learning_rate}; give a number above 0")
    return settings


def settings_from_json(value: dict[str, Any]) -> Settings:
    """Return the settings stored in a model folder's config.json."""
    parts = {"text": TextSettings, "image": ImageSettings, "audio": AudioSettings, "head": HeadSettings}
    built: dict[str, Any] = {name: part(**value[name]) for name, part in parts.items()}
    built["audio"] = dataclasses.replace(built["audio"], stem=tuple(value["audio"]["stem"]))
    built["fixed_paragraph"] = tuple(value["fixed_paragraph"])
    return Settings(**{**value, **built})
