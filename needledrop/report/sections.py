"""The report's other sections: curves, histograms, differences, training, slices, runs and method."""

from __future__ import annotations

from html import escape

import numpy as np

from needledrop.report.queries import Report, Row, System
from needledrop.report.svg_charts import COLOURS, GREY, Line, histogram, interval_chart, loss_chart, recall_chart
from needledrop.report.table import number, rank_number
from storage.metrics.leaderboard_views import RECALL_AT
from training.evaluation.bootstrap import CONFIDENCE, DRAWS

BINS = 20
_COMPARED = {"r_at_10": "R@10, points", "medr": "Median rank", "map": "mAP"}
_SLICE_TITLES = {"year": "By release year", "language": "By language tag", "number_of_tracks": "By number of tracks"}
_SLICE_HEADS = {"year": "Year", "language": "Language", "number_of_tracks": "Tracks of the film"}
_SLICES_SHOWN = 12


def colour_of(report: Report, system: System) -> str:
    """Return the colour of a system, the same on every chart."""
    return COLOURS[report.systems.index(system) % len(COLOURS)]


def curves_section(report: Report) -> str:
    """Write recall over K on logarithmic axes, and R@10 with intervals."""
    last = max(2, min(100, report.tracks // 2))
    ks = sorted({*range(1, min(last, 20) + 1), *range(20, last + 1, 5), last})
    lines = [_curve(report, system, ks) for system in report.systems]
    chance = [(k, 100 * k / report.tracks) for k in ks]
    ceiling = _ceiling(report, ks)
    lines += [Line("chance", chance, GREY, dashed=True), Line("ceiling", ceiling, GREY, dashed=True)]
    description = "; ".join(f"{line.label}: {line.points[-1][1]:.1f} % at {last}" for line in lines)
    curves = recall_chart([line for line in lines if line.points], f"Recall over K. {description}")
    rows = [(s.label, s.row["r_at_10"], s.intervals.get("r_at_10"), colour_of(report, s)) for s in report.systems]
    rows += [(b.label, b.row["r_at_10"], b.intervals.get("r_at_10"), GREY) for b in report.baselines]
    dots = interval_chart(rows, [(report.chance["r_at_10"], "chance")], " %")
    return _wide(
        "Recall over K",
        curves,
        "Share of test tracks among the first K. Both axes are logarithmic: an equal distance above chance is an equal "
        f"multiple of it. Pale bars: 95 % intervals of {escape(report.shown.label)}.",
    ) + _wide(
        "R@10 with intervals",
        dots,
        "R@10 with its 95 % interval over films. Grey: baselines. The language oracle knows the language tag of every "
        "track's film and nothing else.",
    )


def _wide(name: str, chart: str, caption: str) -> str:
    return (
        f'<figure class="wide"><div class="chart" tabindex="0" role="region" aria-label="{name}">{chart}</div>'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def _curve(report: Report, system: System, ks: list[int]) -> Line:
    shares = 100 * np.searchsorted(system.rank, ks, side="right") / len(system.rank)
    points = [(k, float(share)) for k, share in zip(ks, shares, strict=True) if share > 0]
    is_shown = system is report.shown
    bars = [(k, *system.intervals[f"r_at_{k}"]) for k in RECALL_AT if k <= ks[-1] and f"r_at_{k}" in system.intervals]
    lowest = points[0][1] if points else 1.0
    return Line(
        system.label,
        points,
        colour_of(report, system),
        width=3.2 if is_shown else 1.7,
        bars=[(k, max(low, lowest / 2), high) for k, low, high in bars if high > 0] if is_shown else (),
    )


def _ceiling(report: Report, ks: list[int]) -> list[tuple[float, float]]:
    """Return the ceiling at the K of Table 1, where it is known."""
    return [(k, report.ceiling[f"r_at_{k}"]) for k in RECALL_AT if k <= ks[-1]]


def histograms_section(report: Report) -> str:
    """Write for each system the distribution of the correct tracks' ranks."""
    charts = []
    for system in report.systems:
        shares = 100 * np.histogram((system.rank - 0.5) / report.tracks, bins=BINS, range=(0, 1))[0] / len(system.rank)
        description = f"{system.label}: {shares[0]:.0f} % of the correct tracks are in the first bin"
        chart = histogram(shares.tolist(), 100 / BINS, colour_of(report, system), description)
        charts.append(f"<figure><figcaption>{escape(system.label)}</figcaption>{chart}</figure>")
    return (
        f"<p>Each ranking of {report.tracks:,} tracks has {BINS} equal bins, the first at the left; a bar is "
        "the share of correct tracks in that bin. By chance every bar would end at the dashed line.</p>"
        f'<div class="small">{"".join(charts)}</div>'
    )


def differences_section(report: Report) -> str:
    """Write the difference of every system from the reference, paired by film."""
    if not report.comparisons:
        return ""
    references = sorted({row["against_name"] for row in report.comparisons})
    by_system: dict[tuple[str, str], dict[str, Row]] = {}
    for row in report.comparisons:
        by_system.setdefault((row["against_name"], row["name"]), {})[row["metric"]] = row
    ordered = sorted(by_system.items(), key=lambda item: -item[1]["r_at_10"]["difference"])
    lines = [
        f'<tr><th scope="row">{escape(name if len(references) == 1 else f"{name} − {against}")}</th>'
        f"{''.join(_difference(rows[metric]) for metric in _COMPARED)}</tr>"
        for (against, name), rows in ordered
    ]
    caption = (
        f"Each system minus {escape(' or '.join(references))} on the same films and seeds, with the 95 % interval. p: "
        "two-sided randomisation test that swaps the two systems' results film by film, adjusted by Holm's method for "
        "all comparisons of the metric. Bold: below 0.05."
    )
    heads = "".join(f'<th scope="col">{name}</th><th scope="col">p</th>' for name in _COMPARED.values())
    return _table(caption, f'<th scope="col">System</th>{heads}', lines)


def _difference(row: Row) -> str:
    digits = {"map": 3, "medr": 1}.get(row["metric"], 2)
    value, low, high = (number(row[name], digits).replace("-", "−") for name in ("difference", "low", "high"))
    kind = ' class="best"' if row["p_holm"] < 1 - CONFIDENCE else ""
    return f"<td{kind}>{value}<small>{low} to {high}</small></td><td{kind}>{_p(row['p_holm'])}</td>"


def training_section(report: Report) -> str:
    """Write the losses over epochs for every system, one pair of lines per seed."""
    charts = []
    for system in report.systems:
        lines = [
            Line(
                f"{kind} loss, {run_id}",
                points,
                colour_of(report, system) if kind == "valid" else GREY,
                dashed=kind == "train",
            )
            for run_id, epochs in system.epochs.items()
            for kind in ("train", "valid")
            if (points := [(e["epoch"] + 1, e[f"{kind}_loss"]) for e in epochs if e[f"{kind}_loss"] is not None])
        ]
        if lines:
            ends = ", ".join(f"{line.label} ends at {line.points[-1][1]:.2f}" for line in lines)
            chart = loss_chart(lines, f"{system.label}: {ends}")
            charts.append(f"<figure><figcaption>{escape(system.label)}</figcaption>{chart}</figure>")
    if not charts:
        return ""
    return (
        "<p>Loss over epochs: validation solid, training dashed; one pair per seed. The weights of the epoch with "
        "the lowest validation loss are evaluated, or with the lowest median rank in validation where a run stops on "
        f'that.</p><div class="small">{"".join(charts)}</div>'
    )


def slices_section(report: Report) -> str:
    """Write the shown system's metrics by year, language and number of tracks."""
    tables = []
    for kind, title in _SLICE_TITLES.items():
        rows = [row for row in report.slices if row["slice_by"] == kind]
        rows = sorted(rows, key=lambda row: _slice_order(kind, row))[:_SLICES_SHOWN]
        if not rows:
            continue
        widest = max(row["r_at_10"] for row in rows) or 1
        lines = [
            f'<tr><th scope="row">{escape(row["slice"])}</th><td>{row["films"]:,}</td><td>{row["tracks"]:,}</td>'
            f"<td>{number(row['r_at_10'])}</td>"
            f'<td class="bars"><span class="bar" style="width:{100 * row["r_at_10"] / widest:.0f}%"></span></td>'
            f"<td>{rank_number(row['medr'])}</td></tr>"
            for row in rows
        ]
        heads = _heads(_SLICE_HEADS[kind], "Films", "Tracks", "R@10") + '<td aria-hidden="true"></td>' + _heads("MedR")
        tables.append(f"<h3>{title}</h3>" + _table("", heads, lines))
    return "".join(tables)


def _slice_order(kind: str, row: Row) -> tuple[float, str]:
    if kind == "number_of_tracks":
        return float(row["slice"].removeprefix("over ").split(" ")[0]), ""
    return (0.0, row["slice"]) if kind == "year" else (-float(row["films"]), row["slice"])


_STRATA = {"all": "All", "band": "Score", "kind": "Kind of source", "decade": "Decade", "language": "Language"}


def pairs_section(report: Report) -> str:
    """Write what people found in the newest rated sample: precision by stratum, and how well raters agree."""
    if not report.precision:
        return (
            "<p>Nobody has rated a sample of the collected pairs of film and recording yet, so their precision is not "
            "known. <code>needledrop review sample --taken</code> draws one.</p>"
        )
    lines = [_precision_row(row) for row in report.precision if row["precision"] is not None]
    heads = _heads("By", "Stratum", "Pairs", "Rated", "Right", "Wrong", "Unsure", "Precision", "95 % interval")
    notes = [
        "Share of a blind random sample that people found right, weighted to all collected pairs. Intervals are "
        "Wilson's. A pair on which raters disagree counts as wrong until somebody decides it.",
        *(_agreement_sentence(row) for row in report.agreement),
    ]
    return _table("", heads, lines) + "".join(f'<p class="soft">{escape(note)}</p>' for note in notes)


def _precision_row(row: Row) -> str:
    counts = "".join(f"<td>{row[name]:,}</td>" for name in ("pairs", "rated", "matches", "wrong", "unsure"))
    interval = f"{100 * row['low']:.1f}–{100 * row['high']:.1f} %"
    return (
        f'<tr><th scope="row">{_STRATA[row["slice_by"]]}</th><td class="left">{escape(row["slice"])}</td>{counts}'
        f"<td>{100 * row['precision']:.1f} %</td><td>{interval}</td></tr>"
    )


def _agreement_sentence(row: Row) -> str:
    kappa = "cannot be computed: only one answer was given" if row["kappa"] is None else f"is {row['kappa']:.2f}"
    return f"{row['rater']} and {row['other_rater']} rated {row['pairs']:,} pairs in common; Cohen's kappa {kappa}."


def runs_section(report: Report) -> str:
    """Write the runs with their speed, and the method."""
    lines = [_run_row(system, run) for system in report.systems for run in system.runs]
    heads = _heads("System", "Seed", "Epochs", "Seconds", "Items/s", "Waiting for data", "Best MFU", "Code")
    notes = [
        f"Tracks and films were embedded as <em>{escape(report.policy)}</em>: from that many evenly spaced segments "
        "of 9.92 s, and from the first paragraph of a plot, or from all of them where it says paragraphs.",
        "A rank is 1 + the number of tracks with a higher score; tracks with equal scores share the mean of their "
        "ranks. Recall and median rank are over tracks, as in the paper.",
        f"Intervals: {DRAWS:,} bootstrap resamplings of the films, never of single tracks, as the results of one "
        "film's tracks are correlated. All seeds of a system are included.",
        "Baselines: random, a random ranking; mean query, one ranking for all films; language oracle, tracks of films "
        "with the query's language tag first; nearest tags, the same with the language of the training film whose tags "
        "are most similar to the query's; years kept or dropped, the queries of All with the release years in their "
        "tags where training dropped them, or without where it kept them.",
    ]
    if report.joined is not None:
        joined, in_test = report.joined
        notes.append(
            f"{joined:,} recordings of the data set stood under several films or twice under one and are kept once; "
            f"{in_test:,} of them touched the test split, where a model could have met what it was trained on."
        )
    items = "".join(f"<li>{note}</li>" for note in notes)
    return _table("", heads, lines) + f"<ul>{items}</ul>"


def _run_row(system: System, run: Row) -> str:
    epochs = system.epochs.get(run["run_id"], [])
    seconds = sum(epoch["seconds"] or 0 for epoch in epochs)
    items = sum(epoch["items"] or 0 for epoch in epochs)
    waits = [epoch["data_wait_share"] for epoch in epochs if epoch["data_wait_share"] is not None]
    mfu = [epoch["mfu"] for epoch in epochs if epoch["mfu"] is not None]
    cells = (
        run["seed"],
        len(epochs) or "–",
        number(seconds, 0) if seconds else "–",
        number(items / seconds, 0) if seconds and items else "–",
        f"{100 * sum(waits) / len(waits):.1f} %" if waits else "–",
        f"{100 * max(mfu):.1f} %" if mfu else "–",
        escape(run["code_version"] or "–"),
    )
    return f'<tr><th scope="row">{escape(system.label)}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _table(caption: str, heads: str, lines: list[str]) -> str:
    caption = f"<caption>{caption}</caption>" if caption else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table"><table>{caption}'
        f"<thead><tr>{heads}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _heads(*names: str) -> str:
    return "".join(f'<th scope="col">{name}</th>' for name in names)
