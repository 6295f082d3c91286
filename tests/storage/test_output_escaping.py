"""Text of strangers is shown by a terminal and a spreadsheet, and never obeyed."""

from __future__ import annotations

from typing import Any

import pytest

from storage.output_escaping import printable, spreadsheet_cell


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb\x9b2J", "a\\rb\\x9b2J"),
        ("gnp.\u202efdp", "gnp.\\u202efdp"),
        ("Café – 音楽\n\t[live]", "Café – 音楽\n\t[live]"),
    ],
)
def test_control_characters_are_shown_and_others_stay(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    "text", ["=1+1", "+49", "-2+3", "@SUM(A1)", "\tx", "\r1", "  =1", "\n", "\x00=1", "＝1", " ＋1"]
)
def test_a_text_that_would_be_a_formula_gets_an_apostrophe(text: str) -> None:
    assert spreadsheet_cell(text) == "'" + text.replace("\x00", "")


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("a;=1+1", "a;'=1+1"),
        ("a; @A;-1", "a; '@A;'-1"),
        ("a\n=1", "a\n'=1"),
        ("a\t＝1", "a\t'＝1"),
        ("=1;=2", "'=1;'=2"),
        ("\n@A", "'\n'@A"),
    ],
)
def test_nor_does_what_follows_a_separator_of_another_country(text: str, cell: str) -> None:
    assert spreadsheet_cell(text) == cell


@pytest.mark.parametrize("value", ["A – B", "1=1", "a; b", "a;b=1", "one\ntwo", "it's", "", " ", -2.5, None, 7, "50 %"])
def test_other_values_stay_as_they_are(value: Any) -> None:
    assert spreadsheet_cell(value) == value
