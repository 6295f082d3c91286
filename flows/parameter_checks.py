"""Check the parameters of a flow before anything is started or fetched; imports no Prefect.

Every function raises `InputError` for what the user has to change. `refresh` checks those of all its stages
first, so that a misspelt system does not show after hours of collecting.
"""

from __future__ import annotations

from flows.parameters import (
    CollectFilmsParameters,
    CollectSoundtracksParameters,
    CurateDatasetParameters,
    RefreshParameters,
    TrainAndEvaluateParameters,
)
from storage.errors import InputError
from tasks.curation.settings import CurationSettings
from tasks.films.dump.reader import existing_export
from tasks.films.wiki.client import user_agent
from tasks.options import OptionGroup, TuningOptions
from tasks.soundtracks.runs.settings import SoundtrackSettings
from training.config import chosen_settings, chosen_systems


def check(parameters: OptionGroup) -> None:
    """Raise `InputError` for parameters of a flow that cannot work."""
    match parameters:
        case CollectFilmsParameters():
            check_films(parameters)
        case CollectSoundtracksParameters():
            SoundtrackSettings(**parameters.part(SoundtrackSettings)).check()
        case CurateDatasetParameters():
            CurationSettings(**parameters.part(CurationSettings))
        case TrainAndEvaluateParameters():
            chosen_systems(list(parameters.systems))
            chosen_settings(parameters.preset, epochs=parameters.epochs, **parameters.part(TuningOptions))
        case RefreshParameters():
            check_refresh(parameters)


def check_films(parameters: CollectFilmsParameters) -> None:
    """Raise `InputError` unless there is one readable source of films: an export, or a wiki with a contact."""
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


def check_refresh(parameters: RefreshParameters) -> None:
    """Raise `InputError` for what would end any stage of a refresh."""
    if parameters.export or parameters.years or parameters.recent_years:
        check(CollectFilmsParameters(**parameters.part(CollectFilmsParameters)))
    if parameters.music or parameters.urls or parameters.youtube:
        check(CollectSoundtracksParameters(**parameters.part(CollectSoundtracksParameters)))
    check(CurateDatasetParameters(**parameters.part(CurateDatasetParameters)))
    if parameters.train in ("when_new", "always"):
        check(TrainAndEvaluateParameters(**parameters.part(TrainAndEvaluateParameters)))
