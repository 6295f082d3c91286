"""A media server on loopback that serves recordings, pages and feeds, with faults."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from storage.lake.lake import Lake
from storage.tables import tables

TYPES = {"webm": "audio/webm", "opus": "audio/ogg", "m4a": "audio/mp4", "mp3": "audio/mpeg", "aac": "audio/aac"}
CODECS = {"webm": "libopus", "opus": "libopus", "m4a": "aac", "mp3": "libmp3lame", "aac": "aac"}
FORMATS = {"opus": "ogg", "m4a": "ipod", "aac": "adts"}
SECONDS = 24
HTML = b"<html><title>Sorry</title>Please accept cookies</html>" * 200
RETRY_AFTER = {"429": {"Retry-After": "120"}, "503": {"Retry-After": "7"}}
"""Two minutes: longer than it takes to start a Dask cluster on a busy machine."""


class MediaServer(ThreadingHTTPServer):
    """Serves `folder`; `log` holds (method, path, range) of every request."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.log: list[tuple[str, str, str | None]] = []
        self.gets: Counter[str] = Counter()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, _request: Any, _address: Any) -> None:
        """Ignore clients that disconnect early, as these tests make them do."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: MediaServer

    def log_message(self, *_message: Any) -> None:
        """Log nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = self.path.split("?")[0]
        self.server.log.append((self.command, path, self.headers.get("Range")))
        self.server.gets[path] += self.command == "GET"
        fault, _, name = path.strip("/").rpartition("/")
        if fault.startswith("status"):
            self._status(fault, path)
        elif name in ("feed.xml", "gap.m3u8", "page.html"):
            self._text(name)
        elif fault == "html":
            self._body(HTML, "audio/webm")
        elif fault == "empty":
            self._body(b"", "audio/webm")
        elif fault == "huge":
            self._head(200, "audio/webm", 5 << 30)
            self.wfile.write(b"\0" * 4096)
            self.close_connection = True
        elif not (self.server.folder / name).is_file():
            self._body(b"no", "text/plain", 404)
        else:
            self._file(fault, name, path)

    def _status(self, fault: str, path: str) -> None:
        code, _, times = fault.removeprefix("status-").partition("-")
        if times and self.server.gets[path] > int(times):
            self._file("", path.rpartition("/")[2], path)
        else:
            self._body(b"no", "text/plain", int(code), RETRY_AFTER.get(code, {}))

    def _file(self, fault: str, name: str, path: str) -> None:
        data = (self.server.folder / name).read_bytes()
        requested = re.match(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "") if fault != "norange" else None
        start = int(requested[1]) if requested else 0
        part = data[start : int(requested[2]) + 1 if requested and requested[2] else None]
        headers = {"Content-Range": f"bytes {start}-{start + len(part) - 1}/{len(data)}"} if requested else {}
        kind = "application/octet-stream" if fault == "octet" else TYPES[name.rsplit(".", 1)[1]]
        self._head(206 if requested else 200, kind, len(part), headers | {"Accept-Ranges": "bytes"})
        if self.command == "HEAD":
            return
        if fault == "cut" and self.server.gets[path] <= 2:
            self.wfile.write(part[: len(part) // 2])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
        elif fault == "stall":
            self.wfile.write(part[:5000])
            self.wfile.flush()
            time.sleep(5)
        else:
            self.wfile.write(part)

    def _text(self, name: str) -> None:
        url = self.server.url
        if name == "feed.xml":
            items = "".join(
                f"<item><title>Cue {n}</title><guid>{url}/{file}</guid><link>{url}/p{n}</link>"
                f'<enclosure url="{url}/{file}" type="audio/mpeg" length="1"/>'
                f"<itunes:duration>{SECONDS}</itunes:duration></item>"
                for n, file in enumerate(("one.mp3", "two.m4a", "three.webm"))
            )
            body = (
                '<?xml version="1.0"?><rss version="2.0" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd">'
                f"<channel><title>Slow Water (Original Motion Picture Soundtrack)</title>{items}</channel></rss>"
            )
            self._body(body.encode(), "application/rss+xml")
        elif name == "gap.m3u8":
            segments = "".join(f"#EXTINF:5.0,\n{'missing' if n == 2 else 'one'}.aac\n" for n in range(4))
            text = f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:5\n{segments}#EXT-X-ENDLIST\n"
            self._body(text.encode(), "application/vnd.apple.mpegurl")
        else:
            about = {
                "@context": "https://schema.org",
                "@type": "AudioObject",
                "name": "Slow Water Soundtrack - Theme",
                "contentUrl": f"{url}/one.mp3",
                "duration": f"PT{SECONDS}S",
                "encodingFormat": "audio/mpeg",
            }
            script = f'<script type="application/ld+json">{json.dumps(about)}</script>'
            self._body(f"<html><head><title>T</title>{script}</head></html>".encode(), "text/html")

    def _body(self, body: bytes, kind: str, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._head(status, kind, len(body), headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, kind: str, length: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(length), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()


@pytest.fixture(scope="session")
def media_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with one recording in each format that a listed URL may have."""
    folder = tmp_path_factory.mktemp("media")
    for number, name in enumerate(("one.mp3", "two.m4a", "three.webm", "four.opus", "one.aac")):
        suffix = name.rsplit(".", 1)[1]
        seconds = 5 if suffix == "aac" else SECONDS
        _write(folder / name, CODECS[suffix], FORMATS.get(suffix, suffix), 220.0 * (number + 2), seconds)
    return folder


def _write(path: Path, codec: str, container_format: str, hertz: float, seconds: int) -> None:
    wave = (0.1 * np.sin(2 * np.pi * hertz * np.arange(seconds * 48_000) / 48_000)).astype(np.float32)
    with av.open(str(path), "w", format=container_format) as container:
        stream = container.add_stream(codec, rate=48_000, layout="mono")
        kind = stream.codec_context.codec.audio_formats[0].name
        resampler = av.AudioResampler(format=kind, layout="mono", rate=48_000)
        for start in range(0, len(wave), 48_000):
            frame = av.AudioFrame.from_ndarray(wave[None, start : start + 48_000], format="flt", layout="mono")
            frame.sample_rate, frame.pts = 48_000, start
            for ready in resampler.resample(frame):
                container.mux(stream.encode(ready))
        container.mux(stream.encode(None))


@pytest.fixture
def server(media_folder: Path) -> Iterator[MediaServer]:
    """Yield a running server with an empty log."""
    media_server = MediaServer(media_folder)
    threading.Thread(target=media_server.serve_forever, daemon=True).start()
    yield media_server
    media_server.shutdown()


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Return an empty lake with its own cache; the server is reached without a proxy."""
    monkeypatch.setenv("NEEDLEDROP_CACHE", str(tmp_path / "cache"))
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return tables.open_tables(str(tmp_path / "lake"))
