"""Settings by name: the table of all settings, and values of them as text, in mappings and in TOML files.

    --set optimiser.rate=3e-4        text, read by the type of the setting
    set: {training.batch: 256}       a mapping in a deployment, flat or in groups; a value may be text too, as YAML
                                     reads 3e-4 as text
    [optimiser]                      a TOML file: its tables are the groups, and its values have their own types
    rate = 3e-4

A type is the annotation of a field of `training.settings`. Values are also shown here as a user would type them, and
types described in words. Imports no torch.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt
from typing_extensions import Doc

from storage.errors import InputError
from training.settings import Needs, Settings

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
LARGEST_FILE = 1_000_000
"""Bytes of a file of settings that are read: all settings with their values are less than a hundredth of it."""
_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


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

    Raises `InputError` for a file that cannot be read, is too large for one, is no TOML, or has a name that no setting
    has.
    """
    remedy = "write a table per group and NAME = VALUE"
    try:
        with Path(path).expanduser().open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
    except (OSError, ValueError, RuntimeError) as error:  # of a zero byte in a path; of ~nobody/recipe.toml
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"The settings in {path} cannot be read ({reason}); give a TOML file") from error
    if len(content) > LARGEST_FILE:
        raise InputError(f"{path} has more than {LARGEST_FILE:,} bytes, so it is no file of settings; {remedy}")
    try:
        tables = tomllib.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:  # of the encoding or of the syntax; of ten thousand brackets
        raise InputError(f"{path} is no TOML file ({error}); {remedy}") from error
    try:
        changes = _flat(tables)
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
    name = name.lower()
    last = name.rpartition(".")[2]
    same = [known for known in names if known.rpartition(".")[2] == last]
    by_last = {known.rpartition(".")[2]: known for known in reversed(names)}
    found = difflib.get_close_matches(name, same, 1, 0) or difflib.get_close_matches(name, names, 1)
    return next(iter(found or [by_last[near] for near in difflib.get_close_matches(last, list(by_last), 1)]), None)


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


def from_text(annotation: Any, text: str) -> Any:
    """Return what a text means for a setting of this type; a text that means nothing stays, to be refused as one."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return from_text(arguments[0], text)
    if origin in (Union, UnionType):
        some = next(argument for argument in arguments if argument is not NoneType)
        value = none_or(annotation, text)
        return value if value is None else from_text(some, text)
    if origin is tuple:
        parts = [part.strip().strip("\"'") for part in text.strip("()[] ").split(",") if part.strip()]
        return [from_text(arguments[0], part) for part in parts]
    if annotation is bool:
        return _WORDS.get(text.lower(), text)
    try:
        return annotation(text) if annotation in (int, float) else text
    except ValueError:
        return text


def none_or(annotation: Any, value: Any) -> Any:
    """Return None for the word "none" where a setting may be none, else the value."""
    inner = get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
    may_be_none = NoneType in get_args(inner)
    return None if may_be_none and isinstance(value, str) and value.lower() in ("none", "null") else value


def form_of(annotation: Any) -> str:
    """Return what a value of this type looks like, with its bounds, in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        bounds = {type(part): words for part in arguments[1:] if (words := _bound(part))}  # the last is the narrowest
        return f"{form_of(arguments[0])} {' and '.join(bounds.values())}".strip()
    if origin in (Union, UnionType):
        [some] = [argument for argument in arguments if argument is not NoneType]
        return f"{form_of(some)}, or none"
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if origin is tuple:
        return _form_of_tuple(arguments)
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[annotation]


def _form_of_tuple(arguments: tuple[Any, ...]) -> str:
    if arguments[-1] is Ellipsis:
        return f"any number of values with commas between them, each {form_of(arguments[0])}"
    return f"{len(arguments)} values with a comma between them, each {form_of(arguments[0])}"


def _bound(part: Any) -> str:
    match part:
        case Ge():
            return f"of at least {part.ge}"
        case Gt():
            return f"above {part.gt}"
        case Le():
            return f"of at most {part.le:,}"
        case Lt():
            return f"below {part.lt}"
    return ""


def shown(value: Any) -> str:
    """Return a value as a user would type it."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple | list):
        return ",".join(map(shown, value)) or "(empty)"
    return repr(value) if isinstance(value, str) else str(value)
