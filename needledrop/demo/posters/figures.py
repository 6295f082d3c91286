"""Draw the figures that posters are composed of: people, hills, trees, hats, lights. Coordinates are pixels."""

from __future__ import annotations

import math
import random

from PIL import ImageDraw

from needledrop.demo.moods import Colour, Look

Draw = ImageDraw.ImageDraw


def disc(draw: Draw, x: float, y: float, radius: float, fill: tuple[int, ...]) -> None:
    """Draw a filled circle; a fourth number in `fill` is its opacity."""
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


def glow(draw: Draw, x: float, y: float, radius: float, colour: Colour) -> None:
    """Draw a light that fades outwards."""
    for step in range(14, 0, -1):
        disc(draw, x, y, radius * (1 + step * 0.14), (*colour, 13))


def person(draw: Draw, x: float, foot: float, tall: float, fill: Colour, lean: float = 0.0) -> None:
    """Draw a standing figure in a coat."""
    head = tall * 0.085
    top = foot - tall
    draw.polygon(
        [
            (x - tall * 0.2, foot - tall * 0.02),
            (x - tall * 0.12 + lean, top + tall * 0.24),
            (x + lean, top + tall * 0.17),
            (x + tall * 0.12 + lean, top + tall * 0.24),
            (x + tall * 0.2, foot - tall * 0.02),
        ],
        fill=fill,
    )
    disc(draw, x + lean * 1.2, top + head, head, fill)
    for side in (-1, 1):
        draw.line((x + side * tall * 0.06, foot - tall * 0.1, x + side * tall * 0.07, foot), fill, int(tall * 0.05))


def hills(draw: Draw, rng: random.Random, width: int, height: int, top: float, rough: float, fill: Colour) -> None:
    """Draw a ridge across the poster, filled down to its lower edge."""
    phases = [rng.uniform(0, math.tau) for _ in range(3)]
    ridge = []
    for step in range(81):
        across = step / 80
        rise = sum(math.sin(phase + across * (3 + 5 * n)) / (n + 1) for n, phase in enumerate(phases))
        ridge.append((across * width, (top + rough * rise) * height))
    draw.polygon([*ridge, (width, height), (0, height)], fill=fill)


def branch(draw: Draw, rng: random.Random, x: float, y: float, angle: float, length: float, ink: Colour) -> None:
    """Draw a bare tree that grows from (x, y) in the direction of `angle`."""
    if length < 12:
        return
    to_x, to_y = x + math.cos(angle) * length, y + math.sin(angle) * length
    draw.line((x, y, to_x, to_y), ink, max(2, int(length / 12)))
    for turn in (-0.55, 0.5):
        branch(draw, rng, to_x, to_y, angle + turn + rng.uniform(-0.25, 0.25), length * rng.uniform(0.6, 0.74), ink)


def hat(draw: Draw, rng: random.Random, x: float, y: float, size: float, fill: Colour, look: Look) -> None:
    """Draw a top hat at a random angle, its band in the colour of the sky."""
    angle = rng.uniform(-0.7, 0.7)
    cos, sin = math.cos(angle), math.sin(angle)

    def rotated(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(x + size * (cos * a - sin * b), y + size * (sin * a + cos * b)) for a, b in points]

    draw.polygon(rotated([(-0.6, 0), (-0.66, -1.1), (0.66, -1.1), (0.6, 0)]), fill=fill)
    draw.polygon(rotated([(-0.61, -0.1), (-0.62, -0.35), (0.62, -0.35), (0.61, -0.1)]), fill=look.sky[1])
    draw.polygon(rotated([(-1.1, 0.12), (-1.1, -0.06), (1.1, -0.06), (1.1, 0.12)]), fill=fill)
