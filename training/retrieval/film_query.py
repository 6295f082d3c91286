"""A film to find music for, as a user describes it. Imports no torch: a query that says nothing is refused at once."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

from PIL import Image, UnidentifiedImageError

from storage.errors import InputError
from training.systems import Parts


@dataclass(frozen=True)
class FilmQuery:
    """A film to find music for, by at least one of plot, tags and image.

    Raises `InputError` for an empty query and for bytes that are not an image.
    """

    plot: tuple[str, ...] = ()
    """Paragraphs."""
    tags: tuple[str, ...] = ()
    """Category names, such as "Tamil-language films"."""
    image: bytes | None = field(default=None, repr=False)

    @property
    def parts(self) -> Parts:
        """Return the parts that are given."""
        given = {"plot": bool(self.plot), "tags": bool(self.tags), "image": self.image is not None}
        return frozenset(part for part, is_given in given.items() if is_given)

    def without(self, part: str) -> FilmQuery:
        """Return the query without a part. Raises `InputError` when nothing is left."""
        kept = {name: getattr(self, name) for name in self.parts - {part}}
        return FilmQuery(**kept)

    def __post_init__(self) -> None:
        """Reject an empty query and an unreadable image."""
        if not (self.plot or self.tags or self.image):
            raise InputError("There is nothing to search by; give --plot, --tags or --image, or --like in a library")
        if self.image is not None:
            try:
                Image.open(io.BytesIO(self.image)).verify()
            except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
                raise InputError("The file given as image cannot be read as an image; give a JPEG or PNG") from error
