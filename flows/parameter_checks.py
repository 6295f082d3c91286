"""Check the parameters of a flow before anything is started or fetched; `InputError` says what the user has to change.

`refresh` checks the parameters of all its stages first, so that a misspelt system does not show after hours of
collecting. The stages are imported only then: every command imports this module.
"""

from __future__ import annotations

from flows.parameters import (
    CollectFilmsParameters,
    CollectSoundtracksParameters,
    CurateDatasetParameters,
    IndexLibraryParameters,
    RefreshParameters,
    TrainAndEvaluateParameters,
)
from storage.errors import InputError
from storage.lake.lake import VERSION_FILE, lake_at
from tasks.options_and_defaults import OptionGroup, TuningOptions


def check(parameters: OptionGroup) -> None:
    """Raise `InputError` for parameters of a flow that cannot work."""
    from storage.datasets.versions import read_manifest
    from tasks.curation.exclusions_and_splits import CurationSettings
    from tasks.soundtracks.runs.run_settings import SoundtrackSettings
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
