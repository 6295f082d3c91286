"""`python -m needledrop` is the same as `needledrop`."""

from needledrop.main import run

run()
