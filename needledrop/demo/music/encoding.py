"""Encode samples to the four kinds of file that music folders hold, by PyAV."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from needledrop.demo.music.voices import Samples


@dataclass(frozen=True)
class Format:
    """One kind of music file. Bit rates are low: the sample corpus shall be small and quickly made."""

    suffix: str
    codec: str
    rate_hz: int
    layout: str
    bit_rate: int
    options: tuple[tuple[str, str], ...] = ()


OPUS = Format(".opus", "libopus", 48_000, "stereo", 20_000, (("compression_level", "0"), ("application", "lowdelay")))
M4A = Format(".m4a", "aac", 44_100, "stereo", 24_000, (("aac_coder", "fast"),))
MP3 = Format(".mp3", "libmp3lame", 44_100, "mono", 32_000, (("compression_level", "9"),))
OGG = Format(".ogg", "vorbis", 44_100, "stereo", 0, (("strict", "-2"), ("global_quality", "10"), ("flags", "+qscale")))
"""FFmpeg's own Vorbis encoder, the one PyAV's wheels bring, calls itself experimental: hence `strict`."""

ROTATION = (OPUS, M4A, OPUS, M4A, OPUS, MP3, OPUS, M4A, OPUS, M4A, OPUS, OGG)
"""Which format the next track takes: the quick encoders more often."""


def encode(path: Path, sound: Samples, form: Format, tags: Mapping[str, str]) -> None:
    """Write float samples [2, n] at the format's rate as a tagged music file."""
    pcm = np.asarray(np.round(sound * 32767.0), np.int16)
    if form.layout == "mono":
        pcm = np.asarray(pcm.mean(axis=0, keepdims=True), np.int16)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(pcm.T).reshape(1, -1), format="s16", layout=form.layout)
    frame.sample_rate = form.rate_hz
    # Without a clock on the frame, Vorbis files state a sixteenth of their length.
    frame.pts, frame.time_base = 0, Fraction(1, form.rate_hz)
    # bitexact: no random stream numbers and no library version in the file.
    with av.open(str(path), "w", format=_container(form), options={"fflags": "+bitexact"}) as container:
        container.metadata.update(tags)
        track = container.add_stream(form.codec, rate=form.rate_hz, layout=form.layout, options=dict(form.options))
        if form.bit_rate:
            track.bit_rate = form.bit_rate
        container.mux(track.encode(frame))
        container.mux(track.encode(None))


def _container(form: Format) -> str:
    return {".opus": "opus", ".m4a": "ipod", ".mp3": "mp3", ".ogg": "ogg"}[form.suffix]
