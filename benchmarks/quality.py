"""The recipes of the presets compared where the best possible ranking is known; no real data, no pretrained weights.

The films and the music are drawn (`benchmarks.latent_films`) and written as a data-set version, on which the product's
own training runs unchanged. Every recipe (loss, heads, optimiser, sampling) has the same small towers and the same
compute: the same number of segments shown in training, which on a GPU is the same number of passes through the towers;
a recipe may stop before. CPU seconds are printed too. The table also has chance, the language oracle of the
leaderboard, the same oracle with language and genre, and the best possible ranking (`benchmarks.best_ranking`).

Every run ends as a line of the results file, with the ranks, so that a later call does what is missing:

    python -m benchmarks.quality                                            # one seed of each recipe, in a new folder
    python -m benchmarks.quality --folder work --seeds 5 --ablation-seeds 1 # and again after an interruption
    python -m benchmarks.quality --folder work --only-table --plot recall.png
    python -m benchmarks.quality --folder other --drawing 1 --seeds 5       # films on which no setting was chosen
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as `training` sets it, and torch may be imported first here


from benchmarks.latent_films import TILE_PIXELS, VERSION, YEARS, Films, World, draw_films, draw_world, write_lake
from benchmarks.quality_results import CONTROLS, Results, figures, own_ranks, plot_recall, print_table
from benchmarks.reading_towers import MAX_TOKENS, save_towers
from storage.code_version import git_version
from storage.datasets import versions as datasets
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics
from training.evaluation.embeddings import PARAGRAPHS
from training.loop.checkpoint import read_state
from training.loop.devices_and_torchrun import Machine, open_machine
from training.presets import PRESETS
from training.settings import Settings
from training.systems import SYSTEMS
from training.training_runs import Data, load_data, plan_jobs, run_experiment

SEGMENTS_SHOWN = 14_000
"""Segments shown in training: about four passes over the training tracks."""
TOWERS: dict[str, Any] = {
    "text.pretrained": "reading",
    "text.layers": 1,
    "text.max_tokens": MAX_TOKENS,
    "text.pooling": "mean",
    "text.frozen": True,
    "image.pretrained": "reading",
    "image.patch_pixels": TILE_PIXELS,
    "image.layers": 1,
    "image.frozen": True,
    "audio.stem": (8, 32),
    "audio.channels": 16,
    "audio.blocks": 1,
    "audio.width": 32,
    "audio.layers": 1,
    "audio.heads": 2,
    "audio.mlp": 64,
    "audio.position_deviation": 0.02,
}
"""The towers of every recipe: text and image read what is drawn (`benchmarks.reading_towers`) and stay as they are, so
that they run once; the audio tower starts from random weights, as it does in the paper."""


@dataclass(frozen=True)
class Recipe:
    """A preset with changes."""

    name: str
    preset: str
    changes: Mapping[str, Any] = field(default_factory=dict)

    def settings(self, segments: int, tracks: int) -> Settings:
        """Return the settings on the small towers, with as many epochs over `tracks` tracks as `segments` allow."""
        settings = PRESETS[self.preset].changed({**TOWERS, **self.changes})
        epochs = max(1, round(segments / tracks / settings.data.segments))
        return replace(settings.changed({"training.epochs": epochs}), preset=self.name.replace(" ", "-"))


STRONG = "strong"
ABLATED = "every switch"
FEWER_STEPS: dict[str, Any] = {
    "training.batch": 64,
    "training.micro_batch": None,
    "optimiser.ema": 0.97,
    "optimiser.rate": 3e-3,
    "optimiser.audio_rate": 3e-3,
}
"""What `strong` sets for thousands of steps, at the scale of some two hundred: its batch would be a fourteenth of the
tracks, and its average would reach back before the first step."""
EVERY_SWITCH: dict[str, Any] = {
    **FEWER_STEPS,
    "data.segments": 2,
    "audio.segment_pooling": "attention",
    "data.modality_dropout": 0.2,
    "data.tag_subsets": True,
}
"""What `strong` could have on and, by this bench, has not."""
RECIPES = (
    Recipe("paper", "paper"),
    Recipe("released", "released"),
    Recipe("paper at 0.001", "paper", {"optimiser.rate": 1e-3}),
    Recipe("small", "small"),
    Recipe(STRONG, STRONG, FEWER_STEPS),
    Recipe("strong as it is", STRONG),
    Recipe(ABLATED, STRONG, EVERY_SWITCH),
)
"""The third is for fairness: an audio tower with random weights learns little at the rate of the paper."""
SWITCHES: dict[str, tuple[str, ...]] = {
    "linear heads": ("head.form", "head.dropout"),
    "AdamW": ("optimiser.name", "optimiser.weight_decay"),
    "warm-up and cosine": ("optimiser.schedule", "optimiser.warm_up_share"),
    "EMA": ("optimiser.ema",),
    "large batch": ("training.batch", "training.micro_batch"),
    "stop on MedR": ("training.stop_on",),
    "masks": ("data.mask_same_film", "data.mask_copies"),
    "several segments": ("data.segments", "audio.segment_pooling"),
    "whole plot": ("data.paragraphs", "text.paragraph_pooling"),
    "modality dropout": ("data.modality_dropout",),
    "tag subsets": ("data.tag_subsets",),
}
"""What is left out one at a time: these settings get the value of the preset `paper`."""


def ablations() -> list[Recipe]:
    """Return the recipe that has every switch on without each of them."""
    strong = PRESETS[STRONG].changed(EVERY_SWITCH).by_name()
    plain = {**PRESETS["paper"].by_name(), "optimiser.rate": FEWER_STEPS["optimiser.rate"]}
    without = {
        switch: {name: plain[name] for name in names if strong[name] != plain[name]}
        for switch, names in SWITCHES.items()
    }
    return [
        Recipe(f"without {switch}", STRONG, {**EVERY_SWITCH, **changes})
        for switch, changes in without.items()
        if changes
    ]


@dataclass(frozen=True)
class Bench:
    """The drawn films, their lake, and the file that results go to."""

    world: World
    films: Films
    lake: Lake
    towers: dict[str, str]
    """The folders of the text and image towers, by the names of the settings."""
    results: Path
    segments: int

    def rows(self) -> list[dict[str, Any]]:
        """Return the results so far of this number of segments."""
        lines = self.results.read_text().splitlines() if self.results.exists() else []
        return [row for row in map(json.loads, lines) if row["segments_asked"] == self.segments]

    def measured(self) -> Results:
        """Return the results so far with what each recipe is compared with."""
        ablated = [recipe.name for recipe in ablations()]
        others = [*CONTROLS, *(recipe.name for recipe in RECIPES)]
        return Results(self.world, self.films, self.rows(), {STRONG: others, ABLATED: ablated})


def main() -> None:
    """Run what is missing and print the table."""
    options = _options()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(options.folder or temporary)
        bench = open_bench(folder, options.drawing, options.segments)
        if not options.only_table:
            run_missing(bench, _planned(options))
        print_table(bench.measured())
        if options.plot:
            plot_recall(bench.measured(), options.plot)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", help="keep the lake and results.jsonl here, and go on from what is there")
    parser.add_argument("--recipe", action="append", choices=[recipe.name for recipe in RECIPES], help="default: all")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each recipe")
    parser.add_argument("--ablation-seeds", type=int, default=0, help=f"runs of {ABLATED} without each of its switches")
    parser.add_argument("--segments", type=int, default=SEGMENTS_SHOWN, help="segments shown in training")
    parser.add_argument("--drawing", type=int, default=0, help="which films and music are drawn; a folder for each")
    parser.add_argument("--plot", help="write R@10 of each recipe with its interval over the films as a PNG file")
    parser.add_argument("--only-table", action="store_true", help="print what the results file has")
    return parser.parse_args()


def open_bench(folder: Path, drawing: int, segments: int) -> Bench:
    """Return the bench of a folder, with its lake and towers written at the first call."""
    drawn = folder / "drawing"
    if drawn.exists() and drawn.read_text() != str(drawing):
        raise SystemExit(f"{folder} has the films of --drawing {drawn.read_text()}; name another folder")
    folder.mkdir(parents=True, exist_ok=True)
    drawn.write_text(str(drawing))
    world = draw_world(drawing)
    splits = [draw_films(world, split, drawing) for split in YEARS]
    lake = Lake(str(folder / "lake"))
    if not datasets.exists(lake, VERSION):
        lake = write_lake(str(folder / "lake"), splits)
    return Bench(world, splits[-1], lake, save_towers(folder / "towers", world), folder / "results.jsonl", segments)


def _planned(options: argparse.Namespace) -> list[tuple[Recipe, int]]:
    """Return recipes with their seeds, seed by seed, so that an interrupted bench has as many of each as it can."""
    recipes = [recipe for recipe in RECIPES if recipe.name in (options.recipe or [recipe.name])]
    planned = [(recipe, seed) for seed in range(options.seeds) for recipe in recipes]
    return planned + [(recipe, seed) for seed in range(options.ablation_seeds) for recipe in ablations()]


def run_missing(bench: Bench, planned: list[tuple[Recipe, int]]) -> None:
    """Run what has no line in the results file, in this order; each run adds its line when it is done."""
    data = load_data(bench.lake, VERSION)
    with open_machine() as machine:
        for recipe, seed in planned:
            settings = recipe.settings(bench.segments, len(data.train.track_ids))
            if (settings.digest, seed) not in {(row["settings"], row["seed"]) for row in bench.rows()}:
                row = run_recipe(bench, data, settings, seed, machine)
                with bench.results.open("a") as file:
                    file.write(json.dumps({"recipe": recipe.name, **row}) + "\n")
                rounded = {name: round(float(value), 2) for name, value in figures(own_ranks(row)).items()}
                print(f"{recipe.name}, seed {seed}: {rounded}, {row['cpu_seconds']} CPU-s", flush=True)


def run_recipe(bench: Bench, data: Data, settings: Settings, seed: int, machine: Machine) -> dict[str, Any]:
    """Train system All with the product's own code and return the ranks of the test tracks with the run's costs."""
    [job] = plan_jobs(VERSION, [SYSTEMS["All"]], settings.changed(bench.towers), [seed])
    begun = read_state(bench.lake, job.run_id) is not None  # by a call that was interrupted, so the cost is not known
    wall, cpu = time.perf_counter(), time.process_time()
    run_experiment(bench.lake, data, job, machine)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    with connect_metrics(bench.lake) as connection:
        [(epochs, items)] = connection.execute(
            "SELECT count(*), sum(items) FROM epochs WHERE run_id = ?", [job.run_id]
        ).fetchall()
        by_policy = connection.execute(
            "SELECT policy, list(rank ORDER BY track_id) FROM ranked WHERE run_id = ? GROUP BY policy", [job.run_id]
        ).fetchall()
    row = {"settings": settings.digest, "seed": seed, "segments_asked": bench.segments, "tracks_shown": int(items)}
    cost = {"cpu_seconds": None if begun else round(cpu, 1), "wall_seconds": None if begun else round(wall, 1)}
    row |= {"epochs": epochs, **cost, "code": git_version()}
    row |= {"machine": f"{os.cpu_count()} x {platform.machine()}", "finished": datetime.now(UTC).isoformat()}
    return {**row, "policy": _policy(settings), "ranks": dict(by_policy)}


def _policy(settings: Settings) -> str:
    """Return the policy that a recipe is measured under: with the part of each plot that it was trained on."""
    whole_plot = PARAGRAPHS if settings.data.paragraphs == "all" else ""
    return f"segments{settings.evaluation.segments}{whole_plot}"


if __name__ == "__main__":
    main()
