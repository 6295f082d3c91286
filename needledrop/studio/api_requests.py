"""What the JSON API of the studio takes, and what is read of it. Sizes of everything are limited here."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from storage.errors import InputError
from storage.libraries.decisions_and_shortlists import NAME_CHARACTERS, NOTE_CHARACTERS, AskedQuery
from tasks.films.images import make_thumbnail
from training.retrieval.query_and_filters import FilmQuery, TrackFilter

REFERENCE_BYTES = 200_000_000
"""Twenty minutes of 24-bit stereo."""

POSTER_BYTES = 20_000_000
"""As `tasks.films.images.MAX_BYTES`: a larger one is refused before it is decoded."""
POSTER_CHARACTERS = 4 * (POSTER_BYTES + 2) // 3 + 4
"""The same in base64."""
MOST_HITS = 200
RANGES = ("duration", "tempo", "loudness", "year")
"""Filters with two ends, `min_…` and `max_…`."""
_LongText = Annotated[str, StringConstraints(max_length=50_000)]
_ShortText = Annotated[str, StringConstraints(max_length=300)]
_Ids = Annotated[list[_ShortText], Field(max_length=20)]
_Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e6, le=1e9)]
Usage = Literal["", "background instrumental", "background vocal", "visual instrumental", "visual vocal", "theme"]
"""As cue sheets name it."""


class _Taken(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Filters(_Taken):
    """Which tracks may be found; one of which the asked property is not known is not."""

    min_duration: _Number | None = Field(default=None, description="Seconds.")
    max_duration: _Number | None = None
    min_tempo: _Number | None = Field(default=None, description="Beats per minute.")
    max_tempo: _Number | None = None
    min_loudness: _Number | None = Field(default=None, description="LUFS.")
    max_loudness: _Number | None = None
    min_year: _Number | None = None
    max_year: _Number | None = None
    licence: _ShortText | None = Field(default=None, description="A part of the licence.")
    artist: _ShortText | None = Field(default=None, description="A part of the artist's name.")


class SearchRequest(_Taken):
    """A film, music that it should sound like, or both. Takes bytes and ids, never paths."""

    plot: _LongText = Field(default="", description="Paragraphs are separated by line ends.")
    tags: Annotated[list[_ShortText], Field(max_length=100)] = Field(default_factory=list)
    poster: Annotated[str, StringConstraints(max_length=POSTER_CHARACTERS)] | None = Field(
        default=None, description=f"A poster or still of at most {POSTER_BYTES:,} bytes, in base64."
    )
    like: _Ids = Field(default_factory=list, description="Ids of tracks, or of references that were sent.")
    not_like: _Ids = Field(default_factory=list)
    like_weight: float = Field(default=0.5, ge=0, le=1, description="The share of `like` next to the film.")
    libraries: _Ids = Field(
        default_factory=list,
        description="Names from `GET /api/about`; none: all libraries, or the data set where there is no library.",
    )
    run: _ShortText | None = Field(default=None, description="A trained run; none: the best one that has indexed them.")
    encoder: _ShortText | None = Field(
        default=None,
        description="An audio encoder from `GET /api/about`, in the place of a run. It reads the plot and the tags as "
        "texts, looks at no picture, and was not trained on films.",
    )
    by: Literal["mean", "best"] = Field(default="mean", description="Rank tracks as a whole, or by their best moment.")
    filters: Filters = Filters()
    per_album: int = Field(default=3, ge=0, le=1000, description="Tracks of one album at most; 0: any number.")
    count: int = Field(default=20, ge=1, le=MOST_HITS)


class DecisionRequest(_Taken):
    """A decision about a track that a search has found."""

    query_id: _ShortText
    library: _ShortText
    track_id: _ShortText
    decision: Literal["keep", "reject", "undecided"]
    note: Annotated[str, StringConstraints(max_length=NOTE_CHARACTERS)] | None = None
    shortlist_id: _ShortText | None = Field(default=None, description="A kept track is also put on this shortlist.")
    from_second: float | None = Field(
        default=None, ge=0, le=1e6, allow_inf_nan=False, description="Noted on the shortlist."
    )


class ShortlistRequest(_Taken):
    """The name of a shortlist, and a note."""

    name: Annotated[str, StringConstraints(max_length=NAME_CHARACTERS)] | None = None
    note: Annotated[str, StringConstraints(max_length=NOTE_CHARACTERS)] | None = None


class ListedRequest(_Taken):
    """What is noted about a track on a shortlist; what is not given stays."""

    library: _ShortText
    note: Annotated[str, StringConstraints(max_length=NOTE_CHARACTERS)] | None = None
    usage: Usage | None = None
    from_second: float | None = Field(default=None, ge=0, le=1e6, allow_inf_nan=False)


class LoginRequest(_Taken):
    """The token that the studio was started with."""

    token: Annotated[str, StringConstraints(max_length=500)]


def read_query(request: SearchRequest) -> tuple[AskedQuery, FilmQuery | None]:
    """Return the query as it is recorded, and the film that is embedded; None where only references are given."""
    plot = tuple(part.strip() for part in request.plot.splitlines() if part.strip())
    tags = tuple(dict.fromkeys(tag.strip() for tag in request.tags if tag.strip()))
    image = None if not request.poster else make_thumbnail(_decoded(request.poster)).jpeg
    asked = AskedQuery(plot, tags, image, tuple(request.like), tuple(request.not_like), request.like_weight)
    return asked, FilmQuery(plot, tags, image) if plot or tags or image else None


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError("The poster is not in base64; send its bytes so") from error


def track_filter(asked: Filters) -> TrackFilter:
    """Return which tracks may be found. Raises `InputError` for a range whose end is below its beginning."""
    ranges = {name: (getattr(asked, f"min_{name}"), getattr(asked, f"max_{name}")) for name in RANGES}
    for name, (low, high) in ranges.items():
        if low is not None and high is not None and low > high:
            raise InputError(f"The filter of {name} ends below its beginning; exchange its two numbers")
    return TrackFilter(
        seconds=ranges["duration"],
        tempo_bpm=ranges["tempo"],
        loudness_lufs=ranges["loudness"],
        year=ranges["year"],
        licence=asked.licence or None,
        artist=asked.artist or None,
    )
