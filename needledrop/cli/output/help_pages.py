"""Help pages that a narrow terminal shows whole: typer's tables would cut a long name of an option."""

from __future__ import annotations

from rich.text import Text
from typer import rich_utils


class _Options(rich_utils.OptionHighlighter):
    def highlight(self, text: Text) -> None:
        text.overflow = "fold"
        super().highlight(text)


class _Negatives(rich_utils.NegativeOptionHighlighter):
    def highlight(self, text: Text) -> None:
        text.overflow = "fold"
        super().highlight(text)


def fold_long_words() -> None:
    """Let names of options, and addresses in their help, continue on the next line."""
    rich_utils.highlighter = _Options()
    rich_utils.negative_highlighter = _Negatives()
