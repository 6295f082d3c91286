"""`needledrop train`: train the systems of the paper's Table 1 on a data-set version, measure them, print a table."""

from __future__ import annotations

import os
import textwrap
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from flows.parameters import TrainAndEvaluateParameters
from needledrop.cli.options import options_of
from needledrop.cli.output.leaderboard_table import leaderboard_rows, training_table
from needledrop.cli.run_prefect_flow import prefect_for_commands, run_flow
from storage.tables.tables import open_existing
from tasks.options_and_defaults import TuningOptions

_WIDEST = 100
"""Characters per line of the list of settings, at most."""


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("train")(train_command)


@options_of(TrainAndEvaluateParameters)
def train_command(
    parameters: TrainAndEvaluateParameters,
    verbose: bool,
    show_settings: Annotated[
        bool, typer.Option("--show-settings", help="Print every setting with its value, and train nothing.")
    ] = False,
) -> None:
    """Train systems and measure them on the held-out years.

    Finished runs are skipped, and an interrupted one resumes where it stopped. A system that fails does not stop
    the others. On several GPUs start it with torchrun: each batch is split among them.

    [bold]Examples[/]

    needledrop train --system all --preset small --seeds 3

    needledrop train --set text.pretrained=/models/bert --set optimiser.rate=3e-4

    torchrun --no-python --nproc-per-node 4 needledrop train --system All --preset paper
    """
    if show_settings:
        print_settings(parameters)
        return
    parameters = replace(parameters, lake=open_existing(parameters.lake).root)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # under torchrun all ranks are one run, not one flow run each
        with prefect_for_commands(verbose=verbose):
            from flows.train_and_evaluate import train_and_evaluate

            result = train_and_evaluate.fn(**vars(parameters))
    else:
        result = run_flow("flows.train_and_evaluate:train_and_evaluate", parameters, verbose=verbose)
    if int(os.environ.get("RANK", "0")) == 0:
        print_training(parameters.lake, result)


def print_settings(parameters: TrainAndEvaluateParameters) -> None:
    """Print every setting: its name and value with these parameters, the preset's where it differs, form and help."""
    from training.presets import PRESETS, chosen_settings
    from training.settings_checks import users
    from training.settings_parsing import GROUPS, all_settings, group_needs, shown
    from training.systems import chosen_systems

    options = {"epochs": parameters.epochs, **parameters.part(TuningOptions)}
    chosen = chosen_settings(parameters.preset, chosen_systems(list(parameters.systems)), **options).by_name()
    preset = PRESETS[parameters.preset].by_name()
    console = Console(highlight=False)
    wrapped = partial(textwrap.fill, width=min(console.width, _WIDEST), initial_indent="    ", subsequent_indent="    ")
    for group in GROUPS:
        console.print(f"\n[bold]{group}[/]{users(group_needs(group))}")
        for setting in (one for one in all_settings().values() if one.group == group):
            value, of_preset = shown(chosen[setting.name]), shown(preset[setting.name])
            changed = "" if value == of_preset else f" (preset: {of_preset})"
            console.print(f"  [bold]{setting.name}[/] = {escape(value + changed)}", soft_wrap=True)
            console.print(escape(wrapped(f"{setting.help} {setting.form.capitalize()}.{users(setting.own_needs)}")))


def print_training(root: str, result: dict[str, Any]) -> None:
    """Print what was trained and the table of its systems; `result` is what the flow `train-and-evaluate` returned."""
    console = Console()
    console.print(
        f"{result['trained']} trained, {result['already_done']} already done, {result['failed']} failed "
        f"on {result['version']}",
        highlight=False,
    )
    if result["runs"]:
        rows = leaderboard_rows(root, result["version"], result["runs"])
        console.print(training_table(rows, console.width))
        if decisions := result.get("decisions"):
            from training.retrieval.decision_results import decision_sentence

            for row in decisions:
                console.print(decision_sentence(row), soft_wrap=True, highlight=False, markup=False)
        by_seed = f"SELECT * FROM metrics WHERE dataset_version = '{result['version']}'"
        console.print(f'Results by seed: needledrop sql --lake {root} "{by_seed}"', soft_wrap=True, highlight=False)
