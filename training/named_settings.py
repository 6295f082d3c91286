"""Settings by name: the table of all settings, checks of their values, and values from mappings and files.

    --set optimiser.rate=3e-4        text, read by the type of the setting
    set: {training.batch: 256}       a mapping in a deployment, flat or in groups; a value may be text too, as YAML
                                     reads 3e-4 as text
    [optimiser]                      a TOML file: its tables are the groups, and its values have their own types
    rate = 3e-4

Imports no torch.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import Doc

from storage.errors import InputError
from storage.mels.settings import MelSettings
from training.config import Settings
from training.setting_groups import IMAGE_PIXELS, Needs
from training.setting_values import form_of, from_text, none_or, shown
from training.systems import SYSTEMS, System

GROUPS: dict[str, Any] = {
    name: hint for name, hint in get_type_hints(Settings, include_extras=True).items() if name != "preset"
}
"""The annotation of each group, by name."""
SHORT_NAMES = {
    "epochs": "training.epochs",
    "batch": "training.batch",
    "micro_batch": "training.micro_batch",
    "learning_rate": "optimiser.rate",
    "patience": "training.patience",
    "eval_segments": "evaluation.segments",
    "text_model": "text.pretrained",
    "image_model": "image.pretrained",
}
"""Settings that have an option of their own, by the name of that option."""
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


@dataclass(frozen=True)
class Setting:
    """One setting: what its name, its checks and its line in a listing are made from."""

    name: str
    annotation: Any
    default: Any
    help: str
    own_needs: tuple[str, ...]
    """Properties that a system must have to use it, next to those that its group needs."""

    @property
    def form(self) -> str:
        """Return what a value looks like, as in "a whole number of at least 2"."""
        return form_of(self.annotation)

    @property
    def group(self) -> str:
        """Return the name of its group."""
        return self.name.partition(".")[0]


@cache
def all_settings() -> dict[str, Setting]:
    """Return every setting by its dotted name, in the order of the groups."""
    listed = {}
    for group, annotation in GROUPS.items():
        owner = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
        hints = get_type_hints(owner, include_extras=True)
        for field in fields(owner):
            text = next(part.documentation for part in get_args(hints[field.name]) if isinstance(part, Doc))
            name = f"{group}.{field.name}"
            listed[name] = Setting(name, hints[field.name], field.default, text, _needs(hints[field.name]))
    return listed


def users(needs: Collection[str]) -> str:
    """Return in words, with a space before them, which systems use a setting or a group; nothing for all."""
    return f" (a system that {' and '.join(_NEEDED[need] for need in needs)})" if needs else ""


def group_needs(group: str) -> tuple[str, ...]:
    """Return the properties that a system must have to use any setting of a group."""
    return _needs(GROUPS[group])


def _needs(annotation: Any) -> tuple[str, ...]:
    return tuple(part.of_system for part in get_args(annotation) if isinstance(part, Needs))


def read_changes(given: Iterable[str | Mapping[str, Any]] | Mapping[str, Any]) -> dict[str, Any]:
    """Return values by name from texts NAME=VALUE, mappings of names or groups, or both; the last of a name counts.

    Raises `InputError` for a text without "=" and for a name that no setting has.
    """
    changes: dict[str, Any] = {}
    for entry in [given] if isinstance(given, Mapping) else given:
        for name, value in _flat(_pair(entry) if isinstance(entry, str) else entry).items():
            annotation = known_setting(name).annotation
            changes[name] = from_text(annotation, value) if isinstance(value, str) else value
    return changes


def read_settings_file(path: str) -> dict[str, Any]:
    """Return the values by name in a TOML file whose tables are groups; the text "none" is the value none.

    Raises `InputError` for a file that cannot be read, is no TOML, or has a name that no setting has.
    """
    try:
        content = tomllib.loads(Path(path).expanduser().read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"The settings in {path} cannot be read ({error.strerror}); give a TOML file") from error
    except ValueError as error:  # of the encoding or of the syntax
        raise InputError(f"{path} is no TOML file ({error}); write a table per group and NAME = VALUE") from error
    try:
        changes = _flat(content)
        return {name: none_or(known_setting(name).annotation, value) for name, value in changes.items()}
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def known_setting(name: str) -> Setting:
    """Return the setting of a name. Raises `InputError` that suggests the nearest names for one that does not exist."""
    settings = all_settings()
    if name in settings:
        return settings[name]
    listed = "needledrop train --show-settings lists all"
    if name == "preset":
        raise InputError("The preset is no setting; choose it with --preset")
    if name in GROUPS:
        first = next(setting for setting in settings if setting.startswith(f"{name}."))
        raise InputError(f"{name} is a group of settings; name one of them, such as {first}: {listed}")
    if name in SHORT_NAMES:
        raise InputError(f"The setting behind the option {name} is called {SHORT_NAMES[name]}; {listed}")
    if nearest := _nearest(name, list(settings)):
        raise InputError(f"There is no setting {name}; did you mean {nearest}? {listed}")
    raise InputError(f"There is no setting {name!r}; {listed}")


def _nearest(name: str, names: list[str]) -> str | None:
    """Return the most similar name: first of those with the same last part, then of all, then by the last part."""
    last = name.rpartition(".")[2]
    same = [known for known in names if known.rpartition(".")[2] == last]
    by_last = {known.rpartition(".")[2]: known for known in reversed(names)}
    found = difflib.get_close_matches(name, same, 1, 0) or difflib.get_close_matches(name, names, 1)
    return next(iter(found or [by_last[near] for near in difflib.get_close_matches(last, list(by_last), 1)]), None)


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


def _pair(entry: str) -> dict[str, str]:
    name, equals, text = entry.partition("=")
    if not equals:
        raise InputError(f"{entry!r} sets nothing; write NAME=VALUE, as in optimiser.rate=3e-4")
    return {name.strip(): text.strip()}


def _flat(values: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """Return a mapping with its groups joined to dotted names."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


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
