"""What the quality benchmark found as tables and a plot: recipes next to controls, with intervals over the films."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import stats

from benchmarks.best_ranking import likelihood_scores, mid_ranks
from benchmarks.latent_films import VERSION, Films, Floats, World, film_id
from storage.metrics.leaderboard_chance_and_paper_views import RECALL_AT
from training.evaluation.baselines import HeldOut, language_oracle
from training.evaluation.intervals_and_comparisons import MEDIAN, FilmResults, differences, intervals
from training.evaluation.ranking import Ranks

CONTROLS = ("best possible", "language and genre known", "language oracle")
"""Rankings that need no training."""


@dataclass(frozen=True)
class Results:
    """The drawn films and what was measured on them."""

    world: World
    films: Films
    rows: list[dict[str, Any]]
    """The lines of the results file."""
    references: Mapping[str, Collection[str]]
    """Recipe -> the recipes and controls that are compared with it, film by film."""


def print_table(results: Results) -> None:
    """Print every recipe with intervals over films and over seeds, the controls, and the paired differences."""
    found = results_by_name(results)
    print("| recipe | seeds | R@1 | R@10 (95 % over films) | (95 % over seeds) | R@100 | MedR (95 %) | CPU-s |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, (ranks, cost) in found.items():
        bounds = intervals(film_results(ranks, results.films))
        ten, median = bounds["r_at_10"], bounds[MEDIAN]
        cells = [name, str(len(ranks)), f"{bounds['r_at_1'].value:.1f}"]
        cells += [f"{ten.value:.1f} ({ten.low:.1f}–{ten.high:.1f})", _over_seeds(ranks)]
        cells += [f"{bounds['r_at_100'].value:.1f}", f"{median.value:.0f} ({median.low:.0f}–{median.high:.0f})", cost]
        print(f"| {' | '.join(cells)} |")
    candidates = len(results.films.owner)
    chance = [100 * k / candidates for k in (1, 10, 100)]
    print(f"| chance | | {chance[0]:.2f} | {chance[1]:.2f} | | {chance[2]:.1f} | {(candidates + 1) / 2:.1f} | |")
    for reference, compared in results.references.items():
        _print_differences(results.films, found, reference, [name for name in found if name in compared])


def results_by_name(results: Results) -> dict[str, tuple[Floats, str]]:
    """Return the ranks [seeds, T] and the cost of each control and recipe; recipes with the best R@10 first."""
    return {**_controls(results), **_recipes(results.rows)}


def plot_recall(results: Results, file: str) -> None:
    """Draw R@10 of each control and recipe with its 95 % interval over the films, and the line of chance."""
    found = {name: ranks for name, (ranks, _) in results_by_name(results).items() if not name.startswith("without")}
    figure = Figure(figsize=(8, 0.45 * len(found) + 1.2), layout="constrained")
    axes = figure.add_subplot(xlabel="R@10 in percent, with 95 % interval over the films")
    tens = [intervals(film_results(ranks, results.films))["r_at_10"] for ranks in reversed(found.values())]
    for row, ten in enumerate(tens):
        colour = "0.6" if len(found) - row <= len(CONTROLS) else "tab:blue"
        axes.barh(row, ten.value, color=colour, xerr=[[ten.value - ten.low], [ten.high - ten.value]], capsize=3)
        axes.text(ten.high, row, f"  {ten.value:.1f}", va="center")
    # Set after the bars: set before, it would end the axis at 1, with all values out of the picture.
    axes.set_xlim(0, 1.12 * max(ten.high for ten in tens))
    axes.set_yticks(range(len(found)), list(reversed(found)))
    axes.axvline(1000 / len(results.films.owner), color="tab:red", linestyle=":", label="chance")
    axes.legend(loc="lower right")
    FigureCanvasAgg(figure).print_png(file)


def _print_differences(films: Films, found: dict[str, tuple[Floats, str]], reference: str, names: list[str]) -> None:
    """Print the paired differences of these rankings from one recipe, over the seeds that both have."""
    if reference not in found:
        return
    print(f"\n| minus {reference} | seeds | R@10 (95 % over films) | p |\n| --- | --- | --- | --- |")
    for name in names:
        if name != reference:
            seeds = min(len(found[name][0]), len(found[reference][0]))
            own, others = (film_results(found[which][0][:seeds], films) for which in (name, reference))
            ten = differences(own, others)["r_at_10"]
            print(f"| {name} | {seeds} | {ten.value:+.1f} ({ten.low:+.1f} to {ten.high:+.1f}) | {ten.p:.4f} |")


def _recipes(rows: list[dict[str, Any]]) -> dict[str, tuple[Floats, str]]:
    """Return the ranks [seeds, T] and the mean CPU seconds of each recipe, best first."""
    runs: dict[str, dict[int, dict[str, Any]]] = {}
    for row in rows:
        runs.setdefault(row["recipe"], {})[row["seed"]] = row
    found = {}
    for name, by_seed in runs.items():
        own = [by_seed[seed] for seed in sorted(by_seed)]
        costs = [row["cpu_seconds"] for row in own if row["cpu_seconds"] is not None]
        cost = f"{np.mean(costs):.0f}" if costs else ""
        found[name] = (np.array([own_ranks(row) for row in own]), cost)
    return dict(sorted(found.items(), key=lambda item: -np.mean(item[1][0] <= 10)))


def own_ranks(row: dict[str, Any]) -> Floats:
    """Return the ranks [T] of a run under its own policy."""
    return np.array(row["ranks"][row["policy"]], float)


def _controls(results: Results) -> dict[str, tuple[Floats, str]]:
    """Return the ranks of the best possible ranking and of the oracles, with five random orders within their groups."""
    films = results.films
    best = mid_ranks(likelihood_scores(results.world, films), films.owner)
    tagged = [str(language) for language in films.tagged_language]
    known = [f"{language} {genre}" for language, genre in zip(films.language, films.genre, strict=True)]
    controls = (best[None], _oracle(films, known), _oracle(films, tagged))
    return {name: (ranks, "") for name, ranks in zip(CONTROLS, controls, strict=True)}


def _oracle(films: Films, labels: list[str]) -> Floats:
    """Return the ranks [seeds, T] of the product's oracle where tracks of films with the query's label come first."""
    language = {film_id(films, film): label for film, label in enumerate(labels)}
    owners = tuple((f"{track:06}", film_id(films, film)) for track, film in enumerate(films.owner))
    held_out = HeldOut(VERSION, "", owners, language, language, frozenset())
    return np.array([_in_track_order(language_oracle(held_out, seed)) for seed in range(5)])


def _in_track_order(ranks: Ranks) -> Floats:
    middle = (ranks.rank_lo + ranks.rank_hi) / 2
    ordered: Floats = middle[np.argsort(ranks.track_ids)]
    return ordered


def film_results(ranks: Floats, films: Films) -> FilmResults:
    """Return what the bootstrap over films takes, from the ranks [seeds, T] of the test tracks."""
    seeds, count = len(ranks), len(films.years)
    by_film = [np.bincount(films.owner, (ranks <= k).sum(axis=0), count) for k in RECALL_AT]
    tracks = seeds * np.bincount(films.owner, minlength=count)
    return FilmResults(
        films=tuple(film_id(films, film) for film in range(count)),
        ratios=tuple(f"r_at_{k}" for k in RECALL_AT),
        numerators=100 * np.column_stack(by_film).astype(np.float64),
        denominators=np.column_stack([tracks] * len(RECALL_AT)).astype(float),
        rank=ranks.ravel(),
        film=np.tile(films.owner, seeds),
    )


def _over_seeds(ranks: Floats) -> str:
    """Return the 95 % interval of the mean R@10 over seeds, by Student's t; nothing for fewer than two."""
    by_seed = 100 * (ranks <= 10).mean(axis=1)
    if len(by_seed) < 2:
        return ""
    half = stats.t.ppf(0.975, len(by_seed) - 1) * by_seed.std(ddof=1) / np.sqrt(len(by_seed))
    return f"{by_seed.mean() - half:.1f}–{by_seed.mean() + half:.1f}"


def figures(ranks: Floats) -> dict[str, float]:
    """Return recall at 1, 10 and 100 in percent and the median of these ranks."""
    recalls = {f"R@{k}": 100 * float((ranks <= k).mean()) for k in (1, 10, 100)}
    return {**recalls, "MedR": float(np.median(ranks))}
