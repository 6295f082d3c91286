"""The settings of an experiment: every group with its defaults and help, and the digest that names a run. No torch.

A setting is defined once, as a field of its group: its type, bounds, default, and a `Doc` of one or two sentences. From
these come its name (`optimiser.rate`), the checks of a value that is typed, and the text of
`needledrop train --show-settings` (`training.settings_parsing`). `Needs` names the property that a system must have for
a setting, or a group of settings, to have an effect.

The digest of the settings is part of a run's name. A setting that is added has a default that changes nothing, and at
its default it is not part of the digest, so that runs of earlier versions keep their names.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from typing_extensions import Doc

from training.systems import System

IMAGE_PIXELS = 224
"""Width and height of the image that a film is represented by."""


@dataclass(frozen=True)
class Needs:
    """The property of a `System` without which a setting, or a group of settings, has no effect."""

    of_system: str


Size = Annotated[int, Ge(1), Le(1_000_000)]
Share = Annotated[float, Ge(0), Lt(1)]
Rate = Annotated[float, Gt(0), Le(1000)]
"""A learning rate: a step of some 1e38, which is far beyond use, has no place in a float32."""


@dataclass(frozen=True)
class TextSettings:
    """The text tower: a pretrained model, or a BERT of these sizes with random weights."""

    pretrained: Annotated[str, Doc("Hub name or folder of pretrained weights; empty: random weights.")] = ""
    width: Annotated[Size, Doc("Width of a tower built from these sizes.")] = 768
    layers: Annotated[Size, Doc("Layers of a tower built from these sizes.")] = 12
    heads: Annotated[Size, Doc("Attention heads of a tower built from these sizes; they divide its width.")] = 12
    mlp: Annotated[Size, Doc("Width of the feed-forward layers of a tower built from these sizes.")] = 3072
    vocabulary: Annotated[
        int,
        Ge(16),
        Le(1_000_000),
        Doc("Tokens of the tokenizer built from the training texts where nothing pretrained is used."),
    ] = 30522
    max_tokens: Annotated[int, Ge(8), Le(1_000_000), Doc("Tokens of a text that are read; the rest is cut off.")] = 512
    pooling: Annotated[
        Literal["summary", "mean"],
        Doc("The [CLS] token, or the mean over tokens: with random weights [CLS] stays uninformative for long."),
    ] = "summary"
    paragraph_pooling: Annotated[
        Literal["mean", "attention"],
        Doc("How the paragraphs of a whole plot (data.paragraphs) become one vector: equally, or by learned weights."),
        Needs("plot"),
    ] = "mean"
    frozen: Annotated[
        bool,
        Doc("Keep the tower's weights; its outputs are then computed once, and no markers separate tags and plot."),
    ] = False


@dataclass(frozen=True)
class ImageSettings:
    """The image tower: a ViT on 224 x 224 pixels, or a pretrained model with its own picture size."""

    pretrained: Annotated[str, Doc("Hub name or folder of pretrained weights; empty: random weights.")] = ""
    adapt: Annotated[
        bool,
        Doc(
            "Cut a pretrained ViT to `layers` blocks and resample it to `patch_pixels`; false: it keeps its own sizes."
        ),
    ] = False
    patch_pixels: Annotated[Size, Le(IMAGE_PIXELS), Doc("Width and height of a patch in pixels.")] = 16
    width: Annotated[Size, Doc("Width of a tower built from these sizes.")] = 768
    layers: Annotated[Size, Doc("Blocks of a tower built from these sizes, or that an adapted one keeps.")] = 12
    heads: Annotated[Size, Doc("Attention heads of a tower built from these sizes; they divide its width.")] = 12
    mlp: Annotated[Size, Doc("Width of the feed-forward layers of a tower built from these sizes.")] = 3072
    frozen: Annotated[
        bool, Doc("Keep the tower's weights; its outputs are then computed once, always of the centre of the picture.")
    ] = False


@dataclass(frozen=True)
class AudioSettings:
    """The audio tower of Won et al. 2021 with the sizes of the release; always trained from random weights."""

    encoder: Annotated[
        str,
        Doc(
            "Audio encoder whose embeddings replace mels and tower: its folder in audio_embeddings, hub name or path. "
            "Of the other settings, width and dropout are those of the layer that is trained on them."
        ),
    ] = ""
    stem: Annotated[
        tuple[Size, Size],
        Doc("Mel bands and frames averaged before the first convolution; 1,1 keeps the full resolution."),
    ] = (1, 1)
    channels: Annotated[Size, Doc("Channels of the convolutions.")] = 128
    blocks: Annotated[Size, Doc("Convolution blocks; each halves the mel bands and the frames.")] = 4
    width: Annotated[Size, Doc("Width of the transformer over frames, and of what the tower returns.")] = 256
    layers: Annotated[Size, Doc("Layers of the transformer over frames.")] = 4
    heads: Annotated[Size, Doc("Attention heads of the transformer; they divide its width.")] = 8
    mlp: Annotated[Size, Doc("Width of the transformer's feed-forward layers.")] = 1024
    dropout: Annotated[Share, Doc("Share of values that dropout sets to zero in training.")] = 0.1
    position_deviation: Annotated[
        float,
        Ge(0),
        Doc("Initial deviation of position embeddings and summary token: 1 as released; 0.02 masks less signal."),
    ] = 1.0
    segment_pooling: Annotated[
        Literal["mean", "attention"],
        Doc(
            "How the segments of a track become one embedding, in training (data.segments) and evaluation: equally, "
            "or by learned weights."
        ),
    ] = "mean"


@dataclass(frozen=True)
class HeadSettings:
    """The heads that map what the towers return into the shared space."""

    form: Annotated[
        Literal["paper", "code", "linear"],
        Doc("Embedding net: one layer (paper), two layers (code), or a plain linear map (linear)."),
    ] = "code"
    dropout: Annotated[Share, Doc("Share of values that dropout sets to zero in training; none in a linear map.")] = 0.2
    width: Annotated[Size, Doc("Width in which text and image attend to each other.")] = 256
    fusion: Annotated[
        Literal["released", "cross"],
        Doc(
            "How text and image meet: each attends to both in a pre-norm layer (released), or to the other, then "
            "residual and LayerNorm (cross, the paper's text). AVCA always has the released one."
        ),
    ] = "released"
    embedding: Annotated[Size, Doc("Width of the shared space: numbers per embedding.")] = 64


@dataclass(frozen=True)
class OptimiserSettings:
    """How weights are changed by gradients."""

    name: Annotated[
        Literal["adam", "adamw"],
        Doc("adam: decay as an L2 term on every weight, as released; adamw: decay on matrices only."),
    ] = "adam"
    rate: Annotated[Rate, Doc("Peak learning rate of every part that has none of its own.")] = 1e-5
    text_rate: Annotated[
        Rate | None, Doc("Peak learning rate of the text tower; none: that of all."), Needs("trains_text")
    ] = None
    image_rate: Annotated[
        Rate | None, Doc("Peak learning rate of the image tower; none: that of all."), Needs("trains_image")
    ] = None
    audio_rate: Annotated[Rate | None, Doc("Peak learning rate of the audio tower; none: that of all.")] = None
    head_rate: Annotated[
        Rate | None, Doc("Peak learning rate of projections, attention and heads; none: that of all.")
    ] = None
    scale_rate: Annotated[
        Rate | None,
        Doc("Peak learning rate of the scale, the inverse temperature; none: that of all."),
        Needs("contrastive"),
    ] = None
    weight_decay: Annotated[float, Ge(0), Doc("Weight decay.")] = 0.0
    schedule: Annotated[
        Literal["constant", "cosine"], Doc("Learning rate after the warm-up: as it is, or falling to 2 % of its peak.")
    ] = "constant"
    warm_up_share: Annotated[float, Ge(0), Le(1), Doc("Share of all steps in which the rate rises to its peak.")] = 0.0
    clip_norm: Annotated[
        Annotated[float, Gt(0)] | None,
        Doc("Largest norm of all gradients together, to which larger ones are scaled; none: no limit."),
    ] = 1.0
    ema: Annotated[
        Share,
        Doc(
            "Decay per step of a moving average of the weights, which is what is validated and kept; 0: the weights "
            "themselves. 0.999 averages some 1,000 steps."
        ),
    ] = 0.0


@dataclass(frozen=True)
class DataSettings:
    """What is drawn from the data set, and what counts as a negative."""

    fixed_paragraph: Annotated[
        tuple[str, ...],
        Doc("Systems that read a plot's first paragraph in training; all others draw one at random."),
        Needs("plot"),
    ] = ()
    keep_years: Annotated[
        bool,
        Doc("Keep release years in tags: at test time such a year is a word that never occurred in training."),
        Needs("tags"),
    ] = False
    mask_same_film: Annotated[
        bool,
        Doc("Exclude other tracks of the same film from the negatives; the paper counts them as negatives."),
        Needs("contrastive"),
    ] = False
    keep_decades: Annotated[
        bool,
        Doc("Keep decades, such as 2010s, in tags from which years are dropped: training has seen the test films'."),
        Needs("tags"),
    ] = False
    triplet_negatives: Annotated[
        Literal["one", "all", "set"],
        Doc(
            "Negative films per item: one of the batch, whose triplet soon has no loss left, every other film of the "
            "batch, or one of the whole training set (release), which doubles the batch."
        ),
        Needs("triplet"),
    ] = "one"
    mask_copies: Annotated[
        bool,
        Doc("Exclude from a film's negatives the recordings of other films that it has a copy of."),
        Needs("contrastive"),
    ] = False
    segments: Annotated[Size, Doc("Segments drawn per track in training, pooled as audio.segment_pooling says.")] = 1
    paragraphs: Annotated[
        Literal["one", "all"],
        Doc("Paragraphs of a plot that a query is made of in training: one, or all of them, each encoded and pooled."),
        Needs("plot"),
    ] = "one"
    max_paragraphs: Annotated[
        Size,
        Doc("Paragraphs of a whole plot (data.paragraphs) at most; of a longer one, evenly spaced."),
        Needs("plot"),
    ] = 16
    modality_dropout: Annotated[
        Share,
        Doc(
            "Share of the parts of a query (image, tags, plot) that training leaves out, at least one staying; above 0 "
            "the model answers for every part that is given."
        ),
        Needs("several_parts"),
    ] = 0.0
    tag_subsets: Annotated[
        bool,
        Doc("Draw how many of a film's tags are read in training, and which; evaluation reads all."),
        Needs("tags"),
    ] = False
    held_out: Annotated[
        str,
        Doc(
            "Digest of the recordings that are left out because users decided about them; --hold-out-decisions sets it."
        ),
    ] = ""
    separate_streams: Annotated[
        bool,
        Doc(
            "Draw the order of tracks, their segments, and each film's paragraph and crop from random streams of "
            "their own; those of the first versions partly coincide."
        ),
    ] = False


@dataclass(frozen=True)
class TrainingSettings:
    """How much is trained, and when training stops."""

    batch: Annotated[int, Ge(2), Le(1_000_000), Doc("Tracks per batch, over all GPUs together.")] = 16
    micro_batch: Annotated[
        Size | None,
        Doc("Films or tracks encoded at once, where a batch is too large for a GPU's memory; none: the batch."),
    ] = None
    epochs: Annotated[Size, Doc("Epochs at most.")] = 100
    patience: Annotated[Size, Doc("Epochs without a better validation before training stops.")] = 3
    stop_on: Annotated[
        Literal["loss", "medr"],
        Doc(
            "What validation must lower for an epoch to count as better: the loss in batches, or the median rank over "
            "the whole validation split."
        ),
    ] = "loss"
    deterministic: Annotated[
        bool,
        Doc("Compute on a GPU with deterministic algorithms, so that a resumed run ends in the same bits; slower."),
    ] = False


@dataclass(frozen=True)
class EvaluationSettings:
    """How a trained model is measured and searched with."""

    segments: Annotated[
        Size, Doc("Evenly spaced segments whose mean embeds a track; the middle one alone is measured as well.")
    ] = 8


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


def answers_any_parts(system: System, settings: Settings) -> bool:
    """Return whether a model is trained with dropped parts, and so answers for whatever parts are given."""
    return system.several_parts and settings.data.modality_dropout > 0
