"""What files are called is shown in a terminal, and never obeyed."""

import pytest

from storage.terminal import printable


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
