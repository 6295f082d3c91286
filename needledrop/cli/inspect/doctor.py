"""`needledrop doctor`: check that this machine can do the work, and what to do where it cannot.

Everything but the last four checks needs at most one request, to the wiki's server for its clock. With `--youtube` and
the statement, one album is searched for on YouTube Music and opened, one player is asked and the first bytes of its
media are read: seven or eight requests, which count in the daily budget of the lake.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from flows.parameters import RefreshParameters, parameters_of
from needledrop.cli.options import ENVIRONMENT, LakeRoot, default_in_words
from storage.errors import InputError, ItemError, NeedledropError
from storage.lake.lake import VERSION_FILE, Lake, lake_at, open_lake
from storage.tables.tables import open_tables

MIN_CORES, MIN_MEMORY_BYTES = 2, 4 << 30
"""Two processes decode audio by default, each within 1 GiB; training the small preset needs about 3 GiB."""
FREE_BYTES = {"fail": 1 << 30, "warn": 20 << 30}
MAX_CLOCK_SECONDS = {"warn": 5.0, "fail": 120.0}
"""Times to retry, pauses and leases go by the clock, so workers on several machines must agree."""
CODECS = ("opus", "aac", "mp3", "vorbis", "flac")
FIRST_BYTES = 65_536
ALBUM, QUERY = "Inception", "Inception 2010 soundtrack"
"""A film whose album is unlikely to vanish."""
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}
_HELP = {parameter.name: parameter.help for parameter in parameters_of(RefreshParameters)}
_DEFAULTS = {parameter.name: parameter.default for parameter in parameters_of(RefreshParameters)}
_WIKI_HELP = f"{_HELP['wiki']} {default_in_words(_DEFAULTS['wiki'])}"

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """What was checked, how it ended, and a sentence that says what to do unless it is ok."""

    name: str
    state: State
    sentence: str


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("doctor")(doctor_command)


def doctor_command(
    lake: LakeRoot = "lake",
    contact: str = typer.Option(None, envvar=ENVIRONMENT["contact"], help=_HELP["contact"]),
    wiki: str = typer.Option(_DEFAULTS["wiki"], help=_WIKI_HELP, show_default=False),
    youtube: bool = typer.Option(False, "--youtube", help="Also ask YouTube: a search, an album, a player, its media."),
    i_have_the_right_to_collect: bool = typer.Option(
        False, "--i-have-the-right-to-collect", help=_HELP["i_have_the_right_to_collect"]
    ),
    pace: float = typer.Option(_DEFAULTS["pace"], min=0, max=10, help=_HELP["pace"]),
) -> None:
    """Check the machine, its clock and disk, yt-dlp, the contact and the lake, and with --youtube the site.

    Each check is one line: ok, warn or fail, and what to do. Exits with status 1 if one fails.

    [bold]Example[/]: needledrop doctor --youtube --i-have-the-right-to-collect
    """
    checks = [*check_machine(), check_clock(wiki, contact), check_yt_dlp(), check_contact(contact), check_lake(lake)]
    checks += [*check_disks(lake), *check_workers()]
    if youtube:
        checks += check_youtube(lake, pace, has_right=i_have_the_right_to_collect)
    table = Table("check", "state", "what it says")
    for check in checks:
        table.add_row(check.name, f"[{_COLOURS[check.state]}]{check.state}[/]", escape(check.sentence))
    Console().print(table)
    if any(check.state == "fail" for check in checks):
        raise typer.Exit(1)


def check_machine() -> list[Check]:
    """Check cores, memory and the codecs that decode audio."""
    import av

    cores, memory = len(os.sched_getaffinity(0)), _memory_bytes()
    size = f"{cores} cores and {memory / (1 << 30):.0f} GiB of memory"
    machine = Check("machine", "ok", f"{size}.")
    if cores < MIN_CORES or memory < MIN_MEMORY_BYTES:
        machine = Check("machine", "warn", f"Only {size}: use --workers 1, and train on another machine.")
    missing = [name for name in CODECS if name not in av.codecs_available]
    decoder = Check("decoder", "ok", f"PyAV {av.__version__} decodes {', '.join(CODECS)}.")
    if missing:
        sentence = f"PyAV cannot decode {', '.join(missing)}; install its wheel: pip install --only-binary av av"
        decoder = Check("decoder", "fail", sentence)
    return [machine, decoder]


def _memory_bytes() -> int:
    """Return the memory of this machine, or of its container if that is less."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no container, or one without a limit: "max"
        memory = min(memory, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return memory


def check_clock(wiki: str, contact: str | None) -> Check:
    """Compare the clock with the Date header of the wiki's server, which has a resolution of one second."""
    import requests

    from tasks.films.rate_limited_http import user_agent

    try:
        agent = user_agent(contact)
    except InputError:  # the check of the contact says what is wrong with it
        return Check("clock", "warn", f"Not compared with {wiki} (no contact); make sure that NTP sets this clock.")
    try:
        answer = requests.head(wiki, headers={"User-Agent": agent}, timeout=10, allow_redirects=False)
        difference = abs((datetime.now(UTC) - parsedate_to_datetime(answer.headers["Date"])).total_seconds())
    except (requests.RequestException, KeyError, ValueError) as error:
        reason = textwrap.shorten(str(error) or type(error).__name__, 100, placeholder=" …")
        return Check("clock", "warn", f"Not compared with {wiki} ({reason}); make sure that NTP sets this clock.")
    if difference <= MAX_CLOCK_SECONDS["warn"]:
        return Check("clock", "ok", f"It agrees with the wiki's server to {difference:.0f} s.")
    state: State = "fail" if difference > MAX_CLOCK_SECONDS["fail"] else "warn"
    return Check("clock", state, f"It differs from the wiki's server by {difference:.0f} s; set it with NTP.")


def check_yt_dlp() -> Check:
    """Check yt-dlp's age and its JavaScript runtime, which only YouTube and listed URLs need."""
    from tasks.soundtracks.download.ytdlp import check_readiness

    try:
        ready = check_readiness()
    except InputError as error:
        return Check("yt-dlp", "fail", str(error))
    if ready.warning:
        return Check("yt-dlp", "warn", f"{ready.warning} (docs/soundtracks.md says how).")
    return Check(
        "yt-dlp", "ok", f"yt-dlp {ready.yt_dlp_version} is {ready.age_days} days old and runs {ready.runtime}."
    )


def check_contact(contact: str | None) -> Check:
    """Check that a contact is given, which the wiki requires."""
    from tasks.films.rate_limited_http import user_agent

    try:
        return Check("contact", "ok", f"The wiki is sent {user_agent(contact)}.")
    except InputError as error:
        return Check("contact", "warn", f"{error}. Exports and music folders need none.")


def check_lake(root: str) -> Check:
    """Write a file to the lake and delete it again; a lake that does not exist yet is not made."""
    if "://" not in root and not Path(root).exists():
        parent = next(path for path in Path(root).absolute().parents if path.exists())
        if os.access(parent, os.W_OK):
            return Check("lake", "ok", f"There is none at {root} yet; the first command makes it.")
        return Check(
            "lake", "fail", f"{parent} is not writable, so no lake can be made at {root}; give another --lake."
        )
    name = f"doctor-{os.getpid()}.json"
    try:
        opened = open_lake(root)
        opened.write_json({}, "doctor", name)
        opened.remove("doctor", name)
    except (NeedledropError, OSError) as error:
        return Check("lake", "fail", f"{root} cannot be written ({error}); make it writable or give another --lake.")
    return Check("lake", "ok", f"{root} can be written.")


def check_disks(root: str) -> Iterator[Check]:
    """Check the free space of the lake's disk, if it has one, and of temporary files."""
    places = {"disk of temporary files": Path(tempfile.gettempdir())}
    if "://" not in root:
        places["disk of the lake"] = Path(root)
    for name, path in places.items():
        existing = next(one for one in (path.absolute(), *path.absolute().parents) if one.exists())
        free = shutil.disk_usage(existing).free
        sentence = f"{free / 1e9:.1f} GB are free at {existing}"
        state: State = "fail" if free < FREE_BYTES["fail"] else "warn" if free < FREE_BYTES["warn"] else "ok"
        advice = "" if state == "ok" else "; free some, or move it to a larger disk"
        yield Check(name, state, f"{sentence}{advice}.")


def check_workers() -> Iterator[Check]:
    """Check that no run of the server that PREFECT_API_URL names, if it does, waits for a worker that is not there."""
    from flows.runs.missing_trainings_and_workers import waiting_for_workers

    for sentence in waiting_for_workers():
        yield Check("workers", "warn", f"{sentence}.")


def check_youtube(root: str, pace: float, *, has_right: bool) -> list[Check]:
    """Ask the site for a search, an album, a player and the first bytes of its media, one after another.

    Raises `InputError` without the statement that the user may.
    """
    from tasks.soundtracks.runs.open_sources import open_context
    from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings

    settings = SoundtrackSettings(youtube=True, i_have_the_right_to_collect=has_right, pace=pace)
    settings.check()
    checks: list[Check] = []

    def step(name: str, call: Callable[[], Any], sentence: Callable[[Any], str]) -> Any:
        """Return what a step gives; None if it fails, or if one before it did."""
        if any(check.state == "fail" for check in checks):
            checks.append(Check(name, "fail", "Not tried, since the step before failed."))
            return None
        try:
            result = call()
        except NeedledropError as error:
            checks.append(Check(name, "fail", f"{error}{_advice(error)}"))
            return None
        state: State = "ok" if result else "fail"
        nothing = "The answer holds nothing: the site has changed; upgrade yt-dlp and ytmusicapi."
        checks.append(Check(name, state, sentence(result) if result else nothing))
        return result

    with _lake_of_budget(root) as lake, open_context(lake, settings, "doctor") as context:
        [source] = context.networked
        music, downloader = source.music, source.downloader  # type: ignore[attr-defined]
        albums = step("album search", lambda: music.search(QUERY), lambda found: f"{len(found)} albums for {ALBUM!r}.")
        tracks = step("album", lambda: music.tracks(albums[0]), lambda found: f"{len(found)} tracks of the first.")
        track: Any = next((one for one in tracks or () if one.availability is None), None)
        page = step(
            "player",
            lambda: track and downloader.probe(track.media_id, track.url),
            lambda info: f"It offers format {info.get('format_id')} of {info.get('title')!r}.",
        )
        step(
            "media",
            lambda: downloader.first_bytes(track.media_id, page, FIRST_BYTES),
            lambda data: f"{len(data)} bytes were read.",
        )
    return checks


@contextmanager
def _lake_of_budget(root: str) -> Iterator[Lake]:
    """Open the lake, whose budget the requests count in; where there is none yet, one that is deleted afterwards."""
    if lake_at(root).exists(VERSION_FILE):
        yield open_tables(root)
        return
    with tempfile.TemporaryDirectory(prefix="needledrop-doctor-") as folder:
        yield open_tables(folder)


def _advice(error: NeedledropError) -> str:
    reason = getattr(error, "reason", "")
    if reason in ("bot", "blocked", "rate_limit"):
        return ". The site distrusts this address, as it does most of data centres; see docs/soundtracks.md"
    if isinstance(error, ItemError):
        return ". If it stays so, upgrade yt-dlp and ytmusicapi"
    return ""
