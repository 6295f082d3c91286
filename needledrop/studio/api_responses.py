"""What the JSON API of the studio returns, the facts of a track that are in it, and its answers to errors.

An error is answered with a status of HTTP and a sentence that has no absolute path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any, Literal

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from storage.errors import InputError, ItemError, NeedledropError
from storage.lake.lake import Lake

_ABSOLUTE = re.compile(r"(?<![\w:/.<])/(?:[^/\s'\"`,;:()]+/)*[^/\s'\"`,;:()]*")
STATUS = {InputError: 400, ItemError: 422}
"""The status of an answer to an error; of any other error of ours it is 503."""


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


class Refusal(NeedledropError):
    """A request that is refused with a status of HTTP and a sentence."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Problem(BaseModel):
    """Why a request was refused."""

    error: str


PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem} for status in (400, 401, 403, 404, 409, 410, 413, 415, 421, 422, 503)
}


def without_paths(message: str, lake: Lake, mounts: Mapping[str, str]) -> str:
    """Return a sentence without absolute paths: a page may be seen by others than the machine's owner."""
    for path, name in sorted({lake.root: lake.name, **mounts}.items(), key=lambda item: -len(item[0])):
        message = message.replace(path, name)
    return _ABSOLUTE.sub(lambda found: PurePath(found.group()).name or "/", message)


def add_errors(app: FastAPI, lake: Lake, mounts: Callable[[], Mapping[str, str]], headers: dict[str, str]) -> None:
    """Add an answer for each kind of error; `mounts` returns where folders of libraries are -> their names.

    `headers` are for the answer to an error that nobody expects, which no layer around the application sees.
    """

    def answered(status: int, message: str) -> JSONResponse:
        try:
            message = without_paths(message, lake, mounts())
        except NeedledropError:
            message = without_paths(message, lake, {})
        return JSONResponse({"error": message}, status)

    @app.exception_handler(Refusal)
    async def _(_request: Request, error: Refusal) -> JSONResponse:
        return JSONResponse({"error": str(error)}, error.status)

    @app.exception_handler(NeedledropError)
    async def _(_request: Request, error: NeedledropError) -> JSONResponse:
        status = next((status for kind, status in STATUS.items() if isinstance(error, kind)), 503)
        return await to_thread.run_sync(answered, status, str(error))

    @app.exception_handler(RequestValidationError)
    async def _(_request: Request, error: RequestValidationError) -> JSONResponse:
        sentences = [_complaint(one) for one in error.errors()]
        return JSONResponse({"error": "; ".join(sentences[:5])[:1000]}, 422)

    @app.exception_handler(HTTPException)
    async def _(request: Request, error: HTTPException) -> JSONResponse:
        said = {
            400: "The body cannot be read; send JSON in UTF-8, without endless numbers or levels",
            404: "There is nothing at this address; /openapi.json lists those of the API",
            405: f"This address takes no {request.method}; /openapi.json lists what each takes",
        }
        return JSONResponse({"error": said.get(error.status_code, error.detail)}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def _(_request: Request, _error: Exception) -> JSONResponse:
        return JSONResponse({"error": "Something went wrong; the terminal of the studio says what"}, 500, headers)


def _complaint(error: Mapping[str, Any]) -> str:
    """Return what is wrong with a request, as one sentence, from what the check of its types says."""
    if error["type"] == "json_invalid":
        return f"The body is not JSON ({error.get('ctx', {}).get('error', 'it cannot be read')})"
    where = ".".join(str(part) for part in error["loc"][1:]) or "The body"
    if error["type"] == "extra_forbidden":
        return f"{where} is not known here; /openapi.json lists what a request may have"
    return f"{where}: {error['msg']}"
