"""`needledrop doctor`: one sentence per check, and status 1 if one fails."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from needledrop.cli.inspect.doctor import check_clock, check_lake, check_youtube
from needledrop.cli.main import app
from storage.errors import InputError

pytestmark = pytest.mark.integration
NETWORK = ["--youtube", "--i-have-the-right-to-collect", "--pace", "0"]
STEPS = ["album search", "album", "player", "media"]


def doctor(lake: Any, *options: str) -> Result:
    command = ["doctor", "--lake", str(lake), "--wiki", "http://127.0.0.1:9/w/api.php", *options]
    return CliRunner().invoke(app, command, env={"COLUMNS": "250", "NEEDLEDROP_CONTACT": "me@example.org"})


def states(result: Result) -> dict[str, str]:
    return dict(re.findall(r"│ ([\w -]+?) +│ (ok|warn|fail) +│", result.output))


def test_a_machine_that_can_work_passes_without_a_lake(tmp_path: Path) -> None:
    result = doctor(tmp_path / "none")
    assert "fail" not in states(result).values(), result.output
    assert result.exit_code == 0
    assert not (tmp_path / "none").exists()


def test_a_lake_that_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("a file")
    assert check_lake(str(tmp_path / "lake")).state == "fail"
    assert doctor(tmp_path / "lake").exit_code == 1


def test_the_clock_without_a_contact_is_a_whole_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEEDLEDROP_CONTACT", raising=False)
    check = check_clock("http://127.0.0.1:9/w/api.php", None)
    assert (check.state, "…" in check.sentence, "(no contact)" in check.sentence) == ("warn", False, True)


@pytest.mark.parametrize(("seconds", "state"), [(0, "ok"), (30, "warn"), (3600, "fail")])
def test_the_clock_is_compared_with_the_wikis_server(seconds: int, state: str) -> None:
    class Clock(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response_only(200)
            self.send_header("Date", format_datetime(datetime.now(UTC) - timedelta(seconds=seconds), usegmt=True))
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Clock)
    Thread(target=server.handle_request, daemon=True).start()
    assert check_clock(f"http://127.0.0.1:{server.server_port}/w/api.php", "me@example.org").state == state
    server.server_close()


def test_the_site_is_asked_for_an_album_a_player_and_bytes_of_its_media(world: Any, tmp_path: Path) -> None:
    world.add_film("Inception", 2010, 3)
    world.save()
    result = doctor(tmp_path / "lake", *NETWORK)
    assert {step: states(result)[step] for step in STEPS} == dict.fromkeys(STEPS, "ok"), result.output
    assert [one["range"] for one in world.requests if one["path"] == "/videoplayback"] == ["bytes=0-65535"]
    assert len(world.requests) <= 8
    assert not (tmp_path / "lake").exists()  # looking makes no lake


def test_what_follows_a_failed_step_is_not_tried(world: Any, tmp_path: Path) -> None:
    for video_id in world.add_film("Inception", 2010, 3):
        world.videos[video_id] |= {"status": "LOGIN_REQUIRED", "reason": "Sign in to confirm you’re not a bot"}
    world.save()
    result = doctor(tmp_path / "lake", *NETWORK)
    assert [states(result)[step] for step in STEPS] == ["ok", "ok", "fail", "fail"]
    assert "distrusts" in result.output
    assert result.exit_code == 1
    assert not world.media_requests()


def test_a_search_without_albums_is_a_changed_site(world: Any, tmp_path: Path) -> None:
    checks = check_youtube(str(tmp_path / "lake"), 0.0, has_right=True)
    assert [check.state for check in checks] == ["fail"] * 4
    assert "the site has changed" in checks[0].sentence


def test_the_site_is_not_asked_without_the_statement(world: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--i-have-the-right-to-collect"):
        check_youtube(str(tmp_path / "lake"), 0.0, has_right=False)
    assert not world.requests
