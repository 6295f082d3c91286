"""Checks of settings: types and bounds, sizes that do not fit, and settings that have no effect. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from storage.errors import InputError
from storage.mels.settings_and_shard_format import MelSettings
from training.settings import IMAGE_PIXELS, Settings
from training.settings_parsing import Setting, all_settings, group_needs, known_setting, shown
from training.systems import SYSTEMS, System

_NEEDED = {
    "text": "reads text",
    "image": "reads an image",
    "tags": "reads tags",
    "plot": "reads plots",
    "contrastive": "is trained with InfoNCE",
    "several_parts": "reads several parts of a film and is trained with InfoNCE",
    "triplet": "is trained with the triplet loss",
    "trains_text": "trains a text tower",
    "trains_image": "trains an image tower",
}
"""What a system does that has a property, in words."""
_SIZES_OF_BUILT = {
    "text": ("width", "layers", "heads", "mlp", "vocabulary"),
    "image": ("width", "heads", "mlp"),
}
"""Settings of a tower built from sizes, which pretrained weights have already."""
_ADAPTED = ("layers", "patch_pixels")
"""Settings of a pretrained image tower that have an effect only where it is adapted."""
_VOID_WITH: dict[str, tuple[str, Any]] = {
    "data.max_paragraphs": ("data.paragraphs", "one"),
    "text.paragraph_pooling": ("data.paragraphs", "one"),
    "audio.segment_pooling": ("data.segments", 1),
    "head.dropout": ("head.form", "linear"),
    "optimiser.text_rate": ("text.frozen", True),
    "optimiser.image_rate": ("image.frozen", True),
}
"""Settings that have no effect while another has a value. At its default such a setting may stay: it changes no run."""
_OF_AUDIO_TOWER = ("stem", "channels", "blocks", "layers", "heads", "mlp", "position_deviation")
"""Settings of the audio tower, which embeddings by an encoder take the place of."""


def users(needs: Collection[str]) -> str:
    """Return in words, with a space before them, which systems use a setting or a group; nothing for all."""
    return f" (a system that {' and '.join(_NEEDED[need] for need in needs)})" if needs else ""


def check_used(changes: Collection[str], settings: Settings, systems: Collection[System]) -> None:
    """Raise `InputError` for a changed setting that none of the systems uses, or that other settings make void."""
    values = settings.by_name()
    for name in changes:
        needs = (*group_needs(name.partition(".")[0]), *known_setting(name).own_needs)
        if systems and not any(all(getattr(system, need) for need in needs) for system in systems):
            lacking = " and ".join(_NEEDED[need] for need in needs)
            raise InputError(
                f"{name} has no effect: none of the systems to train ({', '.join(one.name for one in systems)}) "
                f"{lacking}; leave it out or train another system"
            )
        group, _, setting = name.partition(".")
        sizes = _SIZES_OF_BUILT.get(group, ()) + (() if settings.image.adapt or group != "image" else _ADAPTED)
        if setting in sizes and getattr(settings, group).pretrained:
            raise InputError(
                f"{name} has no effect: the pretrained tower has sizes of its own; leave it out, or build a tower "
                f"with random weights by {group}.pretrained= (empty)"
                + (", or cut a ViT to it by image.adapt=true" if setting in _ADAPTED and group == "image" else "")
            )
        if (other := _made_void_by(name, values)) and values[name] != known_setting(name).default:
            raise InputError(
                f"{name} has no effect with {other} = {shown(values[other])}; leave it out or change {other}"
            )


def _made_void_by(name: str, values: Mapping[str, Any]) -> str | None:
    """Return the setting whose value takes all effect from this one, if any."""
    group, _, setting = name.partition(".")
    if group == "audio" and setting in _OF_AUDIO_TOWER and values["audio.encoder"]:
        return "audio.encoder"
    other, value = _VOID_WITH.get(name, ("", None))
    return other if other and values[other] == value else None


def checked(settings: Settings) -> Settings:
    """Return the settings if each value has its type and bounds, and those that depend on each other fit.

    Raises `InputError` that names the first setting that does not.
    """
    valid = settings.changed({name: _valid(all_settings()[name], value) for name, value in settings.by_name().items()})
    _check_sizes(valid)
    return valid


def _valid(setting: Setting, value: Any) -> Any:
    """Return a value of a setting in its type. Raises `InputError` for another type or a value out of bounds."""
    try:
        return _adapter(setting.name).validate_json(json.dumps(value), strict=True)
    except (ValidationError, TypeError, ValueError) as error:
        raise InputError(f"{setting.name} is {shown(value)}; give {setting.form}") from error


@cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(all_settings()[name].annotation, config=ConfigDict(allow_inf_nan=False))


def _check_sizes(settings: Settings) -> None:
    """Raise `InputError` for sizes of which no tower can be built."""
    for name, group in (("text", settings.text), ("image", settings.image), ("audio", settings.audio)):
        if getattr(group, "pretrained", "") == "" and group.width % group.heads:
            raise InputError(
                f"{name}.width is {group.width} and {name}.heads {group.heads}; give a width that the heads divide"
            )
    if IMAGE_PIXELS % settings.image.patch_pixels:
        raise InputError(
            f"image.patch_pixels is {settings.image.patch_pixels}; give a divisor of the image's {IMAGE_PIXELS} pixels"
        )
    smallest = min(size // stem for size, stem in zip(MelSettings().shape, settings.audio.stem, strict=True))
    if smallest < 2**settings.audio.blocks:
        raise InputError(
            f"audio.stem and {settings.audio.blocks} audio.blocks leave nothing of a mel-spectrogram of "
            f"{' x '.join(map(str, MelSettings().shape))}; give fewer blocks or a smaller stem"
        )
    if unknown := sorted(set(settings.data.fixed_paragraph) - set(SYSTEMS)):
        raise InputError(f"data.fixed_paragraph names {', '.join(unknown)}; give systems of {', '.join(SYSTEMS)}")
