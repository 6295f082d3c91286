"""The options of all commands: made from the flows' parameters, and the same wherever they appear."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from rich.text import Text

from flows.parameters import (
    CollectFilmsParameters,
    CollectSoundtracksParameters,
    CurateDatasetParameters,
    RefreshParameters,
    TrainAndEvaluateParameters,
    parameters_of,
)
from needledrop.cli.main import app
from needledrop.cli.options import read_films, read_years
from storage.errors import InputError
from tasks.options_and_defaults import OptionGroup

COMMANDS: dict[type[OptionGroup], tuple[str, ...]] = {
    CollectFilmsParameters: ("films",),
    CollectSoundtracksParameters: ("soundtracks", "retry"),
    CurateDatasetParameters: ("curate",),
    TrainAndEvaluateParameters: ("train",),
    RefreshParameters: ("refresh",),
}
DIFFERENT = {
    "lake": "the demo has a lake of its own",
    "dataset": "the newest to train on, the one measured last to report",
    "limit": "films of a run, runs of a service",
    "count": "matches to review, tracks to find",
    "encoder": "a hub name or folder to index with, one that has indexed the libraries to search with",
    "library": "cues need one, a search may be of the data set",
    "out": "a folder of cues, a file of a sample",
    "port": "Prefect's server, the studio",
    "run": "the best whose inputs are given to search, the best of all to index",
    "seed": "the order of a list, what a sample draws",
    "yes": "a match to accept in a review, no question before versions are deleted",
    "youtube": "a source of music, what the doctor asks",
}
"""Options that differ between commands, and why."""


def leaves(command: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield name -> command for every command below a group, and for a group that is a command too."""
    children = getattr(command, "commands", {})
    if not children or command.invoke_without_command:
        yield name, command
    for child_name, child in children.items():
        yield from leaves(child, f"{name} {child_name}".strip())


ALL = dict(leaves(typer.main.get_command(app)))


def options_named(command: str) -> dict[str, Any]:
    return {parameter.name: parameter for parameter in ALL[command].params if parameter.param_type_name == "option"}


@pytest.mark.parametrize("parameters", COMMANDS)
def test_every_parameter_of_a_flow_is_an_option_with_its_default_and_help(parameters: type[OptionGroup]) -> None:
    offered = {name: option for command in COMMANDS[parameters] for name, option in options_named(command).items()}
    for parameter in parameters_of(parameters):
        option = offered[parameter.name]
        assert Text.from_markup(option.help).plain.startswith(parameter.help)
        default = option.default() if callable(option.default) else option.default
        assert (tuple(default or ()) if isinstance(parameter.default, tuple) else default) == parameter.default


def test_an_option_is_the_same_in_every_command() -> None:
    definitions: dict[str, set[str]] = {}
    for command in ALL:
        for name, option in options_named(command).items():
            type_ = (option.type_descriptor.annotation, option.min, option.max, option.multiple)
            flags = (option.opts, option.secondary_opts, option.envvar)
            definitions.setdefault(name, set()).add(repr((*flags, *type_, option.default, option.help)))
    assert {name for name, found in definitions.items() if len(found) > 1} == set(DIFFERENT)


def test_every_command_but_the_demo_finds_the_lake_in_the_environment() -> None:
    variables = {name: options_named(name)["lake"].envvar for name in ALL if "lake" in options_named(name)}
    assert {name for name, variable in variables.items() if variable != "NEEDLEDROP_LAKE"} == {"demo"}


def test_help_needs_neither_prefect_nor_torch() -> None:
    program = "import sys, needledrop.cli.main; assert not {'prefect', 'torch', 'yt_dlp'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("2022", [2022]),
        ("2019-2022", [2019, 2020, 2021, 2022]),
        ("2014, 2016,2014", [2014, 2016]),
        (None, []),
    ],
)
def test_years_are_single_ones_ranges_and_lists(text: str | None, years: list[int]) -> None:
    assert read_years(text) == years


@pytest.mark.parametrize("text", ["", "abc", "2022-", "2022-2019", "20x2"])
def test_text_without_years_is_bad_input(text: str) -> None:
    with pytest.raises(InputError, match="names no years"):
        read_years(text)


def test_films_are_read_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "films.txt").write_text("Café Aurore\n\n  Lantern Row \n", encoding="utf-8")
    assert read_films(["42", f"@{tmp_path / 'films.txt'}"]) == ["42", "Café Aurore", "Lantern Row"]
    with pytest.raises(InputError, match="no file"):
        read_films(["@absent.txt"])
