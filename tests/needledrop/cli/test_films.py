"""What a person may type after `needledrop films`, and what they are told when it cannot work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from needledrop.cli.films import parse_titles, parse_years
from storage.errors import InputError


@pytest.mark.parametrize(
    ("text", "years"),
    [
        ("2022", [2022]),
        ("2019-2022", [2019, 2020, 2021, 2022]),
        ("2014, 2016,2014", [2014, 2016]),
        (None, []),
    ],
)
def test_years_are_single_ones_ranges_and_lists(text: str | None, years: list[int]) -> None:
    assert parse_years(text) == years


@pytest.mark.parametrize("text", ["", "abc", "2022-", "2022-2019", "20x2"])
def test_what_is_no_year_is_bad_input(text: str) -> None:
    with pytest.raises(InputError, match="names no years"):
        parse_years(text)


def test_titles_may_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "titles.txt").write_text("Café Aurore\n\n  Lantern Row \n", encoding="utf-8")
    assert parse_titles(["42", f"@{tmp_path / 'titles.txt'}"]) == ["42", "Café Aurore", "Lantern Row"]
    with pytest.raises(InputError, match="no file"):
        parse_titles(["@absent.txt"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "where films come from"),
        (["--years", "2022", "--export", "x.xml"], "where films come from"),
        (["--years", "2022"], "--contact"),
        (["--export", "absent.xml"], "no export"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(arguments: list[str], says: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "needledrop", "films", *arguments, "--lake", str(tmp_path / "lake")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert says in done.stderr and "Traceback" not in done.stderr
