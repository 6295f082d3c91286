"""Run one worker process of `process_pool.ProcessPool`: films come in, results go out, until the input ends."""

from __future__ import annotations

import resource
import signal
import sys
import traceback
from multiprocessing.connection import Connection
from typing import Any

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.mels.settings import MelSettings
from tasks.soundtracks.extraction.film import extract_film
from tasks.soundtracks.extraction.jobs import FilmJob, FilmResult, WorkerError

MEMORY_LIMIT_BYTES = 1 << 30
"""Private memory of a worker; a three-hour film score needs a quarter of it. Linux only."""
IDLE_SECONDS = 60.0
"""A worker without a film for so long ends itself: the batches are over."""


def main() -> None:
    """Serve films from the connection whose file descriptor is the first argument."""
    # A terminal sends SIGINT to every process. The parent ends its workers itself; one that died of the signal would
    # probe like a recording that crashed the decoder.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    connection: Connection[Any, Any] = Connection(int(sys.argv[1]))
    try:
        while connection.poll(IDLE_SECONDS):
            connection.send(_extract(connection, *connection.recv()))
    except (EOFError, ConnectionError):
        return  # the parent has no more work, or has ended


def _extract(
    connection: Connection[Any, Any], lake: Lake, settings: MelSettings, run_id: str, job: FilmJob
) -> FilmResult | LakeError | WorkerError:
    try:
        return extract_film(lake, job, settings, run_id, on_decode=connection.send)
    except LakeError as error:
        return error
    except Exception as error:  # noqa: BLE001  # the parent raises it, with this traceback
        return WorkerError(job.film_id, f"{type(error).__name__}: {error}", traceback.format_exc())


if __name__ == "__main__":
    main()
