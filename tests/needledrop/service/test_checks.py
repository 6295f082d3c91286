"""What a service lacks is named by its variable or path before the service starts."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from needledrop.service.containers import check_contact, check_data, check_folders, check_port
from storage.errors import InputError, LakeError


def test_an_empty_contact_is_refused_and_one_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NEEDLEDROP_CONTACT", " ")
    with pytest.raises(InputError, match="NEEDLEDROP_CONTACT is empty"):
        check_contact()
    monkeypatch.setenv("NEEDLEDROP_CONTACT", "me@example.org")
    check_contact()


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
