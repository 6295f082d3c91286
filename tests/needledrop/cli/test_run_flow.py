"""How commands run a flow: what they rely on in Prefect."""

from __future__ import annotations

from prefect.server.api.server import SubprocessASGIServer

ADVICE = "Prefect changed how it starts its embedded server: adapt needledrop/cli/run_flow.py, or Ctrl-C ends it early"


class Server(SubprocessASGIServer):
    """A subclass as run_flow makes one; never started."""


def test_prefect_starts_its_embedded_server_in_the_method_that_is_replaced() -> None:
    assert "_run_uvicorn_command" in vars(SubprocessASGIServer), ADVICE


def test_prefect_uses_the_server_that_was_made_first() -> None:
    prepared = Server(port=1)
    assert SubprocessASGIServer(port=1) is prepared, ADVICE
