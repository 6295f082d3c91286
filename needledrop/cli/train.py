"""`needledrop train`: train the systems of the paper's Table 1 on a data-set version and measure them."""

from __future__ import annotations

import os
from dataclasses import replace

import typer

from flows.parameters import TrainAndEvaluateParameters
from needledrop.cli.options import options_of
from needledrop.cli.run_flow import prefect_for_commands, run_flow
from storage.tables.tables import open_existing


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("train")(train_command)


@options_of(TrainAndEvaluateParameters)
def train_command(parameters: TrainAndEvaluateParameters, verbose: bool) -> None:
    """Train systems and measure them on the held-out years.

    Finished runs are skipped, and an interrupted one resumes where it stopped. A system that fails does not stop
    the others. On several GPUs start it with torchrun: each batch is split among them.

    [bold]Examples[/]

    needledrop train --system all --preset small --seeds 3

    torchrun --no-python --nproc-per-node 4 needledrop train --system All --preset paper
    """
    parameters = replace(parameters, lake=open_existing(parameters.lake).root)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:  # under torchrun all ranks are one run, not one flow run each
        with prefect_for_commands(verbose=verbose):
            from flows.train_and_evaluate import train_and_evaluate

            result = train_and_evaluate.fn(**vars(parameters))
    else:
        result = run_flow("flows.train_and_evaluate:train_and_evaluate", parameters, verbose=verbose)
    if int(os.environ.get("RANK", "0")) == 0:
        from needledrop.cli.tables.training_table import print_training

        print_training(parameters.lake, result)
