"""A missing contact, folder or port, and a service that does not work for its users, are found and named."""

from __future__ import annotations

import http.server
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from prefect.settings import (
    PREFECT_SERVER_DATABASE_HOST,
    PREFECT_SERVER_DATABASE_PORT,
    temporary_settings,
)

from needledrop.service.startup_and_health_checks import (
    check_contact,
    check_data,
    check_database,
    check_folders,
    check_health,
    check_port,
    missing_contact,
)
from storage.errors import InputError, LakeError
from storage.lake.lake import lake_at
from tasks.soundtracks.download.downloader_and_staging import staging_folder


def test_an_empty_contact_is_refused_and_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEEDLEDROP_CONTACT", " ")
    with pytest.raises(InputError, match="NEEDLEDROP_CONTACT is empty"):
        check_contact()
    monkeypatch.setenv("NEEDLEDROP_CONTACT", "me@example.org")
    check_contact()


def test_a_service_without_a_contact_says_what_it_cannot_do(monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("", " "):
        monkeypatch.setenv("NEEDLEDROP_CONTACT", value)
        assert "Wikipedia is asked for films only by runs with the parameter contact" in str(missing_contact())
    monkeypatch.delenv("NEEDLEDROP_CONTACT")
    assert "set it to your e-mail address" in str(missing_contact())
    monkeypatch.setenv("NEEDLEDROP_CONTACT", "me@example.org")
    assert missing_contact() is None


def test_a_service_that_asks_nobody_needs_no_contact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NEEDLEDROP_CONTACT", raising=False)
    check_contact()


def test_data_that_is_named_but_not_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEEDLEDROP_DATA", "/srv/films")
    with pytest.raises(InputError, match="NEEDLEDROP_DATA names /srv/films, which is empty"):
        check_data(tmp_path)
    (tmp_path / "films.xml").touch()
    check_data(tmp_path)


def test_no_data_is_needed_where_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEEDLEDROP_DATA", "")
    check_data(tmp_path)


@pytest.mark.parametrize("variable", ["NEEDLEDROP_LAKE", "NEEDLEDROP_CACHE"])
def test_a_folder_that_cannot_be_written_is_named(
    variable: str, small_disk: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = small_disk("ro")
    monkeypatch.setenv(variable, str(folder))
    with pytest.raises(LakeError, match=f"{folder} cannot be written .* {variable}"):
        check_folders()


def test_a_full_disk_is_named(small_disk: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = small_disk("size=16k")
    monkeypatch.setenv("NEEDLEDROP_LAKE", str(folder))
    with pytest.raises(LakeError, match=f"No space left to write {folder}"):
        check_folders()


def test_a_writable_lake_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEEDLEDROP_LAKE", str(tmp_path))
    check_folders()
    assert not list(tmp_path.iterdir())


def test_a_port_that_is_taken_is_named_with_its_variable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(InputError, match=f"Port {port} cannot be used .* NEEDLEDROP_PORT"):
            check_port(port, "NEEDLEDROP_PORT")
    check_port(port, "NEEDLEDROP_PORT")


@pytest.fixture
def polling_worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A server that answers as the one of a worker does."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PREFECT_WORKER_WEBSERVER_PORT", str(server.server_address[1]))
        yield
        server.shutdown()


@pytest.mark.usefixtures("polling_worker")
def test_a_worker_that_polls_and_writes_is_healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEEDLEDROP_LAKE", str(tmp_path))
    assert check_health("worker") == 0


@pytest.mark.usefixtures("polling_worker")
def test_a_worker_whose_lake_is_read_only_is_not(
    small_disk: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NEEDLEDROP_LAKE", str(small_disk("ro")))
    assert check_health("worker") == 1
    assert "NEEDLEDROP_LAKE_VOLUME" in capsys.readouterr().out


def test_a_worker_that_does_not_answer_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_WORKER_WEBSERVER_PORT", "9")
    assert check_health("worker") == 1
    assert "http://127.0.0.1:9/health does not answer" in capsys.readouterr().out


def test_a_postgres_that_is_not_up_is_named() -> None:
    database = {PREFECT_SERVER_DATABASE_HOST: "127.0.0.1", PREFECT_SERVER_DATABASE_PORT: 9}
    with (
        temporary_settings(database),
        pytest.raises(InputError, match=r"Postgres at 127\.0\.0\.1:9 cannot be used .*PREFECT_SERVER_DATABASE_HOST"),
    ):
        check_database()


def test_a_server_on_sqlite_needs_no_postgres() -> None:
    check_database()


@pytest.mark.parametrize("service", ["worker", "studio"])
def test_everything_that_a_container_writes_is_on_a_volume(
    service: str, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose = yaml.safe_load((repository / "docker-compose.yml").read_text())
    mounted = [str(volume).rsplit("}", 1)[-1].split(":") for volume in compose["services"][service]["volumes"]]
    writable = [Path(target) for _, target, *options in mounted if "ro" not in options]
    image = (repository / "Dockerfile").read_text().split(" AS worker\n")[1]
    settings = dict(re.findall(r"([A-Z_]+)=(/\S+)", " ".join(re.findall(r"^ENV (.*)$", image, re.M))))
    monkeypatch.setenv("NEEDLEDROP_CACHE", settings["NEEDLEDROP_CACHE"])
    written = {
        "lake": Path(settings["NEEDLEDROP_LAKE"]),
        "downloads in progress": staging_folder(lake_at("s3://bucket/lake")),
        "weights": Path(settings["HF_HOME"]),
        "compiled kernels": Path(settings["NUMBA_CACHE_DIR"]),
    }
    assert not [what for what, path in written.items() if not any(path.is_relative_to(folder) for folder in writable)]
