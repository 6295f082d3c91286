"""What runs in a worker process of `workers.py`: films come in, results go out, until the end of input."""

from __future__ import annotations

import resource
import sys
from multiprocessing.connection import Connection
from typing import Any

from storage.errors import LakeError
from tasks.soundtracks.extraction import FilmJob, extract_film

MEMORY_LIMIT_BYTES = 1 << 30
"""Private memory of a worker; a three-hour film score needs a quarter of it. Linux only."""


def main() -> None:
    """Serve films from the connection whose file descriptor is the first argument."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    connection: Connection[Any, Any] = Connection(int(sys.argv[1]))
    try:
        lake, settings, run_id = connection.recv()
        while True:
            job: FilmJob = connection.recv()
            try:
                connection.send(extract_film(lake, job, settings, run_id, on_recording=connection.send))
            except LakeError as error:
                connection.send(error)
    except (EOFError, BrokenPipeError):
        return  # the parent has no more work, or is gone


if __name__ == "__main__":
    main()
