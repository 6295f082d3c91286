"""Needledrop installed from a wheel into an empty environment, for the tests of the package and of the service.

Nothing is downloaded: dependencies come from the environment that runs the tests, by way of a `.pth` file. That file
names one folder, so an editable install of this checkout, which is a `.pth` file in that folder, is not followed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

OFFLINE = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet"]


@pytest.fixture(scope="session")
def sources(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout's own files: a build leaves folders in the tree and takes up what it finds there."""
    copy = tmp_path_factory.mktemp("sources")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        if (repository / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(repository / name, copy / name)
    return copy


@pytest.fixture(scope="session")
def tree(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout with data files of every kind in one of its packages, and a user's folder next to them."""
    copy = tmp_path_factory.mktemp("tree")
    shutil.copytree(sources, copy, dirs_exist_ok=True)
    (copy / "needledrop" / "data" / "words").mkdir(parents=True)
    for suffix in ("toml", "json", "yaml", "html", "css", "js", "svg"):
        (copy / "needledrop" / "data" / "words" / f"words.{suffix}").touch()
    (copy / "training_notes").mkdir()
    (copy / "training_notes" / "first.py").touch()
    return copy


@pytest.fixture(scope="session")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip(sys.executable, folder, "wheel", *OFFLINE, tree)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="session")
def installed_command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment that holds the wheel, inside a repository that is not ours."""
    folder = tmp_path_factory.mktemp("installed")
    run(folder, "git", "init", "--quiet")
    python = empty_environment(folder / "environment")
    pip(python, folder, "install", *OFFLINE, wheel)
    return python.with_name("needledrop")


def clean_environment(home: Path) -> dict[str, str]:
    """The variables of this process without those that lead back to the checkout or to a server of its user."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NEEDLEDROP_"))}
    return {**kept, "PREFECT_HOME": str(home / ".prefect"), "PREFECT_API_URL": ""}


def run(folder: Path, *command: str | Path) -> str:
    """Run a command in a folder, as its user would, and return what it prints."""
    words = [str(word) for word in command]
    environment = clean_environment(folder)
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def empty_environment(folder: Path) -> Path:
    """Create a virtual environment and return its interpreter; it sees the dependencies and nothing of ours."""
    venv.create(folder, symlinks=True)
    packages = sysconfig.get_path("purelib", "venv", {"base": str(folder)})
    Path(packages, "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin" / "python"


def pip(python: Path | str, folder: Path, *arguments: str | Path) -> None:
    """Have pip of the tests' environment work on the one with this interpreter."""
    run(folder, sys.executable, "-m", "pip", "--python", python, *arguments)
