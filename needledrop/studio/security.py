"""What is checked before any route sees a request: host, origin, token, kind and size; and the headers of every answer.

A page of another site can make a browser send requests to this machine. The `Host` header shows a name that was bound
to this address (DNS rebinding), and `Origin` and `Sec-Fetch-Site` show from where a request comes. A request that
changes something must have a body that a form cannot send. Where others can reach the studio there is a token as well.
It is typed into a form and never part of an address, since addresses are logged and shared.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from needledrop.studio.api_requests import POSTER_CHARACTERS, REFERENCE_BYTES
from needledrop.studio.api_responses import Refusal
from storage.errors import InputError

COOKIE = "needledrop_studio"
TOKEN_CHARACTERS = 16
"""A shorter token could be guessed."""
LOGIN_SECONDS = 0.5
"""A wrong token is answered after so long."""
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
CHANGING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
JSON_BYTES = 64_000
BODY_BYTES: Mapping[str, int] = {"/api/search": POSTER_CHARACTERS + 1_000_000, "/api/references": REFERENCE_BYTES}
"""Path -> the largest body that it takes; others take `JSON_BYTES`."""
BINARY_PATHS = frozenset({"/api/references"})
"""These take bytes; `application/octet-stream` is no kind that a form of another site could send."""
OPEN_PATHS = frozenset({"/login", "/health", "/static/studio.css", "/static/login.js", "/static/icon.svg"})
"""What can be seen without the token."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True)
class Access:
    """Who may reach the studio: by which names and at which port, and with which token."""

    port: int
    host: str = "127.0.0.1"
    names: tuple[str, ...] = ()
    """Names, next to its addresses, under which browsers reach it."""
    token: str | None = field(default=None, repr=False)

    @property
    def is_local(self) -> bool:
        """Return whether only this machine can reach it."""
        return is_loopback(self.host)

    @property
    def cookie(self) -> str:
        """Return what a browser that has sent the token is given, which does not give the token away."""
        return hmac.new((self.token or "").encode(), b"needledrop studio", hashlib.sha256).hexdigest()

    def knows_host(self, header: str) -> bool:
        """Return whether a `Host` header names this studio, and not a name that somebody bound to its address.

        An address is always right where others may come in: rebinding needs a name. The port may then be another one,
        as containers and proxies have theirs.
        """
        name, port = _split_host(header)
        if name in (*LOOPBACK, self.host) and port == self.port:
            return True
        if self.is_local and not self.names:
            return False
        return name in self.names or (not self.is_local and (name in LOOPBACK or _is_address(name)))

    def is_signed_in(self, headers: Headers) -> bool:
        """Return whether a request has the token, or the cookie that was given for it."""
        if self.token is None:
            return True
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and secrets.compare_digest(given.strip().encode(), self.token.encode()):
            return True
        try:
            cookies = SimpleCookie(headers.get("cookie", ""))
        except CookieError:
            return False
        return COOKIE in cookies and secrets.compare_digest(cookies[COOKIE].value.encode(), self.cookie.encode())


def is_loopback(host: str) -> bool:
    """Return whether an address to bind to can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def checked_token(token: str | None, host: str) -> str | None:
    """Return the token of a studio, a new one where it needs one. Raises `InputError` for one that is too short."""
    if token is not None and len(token) < TOKEN_CHARACTERS:
        raise InputError(f"The token has {len(token)} characters; give one of at least {TOKEN_CHARACTERS}")
    if token is None and not is_loopback(host):
        return secrets.token_urlsafe(24)
    return token


def _split_host(header: str) -> tuple[str, int]:
    """Return the name and the port of a `Host` header; without one it is that of HTTP."""
    name, colon, port = header.strip().lower().rpartition(":")
    if not colon or port.endswith("]"):
        name, port = header.strip().lower(), "80"
    return name, int(port) if port.isdecimal() and len(port) < 6 else -1


def _is_address(name: str) -> bool:
    try:
        ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


class Guard:
    """The outermost layer of the application: refuses what must not reach it, and completes the headers of answers."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, then hand it on with its body, which has been counted."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        headers = Headers(scope=scope)
        try:
            self._check(scope, headers)
            body = await _read_body(scope, headers, receive) if scope["method"] in CHANGING else None
        except Refusal as refusal:
            await _refuse(scope, refusal, send_with_headers)
            return
        await self._app(scope, receive if body is None else _replayed(body, receive), send_with_headers)

    def _check(self, scope: Scope, headers: Headers) -> None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._access.knows_host(hosts[0]):
            raise Refusal(421, f"This studio is at http://localhost:{self._access.port}; open that address")
        path, method = scope["path"], scope["method"]
        if method in CHANGING:
            _check_origin(scope, headers, hosts[0])
            _check_kind(path, method, headers)
        elif headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
            raise Refusal(403, "Another site asked for this; open the studio itself")
        if path not in OPEN_PATHS and not self._access.is_signed_in(headers):
            raise Refusal(401, "This studio needs its token; sign in at /login, or send it as Authorization: Bearer")


def _check_origin(scope: Scope, headers: Headers, host: str) -> None:
    """Refuse a change that a page of another site asks for. A program that is no browser sends neither header."""
    site, origins = headers.get("sec-fetch-site"), headers.getlist("origin")
    own = {f"{scheme}://{host.strip().lower()}" for scheme in ("http", "https")}
    if site not in (None, "same-origin", "none") or any(origin.lower() not in own for origin in origins):
        raise Refusal(403, "Another site asked for this change; make it in the studio itself")


def _check_kind(path: str, method: str, headers: Headers) -> None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    wanted = "application/octet-stream" if path in BINARY_PATHS else "application/json"
    is_bodiless = method == "DELETE" and headers.get("content-length", "0") == "0" and not kind
    if kind != wanted and not is_bodiless:
        raise Refusal(415, f"The body must be {wanted}; send it with that Content-Type")


async def _read_body(scope: Scope, headers: Headers, receive: Receive) -> bytes:
    """Return the body of a request; refuses one that is too large as soon as that is known."""
    most = BODY_BYTES.get(scope["path"], JSON_BYTES)
    stated, pieces, size = headers.get("content-length", "0"), list[bytes](), 0
    too_large = Refusal(413, f"A request to {scope['path']} may have {most:,} bytes; send less")
    if not stated.isdecimal() or int(stated) > most:
        raise too_large
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refusal(400, "The connection ended before the request did")
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > most:
            raise too_large
        if not message.get("more_body"):
            return b"".join(pieces)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body again, then whatever comes after it."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_again


async def _refuse(scope: Scope, refusal: Refusal, send: Send) -> None:
    """Answer with a sentence; a browser that must sign in first is sent to the form."""
    accepts = Headers(scope=scope).get("accept", "")
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    if refusal.status == 401 and scope["method"] in ("GET", "HEAD") and "text/html" in accepts:
        headers += [(b"location", b"/login")]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    body = json.dumps({"error": str(refusal)}).encode()
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
