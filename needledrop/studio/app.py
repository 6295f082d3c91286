"""The application of the studio: its parts put together, its page, logging in and out, and static files."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from secrets import compare_digest
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.routing import APIRoute

from needledrop import __version__
from needledrop.studio.api_requests import LoginRequest
from needledrop.studio.engine import Engine
from needledrop.studio.error_answers import PROBLEMS, Refusal, add_errors
from needledrop.studio.routes import add_decisions, add_exports, add_search, add_shortlists, add_tracks
from needledrop.studio.security import COOKIE, HEADERS, Access, Guard
from needledrop.studio.studio import Studio
from storage.errors import NeedledropError

log = logging.getLogger(__name__)
MEDIA_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
LOGIN_SECONDS = 0.5
"""A wrong token is answered after so long."""


def create_app(engine: Engine, access: Access) -> FastAPI:
    """Return the application; the engine is warmed up once it runs."""
    studio = Studio(engine, access)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.create_task(_warm_up(studio))
        yield
        warming.cancel()

    app = FastAPI(
        title="Needledrop studio",
        version=__version__,
        description="Search music for a film, listen, keep and hand over. Takes bytes and ids, never paths.",
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        responses=PROBLEMS,
    )
    app.state.studio = studio
    add_errors(app, engine.lake, engine.mounts, HEADERS)
    add_pages(app, studio)
    add_search(app, studio)
    add_tracks(app, studio)
    add_decisions(app, studio)
    add_shortlists(app, studio)
    add_exports(app, studio)
    _answer_head_as_get(app)
    app.add_middleware(Guard, access=access)
    return app


def _answer_head_as_get(app: FastAPI) -> None:
    """Answer `HEAD` wherever there is a `GET`, with the same headers: the server sends no body then."""
    for route in [one for one in app.routes if isinstance(one, APIRoute) and one.methods == {"GET"}]:
        app.add_api_route(
            route.path, route.endpoint, methods=["HEAD"], include_in_schema=False,
            response_model=route.response_model, response_class=route.response_class,
        )  # fmt: skip


async def _warm_up(studio: Studio) -> None:
    try:
        await studio.search(studio.engine.warm_up)
    except NeedledropError as error:
        log.warning("%s", error)
    except Exception:
        log.exception("The model could not be loaded")


@dataclass(frozen=True)
class _Static:
    """A file of the page in memory."""

    body: bytes
    media_type: str
    tag: str


def _static_files() -> dict[str, _Static]:
    folder, found = files("needledrop.studio").joinpath("static"), {}
    for file in folder.iterdir():
        body, kind = file.read_bytes(), MEDIA_TYPES.get(file.name.rpartition(".")[2])
        if kind is not None:
            found[file.name] = _Static(body, kind, f'"{hashlib.sha256(body).hexdigest()[:16]}"')
    return found


def add_pages(app: FastAPI, studio: Studio) -> None:
    """Add the pages, log-in, static files and the answer to a health check."""
    static = _static_files()

    def page(name: str, **values: Any) -> HTMLResponse:
        return HTMLResponse(studio.templates.get_template(name).render(**values))

    @app.get("/", include_in_schema=False)
    async def _() -> HTMLResponse:
        return page("page.html", has_token=studio.access.token is not None)

    @app.get("/login", include_in_schema=False)
    async def _() -> Response:
        return RedirectResponse("/", 303) if studio.access.token is None else page("login.html")

    @app.post("/login", include_in_schema=False)
    async def _(given: LoginRequest, request: Request) -> JSONResponse:
        token = studio.access.token or ""
        if not compare_digest(given.token.strip().encode(), token.encode()):
            await asyncio.sleep(LOGIN_SECONDS)
            raise Refusal(
                403, "This is not the token of the studio; it is in the terminal where the studio was started"
            )
        response = JSONResponse({})
        is_https = request.headers.get("origin", "").lower().startswith("https://")
        response.set_cookie(COOKIE, studio.access.cookie, httponly=True, samesite="strict", secure=is_https, path="/")
        return response

    @app.post("/logout", include_in_schema=False)
    async def _() -> JSONResponse:
        response = JSONResponse({})
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return response

    @app.get("/health", include_in_schema=False)
    async def _() -> JSONResponse:
        return JSONResponse({"ok": True})

    @app.get("/static/{name}", include_in_schema=False)
    async def _(name: str, request: Request) -> Response:
        found = static.get(name)
        if found is None:
            raise Refusal(404, "There is no such file")
        headers = {"ETag": found.tag, "Cache-Control": "no-cache"}
        if request.headers.get("if-none-match") == found.tag:
            return Response(status_code=304, headers=headers)
        return Response(found.body, media_type=found.media_type, headers=headers)
