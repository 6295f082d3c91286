"""Say what a lake lacks before a first version of the data set can be made from it."""

from __future__ import annotations

from storage.lake.lake import Lake
from storage.tables import tables
from tasks.curation.candidates import load_candidates, take_snapshot
from tasks.curation.settings import CurationSettings
from tasks.curation.splits import split_sql


def what_is_missing(lake: Lake, settings: CurationSettings) -> list[str]:
    """Return what no film of the lake has: a year of each split, a recording. Empty where the rules exclude all."""
    with tables.connect(lake) as connection:
        load_candidates(connection, take_snapshot(lake))
        films = "candidate_films WHERE state = 'present' AND year IS NOT NULL"
        rows = connection.sql(f"SELECT DISTINCT {split_sql(settings)} FROM {films}").fetchall()
        recordings = connection.sql("SELECT 1 FROM candidate_tracks WHERE in_lake LIMIT 1").fetchall()
    splits = {split for (split,) in rows}
    first, last = settings.train_until + 1, settings.test_from - 1
    needed = {
        "train": f"no film before {first} to train on",
        "valid": f"no film of {first if first == last else f'{first} to {last}'} to validate on",
        "test": f"no film from {settings.test_from} on to test on",
    }
    missing = [sentence for split, sentence in needed.items() if split not in splits]
    return missing + ([] if recordings else ["no recording of any film"])
