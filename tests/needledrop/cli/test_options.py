"""One lake for all commands: whoever names it once in the environment is not asked for it by some of them."""

import typer.main
from typer.core import TyperGroup

from needledrop.cli.main import app

OWN_LAKE = {"demo"}


def commands(command, name=""):
    if not isinstance(command, TyperGroup):
        return {name: command}
    return {full: one for part, child in command.commands.items() for full, one in commands(child, part).items()}


def test_every_command_finds_the_lake_in_the_environment():
    found = commands(typer.main.get_command(app))
    lakes = {name: p.envvar for name, one in found.items() for p in one.params if p.name == "lake"}
    assert {name for name, envvar in lakes.items() if envvar != "NEEDLEDROP_LAKE"} == OWN_LAKE
    assert {"films", "soundtracks", "refresh", "train", "export"} <= lakes.keys()
