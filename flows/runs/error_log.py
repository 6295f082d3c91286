"""Log each error of a run once, and our own without a traceback."""

from __future__ import annotations

import logging

from storage.errors import NeedledropError


class EachErrorOnce(logging.Filter):
    """Log one of our own errors as a sentence, any other with its traceback, and neither twice.

    Prefect logs an error where a task raised it, again in each flow around, and last in the worker's process.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the record's error, if it has one, was not logged before."""
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            return True
        if hasattr(error, "was_logged"):
            return False
        error.was_logged = True  # type: ignore[attr-defined]  # an exception has no other mark, and no weak reference
        if isinstance(error, NeedledropError):
            record.msg, record.args, record.exc_info = "%s: %s", (type(error).__name__, error), None
        return True


def log_each_error_once() -> None:
    """Have the loggers of Prefect that report errors log each of them once."""
    for name in ("flow_runs", "task_runs", "engine"):
        logging.getLogger(f"prefect.{name}").addFilter(EachErrorOnce())
