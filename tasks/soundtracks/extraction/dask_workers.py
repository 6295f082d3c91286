"""Check the machines of a Dask cluster before any film is sent to them: the same versions, and the music mounted."""

from __future__ import annotations

import hashlib
import platform
import socket
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import storage
import tasks
from storage.errors import InputError

_PACKAGES = ("needledrop", "prefect", "distributed", "av", "soxr", "numpy", "numba", "pyarrow")
"""What decides how films travel to a worker, and what its mels are."""
WAIT_SECONDS = 60
"""How long to wait for the first worker of a scheduler that was just started."""

Versions = Mapping[str, str]


@cache
def installed_versions() -> Versions:
    """Return the versions on this machine by name; `code` is a digest of our own files, which have no number."""
    digest = hashlib.sha256()
    for package in (storage, tasks):
        folder = Path(package.__path__[0])
        for file in sorted(folder.rglob("*.py")):
            digest.update(f"{file.relative_to(folder)}\n".encode() + file.read_bytes())
    python = ".".join(platform.python_version_tuple()[:2])
    return {"python": python, **{name: version(name) for name in _PACKAGES}, "code": digest.hexdigest()[:12]}


def check_workers(client: Any, address: str) -> None:
    """Compare all workers of a `distributed.Client`; raises `InputError` for the first that differs, or if none is."""
    try:
        client.wait_for_workers(1, timeout=WAIT_SECONDS)
        answers = client.run(installed_versions)
    except TimeoutError as error:
        raise InputError(f"No Dask worker has joined {address}; start one with `dask worker {address}`") from error
    except ImportError as error:
        raise InputError(f"A Dask worker lacks Needledrop ({error}); install it there as it is here") from error
    for worker, versions in sorted(answers.items()):
        check_versions(installed_versions(), versions, worker)


def check_versions(here: Versions, there: Versions, worker: str) -> None:
    """Raise `InputError` when a worker has other versions than the flow."""
    different = [f"{name} {there.get(name)} instead of {here[name]}" for name in here if there.get(name) != here[name]]
    if different:
        raise InputError(
            f"The Dask worker {worker} has {', '.join(different)}; install the same release with constraints.txt on "
            "every machine and start the worker again"
        )


def check_machine(here: Versions, seen: Sequence[str]) -> None:
    """Check the machine that this runs on: `here` and `seen` are the versions of the flow and files that it sees.

    For workers that joined later too. Raises `InputError` for other versions, and when none of the files is there:
    without this, a machine that lacks the mount would record every recording as missing.
    """
    name = socket.gethostname()
    check_versions(here, installed_versions(), name)
    if seen and not any(Path(path).exists() for path in seen):
        raise InputError(
            f"The Dask worker on {name} sees no music, such as {seen[0]}; mount it there under the same path, or stop "
            "that worker, and run the same command again"
        )


def visible_files(paths: Sequence[str]) -> list[str]:
    """Return those of the paths that exist on this machine."""
    return [path for path in paths if Path(path).exists()]
