"""Any recording as mono samples of one rate, block by block, in bounded memory.

Decoded by PyAV, mixed down to the mean of the channels, resampled by soxr HQ: what `librosa.load`
gives, at half its cost. FFmpeg's own mixer and resampler are not used: they add 3 dB and alias.

A file may lie or be broken anywhere. Its header decides nothing here: rate, layout and sample format
are read from every frame, the length is counted, and a packet that does not decode is skipped, as
FFmpeg's own program does. What cannot become samples ends as an `ItemError` with a reason.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import soxr
from av.error import FFmpegError
from numpy.typing import NDArray

from storage.errors import ItemError, Retry

Samples = NDArray[np.float32]

BLOCK_SAMPLES = 1 << 16
"""About 1.4 s at 44.1 kHz: 256 KiB stays in the second-level cache between mixing and resampling."""
LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 1_000, 1_536_000
"""Below is no music and a resampling factor that explodes; above is no recorder."""
LONGEST_SECONDS = 4 * 3600.0
"""No soundtrack recording is longer; a longer one is a loop, a stream or a lying file."""
RECORDING_LIMIT_SECONDS = 50.0
"""Wall time for one recording. Four hours of Opus take half of it on one core of 2024."""
OPEN_OPTIONS = {"protocol_whitelist": "file"}
"""A playlist in disguise must not make FFmpeg fetch what it names."""
PLAYLISTS = frozenset({"hls", "concat", "dash", "imf", "sdp", "rtsp"})
"""Formats that name other files instead of holding audio."""
DECODER_ERRORS = (FFmpegError, OSError, ValueError, LookupError, ArithmeticError, RuntimeError)
"""What PyAV and soxr raise for broken input; UnicodeDecodeError for metadata is a ValueError."""


class AudioFile:
    """One recording. Iterate over `blocks` once; the facts are complete when it has ended."""

    def __init__(self, path: str, sample_rate_hz: int) -> None:
        self.path = path
        self.sample_rate_hz = sample_rate_hz
        self.codec = ""
        self.source_rate_hz = 0
        self.decoded_seconds = 0.0
        self.packets = 0
        self.broken_packets = 0

    def blocks(self) -> Iterator[Samples]:
        """Mono float32 samples at `sample_rate_hz`, full scale 1, in blocks of any length.

        Raises `ItemError`: missing_file, not_audio, no_audio, undecodable, too_long, timeout.
        """
        path = Path(self.path)
        if not path.is_file():
            raise ItemError("missing_file", f"There is no file {path.name}; correct the music list", Retry.LATER)
        if not path.stat().st_size:
            raise ItemError("not_audio", f"{path.name} is empty; put the recording in its place")
        try:
            yield from self._decoded_blocks()
        except DECODER_ERRORS as error:
            reason = "undecodable" if self.packets else "not_audio"
            raise ItemError(reason, f"{path.name} cannot be decoded: {error}") from error
        except MemoryError as error:
            raise ItemError("too_large", f"{path.name} needs more memory than a recording may have") from error
        if not self.decoded_seconds:
            raise ItemError("undecodable", f"{path.name} has an audio stream, but no sample of it decodes")

    def _decoded_blocks(self) -> Iterator[Samples]:
        # An absolute path, or "K.G.F: Chapter 1.mp3" would be read as the protocol "K.G.F".
        with av.open(os.path.abspath(self.path), metadata_errors="ignore", options=OPEN_OPTIONS) as container:  # noqa: PTH100
            stream = container.streams.best("audio")
            if container.format.name in PLAYLISTS or stream is None:
                raise ItemError("no_audio", f"{Path(self.path).name} holds no audio stream")
            self.codec = stream.codec_context.name
            stream.codec_context.thread_count = 1
            mono = _MonoResampler(self.sample_rate_hz)
            for frame in self._frames(container, stream):
                yield from mono.add(frame)
                if mono.seconds > LONGEST_SECONDS:
                    raise ItemError("too_long", f"{Path(self.path).name} is longer than {LONGEST_SECONDS / 3600:.0f} h")
                self.decoded_seconds = mono.seconds
            yield from mono.finish()
            self.source_rate_hz = mono.first_rate_hz
            self.decoded_seconds = mono.seconds

    def _frames(self, container: Any, stream: Any) -> Iterator[Any]:
        """Every frame that decodes. A broken packet is skipped, as long as most are whole."""
        deadline = time.monotonic() + RECORDING_LIMIT_SECONDS
        for packet in container.demux(stream):
            self.packets += 1
            if time.monotonic() > deadline:
                raise ItemError("timeout", f"{Path(self.path).name} was not decoded in {RECORDING_LIMIT_SECONDS:.0f} s")
            try:
                yield from packet.decode()
            except DECODER_ERRORS:
                self.broken_packets += 1
        if self.broken_packets * 2 > self.packets:
            raise ItemError("undecodable", f"{self.broken_packets} of {self.packets} packets are broken")


class _MonoResampler:
    """Frames of any rate, layout and format in; blocks of mono samples of one rate out."""

    def __init__(self, target_hz: int) -> None:
        self.target_hz = target_hz
        self.first_rate_hz = 0
        self._rate_hz = 0
        self._taken = 0  # samples at this rate
        self._earlier_seconds = 0.0  # at other rates
        self._buffer = np.empty(BLOCK_SAMPLES, np.float32)
        self._filled = 0
        self._resampler: soxr.ResampleStream | None = None

    @property
    def seconds(self) -> float:
        """The length of what was taken in, in seconds of its own rates."""
        return self._earlier_seconds + (self._taken / self._rate_hz if self._rate_hz else 0.0)

    def add(self, frame: Any) -> Iterator[Samples]:
        """Take one frame; yields a block whenever the buffer is full or the rate changes."""
        count = frame.samples
        if frame.sample_rate != self._rate_hz:
            yield from self.finish()
            self._start(frame.sample_rate)
        if self._filled + count > len(self._buffer):
            yield self._flush(last=False)
            if count > len(self._buffer):
                self._buffer = np.empty(count, np.float32)
        mix_down(frame, self._buffer[self._filled : self._filled + count])
        self._filled += count
        self._taken += count

    def finish(self) -> Iterator[Samples]:
        """Yield what the buffer and the resampler still hold."""
        if self._rate_hz:
            yield self._flush(last=True)

    def _start(self, rate_hz: int) -> None:
        if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
            raise ItemError("undecodable", f"A sample rate of {rate_hz} Hz is no recording's; encode the file anew")
        self._earlier_seconds, self._taken, self._rate_hz = self.seconds, 0, rate_hz
        self.first_rate_hz = self.first_rate_hz or rate_hz
        same = rate_hz == self.target_hz
        self._resampler = None if same else soxr.ResampleStream(rate_hz, self.target_hz, 1, "float32", "HQ")

    def _flush(self, last: bool) -> Samples:
        block, self._filled = self._buffer[: self._filled], 0
        if self._resampler is None:
            return block.copy()
        return np.asarray(self._resampler.resample_chunk(block, last=last))


def mix_down(frame: Any, out: Samples) -> None:
    """Write the mean of a frame's channels to `out`, shape (samples,), full scale 1."""
    planes, channels, count = frame.planes, frame.layout.nb_channels, frame.samples
    kind = frame.format.name
    if kind == "fltp" and channels == 2:  # AAC, Opus, Vorbis, MP3: almost every frame of a soundtrack
        np.add(np.frombuffer(planes[0], np.float32, count), np.frombuffer(planes[1], np.float32, count), out=out)
        np.multiply(out, np.float32(0.5), out=out)
    elif kind == "fltp" and channels == 1:
        out[:] = np.frombuffer(planes[0], np.float32, count)
    else:
        values = frame.to_ndarray()
        values = values if frame.format.is_planar else values.reshape(-1, channels).T
        to_float(values).mean(axis=0, out=out)


def to_float(values: NDArray[Any]) -> Samples:
    """Samples of any type as float32 with full scale 1; unsigned bytes are centred at 128."""
    if values.dtype.kind == "f":
        return values.astype(np.float32)
    centre = np.float32(128 if values.dtype == np.uint8 else 0)
    scale = np.float32(2.0 ** (1 - 8 * values.dtype.itemsize))
    return (values.astype(np.float32) - centre) * scale
