"""The parameters of each flow, from the groups of `tasks.options_and_defaults`, and their checks; imports no Prefect.

A flow takes one of the classes below and still shows Prefect a flat form:

    @flow(name="curate-dataset")
    @takes(CurateDatasetParameters)
    def curate_dataset(parameters: CurateDatasetParameters) -> dict[str, Any]: ...

    curate_dataset(lake="lake", train_until=2019)

They are checked before anything is started or fetched; `InputError` says what the user has to change. `refresh` checks
those of all its stages first, so that a misspelt system does not show after hours of collecting. The stages are
imported only then: every command imports this module.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, TypeVar, get_args, get_type_hints

from typing_extensions import Doc

from storage.errors import InputError
from storage.lake.lake import VERSION_FILE, lake_at
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
    WhenToTrainOptions,
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
    WhenToTrainOptions,
):
    """The parameters of `refresh`: those of its stages, but what narrows a stage to single films or settings."""


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


def check(parameters: OptionGroup) -> None:
    """Raise `InputError` for parameters of a flow that cannot work."""
    from storage.datasets.versions import read_manifest
    from tasks.curation.exclusions_and_splits import CurationSettings
    from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings
    from training.audio_encoders.model_files import check_encoder
    from training.presets import chosen_settings
    from training.systems import chosen_systems

    match parameters:
        case CollectFilmsParameters():
            _check_films(parameters)
        case CollectSoundtracksParameters():
            SoundtrackSettings(**parameters.part(SoundtrackSettings)).check()
            for name in parameters.audio_encoders:
                check_encoder(name)
        case CurateDatasetParameters():
            CurationSettings(**parameters.part(CurationSettings))
        case TrainAndEvaluateParameters():
            if parameters.dataset:
                read_manifest(lake_at(parameters.lake), parameters.dataset)
            options = {"epochs": parameters.epochs, **parameters.part(TuningOptions)}
            chosen_settings(parameters.preset, chosen_systems(list(parameters.systems)), **options)
        case IndexLibraryParameters():
            _check_index(parameters)
        case RefreshParameters():
            _check_refresh(parameters)


def _check_films(parameters: CollectFilmsParameters) -> None:
    """Raise `InputError` unless there is one readable source of films: an export, or a wiki with a contact."""
    from tasks.films.musicbrainz import MusicBrainz
    from tasks.films.rate_limited_http import user_agent
    from tasks.films.xml_export import existing_export

    if parameters.years and parameters.recent_years:
        raise InputError("Give years that are named (--years) or the newest ones (--recent-years), not both")
    if bool(parameters.export) == bool(parameters.years or parameters.recent_years or parameters.films):
        raise InputError(
            "Say where films come from: either an export (--export), or years or films of a wiki "
            "(--years, --recent-years, --film)"
        )
    if parameters.export:
        existing_export(parameters.export)
    else:
        user_agent(parameters.contact)
        if parameters.musicbrainz:
            MusicBrainz(parameters.musicbrainz, parameters.contact).close()


def _check_index(parameters: IndexLibraryParameters) -> None:
    """Raise `InputError` for a library that is not there, and unless there is one run or encoder to embed it with."""
    from storage.libraries.library import open_library
    from storage.tables.tables import open_existing
    from training.audio_encoders.model_files import check_encoder
    from training.retrieval.choose_run import choose_run, describe_run
    from training.systems import ALL_PARTS

    lake = open_existing(parameters.lake)
    open_library(lake, parameters.library)
    if parameters.run and parameters.encoder:
        raise InputError("--run and --encoder each embed the library; give one, and the other in a second command")
    if parameters.encoder:
        check_encoder(parameters.encoder, "--encoder")
    else:
        describe_run(lake, parameters.run or choose_run(lake, ALL_PARTS))


def _check_refresh(parameters: RefreshParameters) -> None:
    """Raise `InputError` for what would end any stage of a refresh.

    Without a source a refresh still makes a version of what a lake has and trains on it, but no new lake.
    """
    has_films = parameters.export or parameters.years or parameters.recent_years
    if has_films:
        check(CollectFilmsParameters(**parameters.part(CollectFilmsParameters)))
    if parameters.music or parameters.urls or parameters.youtube:
        check(CollectSoundtracksParameters(**parameters.part(CollectSoundtracksParameters)))
    check(CurateDatasetParameters(**parameters.part(CurateDatasetParameters)))
    if parameters.train in ("when_new", "always"):
        check(TrainAndEvaluateParameters(**parameters.part(TrainAndEvaluateParameters)))
    if not has_films and not lake_at(parameters.lake).exists(VERSION_FILE):
        raise InputError(
            f"There is no lake at {parameters.lake} yet: say where films come from (--export, --years or "
            "--recent-years) and where their music comes from (--music, --urls or --youtube), "
            "or give the root of a lake with --lake"
        )
