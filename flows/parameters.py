"""The parameters of each flow, made from the groups of `tasks.options_and_defaults`; imports no Prefect.

A flow takes one of the classes below and still shows Prefect a flat form:

    @flow(name="curate-dataset")
    @takes(CurateDatasetParameters)
    def curate_dataset(parameters: CurateDatasetParameters) -> dict[str, Any]: ...

    curate_dataset(lake="lake", train_until=2019)
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args, get_type_hints

from typing_extensions import Doc

from tasks.options_and_defaults import (
    CardOptions,
    DatasetOptions,
    ExtractionOptions,
    FailureOptions,
    FilmOptions,
    LakeOptions,
    LibraryOptions,
    LimitOptions,
    MusicOptions,
    NetworkOptions,
    OptionGroup,
    SelectionOptions,
    SoundtrackOptions,
    TrainingOptions,
    TrainingRunOptions,
    TuningOptions,
    WorkerOptions,
)

P = TypeVar("P", bound=OptionGroup)
R = TypeVar("R")


@dataclass(frozen=True, kw_only=True)
class CollectFilmsParameters(LakeOptions, FilmOptions, SelectionOptions, LimitOptions, FailureOptions):
    """The parameters of `collect-films`."""


@dataclass(frozen=True, kw_only=True)
class CollectSoundtracksParameters(LakeOptions, SoundtrackOptions, FailureOptions):
    """The parameters of `collect-soundtracks`."""


@dataclass(frozen=True, kw_only=True)
class CurateDatasetParameters(LakeOptions, DatasetOptions, CardOptions):
    """The parameters of `curate-dataset`."""


@dataclass(frozen=True, kw_only=True)
class TrainAndEvaluateParameters(LakeOptions, TrainingOptions, TrainingRunOptions, TuningOptions):
    """The parameters of `train-and-evaluate`."""


@dataclass(frozen=True, kw_only=True)
class IndexLibraryParameters(LakeOptions, LibraryOptions, WorkerOptions):
    """The parameters of `index-library`."""


@dataclass(frozen=True, kw_only=True)
class RefreshParameters(
    LakeOptions,
    FilmOptions,
    LimitOptions,
    MusicOptions,
    NetworkOptions,
    ExtractionOptions,
    FailureOptions,
    DatasetOptions,
    CardOptions,
    TrainingOptions,
):
    """The parameters of `refresh`: those of its stages, but what narrows a stage to single films or settings."""

    panel: ClassVar[str | None] = "Training"

    train: Annotated[
        Literal["when_new", "always", "never", "deployment"],
        Doc(
            "When to train: when_new (a version that has no run yet), always or never, in this run; or deployment: "
            "have the server's train-and-evaluate/on-new-version train every version that has no run yet."
        ),
    ] = "when_new"


@dataclass(frozen=True)
class Parameter:
    """One parameter of a flow: what its form and its command are made from."""

    name: str
    annotation: Any
    default: Any
    help: str
    panel: str | None


def parameters_of(group: type[OptionGroup]) -> list[Parameter]:
    """Return the parameters that a class of options defines and inherits, in the order of its groups."""
    hints = get_type_hints(group, include_extras=True)
    defaults = {field.name: field.default for field in fields(group)}
    return [
        Parameter(name, hints[name], defaults[name], _help(hints[name]), defined_in.panel)
        for defined_in in (*group.__mro__[1:], group)
        if issubclass(defined_in, OptionGroup)
        for name in vars(defined_in).get("__annotations__", {})
        if name in defaults
    ]


def takes(parameters: type[P]) -> Callable[[Callable[[P], R]], Callable[..., R]]:
    """Decorate a function of one object of options so that it is called with, and documented by, its fields.

    Prefect reads types, bounds and defaults from the signature, and descriptions from the docstring's `Args`. Where
    a parameter is a list, null in a deployment means its default.
    """
    listed = parameters_of(parameters)

    def decorate(function: Callable[[P], R]) -> Callable[..., R]:
        def call(**values: Any) -> R:
            return function(parameters(**{name: value for name, value in values.items() if value is not None}))

        explained = "\n".join(f"    {parameter.name}: {parameter.help}" for parameter in listed)
        call.__module__, call.__name__, call.__qualname__ = function.__module__, function.__name__, function.__name__
        call.__doc__ = f"{inspect.cleandoc(function.__doc__ or '')}\n\nArgs:\n{explained}\n"
        call.__annotations__ = {}
        call.__signature__ = inspect.Signature([_in_signature(p) for p in listed])  # type: ignore[attr-defined]
        return call

    return decorate


def _in_signature(parameter: Parameter) -> inspect.Parameter:
    is_list = isinstance(parameter.default, tuple)
    annotation = parameter.annotation | None if is_list else parameter.annotation
    return inspect.Parameter(
        parameter.name, inspect.Parameter.KEYWORD_ONLY, default=parameter.default, annotation=annotation
    )


def _help(annotation: Any) -> str:
    return next(part.documentation for part in get_args(annotation) if isinstance(part, Doc))
