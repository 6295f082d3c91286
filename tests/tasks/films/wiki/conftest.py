"""The edge of the network: every request of the real client gets the bytes that a test has set, without a socket."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from typing import Any

import pytest
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPResponse


@dataclass
class Edge:
    """What is answered: bodies in turn (the last one from then on), a status, headers; and what was asked."""

    bodies: list[bytes] = field(default_factory=lambda: [b"{}"])
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    api: str = "http://wiki.example/w/api.php"

    def answer(self, adapter: HTTPAdapter, request: PreparedRequest, **_options: Any) -> Response:
        """Return what a server would have sent, still packed, as a stream."""
        self.asked.append(str(request.url))
        body = self.bodies.pop(0) if len(self.bodies) > 1 else self.bodies[0]
        raw = HTTPResponse(io.BytesIO(body), headers=self.headers, status=self.status, preload_content=False)
        return adapter.build_response(request, raw)


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> Edge:
    edge = Edge()

    def send(adapter: HTTPAdapter, request: PreparedRequest, **options: Any) -> Response:
        return edge.answer(adapter, request, **options)

    monkeypatch.setattr(HTTPAdapter, "send", send)
    return edge
