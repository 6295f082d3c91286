"""The package installs into an empty environment: a wheel, an editable install, in the order of the Dockerfile."""

from __future__ import annotations

import csv
import os
import shlex
import shutil
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.installed import OFFLINE, empty_environment, pip, run

PACKAGES = {"flows", "tasks", "storage", "training", "needledrop"}
PAGE = """<page><title>{title}</title><ns>0</ns><id>{number}</id><revision><id>{number}</id>
<timestamp>2024-05-06T07:08:09Z</timestamp><text xml:space="preserve">{{{{Infobox film}}}}
==Plot==
Somebody goes away, and nobody comes.
[[Category:{year} films]] [[Category:Drama films]]</text></revision></page>"""
FILMS = {"Ash": 2019, "Birch": 2020, "Cedar": 2022, "Elm": 2024}
"""Films with their years: to train on, to validate and to test on."""


def _copy_step(source: Path, target: Path, names: list[str]) -> None:
    """COPY of a Dockerfile: a folder's content, or a file under its own name."""
    for name in names:
        if (source / name).is_dir():
            shutil.copytree(source / name, target, dirs_exist_ok=True)
        else:
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, target)


def test_the_command_starts_after_the_steps_of_the_dockerfile(sources: Path, tmp_path: Path) -> None:
    python = empty_environment(tmp_path / "environment")
    worker = (sources / "Dockerfile").read_text().split(" AS worker\n")[1]
    for line in worker.splitlines():
        match shlex.split(line, comments=True):
            case ["COPY", *names, target] if not names[0].startswith("--from"):
                _copy_step(sources, tmp_path / "app" / target, names)
            case ["RUN", "pip", "install", *arguments] if "--no-deps" in arguments:  # the others bring what is here
                pip(python, tmp_path / "app", "install", *OFFLINE, *arguments)
    assert run(tmp_path, python.with_name("needledrop"), "--version").startswith("needledrop ")


def test_an_editable_install_finds_code_that_is_copied_in_later(sources: Path, tmp_path: Path) -> None:
    python = empty_environment(tmp_path / "environment")
    checkout = tmp_path / "checkout"
    _copy_step(sources, checkout, ["pyproject.toml", "README.md", "LICENSE"])
    _copy_step(sources, checkout / "needledrop", ["needledrop/__init__.py"])
    pip(python, checkout, "install", *OFFLINE, "--editable", ".")
    _copy_step(sources, checkout, ["."])
    assert run(tmp_path, python.with_name("needledrop"), "--version").startswith("needledrop ")


def test_the_wheel_holds_the_five_packages_and_nothing_else(wheel: Path) -> None:
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == PACKAGES


def test_the_wheel_holds_every_file_of_its_packages(wheel: Path, tree: Path) -> None:
    files = {path.relative_to(tree).as_posix() for name in PACKAGES for path in (tree / name).rglob("*.*")}
    assert files <= set(zipfile.ZipFile(wheel).namelist())


def test_the_installed_command_starts_in_another_folder(installed_command: Path, tmp_path: Path) -> None:
    assert run(tmp_path, installed_command, "--version").startswith("needledrop ")
    assert "corpus" in run(tmp_path, installed_command, "demo", "--help")
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
def test_the_installed_pipeline_runs_where_folders_have_names_of_its_packages(
    installed_command: Path, tmp_path: Path, new_prefect_home: Callable[[Path], Path]
) -> None:
    new_prefect_home(tmp_path / ".prefect")
    _write_films_with_music(tmp_path)
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    sources = ["--export", "films.xml", "--music", "music.csv", "--no-require-thumbnail"]
    run(tmp_path, installed_command, "refresh", *sources, "--train", "never")
    assert len(list(tmp_path.glob("lake/datasets/*/manifest.json"))) == 1


@pytest.mark.skipif(os.environ.get("NEEDLEDROP_WHEEL_DEMO") != "1", reason="takes minutes: set NEEDLEDROP_WHEEL_DEMO=1")
@pytest.mark.timeout(3600)
def test_the_installed_demo_measures_a_model(installed_command: Path, tmp_path: Path) -> None:
    run(tmp_path, installed_command, "demo")
    release = run(tmp_path, installed_command, "--version").split()[1]
    runs = run(tmp_path, installed_command, "sql", "--lake", "demo-lake", "SELECT system, code_version FROM runs")
    assert f"All,{release}" in runs
