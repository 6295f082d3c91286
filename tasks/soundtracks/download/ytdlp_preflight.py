"""Check before a run that downloads what yt-dlp needs on this machine, and how old yt-dlp is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from yt_dlp.dependencies import yt_dlp_ejs
from yt_dlp.globals import supported_js_runtimes
from yt_dlp.version import __version__ as yt_dlp_version

from storage.errors import InputError
from tasks.soundtracks.download.ytdlp import disable_plugins

MAX_AGE_DAYS = 45
"""YouTube changes every few weeks; an outdated release is the usual cause of errors."""
RUNTIME = "deno"


@dataclass(frozen=True)
class Readiness:
    """The versions that a run will use. `runtime` is the JavaScript runtime with its version."""

    yt_dlp_version: str
    age_days: int
    runtime: str

    @property
    def warning(self) -> str | None:
        """The warning to print before the run, or None."""
        if self.age_days <= MAX_AGE_DAYS:
            return None
        return (
            f"yt-dlp {self.yt_dlp_version} is {self.age_days} days old; most errors are caused by old releases: "
            "upgrade yt-dlp and yt-dlp-ejs"
        )


def check_readiness(today: date | None = None) -> Readiness:
    """Find the JavaScript runtime and the solver of yt-dlp. Raises `InputError` with what to install."""
    disable_plugins()
    info = supported_js_runtimes.value[RUNTIME]().info  # looks for the executable next to this Python, then on PATH
    if info is None or not info.supported:
        problem = f"{RUNTIME} {info.version} is too old" if info else f"{RUNTIME} is not installed"
        raise InputError(f"yt-dlp needs a JavaScript runtime for YouTube, but {problem}; run: pip install 'deno>=2.3'")
    if yt_dlp_ejs is None:
        raise InputError("yt-dlp's solver scripts are missing; run: pip install yt-dlp-ejs")
    released = datetime.strptime(".".join(yt_dlp_version.split(".")[:3]), "%Y.%m.%d").replace(tzinfo=UTC).date()
    age_days = ((today or datetime.now(UTC).date()) - released).days
    return Readiness(yt_dlp_version, age_days, f"{RUNTIME} {info.version}")
