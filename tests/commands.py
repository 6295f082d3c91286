"""Run a command of Needledrop in this process, as a terminal would."""

from __future__ import annotations

from typing import Any

from typer.testing import CliRunner

from needledrop.cli.main import app


def run(*arguments: Any, **options: Any) -> Any:
    """Run `needledrop ARGUMENTS` and return its output and exit status."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments], **options)
