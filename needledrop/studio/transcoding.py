"""Make what a browser cannot play playable: 16-bit WAV, made while it is sent, in which a browser can seek.

The length of a track is known since it was indexed, and in a WAV a byte belongs to a moment. So a request for a range
is answered by seeking in the source and decoding from there; nothing is written to disk, and nothing is kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import av
import numpy as np

from storage.errors import ItemError
from tasks.soundtracks.audio.decode import DECODER_ERRORS, OPEN_OPTIONS, PLAYLISTS

PLAYABLE = {
    ("mp3", "mp3"): "audio/mpeg",
    ("mp3", "mp3float"): "audio/mpeg",
    ("flac", "flac"): "audio/flac",
    ("ogg", "vorbis"): "audio/ogg",
    ("ogg", "opus"): "audio/ogg",
    ("ogg", "libopus"): "audio/ogg",
    ("ogg", "libvorbis"): "audio/ogg",
    ("mov,mp4,m4a,3gp,3g2,mj2", "aac"): "audio/mp4",
    ("wav", "pcm_s16le"): "audio/wav",
    ("wav", "pcm_u8"): "audio/wav",
    ("matroska,webm", "opus"): "audio/webm",
    ("matroska,webm", "vorbis"): "audio/webm",
}
"""Container and codec, by FFmpeg's names -> the type that all current browsers play."""
PLAYABLE_BITS = 16
"""A FLAC of more is not played everywhere."""
HEADER_BYTES = 44
MOST_HZ = 48_000
MOST_BYTES = (1 << 32) - 1
BLOCK_FRAMES = 1 << 15
PREROLL_SECONDS = 0.2
"""Decoded and thrown away before a sought moment, so that a codec with memory has found its state."""


def playable_type(file: BinaryIO) -> str | None:
    """Return the media type of a file that browsers play as it is; None for others."""
    try:
        file.seek(0)
        with av.open(file, metadata_errors="ignore", options=OPEN_OPTIONS) as container:
            stream = container.streams.best("audio")
            if stream is None or stream.codec_context is None:
                return None
            codec = stream.codec_context
            is_deep = codec.name == "flac" and codec.format is not None and codec.format.bits > PLAYABLE_BITS
            is_surround = codec.layout is not None and codec.layout.nb_channels > 2
            return None if is_deep or is_surround else PLAYABLE.get((container.format.name, codec.name))
    except DECODER_ERRORS:
        return None


@dataclass(frozen=True)
class Wave:
    """A file as a 16-bit WAV of known length."""

    file: BinaryIO
    rate_hz: int
    channels: int
    frames: int

    @property
    def frame_bytes(self) -> int:
        """Return the bytes of one moment: a sample per channel."""
        return 2 * self.channels

    @property
    def size(self) -> int:
        """Return the bytes of the whole WAV."""
        return HEADER_BYTES + self.frames * self.frame_bytes

    @property
    def header(self) -> bytes:
        """Return the 44 bytes before the samples."""
        data = self.frames * self.frame_bytes
        kind = struct.pack(
            "<HHIIHH", 1, self.channels, self.rate_hz, self.rate_hz * self.frame_bytes, self.frame_bytes, 16
        )
        return (
            b"RIFF"
            + struct.pack("<I", 36 + data)
            + b"WAVEfmt "
            + struct.pack("<I", 16)
            + kind
            + b"data"
            + struct.pack("<I", data)
        )

    def read(self, first: int, last: int) -> Iterator[bytes]:
        """Yield the bytes from `first` up to `last`; where the source ends early, silence fills the rest."""
        if first < HEADER_BYTES:
            yield self.header[first:last]
        start = max(first - HEADER_BYTES, 0)
        left = max(last - HEADER_BYTES, 0) - start
        skipped = start % self.frame_bytes
        for block in self._samples(start // self.frame_bytes) if left > 0 else ():
            piece = block[skipped : skipped + left]
            skipped, left = max(skipped - len(block), 0), left - len(piece)
            yield piece
            if left <= 0:
                return
        while left > 0:
            piece = bytes(min(left, 1 << 16))
            left -= len(piece)
            yield piece

    def _samples(self, frame: int) -> Iterator[bytes]:
        """Yield interleaved 16-bit samples from a frame on; a packet that does not decode is skipped."""
        self.file.seek(0)
        with av.open(self.file, metadata_errors="ignore", options=OPEN_OPTIONS) as container:
            stream = container.streams.best("audio")
            stream.codec_context.thread_count = 1
            begin = frame / self.rate_hz
            self._seek(container, stream, begin)
            resampler = av.AudioResampler("s16", "mono" if self.channels == 1 else "stereo", self.rate_hz, BLOCK_FRAMES)
            skipped: int | None = None
            for decoded in _frames(container, stream):
                if skipped is None:
                    at = 0.0 if decoded.pts is None else float(decoded.pts * decoded.time_base) - _start(stream)
                    skipped = max(0, frame - round(at * self.rate_hz))
                decoded.pts = None
                for made in resampler.resample(decoded):
                    block = _interleaved(made)
                    count = min(skipped, made.samples)
                    skipped -= count
                    if count < made.samples:
                        yield block[count * self.frame_bytes :]
            for made in resampler.resample(None):
                yield _interleaved(made)[(skipped or 0) * self.frame_bytes :]

    def _seek(self, container: Any, stream: Any, begin: float) -> None:
        """Move to shortly before a moment; a source that cannot be sought in is decoded from its beginning."""
        if begin <= PREROLL_SECONDS or stream.time_base is None:
            return
        target = int(Fraction(begin - PREROLL_SECONDS + _start(stream)) / stream.time_base)
        try:
            container.seek(target, stream=stream, backward=True)
        except DECODER_ERRORS:
            container.seek(0)


def as_wave(file: BinaryIO, seconds: float) -> Wave:
    """Return a file as a WAV of so many seconds. Raises `ItemError` for one that holds no audio, or too much."""
    try:
        file.seek(0)
        with av.open(file, metadata_errors="ignore", options=OPEN_OPTIONS) as container:
            stream = container.streams.best("audio")
            if container.format.name in PLAYLISTS or stream is None or stream.codec_context is None:
                raise ItemError("no_audio", "it holds no audio that can be decoded here")
            source_hz = stream.codec_context.sample_rate or MOST_HZ
            channels = (
                1 if stream.codec_context.layout is not None and stream.codec_context.layout.nb_channels == 1 else 2
            )
    except DECODER_ERRORS as error:
        raise ItemError("undecodable", f"it cannot be decoded ({error})") from error
    rate_hz = source_hz if 8_000 <= source_hz <= MOST_HZ else MOST_HZ
    wave = Wave(file, rate_hz, channels, round(seconds * rate_hz))
    if wave.size > MOST_BYTES:
        raise ItemError("too_long", "it is longer than a WAV may be")
    return wave


def _frames(container: Any, stream: Any) -> Iterator[Any]:
    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except DECODER_ERRORS:
            continue


def _start(stream: Any) -> float:
    """Return the time stamp of a stream's first sample, in seconds."""
    return 0.0 if stream.start_time is None else float(stream.start_time * stream.time_base)


def _interleaved(frame: Any) -> bytes:
    samples: np.ndarray[Any, np.dtype[np.int16]] = frame.to_ndarray()
    return samples.astype("<i2").tobytes()
