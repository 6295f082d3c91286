"""One definition per option: flows, settings and deployments agree on type, bounds, default and help."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_args

import pytest
from prefect import Flow

from flows.collect_films import collect_films
from flows.collect_soundtracks import collect_soundtracks
from flows.curate_dataset import curate_dataset
from flows.parameters import (
    CollectFilmsParameters,
    CollectSoundtracksParameters,
    CurateDatasetParameters,
    RefreshParameters,
    TrainAndEvaluateParameters,
    check,
    parameters_of,
)
from flows.refresh import refresh
from flows.train_and_evaluate import train_and_evaluate
from tasks.curation.exclusions_and_splits import CurationSettings
from tasks.options_and_defaults import OptionGroup, SystemName, TrainingOptions
from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings
from training.presets import PRESETS
from training.settings_parsing import SHORT_NAMES, all_settings, form_of, read_changes
from training.systems import SYSTEMS

FLOWS: dict[type[OptionGroup], Flow[..., Any]] = {
    CollectFilmsParameters: collect_films,
    CollectSoundtracksParameters: collect_soundtracks,
    CurateDatasetParameters: curate_dataset,
    TrainAndEvaluateParameters: train_and_evaluate,
    RefreshParameters: refresh,
}
ONLY_IN_ITS_STAGE = {
    "films": "narrows one stage; a refresh is of the whole lake",
    "find_only": "looks for music and collects none, so nothing follows it: `needledrop soundtracks`",
    "encode": "embeds what is collected and collects none, so nothing follows it: `needledrop soundtracks`",
    "retry_reasons": "a retry does nothing else: `needledrop retry`",
    "dataset": "a refresh trains on the version that it has just made",
    "again": "in a refresh: train = always",
    "compiled": "a setting of single training runs: `needledrop train`",
    "decisions": "as compiled",
    "hold_out_decisions": "as compiled",
    "batch": "as compiled",
    "micro_batch": "as compiled",
    "learning_rate": "as compiled",
    "patience": "as compiled",
    "eval_segments": "as compiled",
    "set": "as compiled",
    "settings": "as compiled",
    "text_model": "as compiled",
    "image_model": "as compiled",
}
"""Parameters of a stage that `refresh` does not take, and why."""


@pytest.mark.parametrize("parameters", FLOWS)
def test_a_flow_shows_every_parameter_with_its_default_and_help(parameters: type[OptionGroup]) -> None:
    shown = FLOWS[parameters].parameters.properties
    listed = parameters_of(parameters)
    assert list(shown) == [parameter.name for parameter in listed]
    for parameter in listed:
        default = list(parameter.default) if isinstance(parameter.default, tuple) else parameter.default
        assert shown[parameter.name]["default"] == default
        assert shown[parameter.name]["description"] == parameter.help


def test_a_name_means_the_same_in_every_flow() -> None:
    definitions: dict[str, set[str]] = {}
    for group in (*FLOWS, SoundtrackSettings, CurationSettings):
        for parameter in parameters_of(group):
            definitions.setdefault(parameter.name, set()).add(repr(parameter))
    assert [name for name, found in definitions.items() if len(found) > 1] == []


def test_refresh_takes_what_its_stages_take_or_says_why_not() -> None:
    of_stages = {field.name for group in FLOWS for field in fields(group)}
    assert of_stages - {field.name for field in fields(RefreshParameters)} == set(ONLY_IN_ITS_STAGE)


def test_settings_are_made_from_the_parameters_of_their_flow() -> None:
    parameters = CollectSoundtracksParameters(music=("folder",), daily_requests=7)
    settings = SoundtrackSettings(**parameters.part(SoundtrackSettings))
    assert (settings.music, settings.daily_requests) == (("folder",), 7)
    assert (
        CurationSettings(**CurateDatasetParameters(min_films_per_tag=3).part(CurationSettings)).min_films_per_tag == 3
    )


@pytest.mark.parametrize(
    ("flow", "parameters"),
    [
        (refresh, {"train": "nver"}),
        (refresh, {"daily_requests": 0}),
        (refresh, {"workers": 65}),
        (collect_soundtracks, {"order": ["musik"]}),
        (collect_films, {"years": [1492]}),
        (train_and_evaluate, {"batch": 1}),
        (train_and_evaluate, {"learning_rate": 0}),
    ],
)
def test_prefect_refuses_values_out_of_bounds(flow: Flow[..., Any], parameters: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=next(iter(parameters))):
        flow.validate_parameters(parameters)


def test_null_means_the_default_of_a_list() -> None:
    values = collect_films.validate_parameters({"years": None, "films": None})
    assert (values["years"], values["films"]) == (None, None)
    assert "null" in {kind.get("type") for kind in collect_films.parameters.properties["years"]["anyOf"]}


@pytest.mark.parametrize(("recent", "years"), [(1, (2027,)), (2, (2026, 2027)), (None, (2014, 2015))])
def test_recent_years_end_with_the_present_one(recent: int | None, years: tuple[int, ...]) -> None:
    parameters = CollectFilmsParameters(years=() if recent else (2014, 2015), recent_years=recent)
    assert parameters.release_years(today=2027) == years


def test_the_presets_are_those_of_the_experiment() -> None:
    preset = next(p for p in parameters_of(TrainingOptions) if p.name == "preset")
    assert set(get_args(get_args(preset.annotation)[0])) == set(PRESETS)


def test_an_option_for_a_setting_has_its_type_and_bounds() -> None:
    annotations = {parameter.name: parameter.annotation for parameter in parameters_of(TrainAndEvaluateParameters)}
    for option, setting in SHORT_NAMES.items():
        of_option, of_setting = form_of(annotations[option]), all_settings()[setting].form
        assert of_option.removesuffix(", or none") == of_setting.removesuffix(", or none"), option


@pytest.mark.parametrize(
    "typed",
    [
        {"training.batch": 64, "optimiser.rate": "3e-4"},
        {"training": {"batch": 64}, "optimiser": {"rate": 3e-4}},
        ["training.batch=64", "optimiser.rate=3e-4"],
        [{"training.batch": 64}, "optimiser.rate = 3e-4"],
    ],
)
def test_a_deployment_sets_settings_as_a_mapping_or_a_list(typed: Any) -> None:
    given = train_and_evaluate.validate_parameters({"set": typed})["set"]
    assert read_changes(given) == {"training.batch": 64, "optimiser.rate": 3e-4}
    check(TrainAndEvaluateParameters(set=given))


def test_systems_are_those_of_the_table_or_all() -> None:
    assert set(get_args(SystemName)) == {*SYSTEMS, "all"}
    items = train_and_evaluate.parameters.properties["systems"]["anyOf"][0]["items"]
    assert set(items["enum"]) == {*SYSTEMS, "all"}
