"""How the studio answers an error: with a status of HTTP and a sentence that has no absolute path."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from anyio import to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from storage.errors import InputError, ItemError, NeedledropError
from storage.lake.lake import Lake

_ABSOLUTE = re.compile(r"(?<![\w:/.<])/(?:[^/\s'\"`,;:()]+/)*[^/\s'\"`,;:()]*")
STATUS = {InputError: 400, ItemError: 422}
"""The status of an answer to an error; of any other error of ours it is 503."""


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
