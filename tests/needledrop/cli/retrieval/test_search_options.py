"""What is typed for a search in a library: ranges and lengths."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from needledrop.cli.retrieval.search_options import FilterOptions, read_image, read_range, read_seconds, read_year_range
from storage.errors import InputError


@pytest.mark.parametrize(
    ("text", "ends"),
    [
        ("90-120", (90, 120)),
        ("90 – 120", (90, 120)),
        ("90-", (90, None)),
        ("..120", (None, 120)),
        ("-23..-14", (-23, -14)),
        ("-23--14", (-23, -14)),
        ("-23 to -14", (-23, -14)),
        ("−23..−14", (-23, -14)),
        ("0.5-1.5", (0.5, 1.5)),
    ],
)
def test_a_range_is_read_as_typed(text: str, ends: tuple[float | None, float | None]) -> None:
    assert read_range("--tempo", text, "90-120") == ends


@pytest.mark.parametrize("text", ["", "-", "fast", "90", "-14", "90-120-150", "nan-5", "..", "90,120"])
def test_what_is_no_range_is_an_error_with_an_example(text: str) -> None:
    with pytest.raises(InputError, match=r"--tempo .* is no range; write two numbers, as in 90-120"):
        read_range("--tempo", text, "90-120")


def test_a_range_that_ends_below_its_beginning_is_an_error() -> None:
    with pytest.raises(InputError, match="smaller number first"):
        read_range("--tempo", "120-90", "90-120")


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1:30", 90), ("1:02:03", 3723), ("2.5", 2.5), (None, None)])
def test_a_length_is_read_as_typed(text: str | None, seconds: float | None) -> None:
    assert read_seconds("--min-duration", text) == seconds


def test_a_poster_of_100_megapixels_is_a_sentence(tmp_path: Path) -> None:
    Image.new("1", (10_000, 10_000)).save(tmp_path / "poster.png")
    with pytest.raises(InputError, match=r"cannot be used: The image .*40,000,000 pixels; give a smaller one"):
        read_image(tmp_path / "poster.png")


@pytest.mark.parametrize("text", ["", "long", "-5", "1:2:3:4", "1m30", "inf"])
def test_what_is_no_length_is_an_error(text: str) -> None:
    with pytest.raises(InputError, match="is no length"):
        read_seconds("--min-duration", text)


def test_a_shortest_length_above_the_longest_is_an_error() -> None:
    with pytest.raises(InputError, match="--min-duration 3:00 is longer than --max-duration 90; exchange them"):
        FilterOptions(min_duration="3:00", max_duration="90").read()
    assert FilterOptions(min_duration="90", max_duration="1:30").read().seconds == (90, 90)


@pytest.mark.parametrize(
    ("text", "ends"), [("1990", (1990, 1990)), (" 1990 ", (1990, 1990)), ("1990-", (1990, None)), (None, (None, None))]
)
def test_one_year_is_a_range_of_its_own(text: str | None, ends: tuple[float | None, float | None]) -> None:
    assert read_year_range(text) == ends


def test_a_year_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="--year '90' is no range; write two numbers, as in 1990-2005"):
        read_year_range("90")
