"""Draw the ten compositions of posters, from a doorway close by to a wide landscape, and the figures in them.

Each draws between a poster's sky and its lettering, on a canvas of `width` x `height` pixels, with the
ink and accent of the look; positions vary a little from film to film.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from PIL import ImageDraw

from needledrop.demo.moods import Colour, Look

Draw = ImageDraw.ImageDraw


def doorway(draw: Draw, look: Look, rng: random.Random, width: int, height: int) -> None:
    """Draw a house at night with one lit door, and somebody in it; a bare tree."""
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
    """Draw two figures close together before a large soft sun, and petals."""
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
    """Draw rays from behind a summit, and a figure on it with a flag."""
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
    """Draw one figure under an umbrella, rain, and a reflection in the wet street."""
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
    """Draw hats, dots and a checked floor, all of it askew."""
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


def speed(draw: Draw, look: Look, rng: random.Random, width: int, height: int) -> None:
    """Draw a highway to a burning horizon, streaks of light, a car coming."""
    x, y = width * rng.uniform(0.3, 0.7), height * 0.45
    glow(draw, x, y, width * 0.17, look.accent)
    for _ in range(46):
        angle, start = rng.uniform(0, math.tau), rng.uniform(0.1, 0.5) * height
        far = start + rng.uniform(0.1, 0.6) * height
        ends = (
            x + math.cos(angle) * start,
            y + math.sin(angle) * start,
            x + math.cos(angle) * far,
            y + math.sin(angle) * far,
        )
        draw.line(ends, (*look.accent, rng.randint(60, 190)), rng.randint(2, 7))
    draw.polygon([(x - 14, y), (x + 14, y), (width * 1.25, height), (-width * 0.25, height)], fill=look.ink)
    for mark in range(6):
        near, far = 0.08 + mark * 0.16, 0.02 + mark * 0.16
        middle = width / 2 - x
        draw.line(
            (x + middle * far, y + (height - y) * far, x + middle * near, y + (height - y) * near),
            look.accent,
            3 + mark * 3,
        )
    car_x, car_y, size = width * rng.uniform(0.4, 0.6), height * 0.74, width * 0.19
    draw.rounded_rectangle((car_x - size, car_y - size * 0.5, car_x + size, car_y + size * 0.3), 26, fill=look.ink)
    cabin = [
        (car_x - size * 0.75, car_y - size * 0.4),
        (car_x - size * 0.5, car_y - size),
        (car_x + size * 0.5, car_y - size),
    ]
    draw.polygon([*cabin, (car_x + size * 0.75, car_y - size * 0.4)], fill=(46, 52, 64))
    for side in (-1, 1):
        glow(draw, car_x + side * size * 0.66, car_y - size * 0.1, size * 0.16, (255, 244, 200))
        disc(draw, car_x + side * size * 0.66, car_y - size * 0.1, size * 0.16, (255, 250, 224))


def planet(draw: Draw, look: Look, rng: random.Random, width: int, height: int) -> None:
    """Draw a ringed planet over a strange range, with a small traveller looking up."""
    for _ in range(170):
        star_x, star_y, size = rng.uniform(0, width), rng.uniform(0, height * 0.75), rng.choice((1, 1, 2, 2, 4))
        disc(draw, star_x, star_y, size, (255, 255, 255, rng.randint(120, 255)))
    x, y, radius = width * rng.uniform(0.38, 0.64), height * rng.uniform(0.27, 0.34), width * rng.uniform(0.21, 0.27)
    glow(draw, x, y, radius, look.accent)
    disc(draw, x, y, radius, look.accent)
    for band in range(5):
        depth = 0.2 + 0.16 * band
        reach = radius * math.sqrt(max(0.0, 1 - (2 * depth - 1) ** 2))
        level = y + radius * (2 * depth - 1)
        draw.line((x - reach, level, x + reach, level), (*look.sky[1], 150), rng.randint(6, 22))
    tilt = radius * rng.uniform(0.3, 0.5)
    for ring in range(3):
        wide = radius * (1.55 + 0.13 * ring)
        draw.arc((x - wide, y - tilt, x + wide, y + tilt), 338, 202, fill=look.lettering, width=7 - 2 * ring)
    disc(draw, width * rng.uniform(0.1, 0.9), height * rng.uniform(0.12, 0.2), width * 0.035, look.lettering)
    for layer in range(3):
        shade = tuple(
            round(sky * (0.62 - 0.2 * layer) + ink * (0.38 + 0.2 * layer))
            for sky, ink in zip(look.sky[1], look.ink, strict=True)
        )
        hills(draw, rng, width, height, 0.64 + 0.06 * layer, 0.025, (shade[0], shade[1], shade[2]))
    person(draw, width * rng.uniform(0.25, 0.75), height * 0.675, height * 0.085, look.ink)


def horizon(draw: Draw, look: Look, rng: random.Random, width: int, height: int) -> None:
    """Draw an empty plain, an enormous sun, one tiny figure and its shadow."""
    x, level = width * rng.uniform(0.25, 0.75), height * rng.uniform(0.7, 0.75)
    glow(draw, x, level - height * 0.08, width * 0.2, look.accent)
    disc(draw, x, level - height * 0.08, width * 0.24, look.accent)
    shade = tuple(round(0.55 * sky + 0.45 * ink) for sky, ink in zip(look.sky[1], look.ink, strict=True))
    if rng.random() < 0.6:
        left, tall = width * rng.choice((0.06, 0.66)), height * rng.uniform(0.05, 0.1)
        mesa = [(left, level), (left + 40, level - tall), (left + 190, level - tall), (left + 250, level)]
        draw.polygon(mesa, fill=(shade[0], shade[1], shade[2]))
    draw.rectangle((0, level, width, height), fill=look.ink)
    for ripple in range(16):
        y = level + (height - level) * ((ripple + 1) / 17) ** 1.6
        draw.line((0, y, width, y + rng.uniform(-14, 14)), (*look.sky[1], 70), 2 + ripple // 3)
    walker = width * rng.uniform(0.3, 0.7)
    person(draw, walker, level + 6, height * 0.06, look.ink)
    draw.polygon([(walker - 7, level + 6), (walker + 7, level + 6), (walker + 150, level + 190)], fill=(0, 0, 0, 90))


def city(draw: Draw, look: Look, rng: random.Random, width: int, height: int) -> None:
    """Draw roofs by moonlight, lit windows, somebody on the highest edge."""
    moon_x, moon_y = width * rng.uniform(0.25, 0.75), height * 0.26
    glow(draw, moon_x, moon_y, width * 0.12, look.accent)
    disc(draw, moon_x, moon_y, width * 0.13, look.accent)
    for layer in range(3):
        mix = 0.3 + 0.35 * layer
        shade = tuple(round(sky * (1 - mix) + ink * mix) for sky, ink in zip(look.sky[1], look.ink, strict=True))
        _houses(draw, rng, width, height, height * (0.42 + 0.1 * layer), (shade[0], shade[1], shade[2]), look)
    ledge, edge = height * 0.66, width * rng.uniform(0.45, 0.6)
    draw.rectangle((0, ledge, edge, height), fill=look.ink)
    draw.rectangle((0, height * 0.74, width, height), fill=look.ink)
    person(draw, edge - 70, ledge, height * 0.17, look.ink)
    draw.rectangle((edge - 40, ledge - height * 0.06, edge + 16, ledge - height * 0.025), fill=look.ink)


def _houses(
    draw: Draw, rng: random.Random, width: int, height: int, top: float, fill: tuple[int, int, int], look: Look
) -> None:
    x = -20.0
    while x < width:
        wide, roof = rng.uniform(60, 130), top + rng.uniform(-0.07, 0.07) * height
        draw.rectangle((x, roof, x + wide, height), fill=fill)
        for row in range(9):
            for column in range(int(wide // 26)):
                if rng.random() < 0.24:
                    left, upper = x + 8 + column * 26, roof + 16 + row * 36
                    draw.rectangle((left, upper, left + 11, upper + 18), fill=(*look.accent, 215))
        x += wide + rng.uniform(0, 8)


def bunting(draw: Draw, look: Look, rng: random.Random, width: int, height: int) -> None:
    """Draw flags on strings, confetti and a row of dancers."""
    colours = (look.accent, look.lettering, (255, 214, 64), (72, 60, 170))
    for string in range(4):
        start, sag = height * (0.3 + 0.075 * string), rng.uniform(0.04, 0.09) * height
        for flag in range(11):
            across = (flag + 0.5) / 11
            x, y = across * width, start + sag * (1 - (2 * across - 1) ** 2) + rng.uniform(-4, 4)
            draw.polygon([(x - 29, y), (x + 29, y), (x, y + 62)], fill=colours[(flag + string) % 4])
            draw.line((x - 40, y, x + 40, y), look.ink, 4)
    for _ in range(190):
        x, y, size = rng.uniform(0, width), rng.uniform(height * 0.27, height * 0.92), rng.uniform(5, 12)
        draw.rectangle((x, y, x + size * 1.6, y + size), fill=(*rng.choice(colours), 220))
    draw.ellipse((-width * 0.2, height * 0.82, width * 1.2, height * 1.3), fill=look.ink)
    for dancer in range(5):
        x, tall = width * (0.16 + 0.17 * dancer), height * rng.uniform(0.17, 0.22)
        foot = height * (0.86 - 0.022 * (2 - abs(dancer - 2)))
        person(draw, x, foot, tall, look.ink, lean=rng.uniform(-26, 26))
        for side in (-1, 1):
            draw.line(
                (x, foot - tall * 0.72, x + side * tall * 0.36, foot - tall * rng.uniform(0.85, 1.1)), look.ink, 13
            )


COMPOSITIONS: dict[str, Callable[[Draw, Look, random.Random, int, int], None]] = {
    "doorway": doorway,
    "pair": pair,
    "sunrise": sunrise,
    "rain": rain,
    "tumble": tumble,
    "speed": speed,
    "planet": planet,
    "horizon": horizon,
    "city": city,
    "bunting": bunting,
}


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
