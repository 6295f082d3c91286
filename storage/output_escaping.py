"""Text of strangers, escaped for where it is shown: file names, titles and tags in a terminal or a spreadsheet.

A terminal takes an escape sequence in a file's name for a command: it changes colours, the title of the window, or what
was printed before. A spreadsheet takes a cell for a formula, which can send the cells next to it to anybody (OWASP,
"CSV Injection").
"""

from __future__ import annotations

import re
from typing import Any

_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, without tabs and line ends, and those that turn the direction of the text after them."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_AFTER_A_SEPARATOR = re.compile(r"([;\t\r\n]\s*)(?=[=+\-@＝＋－＠])")
"""Where commas are decimal points, a spreadsheet splits lines at semicolons, also within quotation marks."""


def printable(text: str) -> str:
    r"""Return a text whose control characters are shown as they are written in source code, such as `\x1b`."""
    return _OBEYED.sub(lambda found: ascii(found.group())[1:-1], text)


def spreadsheet_cell(value: Any) -> Any:
    """Return a value as a cell of a CSV file: what of a text would be a formula gets an apostrophe in front."""
    if not isinstance(value, str):
        return value
    text = _AFTER_A_SEPARATOR.sub(r"\1'", value.replace("\x00", ""))
    # Spaces in front do not keep every spreadsheet from computing.
    return f"'{text}" if text.startswith(FORMULA_STARTS) or text.lstrip().startswith(FORMULA_STARTS) else text
