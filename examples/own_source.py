"""Collect soundtracks from a source of recordings that Needledrop does not know: here, one zip archive per film.

    python examples/own_source.py --lake demo-lake --archives my-archives

An archive is named after its film: its title, page id or film id, as in `my-archives/The Lamp.zip`. Films whose music
is in the lake already are left alone, so films need no archive and a second run does nothing.

A source is any class with a `name` and two methods (`Source` in tasks/soundtracks/sources/source_protocol.py):

    find(film)            Return the candidates for a film, each with the verdict of the matching rule.
    fetch(judged, film)   Return the audio of a candidate as a local file. Called for the ones that are taken.

Where all recordings are known beforehand, as here, `PreassignedSource` matches them with the films of the lake, answers
`find`, and records the recordings that match no film. A source that has to search for each film writes `find` itself.

Everything else is the same for all sources: the user's reviews and takedowns, decoding in worker processes, one shard
per film, and an outcome with its reason for whatever could not be used. A source raises `ItemError` for one recording
that fails, with a reason of storage/records/outcomes.py and when to try it again, and `SourcePaused` when it must not
be asked any more for a while: then the run commits what it has and ends.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import tempfile
import uuid
import zipfile
from pathlib import Path
from urllib.parse import quote, unquote

os.environ.setdefault("DO_NOT_TRACK", "1")  # as the command does: Prefect, imported below, counts its users

from storage.errors import InputError, ItemError
from storage.records.flow_runs import record_flow_run
from storage.tables.tables import open_existing
from tasks.run_report import RunReport
from tasks.soundtracks.candidate_recordings import Candidate, Film, Judged, Recording
from tasks.soundtracks.matching.track_selection import Matcher
from tasks.soundtracks.runs.batch_pipeline import open_pipeline
from tasks.soundtracks.runs.collect_film import Collector
from tasks.soundtracks.runs.open_sources import open_context
from tasks.soundtracks.runs.plan import plan
from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings
from tasks.soundtracks.sources.music_folders_and_url_lists import PreassignedSource
from tasks.soundtracks.sources.source_protocol import Fetched

AUDIO = {".flac", ".m4a", ".mp3", ".ogg", ".opus", ".wav"}


class ZipSource(PreassignedSource):
    """One zip archive per film; a recording is extracted to `staging` when it is fetched."""

    name = "zip_archive"

    def __init__(self, archives: Path, staging: Path, matcher: Matcher) -> None:
        super().__init__(list_recordings(archives), matcher)
        self._archives = archives
        self._staging = staging

    def fetch(self, judged: Judged, film: Film) -> Fetched:
        """Extract a recording. Raises `ItemError` when its part of the archive is damaged."""
        archive, _, member = judged.candidate.url.removeprefix("zip:").partition("#")
        path = self._archives / unquote(archive)
        try:
            with zipfile.ZipFile(path) as opened:
                extracted = opened.extract(unquote(member), self._staging / film.film_id)
        except (zipfile.BadZipFile, OSError) as error:
            raise ItemError("truncated", f"{member} cannot be read from {path} ({error}); replace it") from error
        return Fetched(Recording(judged.candidate.track_id, extracted), judged)


def list_recordings(archives: Path) -> list[Candidate]:
    """Return every recording in the archives of a folder. Raises `InputError` for a file that is not an archive."""
    if not archives.is_dir():
        raise InputError(f"There is no folder {archives}; give the folder of the archives")
    candidates = []
    for archive in sorted(archives.glob("*.zip")):
        try:
            with zipfile.ZipFile(archive) as opened:
                members = sorted(name for name in opened.namelist() if Path(name).suffix.lower() in AUDIO)
        except zipfile.BadZipFile as error:
            raise InputError(f"{archive} is not a zip archive; replace or remove it") from error
        candidates += [_candidate(archive, member, position) for position, member in enumerate(members)]
    return candidates


def _candidate(archive: Path, member: str, position: int) -> Candidate:
    url = f"zip:{quote(archive.name)}#{quote(member)}"
    return Candidate(
        source=ZipSource.name,
        # Makes the track id, which must be the same in every run: by it a recording is found done or failed before.
        media_id=hashlib.blake2b(url.encode(), digest_size=12).hexdigest(),
        url=url,
        title=Path(member).stem,
        position=position,
        # The archive names the film. Without `listed_for` the matching rule looks for a film's title in the texts.
        listed_for=archive.stem,
    )


def collect(lake_root: str, archives: Path) -> RunReport:
    """Collect the music of films that have none yet from their archives; return the counts of films and tracks."""
    lake, run_id = open_existing(lake_root), f"own-source-{uuid.uuid4()}"
    settings = SoundtrackSettings().for_lake(lake)
    with tempfile.TemporaryDirectory() as staging, open_context(lake, settings, run_id) as context:
        context.sources.append(ZipSource(archives, Path(staging), context.matcher))
        planned = plan(context)
        with open_pipeline(Collector(context, planned), len(planned.films)) as pipeline:
            report = pipeline.collect(planned.films, drain=True)
    # Every row that was written names its run, so the run gets a row too.
    record_flow_run(lake, run_id, "own-source", "completed", {"archives": str(archives)}, report.counts)
    return report


def main() -> None:
    """Read the arguments, collect, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", default="demo-lake", help="folder of the lake (default: demo-lake)")
    parser.add_argument("--archives", type=Path, required=True, help="folder of zip archives named after films")
    arguments = parser.parse_args()
    try:
        counts = collect(arguments.lake, arguments.archives).counts
    except InputError as error:
        parser.error(str(error))
    print(f"{counts['films']} films with {counts['tracks']} tracks; {counts['tracks_failed']} tracks failed")


if __name__ == "__main__":
    main()
