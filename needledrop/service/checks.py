"""Check what a service needs before it starts. Every failure names the variable or the path to change.

Nothing here imports more than the standard library and `storage`, since health checks run every few seconds.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path

from storage.errors import InputError
from storage.lake.atomic import sync, temporary_file, write_error

DATA = Path("/data")
"""Where docker-compose.yml mounts the folder that NEEDLEDROP_DATA names."""
PROBE_BYTES = 1 << 16
"""More than a file system keeps in a directory entry, so that a full disk refuses it."""


def check_contact() -> None:
    """Raise `InputError` when NEEDLEDROP_CONTACT is set but empty, as in a container without a .env file."""
    if not os.environ.get("NEEDLEDROP_CONTACT", "unset").strip():
        raise InputError(
            "NEEDLEDROP_CONTACT is empty; set it to your e-mail address in the file .env, since Wikipedia's operators "
            "want to know whom to write to"
        )


def check_data(folder: Path = DATA) -> None:
    """Raise `InputError` when NEEDLEDROP_DATA names a folder whose content is not at `folder`.

    Docker makes an empty folder out of a path that does not exist, so an empty one is a wrong path.
    """
    source = os.environ.get("NEEDLEDROP_DATA", "").strip()
    if not source:
        return
    try:
        is_empty = next(folder.iterdir(), None) is None
    except OSError as error:
        raise InputError(
            f"NEEDLEDROP_DATA names {source}, which cannot be read ({error.strerror}); let user {os.getuid()} read it"
        ) from error
    if is_empty:
        raise InputError(
            f"NEEDLEDROP_DATA names {source}, which is empty or does not exist; give the absolute path of your films, "
            "images and music, or leave it empty"
        )


def check_writable(folder: Path, remedy: str) -> None:
    """Write a file in a folder, and remove it. Raises `LakeError`, with the remedy, when the system refuses."""
    try:
        with temporary_file(folder, "probe") as probe:
            probe.write_bytes(bytes(PROBE_BYTES))
            sync(probe)
    except OSError as error:
        raise write_error(error, str(folder), remedy) from error


def check_folders() -> None:
    """Raise `LakeError` when the lake of NEEDLEDROP_LAKE or the cache of NEEDLEDROP_CACHE cannot be written.

    A lake on an object store is not tried, and neither is a variable that is not set.
    """
    lake, cache = os.environ.get("NEEDLEDROP_LAKE", ""), os.environ.get("NEEDLEDROP_CACHE", "")
    owner = f"let user {os.getuid()} write it"
    if lake and "://" not in lake:
        check_writable(Path(lake), f"{owner}, or name another in NEEDLEDROP_LAKE_VOLUME")
    if cache:
        check_writable(Path(cache), f"{owner}, or name another in NEEDLEDROP_CACHE")


def check_port(port: int, setting: str, host: str = "") -> None:
    """Raise `InputError`, which names the setting to change, when a port that the service needs is taken."""
    with socket.socket() as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a closed connection is no holder
        try:
            bound.bind((host, port))
        except OSError as error:
            raise InputError(f"Port {port} cannot be used ({error.strerror}); set {setting} to a free one") from error
