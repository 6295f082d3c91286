"""Options of the commands: those of the flows, from `flows.parameters`, and those of commands that only read a lake.

    @options_of(RefreshParameters)
    def refresh_command(parameters: RefreshParameters, verbose: bool) -> None: ...

gives the command one option per parameter, with the same name, type, bounds, default and help. What the function takes
after these two are options of the command alone.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import typer
from annotated_types import Ge, Le
from rich.markup import escape

from flows.parameters import Parameter, parameters_of
from storage.errors import InputError
from tasks.options_and_defaults import LakeOptions, OptionGroup

P = TypeVar("P", bound=OptionGroup)

ENVIRONMENT = {"lake": "NEEDLEDROP_LAKE", "contact": "NEEDLEDROP_CONTACT"}
"""Options that an environment variable gives too."""
FLAGS = {
    "films": "--film",
    "systems": "--system",
    "retry_reasons": "--reason",
    "compiled": "--compile",
    "audio_encoders": "--audio-encoder",
}
"""Options whose flag is not the name of the flow's parameter: each repetition names one."""
NOTES = {
    "years": "Write 2022, 2019-2022 or 2014,2016.",
    "films": "May be repeated; @FILE reads one per line.",
}
"""What to type, where a command takes an option in another form than the flow."""

[_LAKE] = parameters_of(LakeOptions)
LakeRoot = Annotated[str, typer.Option("--lake", envvar=ENVIRONMENT["lake"], help=_LAKE.help)]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show Prefect's own log lines.")]


def options_of(
    parameters: type[P], *, without: Collection[str] = (), arguments: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Decorate a command that receives its options as one object, already validated, and whether to be verbose.

    `without` names parameters that the command leaves at their defaults, and `arguments` those that are typed by their
    place, without a flag. Raises `InputError` for a value that the flow would refuse.
    """
    listed = [parameter for parameter in parameters_of(parameters) if parameter.name not in without]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [_keyword_only(own) for own in list(inspect.signature(command, eval_str=True).parameters.values())[2:]]

        def call(verbose: bool, **typed: Any) -> None:
            of_command = {parameter.name: typed.pop(parameter.name) for parameter in own}
            command(_validated(parameters, typed), verbose, **of_command)

        verbose = inspect.Parameter("verbose", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Verbose)
        call.__name__, call.__module__, call.__doc__ = command.__name__, command.__module__, command.__doc__
        call.__annotations__ = {}
        shown = [_typer_parameter(one, is_argument=one.name in arguments) for one in listed]
        call.__signature__ = inspect.Signature([*shown, *own, verbose])  # type: ignore[attr-defined]
        return call

    return decorate


def _keyword_only(parameter: inspect.Parameter) -> inspect.Parameter:
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)


def _validated(parameters: type[P], typed: dict[str, Any]) -> P:
    from pydantic import TypeAdapter, ValidationError

    read = {name: _READERS[name](value) if name in _READERS else value for name, value in typed.items()}
    given = {name: value for name, value in read.items() if value is not None and value != []}
    try:
        return TypeAdapter(parameters).validate_python(given)
    except ValidationError as error:
        sentences = (f"{_flag(str(e['loc'][0]))}: {e['msg']}, not {e['input']}" for e in error.errors())
        raise InputError("; ".join(sentences)) from error


@dataclass(frozen=True)
class _Form:
    """How an option is typed on the command line."""

    value_type: Any
    least: Any = None
    most: Any = None
    metavar: str | None = None
    note: str = ""


def _typer_parameter(parameter: Parameter, *, is_argument: bool) -> inspect.Parameter:
    """Return a flow's parameter as one of a function that typer reads; an argument must be given."""
    if is_argument:
        argument = Annotated[str, typer.Argument(help=escape(parameter.help), metavar=parameter.name.upper())]
        return inspect.Parameter(parameter.name, inspect.Parameter.KEYWORD_ONLY, annotation=argument)
    form, flag = _form_of(parameter.annotation), _flag(parameter.name)
    if parameter.default is True:
        flag = f"{flag}/{flag.replace('--', '--no-', 1)}"
    stated = default_in_words(parameter.default)
    option = typer.Option(
        flag,
        envvar=ENVIRONMENT.get(parameter.name),
        help=escape(" ".join(filter(None, (parameter.help, NOTES.get(parameter.name, form.note), stated)))),
        show_default=not stated,
        min=form.least,
        max=form.most,
        metavar=form.metavar,
        rich_help_panel=parameter.panel,
    )
    value_type = str if parameter.name == "years" else form.value_type
    default = list(parameter.default) or None if isinstance(parameter.default, tuple) else parameter.default
    annotation = value_type | None if default is None else value_type
    return inspect.Parameter(
        parameter.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[annotation, option]
    )


def default_in_words(default: Any) -> str:
    """Return the sentence that states a default which typer would cut in a narrow terminal, "" for others."""
    if default is True:
        return "Default: on."
    return f"Default: {default}" if isinstance(default, str) and "://" in default else ""


def _form_of(annotation: Any) -> _Form:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        form = _form_of(arguments[0])
        for part in arguments[1:]:
            if isinstance(part, Ge):
                form = replace(form, least=part.ge)
            elif isinstance(part, Le):
                form = replace(form, most=part.le)
        return form
    if origin is tuple:  # typer takes no list of choices: pydantic checks them
        value_type = _form_of(arguments[0]).value_type
        choices = f"[{'|'.join(get_args(value_type))}]" if get_origin(value_type) is Literal else None
        return _Form(list[str], metavar=choices, note="May be repeated.")
    if origin in (Union, UnionType):  # the first is what a command takes, another the form of a deployment
        return _form_of(next(argument for argument in arguments if argument is not NoneType))
    return _Form(annotation)


def _flag(name: str) -> str:
    return FLAGS.get(name, f"--{name.replace('_', '-')}")


def read_years(text: str | None) -> list[int]:
    """Return the years in "2022", "2019-2022" or "2014,2016-2018", none for None.

    Raises `InputError` for anything else.
    """
    years: set[int] = set()
    if text is None:
        return []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last if dash else first).isdecimal()):
            raise InputError(f"{text!r} names no years; write 2022, 2019-2022 or 2014,2016")
        years.update(range(int(first), int(last or first) + 1))
    if not years:
        raise InputError(f"{text!r} names no years; write the earlier one first, as in 2019-2022")
    return sorted(years)


def read_films(entries: list[str] | None) -> list[str]:
    """Return films as typed, and those in files typed as @FILE, one per line.

    Raises `InputError` for a file that cannot be read.
    """
    films: list[str] = []
    for entry in entries or []:
        if not entry.startswith("@"):
            films.append(entry)
            continue
        file = Path(entry[1:]).expanduser()
        if not file.is_file():
            raise InputError(f"There is no file {file}; give @FILE with one film per line")
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise InputError(f"{file} cannot be read ({reason}); give a text file in UTF-8") from error
        films.extend(line.strip() for line in lines if line.strip())
    return films


_READERS: dict[str, Callable[[Any], Any]] = {"years": read_years, "films": read_films}
