"""Run the `needledrop` command as `python -m needledrop`."""

from needledrop.cli.main import run

run()
