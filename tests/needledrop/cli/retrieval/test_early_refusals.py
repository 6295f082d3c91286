"""What a command cannot do is refused before torch is loaded, which takes seconds."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from storage.lake.lake import Lake
from storage.tables.tables import open_tables
from tests.commands import run

PROGRAM = """
import json, sys
from typer.testing import CliRunner
from needledrop.cli.main import app
for arguments in json.load(sys.stdin):
    refused = CliRunner().invoke(app, arguments)
    print(json.dumps([type(refused.exception).__name__, str(refused.exception), "torch" in sys.modules]))
"""
"""Runs commands one after another, as none of them loads torch, and says how each ended."""


def refusals(commands: list[list[str]]) -> list[list[object]]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(commands), text=True, capture_output=True, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_wrong_arguments_are_refused_before_torch_is_loaded(
    refreshed_copy: Lake, tmp_path: Path, write_clip: Callable[..., Path]
) -> None:
    write_clip(tmp_path / "Music" / "one.opus", hertz=200, title="One")
    assert run("library", "add", "mine", tmp_path / "Music", "--lake", refreshed_copy.root).exit_code == 0
    empty = open_tables(str(tmp_path / "empty"))
    (tmp_path / "film.txt").write_text("A storm breaks over the harbour.")
    script, at = str(tmp_path / "film.txt"), ["--lake", refreshed_copy.root]
    search = ["search", *at, "--library", "mine"]
    cues = ["cues", script, *at, "--library", "mine"]
    expected = {
        "There is no library absent": [
            ["search", *at, "--library", "absent", "--plot", "x"],
            ["cues", script, *at, "--library", "absent"],
            ["library", "index", "absent", *at],
        ],
        "No run has indexed mine": [[*search, "--plot", "x"], cues],
        "There is no run absent; there are: v": [
            [*search, "--plot", "x", "--run", "absent"],
            ["search", *at, "--plot", "x", "--run", "absent"],
            [*cues, "--run", "absent"],
            ["library", "index", "mine", *at, "--run", "absent"],
        ],
        "The library mine is not indexed by absent": [
            [*search, "--plot", "x", "--encoder", "absent"],
            [*cues, "--encoder", "absent"],
        ],
        "No run has been evaluated in this lake; it needs a version first": [
            ["search", "--lake", empty.root, "--plot", "x"],
        ],
        "absent.wav is neither a file nor a track of mine": [
            [*search, "--like", "absent.wav"],
            [*cues, "--not-like", "absent.wav"],
        ],
        "--tempo 'fast' is no range": [[*search, "--plot", "x", "--tempo", "fast"], [*cues, "--tempo", "fast"]],
        "There is nothing to search by": [search, ["search", *at]],
        "The plot absent.txt cannot be read": [[*search, "--plot", "@absent.txt"]],
        "The image absent.jpg cannot be read": [
            [*search, "--image", "absent.jpg"],
            [*cues, "--image", "absent.jpg"],
        ],
        "cannot be read as an image": [[*search, "--image", script], [*cues, "--image", script]],
        "The script absent.txt cannot be read": [["cues", "absent.txt", *at, "--library", "mine"]],
        "is a file; give another folder with --out": [[*cues, "--out", script]],
    }
    commands = [(said, command) for said, of_said in expected.items() for command in of_said]
    for (said, command), (kind, message, loads_torch) in zip(
        commands, refusals([command for _, command in commands]), strict=True
    ):
        assert (kind, said in str(message), loads_torch) == ("InputError", True, False), (command, message)
