"""Values of settings as text: read by the type of the setting, shown as a user would type them, described in words.

A type is the annotation of a field of `training.setting_groups`. Imports no torch.
"""

from __future__ import annotations

from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt

_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


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
        bounds = " and ".join(words for part in arguments[1:] if (words := _bound(part)))
        return f"{form_of(arguments[0])} {bounds}".strip()
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
            return f"of at most {part.le}"
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
