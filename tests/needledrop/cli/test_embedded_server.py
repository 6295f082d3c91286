"""What the embedded server relies on in Prefect: private names, which an upgrade may move."""

from __future__ import annotations

from prefect.server.api.server import SubprocessASGIServer

ADVICE = "Prefect moved what needledrop/cli/run_flow.py replaces: adapt it, or Ctrl-C ends the server early"


class Server(SubprocessASGIServer):
    """A subclass as run_flow makes one; never started."""


def test_prefect_starts_its_embedded_server_in_the_method_that_is_replaced() -> None:
    assert "_run_uvicorn_command" in vars(SubprocessASGIServer), ADVICE


def test_prefect_uses_the_server_that_was_made_first() -> None:
    prepared = Server(port=1)
    assert SubprocessASGIServer(port=1) is prepared, ADVICE
