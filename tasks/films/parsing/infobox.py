"""Parse the infobox of an article (its kind, image, release year, languages, native name).

Braces are matched from the opening of the box, because infoboxes are where articles are most often unbalanced:
an unclosed template in one parameter must not hide the others, nor the rest of the page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from tasks.films.parsing.names_and_dates import names_in
from tasks.films.parsing.plain_text import FILE_NAMESPACES, without_references
from tasks.films.parsing.templates import named_parameters, template_body

BOX = re.compile(
    r"\{\{\s*(?:[Tt]emplate:\s*)?([Ii]nfobox[ _][^|}\n<]*|[Ff]ilm(?=\s*\|)|[Ff]icha de [^|}\n]*|INFOBOX[ _][^|}\n<]*)"
)
FILM_BOX = re.compile(
    r"(?:infobox (?:.* )?(?:film|movie|cartoon)|infobox cin[eé]ma \(film\)|film|ficha de película)$", re.IGNORECASE
)
_IMAGE_LINE = re.compile(r"^[\s}]*\|\s*(?:image|immagine|imagen)\s*=([^\n]*)", re.MULTILINE | re.IGNORECASE)
_FILE_NAME = re.compile(
    rf"(?:(?:{FILE_NAMESPACES})\s*:)?\s*([^\[\]{{}}|<>\n:=]+?\.(?:jpe?g|png|gif|webp|svg|tiff?|avif|bmp|pdf|djvu))(?![a-z0-9])",
    re.IGNORECASE,
)
_NAMESPACE = re.compile(rf"^\s*(?:{FILE_NAMESPACES})\s*:\s*", re.IGNORECASE)
_YEAR = re.compile(r"(?<!\d)(1[89]\d\d|20\d\d)(?!\d)")
FIRST_FILM_YEAR = 1870
MAX_IMAGE_VALUE = 1_000
"""Characters of an image parameter that are parsed: the file name is at the start."""
IMAGE_KEYS = ("image", "immagine", "imagen", "affiche", "logo")
RELEASE_KEYS = (
    "released",
    "release date",
    "release_date",
    "first_aired",
    "anno uscita",
    "annouscita",
    "année de sortie",
    "estreno",
    "year",
)
NATIVE_NAME_KEYS = ("native_name", "native name", "titolo originale", "titolooriginale", "titre original", "ot")
MUSIC_KEYS = (
    "music",
    "music_by",
    "score",
    "composer",
    "musicista",
    "musica",
    "música",
    "musique",
    "musik",
    "mus",
    "muzyka",
    "композитор",
)
"""The composer's parameter in the film infoboxes of several wikis."""
LANGUAGE_KEYS = ("language", "languages", "lingua originale", "linguaoriginale", "langue", "idioma", "idiomas", "os")
IMDB_KEYS = ("imdb_id", "imdb id", "imdb", "imdbid")
_PARSED_KEYS = frozenset({*IMAGE_KEYS, *RELEASE_KEYS, *NATIVE_NAME_KEYS, *MUSIC_KEYS, *LANGUAGE_KEYS, *IMDB_KEYS})


@dataclass(frozen=True)
class Infobox:
    """A box: its lower-case name, and its parsed parameters as wikitext; `opening` is the name of the first box."""

    name: str = ""
    opening: str = ""
    parameters: dict[str, str] = field(default_factory=dict)

    @property
    def is_film(self) -> bool:
        """Whether it is the box of one film."""
        return bool(FILM_BOX.match(self.name))

    @property
    def image(self) -> str | None:
        """The image's file name as the wiki stores it (first letter upper, spaces), or None."""
        for key in IMAGE_KEYS:
            name = file_name(self.parameters.get(key, ""))
            if name:
                return name
        return None

    @property
    def native_name(self) -> str:
        """The film's title in its original language as wikitext, or an empty string."""
        return self.first(NATIVE_NAME_KEYS)

    def first(self, keys: Sequence[str]) -> str:
        """Return the first of these parameters that is given, as wikitext, or an empty string."""
        return next((self.parameters[key] for key in keys if key in self.parameters), "")

    @property
    def release_year(self) -> int | None:
        """The earliest year in the release date, or None."""
        for key in RELEASE_KEYS:
            years = [int(y) for y in _YEAR.findall(without_references(self.parameters.get(key, "")))]
            years = [y for y in years if y >= FIRST_FILM_YEAR]
            if years:
                return min(years)
        return None


def find_infobox(text: str) -> Infobox:
    """Return the article's film box, else its first box of any kind, else an empty one; `text` has no comments."""
    first = BOX.search(text)
    if first is None:
        return Infobox()
    film = next((box for box in BOX.finditer(text) if FILM_BOX.match(_box_name(box))), first)
    return _read_box(text, film, _box_name(first))


def file_name(value: str) -> str | None:
    """Return the first image named in a parameter: `X.jpg`, `File:X.jpg`, `[[File:X.jpg|250px]]`, or in a template."""
    value = without_references(value).strip()[:MAX_IMAGE_VALUE]
    plain = not re.search(r"[\[\]{}|<>\n]", value)
    match = _FILE_NAME.search(value)
    if plain and match:
        name = _NAMESPACE.sub("", value)
    elif match:
        name = match[1]
    else:
        return None
    name = " ".join(name.replace("_", " ").split())
    return name[:1].upper() + name[1:] if name else None


def languages_in(value: str) -> tuple[str, ...]:
    """Return the languages that a parameter lists, without the word "language"."""
    names = (
        re.sub(r"\s+(?:language|film)$|^(?:lingua|langue)\s+", "", name, flags=re.IGNORECASE)
        for name in names_in(value)
    )
    return tuple(dict.fromkeys(name[:1].upper() + name[1:] for name in names if name))


def _box_name(match: re.Match[str]) -> str:
    return " ".join(match[1].replace("_", " ").lower().split())


def _read_box(text: str, opening: re.Match[str], first_name: str) -> Infobox:
    """Return the box with its parameters, which end where it closes or at the first heading."""
    body = template_body(text, opening.end())
    named, is_closed = named_parameters(body)
    parameters = {key: value for key, value in named.items() if key in _PARSED_KEYS}
    if not is_closed and "image" not in parameters:
        line = _IMAGE_LINE.search(body)  # the parameter may be inside an unclosed template, but is on its own line
        if line and line[1].strip():
            parameters["image"] = line[1].strip()
    return Infobox(_box_name(opening), first_name, parameters)
