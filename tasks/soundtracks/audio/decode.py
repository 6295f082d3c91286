"""Decode any recording to mono samples at one sample rate, block by block, in bounded memory.

PyAV decodes, the channels are averaged, soxr HQ resamples: the result of `librosa.load` at half its cost. FFmpeg's
own mixer and resampler are not used, because they add 3 dB and alias.

Headers are not trusted, since any of them may be wrong: rate, layout and sample format are read from every frame, the
length is counted, and a packet that does not decode is skipped, as the `ffmpeg` program does. A file that cannot be
decoded raises `ItemError` with a reason.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import soxr
from av.error import FFmpegError
from numpy.typing import NDArray

from storage.errors import ItemError, Retry

Samples = NDArray[np.float32]
Write = Callable[[Samples], None]

BLOCK_SAMPLES = 1 << 15
"""About 1.5 s at 44.1 kHz: 256 KiB stays in the second-level cache between mixing and resampling."""
MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 1_536_000
"""A lower rate holds no music and makes the resampling factor explode; no recorder has a higher one."""
MAX_RECORDING_SECONDS = 4 * 3600.0
"""No soundtrack recording is longer; a longer file is a loop, a stream or corrupt."""
MAX_CPU_SECONDS = 50.0
"""CPU time per recording. Four hours of Opus take half of it on one core of 2024."""
MAX_WALL_SECONDS = 300.0
"""Wall time per recording: enough for a valid file on a machine that is overloaded six times."""
PACKETS_PER_TIME_CHECK = 64
"""About 1.5 s of music: reading the CPU time at every packet cost 3 % of the total."""
OPEN_OPTIONS = {"protocol_whitelist": "file"}
"""A playlist with the suffix of an audio file must not make FFmpeg fetch the URLs in it."""
PLAYLISTS = frozenset({"hls", "concat", "dash", "imf", "sdp", "rtsp"})
"""Formats that refer to other files instead of holding audio."""
DECODER_ERRORS = (FFmpegError, OSError, ValueError, LookupError, ArithmeticError, RuntimeError)
"""Raised by PyAV and soxr for broken input; UnicodeDecodeError for metadata is a ValueError."""
SAMPLE = np.dtype("<i2")
"""Decoded audio is mono, without a header: 5.8 MB a minute at 48 kHz; what exceeds full scale is clipped."""


def length_tolerance_seconds(stated_seconds: float) -> float:
    """Return by how much a recording's decoded length may differ from the length that its source states.

    2 s or 3 %, whichever is more: sources round, and encoders trim.
    """
    return max(2.0, 0.03 * stated_seconds)


class AudioFile:
    """One recording on disk. Iterate over `blocks` once; the other attributes are complete afterwards.

    `max_cpu_seconds` and `max_wall_seconds` limit the decoding. `on_frame` receives every decoded frame, with all of
    its channels, before it is mixed down. `copies` maps other sample rates to functions that receive the same sound at
    that rate, block by block: it is decoded once.
    """

    def __init__(
        self,
        path: str,
        sample_rate_hz: int,
        max_cpu_seconds: float = MAX_CPU_SECONDS,
        max_wall_seconds: float = MAX_WALL_SECONDS,
        on_frame: Callable[[Any], None] = lambda _frame: None,
        copies: Mapping[int, Write] | None = None,
    ) -> None:
        self.path = path
        self.on_frame = on_frame
        self.sample_rate_hz = sample_rate_hz
        self.max_cpu_seconds = max_cpu_seconds
        self.max_wall_seconds = max_wall_seconds
        self.copies = copies or {}
        self.codec = ""
        self.source_rate_hz = 0
        self.decoded_seconds = 0.0
        self.packets = 0
        self.broken_packets = 0

    def blocks(self) -> Iterator[Samples]:
        """Yield mono float32 samples at `sample_rate_hz`, full scale 1, in blocks of any length.

        Raises `ItemError`: missing_file, not_audio, no_audio, undecodable, too_long, timeout.
        """
        path = Path(self.path)
        if not path.is_file():
            raise ItemError("missing_file", f"There is no file {path.name}; correct the music list", Retry.LATER)
        if not path.stat().st_size:
            raise ItemError("not_audio", f"{path.name} is empty; replace it by the recording")
        try:
            yield from self._decoded_blocks()
        except DECODER_ERRORS as error:
            reason = "undecodable" if self.packets else "not_audio"
            detail = getattr(error, "strerror", None) or str(error)  # without FFmpeg's number of the error
            raise ItemError(reason, f"{path.name} cannot be decoded: {detail}") from error
        except MemoryError as error:
            raise ItemError("too_large", f"{path.name} needs more memory than a recording may have") from error
        if not self.decoded_seconds:
            raise ItemError("undecodable", f"{path.name} has an audio stream, but no sample of it decodes")

    def _decoded_blocks(self) -> Iterator[Samples]:
        """Yield the best audio stream, or the next one if no sample of it decodes. Opens the file for each stream."""
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
        """Return the audio streams, the one that FFmpeg would play first."""
        best = container.streams.best("audio")
        if container.format.name in PLAYLISTS or best is None:
            raise ItemError("no_audio", f"{Path(self.path).name} holds no audio stream")
        return [best, *(stream for stream in container.streams.audio if stream.index != best.index)]

    def _stream_blocks(self, container: Any, stream: Any, check_time: Callable[[], None]) -> Iterator[Samples]:
        if stream.codec_context is None:
            raise ItemError("undecodable", f"{Path(self.path).name} is of a codec that cannot be decoded here")
        self.codec = stream.codec_context.name
        stream.codec_context.thread_count = 1
        resampler, mix = _Resampler(self.sample_rate_hz, self.copies), _Downmix()
        for frame in self._frames(container, stream, check_time):
            if not mix.fits(frame):
                yield self._resampled(resampler, mix)
                if frame.sample_rate != resampler.source_hz:
                    yield resampler.switch_rate(frame.sample_rate)
                mix.start(frame)
            self.on_frame(frame)
            mix.add(frame)
        yield self._resampled(resampler, mix)
        yield resampler.finish()

    def _resampled(self, resampler: _Resampler, mix: _Downmix) -> Samples:
        """Return the samples of the mix, resampled, and add them to the decoded length."""
        block = mix.drain()
        if len(block):
            self.source_rate_hz = self.source_rate_hz or resampler.source_hz
            self.decoded_seconds += len(block) / resampler.source_hz
        if self.decoded_seconds > MAX_RECORDING_SECONDS:
            raise ItemError("too_long", f"{Path(self.path).name} is longer than {MAX_RECORDING_SECONDS / 3600:.0f} h")
        return resampler.push(block)

    def _frames(self, container: Any, stream: Any, check_time: Callable[[], None]) -> Iterator[Any]:
        """Yield every frame that decodes. Broken packets are skipped; raises `ItemError` if most are broken."""
        packets_before, broken_before = self.packets, self.broken_packets
        for packet in container.demux(stream):
            if self.packets % PACKETS_PER_TIME_CHECK == 0:
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
        """Return a function that raises `ItemError` once the CPU or wall time of the recording is used up."""
        cpu_start, deadline = time.thread_time(), time.monotonic() + self.max_wall_seconds

        def check() -> None:
            if time.thread_time() - cpu_start > self.max_cpu_seconds or time.monotonic() > deadline:
                limits = f"{self.max_cpu_seconds:.0f} s of CPU time or {self.max_wall_seconds:.0f} s of wall time"
                raise ItemError("timeout", f"{Path(self.path).name} was not decoded in {limits}", Retry.LATER)

        return check


class _Downmix:
    """Frames of one rate, layout and format, buffered until there are enough to mix down in one call.

    A codec's frame lasts 23 ms: NumPy's overhead per frame would cost more than the mixing.
    """

    def __init__(self) -> None:
        self._fifo = av.AudioFifo()
        self._buffered_samples = 0
        self._format: tuple[int, int, str] | None = None

    def fits(self, frame: Any) -> bool:
        """Return whether this frame has the format of the buffered ones and fits into the block."""
        is_same_format = _frame_format(frame) == self._format
        return is_same_format and self._buffered_samples + frame.samples <= BLOCK_SAMPLES

    def start(self, frame: Any) -> None:
        """Start a block with the format of this frame; the buffer must be drained."""
        frame_format = _frame_format(frame)
        if frame_format != self._format:
            self._fifo, self._format = av.AudioFifo(), frame_format

    def add(self, frame: Any) -> None:
        """Append a frame. Its time stamp is dropped: the FIFO refuses gaps, and only samples count here."""
        frame.pts = None
        self._fifo.write(frame)
        self._buffered_samples += frame.samples

    def drain(self) -> Samples:
        """Return the buffered samples as mono, full scale 1, and empty the buffer."""
        frame, self._buffered_samples = self._fifo.read(), 0
        return np.empty(0, np.float32) if frame is None else mono(frame)


class _Resampler:
    """soxr HQ, librosa's default, over blocks; a change of sample rate ends one stream and starts another.

    `copies` are resampled next to it, each from the same source and not from another copy.
    """

    def __init__(self, target_hz: int, copies: Mapping[int, Write] | None = None) -> None:
        self.copies = [(_Resampler(rate_hz), write) for rate_hz, write in (copies or {}).items()]
        self.target_hz = target_hz
        self.source_hz = 0
        self._stream: soxr.ResampleStream | None = None

    def switch_rate(self, source_hz: int) -> Samples:
        """Accept samples of another rate from now on; return the rest of those before."""
        if not MIN_RATE_HZ <= source_hz <= MAX_RATE_HZ:
            message = (
                f"A sample rate of {source_hz} Hz is outside {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz; re-encode the file"
            )
            raise ItemError("undecodable", message)
        rest = self.finish()
        for copy, write in self.copies:
            write(copy.switch_rate(source_hz))
        self.source_hz = source_hz
        same = source_hz == self.target_hz
        self._stream = None if same else soxr.ResampleStream(source_hz, self.target_hz, 1, "float32", "HQ")
        return rest

    def push(self, block: Samples) -> Samples:
        """Resample a block."""
        for copy, write in self.copies:
            write(copy.push(block))
        return block.copy() if self._stream is None else np.asarray(self._stream.resample_chunk(block))

    def finish(self) -> Samples:
        """Return the samples that the filter still holds, and end its stream."""
        for copy, write in self.copies:
            write(copy.finish())
        nothing = np.empty(0, np.float32)
        stream, self._stream = self._stream, None
        return nothing if stream is None else np.asarray(stream.resample_chunk(nothing, last=True))


def _frame_format(frame: Any) -> tuple[int, int, str]:
    """Return a frame's sample rate, number of channels and sample format."""
    return frame.sample_rate, frame.layout.nb_channels, frame.format.name


def mono(frame: Any) -> Samples:
    """Return the mean of a frame's channels, shape (samples,), full scale 1."""
    channels = list(_channels(frame))
    total = channels[0].astype(np.float32)
    for channel in channels[1:]:
        np.add(total, channel, out=total, casting="same_kind")
    if channels[0].dtype == np.uint8:
        total -= np.float32(128 * len(channels))
    return np.multiply(total, np.float32(full_scale(frame) / len(channels)), out=total)


def _channels(frame: Any) -> Iterable[NDArray[Any]]:
    """Return the samples of each channel, in the scale of the frame's format."""
    if frame.format.name == "fltp":  # AAC, Opus, Vorbis and MP3 decode to it: no copy
        return (np.frombuffer(plane, np.float32, frame.samples) for plane in frame.planes)
    values: NDArray[Any] = frame.to_ndarray()
    return values if frame.format.is_planar else values.reshape(-1, frame.layout.nb_channels).T


def full_scale(frame: Any) -> float:
    """Return the factor that makes the largest sample of a frame's format 1."""
    return 1.0 if frame.format.name.startswith(("flt", "dbl")) else 2.0 ** (1 - frame.format.bits)


def without_folders(message: str, path: str) -> str:
    """Return an error's message with a file's name instead of its path: the lake may go to others."""
    return message.replace(str(Path(path).absolute()), Path(path).name).replace(path, Path(path).name)


def as_samples(block: Samples) -> NDArray[np.int16]:
    """Return mono samples of full scale 1 as encoders take them."""
    with np.errstate(invalid="ignore"):  # a recording with samples that are not numbers is refused
        samples: NDArray[np.int16] = np.clip(np.rint(block * np.float32(32767)), -32768, 32767).astype(SAMPLE)
    return samples
