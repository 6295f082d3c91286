"""Each error of a run is logged once."""

from __future__ import annotations

import logging

from flows.runs.error_log import EachErrorOnce
from storage.errors import InputError


def _logged(error: Exception) -> tuple[bool, logging.LogRecord]:
    """Return whether an error would be logged, and how."""
    record = logging.LogRecord("prefect.flow_runs", logging.ERROR, "", 0, "Encountered %r", (error,), None)
    record.exc_info = (type(error), error, None)
    return EachErrorOnce().filter(record), record


def test_our_own_error_is_logged_once_as_its_sentence() -> None:
    error = InputError("Give a contact")
    is_logged, record = _logged(error)
    assert (is_logged, record.getMessage(), record.exc_info) == (True, "InputError: Give a contact", None)
    assert not _logged(error)[0]


def test_a_defect_is_logged_once_with_its_traceback() -> None:
    error = ZeroDivisionError("x")
    is_logged, record = _logged(error)
    assert is_logged and record.exc_info is not None
    assert not _logged(error)[0]
