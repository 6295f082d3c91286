"""The package installs into an empty environment: as a wheel, as an editable install, in the order of the Dockerfile.

Nothing is downloaded: dependencies come from the environment that runs the tests, by way of a `.pth` file. That file
names one folder, so an editable install of this checkout, which is a `.pth` file in that folder, is not followed.
"""

from __future__ import annotations

import csv
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
import wave
import zipfile
from pathlib import Path

import numpy as np
import pytest

PACKAGES = {"flows", "tasks", "storage", "training", "needledrop"}
OFFLINE = ["--no-deps", "--no-index", "--no-build-isolation", "--quiet"]
PAGE = """<page><title>{title}</title><ns>0</ns><id>{number}</id><revision><id>{number}</id>
<timestamp>2024-05-06T07:08:09Z</timestamp><text xml:space="preserve">{{{{Infobox film}}}}
==Plot==
Somebody goes away, and nobody comes.
[[Category:{year} films]] [[Category:Drama films]]</text></revision></page>"""
FILMS = {"Ash": 2019, "Birch": 2020, "Cedar": 2022, "Elm": 2024}
"""Films with their years: to train on, to validate and to test on."""


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


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    _pip(sys.executable, folder, "wheel", *OFFLINE, tree)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def needledrop(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command of an environment that holds the wheel, inside a repository that is not ours."""
    folder = tmp_path_factory.mktemp("installed")
    _run(folder, "git", "init", "--quiet")
    python = _empty_environment(folder / "environment")
    _pip(python, folder, "install", *OFFLINE, wheel)
    return python.with_name("needledrop")


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
    worker = (sources / "Dockerfile").read_text().split(" AS worker\n")[1]
    for line in worker.splitlines():
        match shlex.split(line, comments=True):
            case ["COPY", *names, target] if not names[0].startswith("--from"):
                _copy_step(sources, tmp_path / "app" / target, names)
            case ["RUN", "pip", "install", *arguments] if "--no-deps" in arguments:  # the others bring what is here
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


def test_the_wheel_holds_the_five_packages_and_nothing_else(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == PACKAGES


def test_the_wheel_holds_every_file_of_its_packages(wheel: Path, tree: Path) -> None:
    files = {path.relative_to(tree).as_posix() for name in PACKAGES for path in (tree / name).rglob("*.*")}
    assert files <= set(zipfile.ZipFile(wheel).namelist())


def test_the_installed_command_starts_in_another_folder(needledrop: Path, tmp_path: Path) -> None:
    assert _run(tmp_path, needledrop, "--version").startswith("needledrop ")
    assert "corpus" in _run(tmp_path, needledrop, "demo", "--help")
    assert not list(tmp_path.iterdir())


def _write_films_with_music(folder: Path) -> None:
    pages = "".join(PAGE.format(title=title, year=year, number=year) for title, year in FILMS.items())
    site = "<siteinfo><dbname>enwiki</dbname><base>https://en.wikipedia.org/wiki/Main_Page</base></siteinfo>"
    head = '<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11">'
    (folder / "films.xml").write_text(f"{head}{site}{pages}</mediawiki>")
    random = np.random.default_rng(7)
    for title in FILMS:
        with wave.open(str(folder / f"{title}.wav"), "wb") as recording:
            recording.setparams((1, 2, 22_050, 0, "NONE", ""))
            recording.writeframes(random.integers(-9000, 9000, 12 * 22_050, dtype=np.int16).tobytes())
    with (folder / "music.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("film", "path"), *((title, f"{title}.wav") for title in FILMS)])


@pytest.mark.timeout(900)
def test_the_installed_pipeline_runs_where_folders_have_names_of_its_packages(needledrop: Path, tmp_path: Path) -> None:
    _write_films_with_music(tmp_path)
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    sources = ["--export", "films.xml", "--music", "music.csv", "--no-require-thumbnail"]
    _run(tmp_path, needledrop, "refresh", *sources, "--train", "never")
    assert len(list(tmp_path.glob("lake/datasets/*/manifest.json"))) == 1


@pytest.mark.skipif(os.environ.get("NEEDLEDROP_WHEEL_DEMO") != "1", reason="takes minutes: set NEEDLEDROP_WHEEL_DEMO=1")
@pytest.mark.timeout(3600)
def test_the_installed_demo_measures_a_model(needledrop: Path, tmp_path: Path) -> None:
    _run(tmp_path, needledrop, "demo")
    release = _run(tmp_path, needledrop, "--version").split()[1]
    runs = _run(tmp_path, needledrop, "sql", "--lake", "demo-lake", "SELECT system, code_version FROM runs")
    assert f"All,{release}" in runs
