"""The check before a run finds yt-dlp's JavaScript runtime and warns of an old yt-dlp."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from yt_dlp.globals import supported_js_runtimes
from yt_dlp.version import __version__ as yt_dlp_version

from storage.errors import InputError
from tasks.soundtracks.download.ytdlp import MAX_AGE_DAYS, RUNTIME, check_readiness

RELEASED = datetime.strptime(".".join(yt_dlp_version.split(".")[:3]), "%Y.%m.%d").replace(tzinfo=UTC).date()


def test_yt_dlp_still_registers_its_runtimes_where_the_check_looks() -> None:
    assert RUNTIME in supported_js_runtimes.value, "yt-dlp moved its JavaScript runtimes: change download/ytdlp.py"


def test_runtime_next_to_this_python_is_found() -> None:
    readiness = check_readiness(RELEASED)
    assert readiness.runtime.startswith(f"{RUNTIME} ")
    assert readiness.yt_dlp_version == yt_dlp_version


@pytest.mark.parametrize(("days", "is_old"), [(MAX_AGE_DAYS, False), (MAX_AGE_DAYS + 1, True)])
def test_old_yt_dlp_is_reported(days: int, is_old: bool) -> None:
    today: date = RELEASED + timedelta(days=days)
    assert (check_readiness(today).warning is not None) is is_old


def test_missing_runtime_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class MissingRuntime:
        info = None

    monkeypatch.setitem(supported_js_runtimes.value, RUNTIME, MissingRuntime)
    with pytest.raises(InputError, match="pip install"):
        check_readiness(RELEASED)
