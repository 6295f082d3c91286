"""Text for a terminal: what files are called, and what strangers wrote, is shown and never obeyed.

A terminal takes an escape sequence in a file's name for a command: it changes colours, the title of the window, or what
was printed before.
"""

from __future__ import annotations

import re

_OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, without tabs and line ends, and those that turn the direction of the text after them."""


def printable(text: str) -> str:
    r"""Return a text whose control characters are shown as they are written in source code, such as `\x1b`."""
    return _OBEYED.sub(lambda found: ascii(found.group())[1:-1], text)
