"""`needledrop train`: the systems of Table 1, trained and measured on a version of the data set."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from needledrop.cli.options import TRAINING, Epochs, LakeRoot, Preset, Seeds, Systems, Verbose
from needledrop.cli.run_flow import embedded
from storage.tables.tables import open_existing


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("train")(train_command)


def train_command(
    system: Systems = None,
    preset: Preset = "small",
    seeds: Seeds = 1,
    dataset: Annotated[
        str | None, typer.Option(help="Version to train on; the newest by default.", rich_help_panel=TRAINING)
    ] = None,
    epochs: Epochs = None,
    batch: Annotated[
        int | None, typer.Option(min=2, help="Tracks a batch, over all GPUs together.", rich_help_panel=TRAINING)
    ] = None,
    micro_batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Encode so many at once: large batches on a small GPU, a third slower.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="The highest learning rate.", rich_help_panel=TRAINING)
    ] = None,
    patience: Annotated[
        int | None, typer.Option(min=1, help="Epochs without improvement before stopping.", rich_help_panel=TRAINING)
    ] = None,
    eval_segments: Annotated[
        int | None,
        typer.Option(
            min=1, help="Segments a track is embedded from; measured with one as well.", rich_help_panel=TRAINING
        ),
    ] = None,
    text_model: Annotated[
        str | None, typer.Option(help="Hub name or folder of pretrained BERT weights.", rich_help_panel=TRAINING)
    ] = None,
    image_model: Annotated[
        str | None, typer.Option(help="Hub name or folder of pretrained ViT weights.", rich_help_panel=TRAINING)
    ] = None,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Use torch.compile; pays on long GPU runs.", rich_help_panel=TRAINING)
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Train anew also what is finished.", rich_help_panel=TRAINING)
    ] = False,
    lake: LakeRoot = "lake",
    verbose: Verbose = False,
) -> None:
    """Train systems and measure them on the held-out years.

    Finished runs are not done again; one that was stopped (Ctrl-C, a crash) goes on where it was. One system
    that fails does not lose the others. On several GPUs start it with torchrun; all of them share each batch.

    [bold]Examples[/]

    needledrop train --system all --preset small --seeds 3

    torchrun --no-python --nproc-per-node 4 needledrop train --system All --preset paper
    """
    parameters: dict[str, Any] = {
        "lake": open_existing(lake).root,
        "dataset": dataset,
        "systems": system or ["All"],
        "preset": preset,
        "seeds": list(range(seeds)),
        "epochs": epochs,
        "batch": batch,
        "micro_batch": micro_batch,
        "learning_rate": learning_rate,
        "patience": patience,
        "eval_segments": eval_segments,
        "text_model": text_model,
        "image_model": image_model,
        "compiled": compiled,
        "again": again,
    }
    with embedded(verbose=verbose):
        from flows.train_and_evaluate import train_and_evaluate

        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            # each rank is a process of its own, and one flow run a rank would be one too many
            done = train_and_evaluate.fn(**parameters)
        else:
            done = train_and_evaluate(**parameters)
    if int(os.environ.get("RANK", "0")) == 0:
        from needledrop.cli.tables.training_table import print_training

        print_training(lake, done)
