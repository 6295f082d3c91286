"""Which code has done something: the version of the package, and the git commit of the code that trains a model."""

from __future__ import annotations

import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import storage


def git_version() -> str | None:
    """Return the commit of this code, with "-changed" if files differ from it.

    Installed code has the version of its package: a repository around the environment is not its own.
    None where git does not answer.
    """
    checkout = Path(storage.__file__).parents[1]
    if not (checkout / ".git").exists():
        return version("needledrop")
    try:
        shown = subprocess.run(
            ["git", "describe", "--always", "--dirty=-changed", "--exclude=*"],  # noqa: S607
            cwd=checkout, capture_output=True, text=True, timeout=10, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return shown.stdout.strip()


def installed_version() -> str:
    """Return the version of Needledrop, as in the record of a run."""
    try:
        return version("needledrop")
    except PackageNotFoundError:
        return "unknown"
