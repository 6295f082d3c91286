"""Draw posters with Pillow: the colours and composition of a mood, a title and a billing block.

Everything is drawn at twice its size and reduced, which smooths the edges; the grain of the paper
comes last. The same film gives the same pixels.
"""

from __future__ import annotations

import colorsys
import random
import unicodedata
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from needledrop.demo.films import Film
from needledrop.demo.moods import Colour, Look
from needledrop.demo.posters.compositions import COMPOSITIONS

WIDTH, HEIGHT = 400, 600
SCALE = 2
"""Drawn this many times larger, then reduced."""
TITLE_BELOW = frozenset({"sunrise", "planet", "city", "doorway"})
"""Compositions that have space for the title at the bottom; the others have it at the top."""


def draw_poster(film: Film) -> Image.Image:
    """Return the poster of a film: RGB, 400 x 600."""
    rng = film.random_stream("poster")
    look = _varied(film.shown.look, film.second.look, rng)
    canvas = _gradient(look)
    draw = ImageDraw.Draw(canvas, "RGBA")
    COMPOSITIONS[look.composition](draw, look, rng, WIDTH * SCALE, HEIGHT * SCALE)
    _letter(draw, film, look)
    return _grained(canvas.reduce(SCALE), look.grain, rng)


def save_poster(path: Path, film: Film) -> None:
    """Write the poster in the format of its name; the file is complete or absent."""
    image = draw_poster(film)
    unfinished = path.with_name(f".{path.stem}.part{path.suffix}")
    if path.suffix == ".png":
        image.quantize(64, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(unfinished)
    else:
        image.save(unfinished, quality=80, method=1)  # method: the effort of WebP, without meaning to JPEG
    unfinished.replace(path)


def _varied(look: Look, second: Look, rng: random.Random) -> Look:
    """Return a look with its hues shifted a little, and three tenths of the second mood's accent in its own."""
    shift, gain = rng.uniform(-0.03, 0.03), rng.uniform(0.9, 1.08)
    sky = (_shifted(look.sky[0], shift, gain), _shifted(look.sky[1], shift, gain))
    accent = tuple(round(0.7 * own + 0.3 * other) for own, other in zip(look.accent, second.accent, strict=True))
    return replace(look, sky=sky, accent=(accent[0], accent[1], accent[2]))


def _shifted(colour: Colour, shift: float, gain: float) -> Colour:
    hue, saturation, value = colorsys.rgb_to_hsv(*(part / 255 for part in colour))
    red, green, blue = colorsys.hsv_to_rgb((hue + shift) % 1.0, saturation, min(1.0, value * gain))
    return round(red * 255), round(green * 255), round(blue * 255)


def _gradient(look: Look) -> Image.Image:
    top, bottom = (np.array(colour, np.float32) for colour in look.sky)
    share = np.linspace(0, 1, HEIGHT * SCALE, dtype=np.float32)[:, None, None]
    rows = (top * (1 - share) + bottom * share).astype(np.uint8)
    return Image.fromarray(rows).resize((WIDTH * SCALE, HEIGHT * SCALE), Image.Resampling.NEAREST)


def _grained(image: Image.Image, strength: float, rng: random.Random) -> Image.Image:
    """Return a poster with paper grain and a darker rim."""
    pixels = np.asarray(image, np.float32)
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal((HEIGHT // 2, WIDTH // 2), np.float32)
    across, down = np.linspace(-1, 1, WIDTH, dtype=np.float32), np.linspace(-1, 1, HEIGHT, dtype=np.float32)
    rim = 1.0 - 0.16 * np.clip(across[None, :] ** 2 + down[:, None] ** 2 - 0.5, 0, 1)
    grain = np.kron(noise, np.ones((2, 2), np.float32)) * strength * 0.5
    return Image.fromarray(np.clip(pixels * rim[..., None] + grain[..., None], 0, 255).astype(np.uint8))


def _letter(draw: ImageDraw.ImageDraw, film: Film, look: Look) -> None:
    """Draw the stars at the top, the title, and the billing block at the bottom."""
    width, height = WIDTH * SCALE, HEIGHT * SCALE
    foot = look.accent if look.composition == "tumble" else look.lettering
    stars = _plain("    ".join(actor for actor, _ in film.cast[:2]))
    _centred(draw, stars, height * 0.035, _fitted(stars, width * 0.88, 26), look.lettering)
    lines = _wrapped(_plain(film.title))
    largest = 104 if len(lines) < 3 else 76
    font = min((_fitted(line, width * 0.86, largest) for line in lines), key=lambda font: font.size)
    line_height = font.size * 1.06
    top = height * 0.905 - line_height * len(lines) if look.composition in TITLE_BELOW else height * 0.075
    for number, line in enumerate(lines):
        _centred(draw, line, top + number * line_height, font, look.lettering)
    billing = _plain(f"A film by {film.director}   Music by {film.composer}")
    _centred(draw, billing, height * 0.925, _fitted(billing, width * 0.86, 24), foot)
    date = _plain(f"{film.country.demonym} Pictures   {film.year}")
    _centred(draw, date, height * 0.953, _fitted(date, width * 0.5, 20), foot)


def _wrapped(title: str) -> list[str]:
    """Return a title as two or three lines of about equal length."""
    lines: list[str] = []
    longest = max(11, len(title) // 3 + 3)
    for word in title.split():
        if lines and len(lines[-1]) + len(word) < longest:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _fitted(text: str, available: float, largest: int) -> ImageFont.FreeTypeFont:
    """Return Pillow's built-in font at the largest size at which the text fits into `available` pixels."""
    width = _font(largest).getlength(text)
    return _font(largest if width <= available else max(12, int(largest * available / width)))


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow's wheels have FreeType"
    return font


def _plain(text: str) -> str:
    """Return a text in capitals without accents: the built-in font has few of those."""
    bare = unicodedata.normalize("NFKD", text.upper().translate({0xD8: "O", 0xC6: "AE"}))
    return "".join(letter for letter in bare if not unicodedata.combining(letter))


def _centred(draw: ImageDraw.ImageDraw, text: str, top: float, font: ImageFont.FreeTypeFont, colour: Colour) -> None:
    draw.text(((WIDTH * SCALE - font.getlength(text)) / 2, top), text, font=font, fill=colour)
