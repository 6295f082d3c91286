"""The report's tables: results next to the paper's Table 1, by film, differences, kinds of film, pairs, runs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from html import escape

from needledrop.report.report_queries import Intervals, Report, Row, System
from storage.metrics.leaderboard_chance_and_paper_views import RECALL_AT
from training.evaluation.intervals_and_comparisons import CONFIDENCE, DRAWS

RECALLS = tuple(f"r_at_{k}" for k in RECALL_AT)
TABLE_1 = (*RECALLS, "medr")
_BY_FILM_HEADS = {"recall_at_10": "Recall@10", "mrr": "MRR", "map": "mAP", "ndcg": "nDCG"}
BY_FILM = (*(f"hit_at_{k}" for k in RECALL_AT), *_BY_FILM_HEADS)
_COMPARED = {"r_at_10": "R@10, points", "medr": "Median rank", "map": "mAP"}
_SLICE_TITLES = {"year": "By release year", "language": "By language tag", "number_of_tracks": "By number of tracks"}
_SLICE_HEADS = {"year": "Year", "language": "Language", "number_of_tracks": "Tracks of the film"}
_SLICES_SHOWN = 12


def number(value: float | None, digits: int = 2) -> str:
    """Format a number; a dash for None."""
    return "–" if value is None else f"{value:,.{digits}f}"


def rank_number(value: float | None) -> str:
    """Format a rank: an integer, or one decimal for a median between two ranks; a dash for None."""
    return "–" if value is None else f"{value:,.1f}".removesuffix(".0")


def table_section(report: Report) -> str:
    """Write the systems with 95 % intervals, each above the paper's row of its name, then baselines and bounds."""
    best = {m: (min if m == "medr" else max)(s.row[m] for s in report.systems) for m in TABLE_1}
    body = [line for system in report.systems for line in _system_rows(system, report.paper, best)]
    body.append(_group("Baselines and bounds on the same films"))
    body += [_plain_row(b.label, b.row, "ours", b.intervals) for b in report.baselines]
    body += [_plain_row(row["system"], row, "ours", {}) for row in (report.chance, report.ceiling)]
    absent = [name for name in report.paper if name not in {s.row["system"] for s in report.systems}]
    if absent:
        body.append(_group("The paper's systems that were not trained here"))
        body += [_plain_row(name, report.paper[name], "paper", {}) for name in absent]
    caption = (
        "Share of test tracks among the first K for their film, in percent, and the median rank. Small: 95 % interval "
        "by bootstrap over films. Grey: the paper's Table 1, measured on 207 other films and 1,964 tracks, where "
        "chance is 0.51 % at 10 and a median rank of 982.5; compare multiples of chance, not percentages. The paper "
        "embeds a track from one segment; where several are used here, a row for one segment of the same runs follows."
    )
    heads = "".join(f'<th scope="col">R@{k}</th>' for k in RECALL_AT)
    settings = "".join(
        f"<p><small>{escape(digest)}: {escape(what)}</small></p>" for digest, what in report.settings.items()
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Results"><table><caption>{caption}</caption>'
        f'<thead><tr><th scope="col">System</th>{heads}<th scope="col">MedR</th>'
        f'<th scope="col">× chance<small>at R@10</small></th></tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>{settings}"
    )


def by_film_section(report: Report) -> str:
    """Write the metrics by film: the fraction of films with a hit, and its rank."""
    best = {metric: max(system.row[metric] for system in report.systems) for metric in BY_FILM}
    lines = [_film_row(system.label, system.row, system.intervals, best) for system in report.systems]
    lines.append(_group("Baselines and bounds on the same films", len(BY_FILM) + 1))
    lines += [_film_row(b.label, b.row, b.intervals, {}) for b in report.baselines]
    lines += [_film_row(row["system"], row, {}, {}) for row in (report.chance, report.ceiling)]
    caption = (
        "Means over films. Hit@K: films of which at least one track is among the first K, in percent. Recall@10: the "
        "share of a film's own tracks among the first ten, in percent. MRR: one over the rank of the first own track. "
        "mAP and nDCG: mean average precision and normalised discounted cumulative gain, 1 at best. Small: 95 % "
        "interval."
    )
    heads = "".join(f'<th scope="col">{_BY_FILM_HEADS.get(m) or "Hit@" + m[7:]}</th>' for m in BY_FILM)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="By film"><table><caption>{caption}</caption>'
        f'<thead><tr><th scope="col">System</th>{heads}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def _film_row(name: str, row: Row, intervals: Intervals, best: dict[str, float]) -> str:
    cells = "".join(
        _cell(_by_film(m, row[m]), _film_interval(m, intervals.get(m)), row[m] == best.get(m)) for m in BY_FILM
    )
    return f'<tr><th scope="row">{escape(name)}</th>{cells}</tr>'


def _by_film(metric: str, value: float) -> str:
    return number(value, 1 if "_at_" in metric else 3)


def _film_interval(metric: str, interval: Sequence[float] | None) -> str:
    return f"{_by_film(metric, interval[0])}–{_by_film(metric, interval[1])}" if interval else ""


def _system_rows(system: System, paper: dict[str, Row], best: dict[str, float]) -> list[str]:
    row, paper_row = system.row, paper.get(system.row["system"])
    cells = [_cell(_figure(m, row[m]), _interval(m, system.intervals.get(m)), row[m] == best[m]) for m in TABLE_1]
    seeds = f"<small>{row['seeds']} seeds, R@10 ± {number(row['r_at_10_sd'])}</small>" if row["seeds"] > 1 else ""
    kind = "ours has-paper" if paper_row or system.parity else "ours"
    head = f'<th scope="row">{escape(system.label)}{seeds}</th>'
    lines = [f'<tr class="{kind}">{head}{"".join(cells)}{_times_chance(row)}</tr>']
    if system.parity:
        lines.append(_plain_row("one segment per track", system.parity, "paper", {}))
    if paper_row:
        lines.append(_plain_row("paper", paper_row, "paper", {}))
    return lines


def _plain_row(name: str, row: Row, kind: str, intervals: Intervals) -> str:
    cells = "".join(_cell(_figure(m, row[m]), _interval(m, intervals.get(m)), is_best=False) for m in TABLE_1)
    seeds = f"<small>{row['seeds']} seeds</small>" if (row.get("seeds") or 0) > 1 else ""
    return f'<tr class="{kind}"><th scope="row">{escape(name)}{seeds}</th>{cells}{_times_chance(row)}</tr>'


def _times_chance(row: Row) -> str:
    chance = 100 * min(10, row["candidates"]) / row["candidates"]
    return f"<td>{number(row['r_at_10'] / chance, 1)}</td>"


def _group(title: str, columns: int = len(TABLE_1) + 2) -> str:
    return f'<tr class="group"><th colspan="{columns}" scope="rowgroup">{escape(title)}</th></tr>'


def _figure(metric: str, value: float) -> str:
    return rank_number(value) if metric == "medr" else number(value)


def _interval(metric: str, interval: Sequence[float] | None) -> str:
    return f"{_figure(metric, interval[0])}–{_figure(metric, interval[1])}" if interval else ""


def _cell(figure: str, interval: str, is_best: bool) -> str:
    span = f"<small>{interval}</small>" if interval else ""
    kind = ' class="best"' if is_best else ""
    return f"<td{kind}>{figure}{span}</td>"


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


def slices_section(report: Report) -> str:
    """Write the shown system's metrics by year, language and number of tracks; all bars are on one scale."""
    of_kind = {kind: [row for row in report.slices if row["slice_by"] == kind] for kind in _SLICE_TITLES}
    shown = {kind: sorted(rows, key=partial(_slice_order, kind))[:_SLICES_SHOWN] for kind, rows in of_kind.items()}
    widest = max((row["r_at_10"] for rows in shown.values() for row in rows), default=0) or 1
    tables = []
    for kind, rows in shown.items():
        if not rows:
            continue
        lines = [
            f'<tr><th scope="row">{escape(row["slice"])}</th><td>{row["films"]:,}</td><td>{row["tracks"]:,}</td>'
            f"<td>{number(row['r_at_10'])}</td>"
            f'<td class="bars"><span class="bar" style="width:{100 * row["r_at_10"] / widest:.0f}%"></span></td>'
            f"<td>{rank_number(row['medr'])}</td></tr>"
            for row in rows
        ]
        heads = _heads(_SLICE_HEADS[kind], "Films", "Tracks", "R@10") + '<td aria-hidden="true"></td>' + _heads("MedR")
        tables.append(f"<h3>{_SLICE_TITLES[kind]}</h3>" + _table("", heads, lines))
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
            f"Recordings of the data set found under several films or twice under one, and kept once: {joined:,}; with "
            f"a track in the test split, where a model could have met what it was trained on: {in_test:,}."
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
