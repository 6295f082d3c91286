"""The report's headline, the table of results next to the paper's Table 1, and the table of metrics by film."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from needledrop.report.queries import Intervals, Report, Row, System
from storage.metrics.leaderboard_views import RECALL_AT

RECALLS = tuple(f"r_at_{k}" for k in RECALL_AT)
TABLE_1 = (*RECALLS, "medr")
_BY_FILM_HEADS = {"recall_at_10": "Recall@10", "mrr": "MRR", "map": "mAP", "ndcg": "nDCG"}
BY_FILM = (*(f"hit_at_{k}" for k in RECALL_AT), *_BY_FILM_HEADS)


def number(value: float | None, digits: int = 2) -> str:
    """Format a number; a dash for None."""
    return "–" if value is None else f"{value:,.{digits}f}"


def rank_number(value: float | None) -> str:
    """Format a rank: an integer, or one decimal for a median between two ranks; a dash for None."""
    return "–" if value is None else f"{value:,.1f}".removesuffix(".0")


def headline(report: Report) -> str:
    """Write a summary sentence and four figures."""
    shown, chance = report.shown, report.chance
    row = shown.row
    times = row["r_at_10"] / chance["r_at_10"]
    side = "above" if times > 1 else "below"
    sentence = (
        f"{shown.label} puts {number(row['r_at_10'], 1)} % of the test tracks among the first ten for their film, "
        f"{number(times, 1)} times chance ({number(chance['r_at_10'], 1)} %)"
    )
    interval = shown.intervals.get("r_at_10")
    if interval:
        clearly = "clearly " if not interval[0] <= chance["r_at_10"] <= interval[1] else "not clearly "
        sentence += f", and so is {clearly}{side} it."
    else:
        sentence += "."
    boxes = [
        ("R@10", f"{number(row['r_at_10'], 1)} %", _span(interval, " %", 1)),
        ("Median rank", rank_number(row["medr"]), _span(shown.intervals.get("medr"), "", 1)),
        ("R@10 by chance", f"{number(chance['r_at_10'], 1)} %", f"median rank {rank_number(chance['medr'])}"),
        ("R@10 at best", f"{number(report.ceiling['r_at_10'], 1)} %", "all tracks of a film compete in one ranking"),
    ]
    figures = "".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>"
        for name, value, note in boxes
    )
    return f'<p>{escape(sentence)}</p><dl class="figures">{figures}</dl>'


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


def _span(interval: tuple[float, float] | None, unit: str, digits: int) -> str:
    if interval is None:
        return ""
    return f"95 %: {number(interval[0], digits)} to {number(interval[1], digits)}{unit}"
