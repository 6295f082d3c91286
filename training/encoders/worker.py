"""Run the process of the encoders: load models, then embed film after film until the flow ends or has no more."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

import torch

from storage.audio_embeddings.cards import EncoderCard
from storage.audio_embeddings.files import Vectors
from storage.errors import NeedledropError
from training.encoders.models import Encoder
from training.encoders.process import DecodedAudio

PARENT_CHECK_SECONDS = 1.0


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
