"""The package installs into an empty environment, in the order of the Dockerfile too.

Nothing is downloaded: dependencies come from the environment that runs the tests, by way of a `.pth` file. That file
names one folder, so an editable install of this checkout, which is a `.pth` file in that folder, is not followed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

OFFLINE = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet"]


@pytest.fixture(scope="module")
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


def _environment(home: Path) -> dict[str, str]:
    """The variables of this process without those that lead back to the checkout or to a server of its user."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "NEEDLEDROP_"))}
    return {**kept, "PREFECT_HOME": str(home / ".prefect"), "PREFECT_API_URL": ""}


def _run(folder: Path, *command: str | Path) -> str:
    words = [str(word) for word in command]
    environment = _environment(folder)
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _empty_environment(folder: Path) -> Path:
    """Create a virtual environment and return its interpreter; it sees the dependencies and nothing of ours."""
    venv.create(folder, symlinks=True)
    packages = sysconfig.get_path("purelib", "venv", {"base": str(folder)})
    Path(packages, "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return folder / "bin" / "python"


def _pip(python: Path | str, folder: Path, *arguments: str | Path) -> None:
    _run(folder, sys.executable, "-m", "pip", "--python", python, *arguments)


def _copy_step(source: Path, target: Path, names: list[str]) -> None:
    """COPY of a Dockerfile: a folder's content, or a file under its own name."""
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(source / name, target, dirs_exist_ok=True)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, target)


def test_the_command_starts_after_the_steps_of_the_dockerfile(sources: Path, tmp_path: Path) -> None:
    python = _empty_environment(tmp_path / "environment")
    for line in (sources / "Dockerfile").read_text().splitlines():
        match shlex.split(line, comments=True):
            case ["COPY", *names, target]:
                _copy_step(sources, tmp_path / "app" / target, names)
            case ["RUN", "pip", "install", *arguments]:
                _pip(python, tmp_path / "app", "install", *OFFLINE, *arguments)
    assert _run(tmp_path, python.with_name("needledrop"), "--version").startswith("needledrop ")


def test_an_editable_install_finds_code_that_is_copied_in_later(sources: Path, tmp_path: Path) -> None:
    python = _empty_environment(tmp_path / "environment")
    checkout = tmp_path / "checkout"
    _copy_step(sources, checkout, ["pyproject.toml", "README.md", "LICENSE"])
    _copy_step(sources, checkout / "needledrop", ["needledrop/__init__.py"])
    _pip(python, checkout, "install", *OFFLINE, "--editable", ".")
    _copy_step(sources, checkout, ["."])
    assert _run(tmp_path, python.with_name("needledrop"), "--version").startswith("needledrop ")
