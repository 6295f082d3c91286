"""Write cells that a spreadsheet shows as they are: titles and names come from strangers, and a cell may be a formula.

A formula in a CSV file can send the cells next to it to anybody (OWASP, "CSV Injection").
"""

from __future__ import annotations

import re
from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


_AFTER_A_SEPARATOR = re.compile(r"([;\t\r\n]\s*)(?=[=+\-@＝＋－＠])")
"""Where commas are decimal points, a spreadsheet splits lines at semicolons, also within quotation marks."""


def spreadsheet_cell(value: Any) -> Any:
    """Return a value as a cell of a CSV file: what of a text would be a formula gets an apostrophe in front."""
    if not isinstance(value, str):
        return value
    text = _AFTER_A_SEPARATOR.sub(r"\1'", value.replace("\x00", ""))
    # Spaces in front do not keep every spreadsheet from computing.
    return f"'{text}" if text.startswith(FORMULA_STARTS) or text.lstrip().startswith(FORMULA_STARTS) else text
