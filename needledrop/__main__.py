"""`python -m needledrop` is the same as `needledrop`."""

from needledrop.cli.main import run

run()
