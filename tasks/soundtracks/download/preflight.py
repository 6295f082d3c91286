"""Before a networked run: what yt-dlp needs on this machine, and how old it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from yt_dlp import YoutubeDL
from yt_dlp.dependencies import yt_dlp_ejs
from yt_dlp.version import __version__ as yt_dlp_version

from storage.errors import InputError
from tasks.soundtracks.download.ytdlp import keep_plugins_out

OLD_DAYS = 45
"""The site changes every few weeks; an older release is the usual cause of refusals."""


@dataclass(frozen=True)
class Readiness:
    """What a networked run will use."""

    yt_dlp_version: str
    age_days: int
    runtime: str

    @property
    def warning(self) -> str | None:
        """What to tell the person before the run; None if nothing."""
        if self.age_days <= OLD_DAYS:
            return None
        return (
            f"yt-dlp {self.yt_dlp_version} is {self.age_days} days old; most refusals come from old releases: "
            "upgrade the pins of yt-dlp and yt-dlp-ejs"
        )


def check_readiness(today: date | None = None) -> Readiness:
    """Look for the JavaScript runtime and the solver; raises `InputError` that says what to install."""
    keep_plugins_out()
    client = YoutubeDL({"quiet": True, "js_runtimes": {"deno": {}}}, auto_init=False)
    try:
        runtime = client._js_runtimes.get("deno")
        info = runtime.info if runtime else None
    finally:
        client.close()
    if info is None or not info.supported:
        found = f"deno {info.version} is too old" if info else "there is no deno beside this Python"
        raise InputError(f"yt-dlp needs a JavaScript runtime for YouTube and {found}; run: pip install 'deno>=2.3'")
    if yt_dlp_ejs is None:
        raise InputError("yt-dlp's solver scripts are missing; run: pip install yt-dlp-ejs")
    released = datetime.strptime(".".join(yt_dlp_version.split(".")[:3]), "%Y.%m.%d").replace(tzinfo=UTC).date()
    age_days = ((today or datetime.now(UTC).date()) - released).days
    return Readiness(yt_dlp_version, age_days, f"deno {info.version}")
