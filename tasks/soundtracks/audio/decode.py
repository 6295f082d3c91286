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
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import soxr
from av.error import FFmpegError
from numpy.typing import NDArray

from storage.errors import ItemError, Retry

Samples = NDArray[np.float32]

BLOCK_SAMPLES = 1 << 15
"""About 1.5 s at 44.1 kHz: 256 KiB stays in the second-level cache between mixing and resampling."""
LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 1_000, 1_536_000
"""Below is no music and a resampling factor that explodes; above is no recorder."""
LONGEST_SECONDS = 4 * 3600.0
"""No soundtrack recording is longer; a longer one is a loop, a stream or a lying file."""
RECORDING_LIMIT_SECONDS = 50.0
"""CPU time for one recording. Four hours of Opus take half of it on one core of 2024."""
RECORDING_WALL_SECONDS = 300.0
"""Wall time for one recording: a good file ends in time on a machine with six times too much to do."""
PACKETS_BETWEEN_CLOCKS = 64
"""About 1.5 s of music: asking the system for CPU time at every packet cost 3 % of the whole."""
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
        """The best audio stream; if not one sample of it decodes, the next, each on the file opened anew."""
        check_time, attempt, is_last = self._clock(), 0, False
        while not is_last and not self.decoded_seconds:
            # An absolute path, or "K.G.F: Chapter 1.mp3" would be read as the protocol "K.G.F".
            with av.open(os.path.abspath(self.path), metadata_errors="ignore", options=OPEN_OPTIONS) as container:  # noqa: PTH100
                streams = self._streams(container)
                attempt, is_last = attempt + 1, attempt + 1 >= len(streams)
                try:
                    yield from self._stream_blocks(container, streams[attempt - 1], check_time)
                except (ItemError, *DECODER_ERRORS):
                    if is_last or self.decoded_seconds:
                        raise

    def _streams(self, container: Any) -> list[Any]:
        """The audio streams, the one that FFmpeg would play first."""
        best = container.streams.best("audio")
        if container.format.name in PLAYLISTS or best is None:
            raise ItemError("no_audio", f"{Path(self.path).name} holds no audio stream")
        return [best, *(stream for stream in container.streams.audio if stream.index != best.index)]

    def _stream_blocks(self, container: Any, stream: Any, check_time: Callable[[], None]) -> Iterator[Samples]:
        if stream.codec_context is None:
            raise ItemError("undecodable", f"{Path(self.path).name} is of a codec that cannot be decoded here")
        self.codec = stream.codec_context.name
        stream.codec_context.thread_count = 1
        resampler, mix = _Resampler(self.sample_rate_hz), _Downmix()
        for frame in self._frames(container, stream, check_time):
            if not mix.fits(frame):
                yield self._resampled(resampler, mix)
                if frame.sample_rate != resampler.source_hz:
                    yield resampler.turn_to(frame.sample_rate)
                mix.begin(frame)
            mix.add(frame)
        yield self._resampled(resampler, mix)
        yield resampler.finish()

    def _resampled(self, resampler: _Resampler, mix: _Downmix) -> Samples:
        """What the mix holds, resampled; the place where length is counted."""
        block = mix.empty()
        if len(block):
            self.source_rate_hz = self.source_rate_hz or resampler.source_hz
            self.decoded_seconds += len(block) / resampler.source_hz
        if self.decoded_seconds > LONGEST_SECONDS:
            raise ItemError("too_long", f"{Path(self.path).name} is longer than {LONGEST_SECONDS / 3600:.0f} h")
        return resampler.push(block)

    def _frames(self, container: Any, stream: Any, check_time: Callable[[], None]) -> Iterator[Any]:
        """Every frame that decodes. A broken packet is skipped, as long as most are whole."""
        packets_before, broken_before = self.packets, self.broken_packets
        for packet in container.demux(stream):
            if self.packets % PACKETS_BETWEEN_CLOCKS == 0:
                check_time()
            self.packets += 1
            try:
                yield from packet.decode()
            except DECODER_ERRORS:
                self.broken_packets += 1
        packets, broken = self.packets - packets_before, self.broken_packets - broken_before
        if broken * 2 > packets:
            raise ItemError("undecodable", f"{broken} of {packets} packets are broken")

    def _clock(self) -> Callable[[], None]:
        """A check that raises `ItemError` once the recording has taken more time than any may."""
        worked, deadline = time.thread_time(), time.monotonic() + RECORDING_WALL_SECONDS

        def check() -> None:
            if time.thread_time() - worked > RECORDING_LIMIT_SECONDS or time.monotonic() > deadline:
                limits = f"{RECORDING_LIMIT_SECONDS:.0f} s of work, or {RECORDING_WALL_SECONDS:.0f} s by the clock"
                raise ItemError("timeout", f"{Path(self.path).name} was not decoded in {limits}", Retry.LATER)

        return check


class _Downmix:
    """Frames of one form, joined by FFmpeg until they are worth mixing.

    A codec's frame is 23 ms, and NumPy's calls on each would cost more than the mixing.
    """

    def __init__(self) -> None:
        self._joined = av.AudioFifo()
        self._filled = 0
        self._form: tuple[int, int, str] | None = None

    def fits(self, frame: Any) -> bool:
        """Whether this frame has the form of those before it and there is room for it."""
        form = frame.sample_rate, frame.layout.nb_channels, frame.format.name
        return form == self._form and self._filled + frame.samples <= BLOCK_SAMPLES

    def begin(self, frame: Any) -> None:
        """Take the form of this frame; the mix is empty."""
        form = frame.sample_rate, frame.layout.nb_channels, frame.format.name
        if form != self._form:
            self._joined, self._form = av.AudioFifo(), form

    def add(self, frame: Any) -> None:
        """Append a frame. Its time stamp is dropped: the queue refuses gaps, and only samples count here."""
        frame.pts = None
        self._joined.write(frame)
        self._filled += frame.samples

    def empty(self) -> Samples:
        """The mono samples so far, full scale 1."""
        frame, self._filled = self._joined.read(), 0
        return np.empty(0, np.float32) if frame is None else mono(frame)


class _Resampler:
    """soxr's HQ, which is librosa's, over blocks; a change of rate ends one stream and begins another."""

    def __init__(self, target_hz: int) -> None:
        self.target_hz = target_hz
        self.source_hz = 0
        self._stream: soxr.ResampleStream | None = None

    def turn_to(self, source_hz: int) -> Samples:
        """Take samples of another rate from now on; returns the rest of those before."""
        if not LOWEST_RATE_HZ <= source_hz <= HIGHEST_RATE_HZ:
            raise ItemError("undecodable", f"A sample rate of {source_hz} Hz is no recording's; encode the file anew")
        rest = self.finish()
        self.source_hz = source_hz
        same = source_hz == self.target_hz
        self._stream = None if same else soxr.ResampleStream(source_hz, self.target_hz, 1, "float32", "HQ")
        return rest

    def push(self, block: Samples) -> Samples:
        """Resample a block."""
        return block.copy() if self._stream is None else np.asarray(self._stream.resample_chunk(block))

    def finish(self) -> Samples:
        """What the filter still holds."""
        nothing = np.empty(0, np.float32)
        return nothing if self._stream is None else np.asarray(self._stream.resample_chunk(nothing, last=True))


def mono(frame: Any) -> Samples:
    """The mean of a frame's channels, shape (samples,), full scale 1."""
    channels = list(_channels(frame))
    total = channels[0].astype(np.float32)
    for channel in channels[1:]:
        np.add(total, channel, out=total, casting="same_kind")
    if channels[0].dtype == np.uint8:
        total -= np.float32(128 * len(channels))
    return np.multiply(total, np.float32(full_scale(frame) / len(channels)), out=total)


def _channels(frame: Any) -> Iterable[NDArray[Any]]:
    """The samples of each channel, in the frame's own scale."""
    if frame.format.name == "fltp":  # AAC, Opus, Vorbis and MP3 decode to it: spared a copy
        return (np.frombuffer(plane, np.float32, frame.samples) for plane in frame.planes)
    values: NDArray[Any] = frame.to_ndarray()
    return values if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels).T


def full_scale(frame: Any) -> float:
    """The factor that makes the largest sample of this format 1."""
    return 1.0 if frame.format.name.startswith(("flt", "dbl")) else 2.0 ** (1 - frame.format.bits)
