"""The routes of the studio: its pages and static files, and its JSON API: search, tracks, decisions, shortlists."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Any

from anyio import to_thread
from fastapi import FastAPI, Query, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from jinja2 import Environment, PackageLoader, select_autoescape

from needledrop.studio import shortlist_exports
from needledrop.studio.api_requests import DecisionRequest, ListedRequest, LoginRequest, SearchRequest, ShortlistRequest
from needledrop.studio.api_responses import (
    About,
    DecisionMade,
    Energy,
    Reference,
    Refusal,
    SearchResult,
    Shortlist,
    ShortlistAbout,
    TagCount,
    Track,
)
from needledrop.studio.audio_file_check_and_streaming import answer, open_sound
from needledrop.studio.engine import STUDIO, Engine
from needledrop.studio.security import COOKIE, LOGIN_SECONDS, Access
from needledrop.studio.track_lookup import Tracks
from storage.libraries import decisions_and_shortlists as decisions
from storage.libraries import decisions_and_shortlists as shortlists

MEDIA_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
TEMPLATES = Environment(
    loader=PackageLoader("needledrop.studio"), autoescape=select_autoescape(default=True, default_for_string=True)
)
InLibrary = Annotated[str | None, Query(max_length=300, description="Where several libraries hold the track.")]
ForEncoder = Annotated[
    str | None, Query(max_length=300, description="The audio encoder that is to hear it; none: a trained run.")
]


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


def add_pages(app: FastAPI, *, has_token: bool) -> None:
    """Add the pages, static files and the answer to a health check."""
    static = _static_files()

    def page(name: str, **values: Any) -> HTMLResponse:
        return HTMLResponse(TEMPLATES.get_template(name).render(**values))

    @app.get("/", include_in_schema=False)
    async def _() -> HTMLResponse:
        return page("page.html", has_token=has_token)

    @app.get("/login", include_in_schema=False)
    async def _() -> Response:
        return page("login.html") if has_token else RedirectResponse("/", 303)

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


def add_search(app: FastAPI, engine: Engine) -> None:
    """Add the routes of searching, tags and references."""

    @app.get("/api/about", tags=["search"])
    def about() -> About:
        """Say what can be searched here and with which runs, what these were trained on, and what they reach."""
        return engine.about()

    @app.get("/api/tags", tags=["search"])
    def tags(
        q: Annotated[str, Query(max_length=300)] = "",
        count: Annotated[int, Query(ge=1, le=100)] = 12,
        run: Annotated[str | None, Query(max_length=300)] = None,
    ) -> list[TagCount]:
        """Complete a tag from the vocabulary of the model."""
        return engine.tags(q, count, run)

    @app.post("/api/search", tags=["search"])
    async def search(request: SearchRequest) -> SearchResult:
        """Search music for a film, for a recording that it should sound like, or for both."""
        return await engine.in_turn(lambda: engine.search(request))

    @app.post(
        "/api/references",
        tags=["search"],
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    async def references(request: Request, encoder: ForEncoder = None) -> Reference:
        """Send a recording to search by; its id goes into `like` or `not_like`. It is not kept."""
        data = await request.body()
        return await to_thread.run_sync(lambda: engine.add_reference(data, encoder), limiter=engine.decoding)


def add_tracks(app: FastAPI, tracks: Tracks) -> None:
    """Add the routes of tracks: their sound, energy and facts."""

    @app.get("/api/tracks/{track_id:path}/audio", tags=["tracks"], response_class=Response)
    async def audio(track_id: str, request: Request, library: InLibrary = None) -> Response:
        """Stream the sound of a library's track, whole or in ranges; what browsers cannot play comes as WAV."""
        sound = await to_thread.run_sync(lambda: open_sound(*tracks.find_sound(track_id, library)))
        return answer(sound, request.method, request.headers)

    @app.get("/api/tracks/{track_id:path}/energy", tags=["tracks"])
    def energy(track_id: str, library: InLibrary = None) -> Energy:
        """Return the energy of a library's track over time."""
        _, files = tracks.find_sound(track_id, library)
        seconds, curve = files[0]["duration_seconds"], files[0]["energy_db"]
        return Energy(track_id=track_id, seconds=seconds or 0.0, decibels=curve or [])

    @app.get("/api/tracks/{track_id:path}", tags=["tracks"])
    def track(track_id: str, library: InLibrary = None) -> Track:
        """Return what is known of a track."""
        return Track(**tracks.track(track_id, library))


def add_decisions(app: FastAPI, engine: Engine, tracks: Tracks) -> None:
    """Add the routes of decisions."""

    @app.post("/api/decisions", tags=["decisions"], status_code=201)
    def decide(request: DecisionRequest) -> DecisionMade:
        """Keep or reject a track for a query, or withdraw that, which also a track that is gone can be."""
        facts = {} if request.decision == "undecided" else tracks.track(request.track_id, request.library)
        decision = engine.decide(request)
        if request.shortlist_id and request.decision == "keep":
            with engine.writing():
                noted = {name: facts.get(name) for name in shortlists.LISTED_FACTS}
                noted |= {"note": request.note, "from_second": request.from_second}
                given = {name: value for name, value in noted.items() if value is not None}
                key = (request.library, request.track_id)
                shortlists.put_track(engine.lake, request.shortlist_id, key, STUDIO, given)
        return DecisionMade(**vars(decision))

    @app.get("/api/decisions", tags=["decisions"])
    def decided(query_id: Annotated[str | None, Query(max_length=64)] = None) -> list[DecisionMade]:
        """List the decisions about a query, or all, newest first."""
        hidden = tracks.hidden()
        rows = decisions.read_decisions(engine.lake, query_id)
        names = list(DecisionMade.model_fields)
        return [DecisionMade(**{name: row[name] for name in names}) for row in rows if row["track_id"] not in hidden]


def add_shortlists(app: FastAPI, engine: Engine, tracks: Tracks) -> None:
    """Add the routes of shortlists."""

    @app.get("/api/shortlists", tags=["shortlists"])
    def list_shortlists() -> list[ShortlistAbout]:
        """List the shortlists by name."""
        return [ShortlistAbout(**{**row, "note": row["note"] or ""}) for row in shortlists.read_shortlists(engine.lake)]

    @app.post("/api/shortlists", tags=["shortlists"], status_code=201)
    def make(request: ShortlistRequest) -> ShortlistAbout:
        """Make a shortlist."""
        with engine.writing():
            made = shortlists.make_shortlist(engine.lake, request.name or "", STUDIO, request.note or "")
        return ShortlistAbout(shortlist_id=made["shortlist_id"], name=made["name"], note=made["note"], tracks=0)

    @app.get("/api/shortlists/{shortlist_id}", tags=["shortlists"])
    def shortlist(shortlist_id: str) -> Shortlist:
        """Return a shortlist with its tracks and notes."""
        return _shortlist(tracks, shortlist_id)

    @app.patch("/api/shortlists/{shortlist_id}", tags=["shortlists"])
    def change(shortlist_id: str, request: ShortlistRequest) -> Shortlist:
        """Give a shortlist another name or note."""
        with engine.writing():
            changes = {name: value for name, value in request.model_dump().items() if value is not None}
            shortlists.change_shortlist(engine.lake, shortlist_id, STUDIO, changes)
        return _shortlist(tracks, shortlist_id)

    @app.delete("/api/shortlists/{shortlist_id}", tags=["shortlists"], status_code=204)
    def remove(shortlist_id: str) -> Response:
        """Remove a shortlist. The music and the decisions stay."""
        with engine.writing():
            shortlists.change_shortlist(engine.lake, shortlist_id, STUDIO, {"state": shortlists.REMOVED})
        return Response(status_code=204)

    @app.put("/api/shortlists/{shortlist_id}/tracks/{track_id:path}", tags=["shortlists"])
    def put(shortlist_id: str, track_id: str, request: ListedRequest) -> Shortlist:
        """Put a track on a shortlist, or change its note, its usage or the second from which it is wanted."""
        key, shown = (request.library, track_id), {}
        if shortlists.is_listed(engine.lake, shortlist_id, key):  # it may be gone by now
            tracks.check_not_hidden(track_id)
        else:
            facts = tracks.track(track_id, request.library)
            shown = {name: facts.get(name) for name in shortlists.LISTED_FACTS}
        given = {name: value for name, value in request.model_dump(exclude={"library"}).items() if value is not None}
        with engine.writing():
            shortlists.put_track(engine.lake, shortlist_id, key, STUDIO, {**shown, **given})
        return _shortlist(tracks, shortlist_id)

    @app.delete("/api/shortlists/{shortlist_id}/tracks/{track_id:path}", tags=["shortlists"])
    def take_off(shortlist_id: str, track_id: str, library: Annotated[str, Query(max_length=300)]) -> Shortlist:
        """Take a track off a shortlist."""
        with engine.writing():
            shortlists.remove_track(engine.lake, shortlist_id, (library, track_id), STUDIO)
        return _shortlist(tracks, shortlist_id)


def add_exports(app: FastAPI, tracks: Tracks) -> None:
    """Add the routes of downloads of shortlists."""

    def downloaded(body: str, media_type: str, name: str) -> Response:
        return Response(body, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})

    @app.get("/api/shortlists/{shortlist_id}/export.csv", tags=["shortlists"], response_class=Response)
    def export_csv(shortlist_id: str) -> Response:
        """Download a shortlist as a CSV list."""
        found = _shortlist(tracks, shortlist_id)
        return downloaded(shortlist_exports.as_csv(found), "text/csv", shortlist_exports.file_name(found, ".csv"))

    @app.get("/api/shortlists/{shortlist_id}/cue-sheet.csv", tags=["shortlists"], response_class=Response)
    def cue_sheet(shortlist_id: str) -> Response:
        """Download a shortlist as a cue sheet, with places in the recordings; those in the film are left empty."""
        found = _shortlist(tracks, shortlist_id)
        return downloaded(
            shortlist_exports.as_cue_sheet(found), "text/csv", shortlist_exports.file_name(found, "-cue-sheet.csv")
        )

    @app.get("/api/shortlists/{shortlist_id}/export.html", tags=["shortlists"], response_class=Response)
    def export_html(shortlist_id: str) -> Response:
        """Download a shortlist as a page to print."""
        found = _shortlist(tracks, shortlist_id)
        body = TEMPLATES.get_template("shortlist.html").render(shortlist=found, at=shortlist_exports.as_timestamp)
        return downloaded(body, "text/html", shortlist_exports.file_name(found, ".html"))


def _shortlist(tracks: Tracks, shortlist_id: str) -> Shortlist:
    """Return a shortlist with its tracks."""
    return shortlist_exports.read_shortlist(tracks.lake, shortlist_id, tracks.hidden, tracks.facts)


def add_login(app: FastAPI, access: Access) -> None:
    """Add logging in, which gives a browser the cookie for the token, and out."""

    @app.post("/login", include_in_schema=False)
    async def _(given: LoginRequest, request: Request) -> JSONResponse:
        token = access.token or ""
        if not secrets.compare_digest(given.token.strip().encode(), token.encode()):
            await asyncio.sleep(LOGIN_SECONDS)
            raise Refusal(
                403, "This is not the token of the studio; it is in the terminal where the studio was started"
            )
        response = JSONResponse({})
        is_https = request.headers.get("origin", "").lower().startswith("https://")
        response.set_cookie(COOKIE, access.cookie, httponly=True, samesite="strict", secure=is_https, path="/")
        return response

    @app.post("/logout", include_in_schema=False)
    async def _() -> JSONResponse:
        response = JSONResponse({})
        response.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
        return response
