"""Charts as SVG text, which scales with the page, prints, and has a description for screen readers.

Colours follow Okabe and Ito, which colour-blind readers can distinguish, but are darker, so that labels are legible.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

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
