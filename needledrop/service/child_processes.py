"""Start and end the child processes of a service, none of which outlives it."""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

END_SECONDS = 15.0
PR_SET_PDEATHSIG = 1
"""Of <linux/prctl.h>."""


@contextmanager
def child_process(
    arguments: list[str], output: int | None = None, settings: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Start `prefect ARGUMENTS` as the leader of a session, and end all of that session afterwards.

    `output`: the file that takes what it prints, by default this process's. `settings`: variables of its environment.
    """
    command = [sys.executable, "-m", "prefect", *arguments]
    with_service = _end_with_the_service()
    process = subprocess.Popen(  # noqa: S603
        command,
        stdout=output,
        stderr=output,
        env={**os.environ, **(settings or {})},
        start_new_session=True,
        preexec_fn=with_service,  # noqa: PLW1509  no other thread here holds a lock
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(END_SECONDS)
        except (subprocess.TimeoutExpired, KeyboardInterrupt):
            process.kill()
        _kill_group(process.pid)
        process.wait()


def _end_with_the_service() -> Callable[[], object] | None:
    """Return what a child does before it starts, so that it gets SIGTERM even where the service dies by kill -9.

    None where the system cannot do that: it is Linux that sends a signal at the death of a parent.
    """
    if sys.platform != "linux":
        return None
    call = ctypes.CDLL(None).prctl  # looked up before the fork, after which little may be done
    return functools.partial(call, PR_SET_PDEATHSIG, signal.SIGTERM)


def _kill_group(leader: int) -> None:
    """End what a child left behind in its process group."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return
