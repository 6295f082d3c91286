"""A fake edge of YouTube under the real yt-dlp and the real ytmusicapi: only the network is made up.

Registered as a request handler of yt-dlp, and as the adapter of requests for music.youtube.com, it answers out of a
world in a JSON file (`FAKE_EDGE_WORLD`), so that the real extractors, format choice, downloader, resume and messages
all run. Every request is written to `FAKE_EDGE_LOG`, a JSON line each, which also counts across processes and crashes.

A world holds `videos` (id -> facts), `searches` ([phrase, ids]), `albums` ([phrase, playlist id, title, ids, type of
lockup]), `music_albums` (see fake_music) and `faults` ([{host, path, video, status, headers, body, kind, times}]): a
fault applies to its host and to its video or list (default: all) while its `times` last.
"""

from __future__ import annotations

import functools
import io
import json
import os
import re
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import fake_music as music
import fake_pages as pages
import requests
from requests.adapters import HTTPAdapter
from yt_dlp.networking.common import Request, RequestHandler, Response, register_preference, register_rh
from yt_dlp.networking.exceptions import HTTPError, IncompleteRead, TransportError, UnsupportedRequest

HOSTS = re.compile(r"(^|\.)(youtube\.com|googlevideo\.com|ytimg\.com)$")
_spent: dict[str, int] = {}


@functools.lru_cache(maxsize=4)
def _read(path: str, changed: int) -> dict[str, Any]:
    return dict(json.loads(Path(path).read_text()))


def world() -> dict[str, Any]:
    """Return the current content of the world's file."""
    path = os.environ["FAKE_EDGE_WORLD"]
    return _read(path, Path(path).stat().st_mtime_ns)


@register_rh
class FakeEdgeRH(RequestHandler):
    """Answers instead of the network."""

    _SUPPORTED_URL_SCHEMES = ("http", "https")
    _SUPPORTED_PROXY_SCHEMES = None
    _SUPPORTED_FEATURES = None

    def _check_extensions(self, extensions: dict[str, Any]) -> None:
        extensions.clear()

    def _validate(self, request: Request) -> None:
        if "FAKE_EDGE_WORLD" not in os.environ or not HOSTS.search(urlparse(request.url).hostname or ""):
            raise UnsupportedRequest("not a host of the fake edge")

    def _send(self, request: Request) -> Response:
        url = urlparse(request.url)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = json.loads(request.data) if request.data else {}
        listed = query.get("list") or str(body.get("browseId") or "").removeprefix("VL")
        video = query.get("v") or query.get("id") or body.get("videoId") or listed
        _log(url.hostname or "", url.path, video, request.headers.get("Range"))
        fault = _fault(url.hostname or "", url.path, video)
        if fault and "status" in fault:
            headers = fault.get("headers", {})
            raise HTTPError(Response(io.BytesIO(b"no"), request.url, headers, status=fault["status"]))
        if fault and "body" in fault:
            return _response(request, str(fault["body"]).encode(), "text/html")
        if fault and fault["kind"] == "reset":
            raise TransportError("[Errno 104] Connection reset by peer")
        if url.path == "/videoplayback":
            return _media(request, video, fault)
        return _page(request, url.path, query, body)


@register_preference(FakeEdgeRH)
def _before_all_others(_handler: RequestHandler, _request: Request) -> int:
    return 10_000


_over_the_network = HTTPAdapter.send


def _send_music(
    adapter: HTTPAdapter, request: requests.PreparedRequest, *args: Any, **options: Any
) -> requests.Response:
    """Answer for YouTube Music instead of the network; every other request goes there."""
    url = urlparse(str(request.url))
    if "FAKE_EDGE_WORLD" not in os.environ or url.hostname != "music.youtube.com":
        return _over_the_network(adapter, request, *args, **options)
    _log(url.hostname, url.path, "", None, {name.lower(): value for name, value in request.headers.items()})
    fault = _fault(url.hostname, url.path)
    if fault and fault.get("kind") == "reset":
        raise requests.ConnectionError("[Errno 104] Connection reset by peer")
    if fault:
        answer = music.response(fault.get("body", "no"), fault.get("status", 200), fault.get("headers"))
    elif url.path.startswith("/youtubei/v1/"):
        sent = json.loads(request.body or b"{}")
        answer = music.response(music.answer(sent, url.path.rsplit("/", 1)[1], world()))
    else:
        answer = music.response(music.HOME_PAGE)
    return adapter.build_response(request, answer)


HTTPAdapter.send = _send_music  # type: ignore[method-assign]


def _log(host: str, path: str, video: str, byte_range: str | None, headers: Any = None) -> None:
    line = {"host": host, "path": path, "video": video, "range": byte_range, "headers": headers}
    with Path(os.environ["FAKE_EDGE_LOG"]).open("a") as file:
        file.write(json.dumps(line) + "\n")


def _fault(host: str, path: str, video: str = "") -> dict[str, Any] | None:
    for number, fault in enumerate(world().get("faults", ())):
        concerns = fault["path"] in path and fault.get("video", video) == video and fault.get("host", host) == host
        key = f"{os.environ['FAKE_EDGE_WORLD']}#{number}"
        if concerns and _spent.get(key, 0) < fault.get("times", 1 << 30):
            _spent[key] = _spent.get(key, 0) + 1
            return dict(fault)
    return None


def _page(request: Request, path: str, query: dict[str, str], body: dict[str, Any]) -> Response:
    everything = world()
    videos = everything["videos"]
    if path.startswith("/youtubei/v1/"):
        answer = _innertube(path.rsplit("/", 1)[1], everything, body)
        return _response(request, json.dumps(answer).encode(), "application/json")
    if path == "/watch":
        page = pages.watch_page(query["v"], videos.get(query["v"], {}))
    elif path == "/playlist":
        page = pages.data_page(_album(everything, query["list"]))
    elif path.startswith("/embed/"):
        page = pages.embed_page()
    else:
        page = "<html></html>"
    return _response(request, page.encode(), "text/html")


def _innertube(endpoint: str, everything: dict[str, Any], body: dict[str, Any]) -> dict[str, Any]:
    videos = everything["videos"]
    if endpoint == "player":
        return pages.player(body["videoId"], videos.get(body["videoId"]))
    if endpoint == "browse" and str(body.get("browseId", "")).startswith("VL"):
        return _album(everything, body["browseId"][2:])
    if endpoint == "search" and str(body.get("params") or "").startswith("EgIQAw"):
        found = [(album[1], album[2], album[4]) for album in everything["albums"] if _asks(body, album[0])]
        return pages.playlist_results(found)
    if endpoint == "search":
        ids = [i for phrase, hits in everything["searches"] if _asks(body, phrase) for i in hits]
        return pages.video_results([(i, videos[i]) for i in ids])
    return {"contents": {}}


def _asks(body: dict[str, Any], phrase: str) -> bool:
    return phrase.casefold() in str(body.get("query", "")).casefold()


def _album(everything: dict[str, Any], playlist_id: str) -> dict[str, Any]:
    _phrase, _id, title, ids, _type = next(album for album in everything["albums"] if album[1] == playlist_id)
    return pages.playlist(playlist_id, title, [(i, everything["videos"][i]) for i in ids])


def _media(request: Request, video: str, fault: dict[str, Any] | None) -> Response:
    facts = world()["videos"][video]
    data = Path(facts["audio"]).read_bytes()
    found = re.match(r"bytes=(\d+)-(\d*)", request.headers.get("Range") or "")
    start = int(found[1]) if found else 0
    end = min(int(found[2]) if found and found[2] else len(data) - 1, len(data) - 1)
    part = data[start : end + 1]
    headers = {"Content-Range": f"bytes {start}-{end}/{len(data)}"} if found else {}
    stream = _Faulty(part, fault) if fault else io.BytesIO(part)
    return _response(request, part, facts.get("mime", "audio/webm"), 206 if found else 200, headers, stream)


class _Faulty(io.BytesIO):
    """A body that breaks off, stalls or trickles."""

    def __init__(self, data: bytes, fault: dict[str, Any]) -> None:
        super().__init__(data)
        self._fault = fault

    def read(self, size: int | None = -1) -> bytes:
        if self._fault["kind"] == "trickle":
            time.sleep(self._fault.get("seconds", 0.05))
            return super().read(min(size or 1, 256))
        if self.tell() >= self._fault.get("after_bytes", 8192):
            if self._fault["kind"] == "stall":
                raise TransportError("The read operation timed out", cause=TimeoutError("timed out"))
            raise IncompleteRead(partial=self.tell(), expected=len(self.getvalue()) - self.tell())
        return super().read(min(size or 1, self._fault.get("after_bytes", 8192)))


def _response(
    request: Request,
    body: bytes,
    content_type: str,
    status: int = 200,
    headers: dict[str, str] | None = None,
    stream: io.BytesIO | None = None,
) -> Response:
    every = {"Content-Type": content_type, "Content-Length": str(len(body)), **(headers or {})}
    return Response(stream or io.BytesIO(body), request.url, every, status=status)
