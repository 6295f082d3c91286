"""What the JSON API of the studio returns, and the facts of a track that are in it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field


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
