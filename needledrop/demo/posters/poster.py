"""Posters: a mood's colours and composition, drawn with Pillow, with a title and a billing block.

Everything is drawn at twice its size and reduced, which smooths the edges; the grain of the paper
comes last. The same film gives the same pixels.
"""

from __future__ import annotations

import colorsys
import random
import unicodedata
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from needledrop.demo.films import Film
from needledrop.demo.posters import motifs_close, motifs_wide
from needledrop.demo.posters.brushes import Motif
from needledrop.demo.rng import stream
from needledrop.demo.sound_and_look import Colour, Look

MOTIFS: dict[str, Motif] = {
    "doorway": motifs_close.doorway,
    "pair": motifs_close.pair,
    "sunrise": motifs_close.sunrise,
    "rain": motifs_close.rain,
    "tumble": motifs_close.tumble,
    "speed": motifs_wide.speed,
    "planet": motifs_wide.planet,
    "horizon": motifs_wide.horizon,
    "city": motifs_wide.city,
    "bunting": motifs_wide.bunting,
}
WIDTH, HEIGHT = 400, 600
SCALE = 2
"""Drawn this many times larger, then reduced."""


def draw_poster(film: Film) -> Image.Image:
    """The poster of a film: RGB, 400 x 600."""
    rng = stream(film.seed, "poster")
    look = _varied(film.shown.look, film.second.look, rng)
    canvas = _gradient(look)
    draw = ImageDraw.Draw(canvas, "RGBA")
    MOTIFS[look.motif](draw, look, rng, WIDTH * SCALE, HEIGHT * SCALE)
    _letter(draw, film, look)
    return _grained(canvas.reduce(SCALE), look.grain, rng)


def save_poster(path: Path, film: Film) -> None:
    """Write the poster in the format of its name, whole or not at all."""
    picture = draw_poster(film)
    unfinished = path.with_name(f".{path.stem}.part{path.suffix}")
    if path.suffix == ".png":
        picture.quantize(64, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(unfinished)
    else:
        picture.save(unfinished, quality=80, method=1)  # method: the effort of WebP, without meaning to JPEG
    unfinished.replace(path)


def _varied(look: Look, second: Look, rng: random.Random) -> Look:
    """The mood's colours, turned a little, with the accent leaning to the second mood's."""
    turn, gain = rng.uniform(-0.03, 0.03), rng.uniform(0.9, 1.08)
    sky = (_turned(look.sky[0], turn, gain), _turned(look.sky[1], turn, gain))
    accent = tuple(round(0.7 * own + 0.3 * other) for own, other in zip(look.accent, second.accent, strict=True))
    return Look(sky, look.ink, (accent[0], accent[1], accent[2]), look.lettering, look.motif, look.grain)


def _turned(colour: Colour, turn: float, gain: float) -> Colour:
    hue, saturation, value = colorsys.rgb_to_hsv(*(part / 255 for part in colour))
    red, green, blue = colorsys.hsv_to_rgb((hue + turn) % 1.0, saturation, min(1.0, value * gain))
    return round(red * 255), round(green * 255), round(blue * 255)


def _gradient(look: Look) -> Image.Image:
    top, bottom = (np.array(colour, np.float32) for colour in look.sky)
    share = np.linspace(0, 1, HEIGHT * SCALE, dtype=np.float32)[:, None, None]
    rows = (top * (1 - share) + bottom * share).astype(np.uint8)
    return Image.fromarray(rows).resize((WIDTH * SCALE, HEIGHT * SCALE), Image.Resampling.NEAREST)


def _grained(picture: Image.Image, strength: float, rng: random.Random) -> Image.Image:
    """Paper grain and a darker rim."""
    pixels = np.asarray(picture, np.float32)
    noise = np.random.default_rng(rng.getrandbits(32)).standard_normal((HEIGHT // 2, WIDTH // 2), np.float32)
    across, down = np.linspace(-1, 1, WIDTH, dtype=np.float32), np.linspace(-1, 1, HEIGHT, dtype=np.float32)
    rim = 1.0 - 0.16 * np.clip(across[None, :] ** 2 + down[:, None] ** 2 - 0.5, 0, 1)
    grain = np.kron(noise, np.ones((2, 2), np.float32)) * strength * 0.5
    return Image.fromarray(np.clip(pixels * rim[..., None] + grain[..., None], 0, 255).astype(np.uint8))


def _letter(draw: ImageDraw.ImageDraw, film: Film, look: Look) -> None:
    """Stars above, title, and the billing block at the foot."""
    width, height = WIDTH * SCALE, HEIGHT * SCALE
    foot = look.accent if look.motif == "tumble" else look.lettering
    stars = _plain("    ".join(actor for actor, _ in film.cast[:2]))
    _centred(draw, stars, height * 0.035, _fitted(stars, width * 0.88, 26), look.lettering)
    lines = _wrapped(_plain(film.title))
    largest = 104 if len(lines) < 3 else 76
    font = min((_fitted(line, width * 0.86, largest) for line in lines), key=lambda one: one.size)
    line_height = font.size * 1.06
    top = height * 0.905 - line_height * len(lines) if look.motif in TITLE_BELOW else height * 0.075
    for number, line in enumerate(lines):
        _centred(draw, line, top + number * line_height, font, look.lettering)
    billing = _plain(f"A film by {film.director}   Music by {film.composer}")
    _centred(draw, billing, height * 0.925, _fitted(billing, width * 0.86, 24), foot)
    date = _plain(f"{film.country.demonym} Pictures   {film.year}")
    _centred(draw, date, height * 0.953, _fitted(date, width * 0.5, 20), foot)


TITLE_BELOW = frozenset({"sunrise", "planet", "city", "doorway"})
"""Compositions that leave room for the title at the foot; the others have it at the top."""


def _wrapped(title: str) -> list[str]:
    """Two or three lines of about equal length."""
    lines: list[str] = []
    room = max(11, len(title) // 3 + 3)
    for word in title.split():
        if lines and len(lines[-1]) + len(word) < room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _fitted(text: str, room: float, largest: int) -> ImageFont.FreeTypeFont:
    """Pillow's built-in font at the largest size at which the text fits."""
    width = _font(largest).getlength(text)
    return _font(largest if width <= room else max(12, int(largest * room / width)))


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow's wheels have FreeType"
    return font


def _plain(text: str) -> str:
    """Capitals without accents, as sign painters write them: the built-in font has few of those."""
    bare = unicodedata.normalize("NFKD", text.upper().translate({0xD8: "O", 0xC6: "AE"}))
    return "".join(letter for letter in bare if not unicodedata.combining(letter))


def _centred(draw: ImageDraw.ImageDraw, text: str, top: float, font: ImageFont.FreeTypeFont, colour: Colour) -> None:
    draw.text(((WIDTH * SCALE - font.getlength(text)) / 2, top), text, font=font, fill=colour)
