"""The report's charts (recall curves, rank histograms, training losses) as SVG text.

It scales with the page, prints, and has a description for screen readers. Colours follow Okabe and Ito, which
colour-blind readers can distinguish, but are darker, so that labels are legible.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from needledrop.report.report_queries import Report, System
from storage.metrics.leaderboard_chance_and_paper_views import RECALL_AT

BINS = 20

COLOURS = ("#0072B2", "#C14600", "#00805C", "#AE4A86", "#8A6A00", "#0B7A99", "#7B3FA0", "#8C4A2F", "#5A5A5A")
GREY = "#6B6B6B"
_WIDTH, _HEIGHT = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 150, 14, 46
_LABEL_PIXELS = 15

Scale = Callable[[float], float]


@dataclass(frozen=True)
class Line:
    """A named line through points (x, y), with error bars (x, low, high) if it has any."""

    label: str
    points: Sequence[tuple[float, float]]
    colour: str
    dashed: bool = False
    width: float = 1.8
    bars: Sequence[tuple[float, float, float]] = ()


def recall_chart(lines: Sequence[Line], description: str) -> str:
    """Draw recall in percent over K on logarithmic axes: equal distances above chance are equal multiples of it."""
    smallest = min(y for line in lines for _, y in line.points)
    steps = [m * 10.0**d for d in range(-4, 3) for m in (1, 3) if m * 10.0**d <= 100]
    lowest = max(step for step in steps if step <= max(smallest, steps[0]))
    last = max(x for line in lines for x, _ in line.points)
    x = _log(1, last, _LEFT, _WIDTH - _RIGHT)
    y = _log(lowest, 100, _HEIGHT - _BOTTOM, _TOP)
    x_ticks = [k for k in (1, 2, 5, 10, 20, 50, 100) if k <= last]
    y_ticks = [(step, f"{step:g} %") for step in steps if step >= lowest]
    parts = [_grid_x(x(k), f"{k:,}") for k in x_ticks] + [_grid_y(y(value), text) for value, text in y_ticks]
    parts += [_line(line, x, y) for line in lines]
    parts += _end_labels(lines, y)
    parts.append(_text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, "K, the number of tracks considered", "middle"))
    return _svg(_WIDTH, _HEIGHT, description, parts)


def interval_chart(
    rows: Sequence[tuple[str, float, tuple[float, float] | None, str]], marks: Sequence[tuple[float, str]], unit: str
) -> str:
    """Draw a dot and a 95 % interval per row (name, value, interval, colour); marks are named dashed vertical lines."""
    left, right, row_height, top = 150, 60, 26, 34
    height = top + row_height * len(rows) + 30
    highest = max([value for value, _ in marks] + [i[1] if i else v for _, v, i, _ in rows]) or 1.0
    step = _nice_step(highest)
    x = _linear(0, math.ceil(highest / step) * step, left, _WIDTH - right)
    bottom = height - 24
    parts = []
    for tick in range(math.ceil(highest / step) + 1):
        parts.append(
            f'<line x1="{x(tick * step):.1f}" x2="{x(tick * step):.1f}" y1="{top}" y2="{bottom}" class="grid"/>'
        )
        parts.append(_text(x(tick * step), bottom + 16, f"{tick * step:g}{unit}", "middle"))
    for value, name in marks:
        parts.append(
            f'<line x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{top - 8}" y2="{bottom}" class="mark"/>'
            + _text(x(value), top - 14, name, "middle")
        )
    for index, (name, value, interval, colour) in enumerate(rows):
        middle = top + row_height * (index + 0.5)
        parts.append(_text(left - 10, middle + 4, name, "end"))
        if interval:
            parts.append(
                f'<line x1="{x(interval[0]):.1f}" x2="{x(interval[1]):.1f}" y1="{middle}" y2="{middle}" '
                f'stroke="{colour}" stroke-width="3" stroke-linecap="round" opacity=".45"/>'
            )
        tooltip = f"{value:.2f}{unit}" + (f", 95 % {interval[0]:.2f} to {interval[1]:.2f}" if interval else "")
        parts.append(
            f'<circle cx="{x(value):.1f}" cy="{middle}" r="5" fill="{colour}">'
            f"<title>{escape(name)}: {tooltip}</title></circle>"
        )
    description = "; ".join(f"{name} {value:.2f}{unit}" for name, value, _, _ in rows)
    return _svg(_WIDTH, height, description, parts)


def histogram(shares: Sequence[float], expected: float, colour: str, description: str) -> str:
    """Draw bars of percentages over equal bins, with a dashed line at the percentage expected by chance."""
    width, height, left, bottom = 240, 130, 40, 22
    highest = max([*shares, expected * 2])
    step = _nice_step(highest, 3)
    y = _linear(0, math.ceil(highest / step) * step, height - bottom, 8)
    bar_width = (width - left - 4) / len(shares)
    parts = []
    for tick in range(1, math.ceil(highest / step) + 1):
        parts.append(
            f'<line x1="{left}" x2="{width - 4}" y1="{y(tick * step):.1f}" y2="{y(tick * step):.1f}" class="grid"/>'
        )
        parts.append(_text(left - 5, y(tick * step) + 4, f"{tick * step:g}%", "end"))
    for index, share in enumerate(shares):
        parts.append(
            f'<rect x="{left + index * bar_width + 0.5:.1f}" y="{y(share):.1f}" width="{bar_width - 1:.1f}" '
            f'height="{y(0) - y(share):.1f}" fill="{colour}"><title>{share:.1f} %</title></rect>'
        )
    parts.append(f'<line x1="{left}" x2="{width - 4}" y1="{y(expected):.1f}" y2="{y(expected):.1f}" class="mark"/>')
    parts.append(_text(left, height - 6, "first", "start") + _text(width - 4, height - 6, "last", "end"))
    return _svg(width, height, description, parts)


def loss_chart(lines: Sequence[Line], description: str) -> str:
    """Draw losses over epochs."""
    width, height, left, bottom = 240, 150, 40, 24
    points = [point for line in lines for point in line.points]
    low, high = min(p[1] for p in points), max(p[1] for p in points)
    step = _nice_step(high - low or 1, 3)
    floor, top = math.floor(low / step) * step, math.ceil(high / step) * step or 1
    last = max(p[0] for p in points)
    x, y = _linear(1, max(last, 2), left, width - 8), _linear(floor, max(top, floor + step), height - bottom, 8)
    parts = []
    for tick in range(round((max(top, floor + step) - floor) / step) + 1):
        value = floor + tick * step
        parts.append(f'<line x1="{left}" x2="{width - 8}" y1="{y(value):.1f}" y2="{y(value):.1f}" class="grid"/>')
        parts.append(_text(left - 5, y(value) + 4, f"{value:g}", "end"))
    parts += [_line(line, x, y) for line in lines]
    parts.append(_text(left, height - 7, "epoch 1", "start") + _text(width - 8, height - 7, f"{last:g}", "end"))
    return _svg(width, height, description, parts)


def _line(line: Line, x: Scale, y: Scale) -> str:
    points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in line.points)
    dash = ' stroke-dasharray="5 4"' if line.dashed else ""
    svg = f'<polyline points="{points}" fill="none" stroke="{line.colour}" stroke-width="{line.width}"{dash}>'
    svg += f"<title>{escape(line.label)}</title></polyline>"
    if len(line.points) == 1:
        svg += f'<circle cx="{x(line.points[0][0]):.1f}" cy="{y(line.points[0][1]):.1f}" r="2.5" fill="{line.colour}"/>'
    for at, low, high in line.bars:
        svg += (
            f'<line x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{y(low):.1f}" y2="{y(high):.1f}" stroke="{line.colour}" '
            f'stroke-width="7" opacity=".22"/>'
        )
    return svg


def _end_labels(lines: Sequence[Line], y: Scale) -> list[str]:
    """Draw the names of the lines at the right, without overlap and each connected to the end of its line."""
    order = sorted(lines, key=lambda line: y(line.points[-1][1]))
    heights: list[float] = []
    for line in order:
        end_of_line = y(line.points[-1][1])
        heights.append(max(end_of_line, heights[-1] + _LABEL_PIXELS) if heights else end_of_line)
    overflow = max(0.0, heights[-1] - (_HEIGHT - _BOTTOM))
    end, begin = _WIDTH - _RIGHT, _WIDTH - _RIGHT + 14
    return [
        f'<line x1="{end + 2}" x2="{begin - 3}" y1="{y(line.points[-1][1]):.1f}" y2="{height - overflow:.1f}" '
        f'stroke="{line.colour}" opacity=".6"/>'
        f'<text x="{begin}" y="{height - overflow + 4:.1f}" style="fill:{line.colour};font-weight:600">'
        f"{escape(line.label)}</text>"
        for line, height in zip(order, heights, strict=True)
    ]


def _grid_x(x: float, label: str) -> str:
    line = f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" class="grid"/>'
    return line + _text(x, _HEIGHT - _BOTTOM + 17, label, "middle")


def _grid_y(y: float, label: str) -> str:
    line = f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
    return line + _text(_LEFT - 6, y + 4, label, "end")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(width: int, height: int, description: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(description, quote=True)}">'
        + "".join(parts)
        + "</svg>"
    )


def _log(low: float, high: float, start: float, end: float) -> Scale:
    span = math.log10(max(high, low * 1.0001) / low)
    return lambda value: start + (end - start) * math.log10(max(value, low) / low) / span


def _linear(low: float, high: float, start: float, end: float) -> Scale:
    return lambda value: start + (end - start) * (value - low) / ((high - low) or 1)


def _nice_step(highest: float, steps: int = 5) -> float:
    """Return 1, 2 or 5 times a power of ten, such that about `steps` steps reach the highest value."""
    rough = highest / steps
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= rough)


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
