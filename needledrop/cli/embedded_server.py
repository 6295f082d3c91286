"""Prefect's embedded server, started so that Ctrl-C in the terminal does not reach it.

The one place that relies on something private of Prefect; tests/needledrop/cli/test_embedded_server.py notices when it
moves.
"""

from __future__ import annotations

import subprocess
from typing import Any

from tasks.interrupts import children_block_sigint


def start_embedded_server_with_sigint_blocked() -> None:
    """Have Prefect start its embedded server so that Ctrl-C in the terminal does not end it before the flow.

    Otherwise the server would end at once, and the flow could not report any more how it ended. Prefect keeps one
    object per process for this server, whichever part asks first, and ends the server at exit.
    """
    from prefect.server.api.server import SubprocessASGIServer

    class ServerWithSigintBlocked(SubprocessASGIServer):
        def _run_uvicorn_command(self) -> subprocess.Popen[Any]:
            with children_block_sigint():
                return super()._run_uvicorn_command()

    ServerWithSigintBlocked()
