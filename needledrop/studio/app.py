"""The application of the studio: its routes, errors and checks put together, and its model loaded once it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute

from needledrop import __version__
from needledrop.studio.api_responses import PROBLEMS, add_errors
from needledrop.studio.engine import Engine
from needledrop.studio.routes import (
    add_decisions,
    add_exports,
    add_login,
    add_pages,
    add_search,
    add_shortlists,
    add_tracks,
)
from needledrop.studio.security import HEADERS, Access, Guard
from needledrop.studio.track_lookup import Tracks
from storage.errors import NeedledropError

log = logging.getLogger(__name__)


def create_app(engine: Engine, access: Access) -> FastAPI:
    """Return the application; the engine is warmed up once it runs."""
    tracks = Tracks(engine.lake, engine.searchable)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        warming = asyncio.create_task(_warm_up(engine))
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
    add_errors(app, engine.lake, tracks.mounts, HEADERS)
    add_pages(app, has_token=access.token is not None)
    add_login(app, access)
    add_search(app, engine)
    add_tracks(app, tracks)
    add_decisions(app, engine, tracks)
    add_shortlists(app, engine, tracks)
    add_exports(app, tracks)
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


async def _warm_up(engine: Engine) -> None:
    try:
        await engine.in_turn(engine.warm_up)
    except NeedledropError as error:
        log.warning("%s", error)
    except Exception:
        log.exception("The model could not be loaded")
