"""The process that holds the encoders: started by a flow, which exchanges films with it, and what runs in it.

The process has its own memory, and ends with the flow that started it, however that ends. It is started by name, as a
worker of extraction is: `multiprocessing` would import the flow's main module, all of Prefect, into it. Only the
process itself imports torch.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, Pipe
from typing import TYPE_CHECKING, Any

from storage.audio_embeddings import EncoderCard, Vectors
from storage.errors import NeedledropError

if TYPE_CHECKING:
    from training.audio_encoders.embed_audio_and_text import Encoder

DecodedAudio = tuple[Mapping[int, str], int]
"""A recording: its file of decoded audio at each sample rate, and the number of its segments."""
END_SECONDS = 10.0
PARENT_CHECK_SECONDS = 1.0


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
    command = [sys.executable, "-P", "-m", "training.audio_encoders.process", str(theirs.fileno())]
    process = subprocess.Popen(  # noqa: S603
        command, env=environment, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
    )
    theirs.close()
    return EncoderProcess(process, ours)


def main() -> None:
    """Serve films from the connection whose file descriptor is the first argument."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to every process; the flow ends this one
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    connection: Connection[Any, Any] = Connection(int(sys.argv[1]))
    try:
        encoders = _loaded(connection, connection.recv())
        while encoders:
            connection.send(_embedded(encoders, connection.recv()))
    except (EOFError, ConnectionError):
        return  # the flow has no more work, or has ended


def _loaded(connection: Connection[Any, Any], names: Sequence[str]) -> list[Encoder]:
    """Load the models and send their cards; or send why one cannot be loaded, and return none."""
    import torch  # noqa: PLC0415 - the flow needs neither, and both take seconds to load

    from training.audio_encoders.embed_audio_and_text import Encoder  # noqa: PLC0415

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        encoders = [Encoder(name, device) for name in names]
    except NeedledropError as error:
        connection.send(error)
        return []
    cards: list[EncoderCard] = [encoder.card for encoder in encoders]
    connection.send((device.type, cards))
    return encoders


def _embedded(encoders: Sequence[Encoder], recordings: Sequence[DecodedAudio]) -> list[list[Vectors]] | NeedledropError:
    try:
        return [
            [encoder.embed_file(paths[encoder.card.sample_rate_hz], segments) for paths, segments in recordings]
            for encoder in encoders
        ]
    except NeedledropError as error:
        return error


def _end_with_parent(parent: int) -> None:
    """End this process at once when the flow's has ended, also in the middle of a film."""
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main()
