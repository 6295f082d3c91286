"""The chronological split: an empty or an impossible one is refused with the parameter to change."""

from __future__ import annotations

import duckdb
import pytest

from storage.errors import InputError
from tasks.curation.settings import CurationSettings
from tasks.curation.splits import check_splits


@pytest.mark.parametrize(
    ("train_until", "test_from", "message"),
    [
        (2010, 2023, "The train split is empty.*2015, .*raise train_until"),
        (2019, 2021, "The valid split is empty.*lower train_until or raise test_from"),
        (2021, 2030, "The test split is empty.*lower test_from"),
    ],
)
def test_an_empty_split_is_refused(train_until: int, test_from: int, message: str) -> None:
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE films AS SELECT unnest(range(2015, 2027)) AS year")
        connection.execute("DELETE FROM films WHERE year = 2020")
        with pytest.raises(InputError, match=message):
            check_splits(connection, CurationSettings(train_until=train_until, test_from=test_from))


def test_splits_that_overlap_are_refused() -> None:
    with pytest.raises(InputError, match="chronological"):
        CurationSettings(train_until=2022, test_from=2022)


def test_splits_without_a_year_to_validate_on_are_refused() -> None:
    with pytest.raises(InputError, match="test_from=2022 leaves no year after train_until=2021 to validate on"):
        CurationSettings(train_until=2021, test_from=2022)
