"""Split films chronologically: a model is tested on films released after everything it was trained on.

By film, never by track: the tracks of one film sound alike, so all of them must be in one split.
"""

from __future__ import annotations

import duckdb

from storage.errors import InputError
from tasks.curation.settings import CurationSettings

SPLITS = ("train", "valid", "test")


class NoVersionError(InputError):
    """No version can be made from the films of the lake: a split would be empty."""


def split_sql(settings: CurationSettings) -> str:
    """Return the split of a film as an SQL expression over its `year`."""
    return (
        f"CASE WHEN year <= {settings.train_until} THEN 'train' "
        f"WHEN year >= {settings.test_from} THEN 'test' ELSE 'valid' END"
    )


def check_splits(connection: duckdb.DuckDBPyConnection, settings: CurationSettings) -> None:
    """Raise `NoVersionError` if a split is empty, naming it, the years of the films and the parameter to change."""
    [(films,)] = connection.execute("SELECT count(*) FROM films").fetchall()
    if not films:
        raise NoVersionError(f"No film can be in a version: {_why_empty(connection)}")
    present = {split for (split,) in connection.execute(f"SELECT DISTINCT {split_sql(settings)} FROM films").fetchall()}
    for split in SPLITS:
        if split not in present:
            raise NoVersionError(
                f"The {split} split is empty: the {films} films of this version are of {_list_years(connection)}, "
                f"and {_how_to_fill(split, settings)}"
            )


def _how_to_fill(split: str, settings: CurationSettings) -> str:
    return {
        "train": f"train takes years up to train_until={settings.train_until}; raise train_until",
        "valid": f"valid takes the years after train_until={settings.train_until} and before "
        f"test_from={settings.test_from}; lower train_until or raise test_from",
        "test": f"test takes years from test_from={settings.test_from}; lower test_from",
    }[split]


def _list_years(connection: duckdb.DuckDBPyConnection) -> str:
    """Return the years of the films: each if they are few, else as a range."""
    years = [year for (year,) in connection.execute("SELECT DISTINCT year FROM films ORDER BY year").fetchall()]
    return ", ".join(map(str, years)) if len(years) <= 12 else f"{years[0]} to {years[-1]}"


def _why_empty(connection: duckdb.DuckDBPyConnection) -> str:
    rules = connection.execute(
        "SELECT rule, count(*) FROM exclusions WHERE kind = 'film' GROUP BY rule ORDER BY count(*) DESC, rule"
    ).fetchall()
    if not rules:
        return "the lake has no films yet; collect films first"
    reasons = ", ".join(f"{rule} {count}" for rule, count in rules)
    return f"every film was excluded ({reasons}); collect what is missing or relax the requirement"
