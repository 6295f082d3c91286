"""Five compositions close to people: a doorway, a pair, a summit, an umbrella, tumbling hats.

Each draws between a poster's sky and its lettering, on a canvas of `width` x `height` pixels, with the
look's ink and accent; positions vary a little from film to film.
"""

from __future__ import annotations

import math
import random

from needledrop.demo.posters.brushes import Draw, branch, disc, glow, hat, hills, person
from needledrop.demo.sound_and_look import Look


def doorway(draw: Draw, look: Look, rng: random.Random, width: int, height: int) -> None:
    """A house at night with one lit door, and somebody in it; a bare tree."""
    x, ground = width * rng.uniform(0.35, 0.65), height * 0.6
    glow(draw, x, ground - height * 0.1, width * 0.22, look.accent)
    half, wall = width * 0.27, height * 0.22
    roof = [
        (x - half * 1.2, ground - wall),
        (x + rng.uniform(-60, 60), ground - wall * 1.95),
        (x + half * 1.2, ground - wall),
    ]
    draw.polygon(roof, fill=look.ink)
    draw.rectangle((x - half, ground - wall, x + half, ground), fill=look.ink)
    draw.rectangle((0, ground, width, height), fill=look.ink)
    door = width * 0.055
    draw.rectangle((x - door, ground - height * 0.12, x + door, ground), fill=look.accent)
    draw.polygon(
        [(x - door, ground), (x + door, ground), (x + door * 3.4, height * 0.74), (x - door * 3.4, height * 0.74)],
        fill=(*look.accent, 120),
    )
    person(draw, x, ground, height * 0.095, look.ink)
    for side in (-1, 1):
        disc(draw, x + side * half * 0.55, ground - wall * 0.62, width * 0.012, look.accent)
    branch(draw, rng, width * rng.choice((0.08, 0.92)), ground, -math.pi / 2, height * 0.17, look.ink)


def pair(draw: Draw, look: Look, rng: random.Random, width: int, height: int) -> None:
    """Two figures close together before a large soft sun, and petals."""
    x, foot = width * rng.uniform(0.42, 0.58), height * 0.86
    glow(draw, x, height * 0.56, width * 0.28, look.accent)
    disc(draw, x, height * 0.56, width * 0.33, look.accent)
    hills(draw, rng, width, height, 0.86, 0.012, look.ink)
    tall = height * 0.3
    person(draw, x - tall * 0.12, foot, tall * rng.uniform(0.92, 1.06), look.ink, lean=tall * 0.04)
    person(draw, x + tall * 0.13, foot, tall * rng.uniform(0.82, 0.96), look.ink, lean=-tall * 0.04)
    for _ in range(34):
        petal_x, petal_y = rng.uniform(0, width), rng.uniform(height * 0.25, height * 0.9)
        size = rng.uniform(5, 15)
        tint = (*rng.choice((look.accent, look.lettering, (232, 96, 110))), 170)
        draw.ellipse((petal_x, petal_y, petal_x + size * 1.7, petal_y + size), fill=tint)


def sunrise(draw: Draw, look: Look, rng: random.Random, width: int, height: int) -> None:
    """Rays from behind a summit, and a figure on it with a flag."""
    x, y = width * rng.uniform(0.4, 0.6), height * 0.5
    rays = rng.choice((18, 22, 26))
    for ray in range(0, rays):
        angles = (math.tau * ray / rays, math.tau * (ray + 0.5) / rays)
        rim = [(x + math.cos(angle) * height, y + math.sin(angle) * height) for angle in angles]
        draw.polygon([(x, y), *rim], fill=(*look.accent, 95))
    disc(draw, x, y, width * 0.21, look.accent)
    draw.polygon(
        [(0, height * 0.82), (x, height * 0.52), (width, height * 0.78), (width, height), (0, height)], fill=look.ink
    )
    tall = height * 0.16
    person(draw, x, height * 0.535, tall, look.ink)
    draw.line((x + tall * 0.22, height * 0.53, x + tall * 0.22, height * 0.29), look.ink, 8)
    flag = [(x + tall * 0.22, height * 0.29), (x + tall * 0.95, height * 0.315), (x + tall * 0.22, height * 0.35)]
    draw.polygon(flag, fill=(196, 30, 40))


def rain(draw: Draw, look: Look, rng: random.Random, width: int, height: int) -> None:
    """One figure under an umbrella, rain, and a reflection in the wet street."""
    x, foot = width * rng.uniform(0.32, 0.68), height * 0.8
    for layer in range(3):
        shade = tuple(round(part * (0.94 - 0.1 * layer)) for part in look.sky[1])
        hills(draw, rng, width, height, 0.5 + 0.07 * layer, 0.02, (shade[0], shade[1], shade[2]))
    draw.rectangle((0, foot, width, height), fill=(*look.ink, 150))
    tall = height * 0.24
    draw.ellipse((x - tall * 0.32, foot - 8, x + tall * 0.32, foot + tall * 0.5), fill=(*look.ink, 110))
    person(draw, x, foot, tall, look.ink)
    brim = (x - tall * 0.48, foot - tall * 1.42, x + tall * 0.48, foot - tall * 0.62)
    draw.pieslice(brim, 180, 360, fill=look.ink)
    draw.line((x, foot - tall * 1.45, x, foot - tall * 0.8), look.ink, 6)
    slant = rng.uniform(14, 40)
    for _ in range(260):
        drop_x, drop_y, length = rng.uniform(0, width + 60), rng.uniform(0, height), rng.uniform(24, 70)
        draw.line((drop_x, drop_y, drop_x - slant, drop_y + length), (*look.accent, 95), 2)


def tumble(draw: Draw, look: Look, rng: random.Random, width: int, height: int) -> None:
    """Hats, dots and a checked floor, all of it askew."""
    spacing = width // rng.choice((7, 8, 9))
    for row in range(height // spacing + 1):
        for column in range(width // spacing + 2):
            disc(draw, column * spacing + (row % 2) * spacing / 2, row * spacing, spacing * 0.13, (255, 255, 255, 105))
    floor = height * 0.74
    for column in range(-8, 16):
        left, right = width / 2 + (column - 4) * 46, width / 2 + (column - 3) * 46
        far = [
            (left, floor),
            (right, floor),
            (width / 2 + (column - 3) * 210, height),
            (width / 2 + (column - 4) * 210, height),
        ]
        draw.polygon(far, fill=look.ink if column % 2 else look.sky[1])
    for number in range(5):
        x, y = width * (0.18 + 0.16 * number + rng.uniform(-0.04, 0.04)), height * rng.uniform(0.4, 0.7)
        hat(draw, rng, x, y, width * rng.uniform(0.08, 0.13), rng.choice((look.ink, look.accent, look.lettering)), look)
    disc(draw, width * rng.uniform(0.3, 0.7), floor - 50, 74, look.accent)
    draw.rectangle((0, height * 0.91, width, height), fill=look.ink)
