"""`needledrop train`: the systems of Table 1, trained and measured on a version of the data set."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from needledrop.embedded import embedded


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("train")(train_command)


def train_command(
    system: Annotated[
        list[str] | None,
        typer.Option(
            help="All, Im, Plo, Ta, ImPlo, ImTa, TaPlo, AVCA (frozen towers), AVCA-tuned; repeatable. all: these nine."
        ),
    ] = None,
    preset: Annotated[str, typer.Option(help="small (towers for a CPU), paper (its text) or released.")] = "small",
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds: 0, 1, 2, ….")] = 1,
    dataset: Annotated[str | None, typer.Option(help="Version to train on; the newest by default.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="At most this many epochs.")] = None,
    batch: Annotated[int | None, typer.Option(min=2, help="Tracks a batch, over all GPUs together.")] = None,
    micro_batch: Annotated[
        int | None, typer.Option(min=1, help="Encode so many at once: large batches on a small GPU, a third slower.")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The highest learning rate.")] = None,
    patience: Annotated[int | None, typer.Option(min=1, help="Epochs without improvement before stopping.")] = None,
    eval_segments: Annotated[
        int | None, typer.Option(min=1, help="Segments a track is embedded from; measured with one as well.")
    ] = None,
    text_model: Annotated[str | None, typer.Option(help="Hub name or folder of pretrained BERT weights.")] = None,
    image_model: Annotated[str | None, typer.Option(help="Hub name or folder of pretrained ViT weights.")] = None,
    compiled: Annotated[bool, typer.Option("--compile", help="Use torch.compile; pays on long GPU runs.")] = False,
    again: Annotated[bool, typer.Option("--again", help="Train anew also what is finished.")] = False,
    lake: Annotated[
        str, typer.Option(envvar="NEEDLEDROP_LAKE", help="Root of the lake: a folder, or s3://bucket/prefix.")
    ] = "lake",
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show Prefect's own log lines.")] = False,
) -> None:
    """Train systems and measure them on the held-out years.

    Finished runs are not done again; one that was stopped (Ctrl-C, a crash) goes on where it was. One system
    that fails does not lose the others. On several GPUs start it with torchrun; all of them share each batch.

    [bold]Examples[/]

    needledrop train --system all --preset small --seeds 3

    torchrun --no-python --nproc-per-node 4 needledrop train --system All --preset paper
    """
    parameters: dict[str, Any] = {
        "lake": lake,
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
        from needledrop.training_table import print_training

        print_training(lake, done)
