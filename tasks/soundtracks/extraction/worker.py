"""What runs in a worker process of `workers.py`: films come in, results go out, until the end of input."""

from __future__ import annotations

import resource
import signal
import sys
from multiprocessing.connection import Connection
from typing import Any

from storage.errors import LakeError
from tasks.soundtracks.extraction.film import extract_film

MEMORY_LIMIT_BYTES = 1 << 30
"""Private memory of a worker; a three-hour film score needs a quarter of it. Linux only."""
REST_SECONDS = 60.0
"""Without a film for so long, the batches are over and the worker leaves."""


def main() -> None:
    """Serve films from the connection whose file descriptor is the first argument."""
    # An interrupt from the keyboard reaches every process; it is for the parent to end its workers, or a worker that
    # dies of it would look like a recording that crashed the decoder.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    connection: Connection[Any, Any] = Connection(int(sys.argv[1]))
    try:
        while connection.poll(REST_SECONDS):
            lake, settings, run_id, job = connection.recv()
            try:
                connection.send(extract_film(lake, job, settings, run_id, on_recording=connection.send))
            except LakeError as error:
                connection.send(error)
    except (EOFError, ConnectionError):
        return  # the parent has no more work, or is gone


if __name__ == "__main__":
    main()
