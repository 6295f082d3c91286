"""Start the process that holds the encoders, and exchange films with it; imports no torch.

The process has its own memory, and ends with the flow that started it, however that ends. It is started by name, as a
worker of extraction is: `multiprocessing` would import the flow's main module, all of Prefect, into it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Pipe
from typing import Any

from storage.audio_embeddings.cards import EncoderCard
from storage.audio_embeddings.files import Vectors
from storage.errors import NeedledropError

DecodedAudio = tuple[Mapping[int, str], int]
"""A recording: its file of decoded audio at each sample rate, and the number of its segments."""
END_SECONDS = 10.0


class EncoderProcess:
    """A running process; films come back in the order in which they were sent."""

    def __init__(self, process: subprocess.Popen[bytes], connection: Connection[Any, Any]) -> None:
        self.process = process
        self.cards: Sequence[EncoderCard] = ()
        self.device = ""
        self._connection = connection

    def load(self, names: Sequence[str]) -> None:
        """Have the process load these models. Raises `InputError` for one that cannot be an encoder."""
        self._send(list(names))
        self.device, self.cards = self._answer()

    def submit(self, recordings: Sequence[DecodedAudio]) -> None:
        """Send the recordings of one film."""
        self._send([(dict(paths), segments) for paths, segments in recordings])

    def receive(self) -> list[list[Vectors]]:
        """Return for each encoder the embeddings of each recording of the next film, waiting for them.

        Raises `NeedledropError` when the process reports an error or has ended.
        """
        embedded: list[list[Vectors]] = self._answer()
        return embedded

    def is_ready(self) -> bool:
        """Return whether the next film is embedded, or the process has ended."""
        return self._connection.poll()

    def close(self) -> None:
        """End the process: it has nothing that is not also elsewhere."""
        self._connection.close()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _send(self, message: Any) -> None:
        with suppress(ConnectionError):  # it ended: `_answer` reports that
            self._connection.send(message)

    def _answer(self) -> Any:
        try:
            answer = self._connection.recv()
        except (EOFError, ConnectionError) as error:
            status = self.process.wait()
            raise NeedledropError(
                f"The process of the audio encoders ended (exit status {status}), perhaps for lack of memory; "
                "what is committed stays: run the same command again, with a smaller model or fewer --workers"
            ) from error
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def open_encoders(names: Sequence[str]) -> Iterator[EncoderProcess]:
    """Start a process with these models (hub names or folders); it is ended on leaving.

    Raises `InputError` for a model that cannot be an encoder.
    """
    encoders = _start()
    try:
        encoders.load(names)
        yield encoders
    finally:
        encoders.close()


def _start() -> EncoderProcess:
    ours, theirs = Pipe()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    # -P: a folder `training` in the current directory is not this package.
    command = [sys.executable, "-P", "-m", "training.encoders.worker", str(theirs.fileno())]
    process = subprocess.Popen(  # noqa: S603
        command, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
    )
    theirs.close()
    return EncoderProcess(process, ours)
