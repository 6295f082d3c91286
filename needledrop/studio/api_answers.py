"""What the JSON API of the studio returns, and the facts of a track that are in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, Field

from storage.lake.lake import Lake
from storage.libraries.decisions import read_decisions
from storage.libraries.library import open_library
from training.retrieval.library_search import TrackRow
from training.retrieval.search_engine import FoundTrack

REFERENCE_BYTES = 200_000_000
"""Twenty minutes of 24-bit stereo."""
ENERGY_STEPS = 120
"""Of an energy strip: more than a phone can show."""
SHOWN_DB = 40.0
"""An energy strip shows so much below the loudest moment of its track."""


class Track(BaseModel):
    """What is known of a track."""

    track_id: str
    library: str
    title: str
    artist: str | None = None
    album: str | None = None
    composer: str | None = None
    publisher: str | None = None
    licence: str | None = None
    isrc: str | None = None
    year: int | None = None
    duration_seconds: float | None = None
    tempo_bpm: float | None = None
    loudness_lufs: float | None = Field(default=None, description="Integrated, EBU R 128.")
    film: str | None = Field(default=None, description="Of a track of the data set: the film that it belongs to.")
    file: str | None = Field(default=None, description="Below the library's folder.")
    url: str | None = Field(default=None, description="Where a track of the data set can be heard.")
    is_playable: bool = Field(description="Whether `/api/tracks/{id}/audio` has its sound.")


class Hit(Track):
    """A track that was found, best first."""

    rank: int
    score: float = Field(description="Its cosine with the query.")
    best_second: float = Field(description="Where its best moment begins.")
    best_score: float
    percentile: float | None = Field(
        description="The share of the training films whose queries score it lower, in %; none with an encoder "
        "or a reference."
    )
    support: dict[str, float] = Field(description="Part of the query -> by how much the score falls without it.")
    energy: list[float] = Field(description="Energy over time, from 0 to 1, in steps of equal length.")
    decision: str | None = None


class NearbyFilm(BaseModel):
    """A training film that is near to the query."""

    title: str
    year: int | None
    cosine: float


class SearchResult(BaseModel):
    """What was found, with which engine, and how far to trust it."""

    query_id: str
    run_id: str | None = Field(description="The run that ranked; none where an encoder did.")
    encoder: str | None = Field(description="The audio encoder that ranked; none where a run did.")
    searched: int
    milliseconds: float
    hits: list[Hit]
    near: list[NearbyFilm]
    notes: list[str] = Field(description="What the user should know, such as a tag that no film has.")


class Energy(BaseModel):
    """The energy of a track over time."""

    track_id: str
    seconds: float
    decibels: list[float] = Field(description="One value per second, relative to full scale.")


class RunAbout(BaseModel):
    """A trained run: what it learned from, and what it reaches."""

    run_id: str
    label: str
    dataset_version: str
    films: int | None
    tracks: int | None
    is_demo: bool
    hit_at_10: float | None = Field(
        description="For how many % of the test films a right track is among the first ten."
    )
    chance_hit_at_10: float | None = Field(description="The same of a random order.")
    candidates: int | None
    indexed: list[str] = Field(description="Libraries that it has indexed.")


class EncoderAbout(BaseModel):
    """A pretrained audio encoder that reads texts: a second engine, which was not trained on films."""

    encoder: str
    licence: str = Field(description="Of its weights, as their card states it.")
    indexed: list[str] = Field(description="Libraries that it has indexed.")
    note: str = Field(description="What to know before it is used.")


class MusicAbout(BaseModel):
    """A library, or the tracks of a data set."""

    name: str
    label: str
    kind: Literal["library", "dataset"]
    tracks: int
    is_default: bool = Field(description="Whether it is searched if a request names no libraries.")
    note: str | None = Field(default=None, description="What is wrong with it, such as a folder that is not mounted.")


class About(BaseModel):
    """What can be searched here, and with what."""

    lake: str
    runs: list[RunAbout]
    encoders: list[EncoderAbout]
    music: list[MusicAbout]
    best_run: str | None
    problem: str | None
    commands: list[str] = Field(description="What to type when there is nothing to search yet.")
    loading: str | None = Field(description="What is being loaded; None once a search is answered at once.")


class TagCount(BaseModel):
    """A tag of the model's vocabulary, and how many films have it."""

    tag: str
    films: int


class DecisionMade(BaseModel):
    """A decision that counts."""

    query_id: str
    library: str
    track_id: str
    decision: str
    model_run: str | None = Field(description="The run that ranked it; of an encoder, `encoder=` and its name.")
    ranking: str | None
    rank: int | None
    score: float | None
    note: str | None


class ShortlistAbout(BaseModel):
    """A shortlist."""

    shortlist_id: str
    name: str
    note: str
    tracks: int


class Listed(Track):
    """A track on a shortlist."""

    note: str
    usage: str
    from_second: float
    gone: str | None = Field(
        default=None, description="Why it is not there any more; what was known of it when it was listed is kept."
    )


class Shortlist(BaseModel):
    """A shortlist with its tracks."""

    shortlist_id: str
    name: str
    note: str
    tracks: list[Listed]


class Reference(BaseModel):
    """A recording that was sent to be searched by; it is forgotten when the studio ends."""

    reference_id: str
    seconds: float


def track_facts(row: TrackRow) -> dict[str, Any]:
    """Return what the API says of a track: texts as they are, no path but the one below the library's folder."""
    names = ("artist", "album", "composer", "publisher", "licence", "isrc", "year", "duration_seconds", "tempo_bpm",
             "loudness_lufs", "film")  # fmt: skip
    is_of_dataset = row["library"].startswith("dataset:")
    url = row.get("url") or ""
    return {
        "track_id": row["track_id"],
        "library": row["library"],
        "title": row.get("title") or row["track_id"],
        **{name: row.get(name) for name in names},
        "file": None if is_of_dataset else row["path"],
        "url": url if re.match(r"https?://", url) else None,
        "is_playable": not is_of_dataset,
    }


def energy_strip(decibels: Sequence[float]) -> list[float]:
    """Return a curve of one value per second as at most `ENERGY_STEPS` values from 0 to 1, the loudest of each step."""
    if not decibels:
        return []
    steps = np.array_split(np.asarray(decibels, np.float32), min(len(decibels), ENERGY_STEPS))
    loudest = np.array([step.max() for step in steps])
    shares = np.clip(1 + (loudest - loudest.max()) / SHOWN_DB, 0.02, 1)
    return [round(float(share), 3) for share in shares]


def hits_of(lake: Lake, found: Sequence[FoundTrack], query_id: str) -> list[Hit]:
    """Return what the API says of found tracks, with their energy and what was decided about them in this query."""
    by_library: dict[str, list[str]] = {}
    for hit in found:
        if not hit.library.startswith("dataset:"):
            by_library.setdefault(hit.library, []).append(hit.track_id)
    curves = {
        (name, track): curve
        for name, tracks in by_library.items()
        for track, curve in open_library(lake, name).energy_curves(tracks).items()
    }
    decided = {(row["library"], row["track_id"]): row["decision"] for row in read_decisions(lake, query_id)}
    return [
        Hit(
            **track_facts(hit.row),
            rank=hit.rank,
            score=hit.score,
            best_second=hit.best_second,
            best_score=hit.best_score,
            percentile=hit.percentile,
            support=hit.support,
            energy=energy_strip(curves.get((hit.library, hit.track_id), [])),
            decision=decided.get((hit.library, hit.track_id)),
        )
        for hit in found
    ]
