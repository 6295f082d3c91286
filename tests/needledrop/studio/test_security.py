"""What must not reach the studio: other names, other sites, forms, large bodies, and whoever lacks the token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from needledrop.studio.engine import Engine
from needledrop.studio.security import COOKIE, HEADERS, Access, checked_token
from storage.errors import InputError
from tests.needledrop.studio.conftest import HOME, PORT, client_of, poster

TOKEN = "a-token-of-some-length"
QUERY = {"plot": "A chase."}


@pytest.mark.parametrize("host", ["localhost:7300", "127.0.0.1:7300", "[::1]:7300", "LOCALHOST:7300"])
def test_the_studio_is_reached_by_the_names_of_this_machine(client: TestClient, host: str) -> None:
    assert client.get("/api/shortlists", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:7300", "localhost", "localhost:7301", "localhost:7300.evil.example", "127.0.0.1.nip.io:7300",
        "[::1]", "localhost.:7300", "0.0.0.0:7300", "localhost:7300@evil.example", "192.168.1.5:7300", "x", "",
        "localhost:073000", "localhost:7300, evil.example", "[::ffff:127.0.0.1]:7300",
    ],
)  # fmt: skip
def test_a_name_that_was_bound_to_this_machine_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/api/shortlists", headers={"Host": host})
    assert (answer.status_code, answer.json()) == (421, {"error": f"This studio is at {HOME}; open that address"})


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "null"},
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:7301"},
        {"Origin": "http://localhost"},
        {"Origin": f"{HOME}.evil.example"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": HOME, "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_change_that_another_site_asks_for_is_refused(client: TestClient, headers: dict[str, str]) -> None:
    answer = client.post("/api/shortlists", json={"name": "Stolen"}, headers=headers)
    assert answer.status_code == 403
    assert "Another site" in answer.json()["error"]
    assert "Stolen" not in client.get("/api/shortlists").text


def test_a_change_of_the_page_itself_and_of_a_program_is_made(client: TestClient) -> None:
    own = {"Origin": HOME, "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/search", json=QUERY, headers=own).status_code == 200
    assert client.post("/api/search", json=QUERY).status_code == 200


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "", "text/json"]
)
def test_a_body_that_a_form_could_send_is_refused(client: TestClient, kind: str) -> None:
    answer = client.post("/api/search", content=b'{"plot": "A chase."}', headers={"Content-Type": kind})
    assert answer.status_code == 415
    assert "application/json" in answer.json()["error"]


def test_other_sites_can_not_embed_what_the_studio_serves(client: TestClient) -> None:
    embedded = client.get("/api/about", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"})
    assert embedded.status_code == 403
    assert client.get("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}).status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/about", "/static/studio.js", "/absent", "/openapi.json"])
def test_every_answer_has_the_headers_that_close_it(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "path", ["/", "/health", "/static/studio.js", "/api/about", "/api/shortlists", "/openapi.json"]
)
def test_a_page_is_asked_for_its_headers_alone(client: TestClient, path: str) -> None:
    whole, head = client.get(path), client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers == whole.headers


def test_the_page_holds_no_script_no_style_and_no_address_of_elsewhere(client: TestClient) -> None:
    for path in ("/", "/login", "/static/studio.js", "/static/studio.css"):
        text = client.get(path).text
        assert "<style" not in text
        assert "<script>" not in text
        assert " style=" not in text
        assert "https://" not in text
        assert text.count("http://") == text.count("http://www.w3.org/2000/svg")
        assert not any(f" on{event}=" in text for event in ("click", "load", "error", "submit"))


@pytest.mark.parametrize(
    "path", ["/docs", "/redoc", "/static/../app.py", "/static/%2e%2e/app.py", "/static/studio.css/"]
)
def test_pages_that_load_from_elsewhere_and_other_files_are_not_there(client: TestClient, path: str) -> None:
    answer = client.get(path, follow_redirects=True)
    assert answer.status_code == 404
    assert "error" in answer.json()


@pytest.mark.parametrize("path", ["/api/shortlists", "/api/decisions", "/login"])
def test_a_body_that_is_too_large_is_refused(client: TestClient, path: str) -> None:
    answer = client.post(path, json={"name": "x" * 100_000})
    assert answer.status_code == 413
    assert "64,000 bytes" in answer.json()["error"]


def test_a_body_of_unknown_length_is_counted(client: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(1_000):
            yield b" " * 1_000

    answer = client.post("/api/shortlists", content=endless(), headers={"Content-Type": "application/json"})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("picture", "status", "said"),
    [
        (poster(10_000, 10_000), 422, "over 40,000,000 pixels"),
        ("bm90IGEgcGljdHVyZQ==", 422, "give a JPEG or PNG"),
        ("not base64!", 400, "not in base64"),
        (poster(3_000, 100), 422, "banner"),
    ],
)
def test_a_poster_that_can_not_be_used_is_a_sentence(client: TestClient, picture: str, status: int, said: str) -> None:
    answer = client.post("/api/search", json={"poster": picture})
    assert answer.status_code == status
    assert said in answer.json()["error"]


def test_a_request_that_is_no_json_or_has_unknown_fields_is_a_sentence(client: TestClient) -> None:
    broken = client.post("/api/search", content=b"{", headers={"Content-Type": "application/json"})
    unknown = client.post("/api/search", json={"path": "/etc/passwd"})
    assert (broken.status_code, unknown.status_code) == (422, 422)
    assert "path" in unknown.json()["error"]
    assert "/etc/passwd" not in unknown.text


@pytest.fixture
def guarded(engine: Engine) -> TestClient:
    return client_of(engine, Access(PORT, "0.0.0.0", (), TOKEN), f"http://192.168.1.5:{PORT}")


def test_without_the_token_nothing_is_shown(guarded: TestClient) -> None:
    for path in ("/api/about", "/api/shortlists", "/openapi.json", "/static/studio.js"):
        assert guarded.get(path).status_code == 401
    assert guarded.post("/api/search", json=QUERY).status_code == 401
    sent = guarded.get("/", headers={"Accept": "text/html"}, follow_redirects=False)
    assert (sent.status_code, sent.headers["location"]) == (303, "/login")
    assert guarded.get("/login").status_code == 200


@pytest.mark.parametrize("header", ["", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer ", f"Bearer {TOKEN[:-1]}"])
def test_a_wrong_token_is_refused(guarded: TestClient, header: str) -> None:
    assert guarded.get("/api/about", headers={"Authorization": header}).status_code == 401
    assert guarded.get(f"/api/about?token={TOKEN}").status_code == 401
    guarded.cookies.set(COOKIE, TOKEN)
    assert guarded.get("/api/about").status_code == 401


def test_a_program_sends_the_token_and_a_browser_gets_a_cookie_for_it(guarded: TestClient) -> None:
    assert guarded.get("/api/about", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    refused = guarded.post("/login", json={"token": "another"})
    assert (refused.status_code, "set-cookie" in refused.headers) == (403, False)
    given = guarded.post("/login", json={"token": TOKEN}).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in given.split(";")}
    assert TOKEN not in given
    assert guarded.get("/api/about").status_code == 200
    guarded.post("/logout", json={})
    assert guarded.get("/api/about").status_code == 401


@pytest.mark.parametrize(("host", "status"), [("10.0.0.7:80", 200), ("studio.example:443", 200), ("evil.example", 421)])
def test_where_others_may_come_in_names_must_be_known_and_addresses_need_not(
    engine: Engine, host: str, status: int
) -> None:
    client = client_of(engine, Access(PORT, "0.0.0.0", ("studio.example",), TOKEN))
    assert client.get("/health", headers={"Host": host}).status_code == status


def test_another_address_than_this_machines_gets_a_token() -> None:
    assert checked_token(None, "127.0.0.1") is None
    assert len(checked_token(None, "0.0.0.0") or "") >= 32
    assert checked_token(TOKEN, "::1") == TOKEN
    with pytest.raises(InputError, match="at least 16"):
        checked_token("short", "0.0.0.0")


def test_no_answer_holds_an_absolute_path(client: TestClient, indexed: Path) -> None:
    run = client.get("/api/about").json()["best_run"]
    texts = [client.get(path).text for path in ("/api/about", "/api/tags", "/openapi.json", "/api/decisions")]
    texts += [client.post("/api/search", json=request).text for request in (QUERY, {**QUERY, "run": f"{run}x"})]
    texts += [client.post("/api/search", json={**QUERY, "libraries": ["../../etc"]}).text]
    assert not any(str(indexed) in text or "/tmp" in text or "/root" in text for text in texts)
