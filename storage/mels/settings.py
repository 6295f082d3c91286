"""The parameters of a mel-spectrogram, as the metadata of every shard states them.

A shard whose stored values would mean something else is refused, not read. Training copies segments of many shards
into one batch, so all shards of a lake have one encoding and one mel scale.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from storage.mels.shard_format import list_shards, verify_checksums

Encoding = Literal["uint8", "float16"]
ShortTracks = Literal["pad", "refuse"]
MelScale = Literal["slaney", "htk"]
SHARDS_TRIED = 5
"""Shards read for the settings of a lake: one is enough unless the first ones are damaged."""

SETTINGS_KEY = b"needledrop.mel_settings"


def _fixed(value: Any) -> Any:
    """Declare a parameter that is written to the metadata but cannot be chosen."""
    return field(default=value, init=False)


@dataclass(frozen=True)
class MelSettings:
    """How samples become a mel-spectrogram: the paper's numbers with librosa's definitions, or torchaudio's.

    `encoding` "uint8" stores 255 steps over the `span_db` below each segment's own maximum (at most
    0.157 dB off); "float16" stores the decibels themselves at twice the bytes.
    `short_tracks` states what happens to a track shorter than one segment: "refuse" it, or "pad" it with
    silence. The last partial segment of a longer track is always dropped: it holds under 9.92 s of
    music whose neighbours are stored, and padding it would teach the model silence.
    `mel_scale` "slaney" has filters of unit area, as librosa by default; "htk" has filters of unit height, as
    torchaudio by default and the paper's released code, for parity with it.
    """

    encoding: Encoding = "uint8"
    short_tracks: ShortTracks = "refuse"
    mel_scale: MelScale = "slaney"
    sample_rate_hz: int = _fixed(22_050)
    segment_samples: int = _fixed(218_736)
    n_fft: int = _fixed(1024)
    hop_samples: int = _fixed(220)
    mel_bands: int = _fixed(128)
    lowest_hz: float = _fixed(0.0)
    highest_hz: float = _fixed(11_025.0)
    mel_norm: str = field(init=False)
    window: str = _fixed("hann")
    pad_mode: str = _fixed("reflect")
    power_floor: float = _fixed(1e-10)
    span_db: float = _fixed(80.0)

    def __post_init__(self) -> None:
        """Set the norm that the scale has; raise `InputError` for a value that no writer knows."""
        if self.encoding not in ("uint8", "float16"):
            raise InputError(f"Mel encoding {self.encoding!r} is unknown; use uint8 or float16")
        if self.short_tracks not in ("pad", "refuse"):
            raise InputError(f"Treatment of short tracks {self.short_tracks!r} is unknown; use pad or refuse")
        if self.mel_scale not in ("slaney", "htk"):
            raise InputError(f"Mel scale {self.mel_scale!r} is unknown; use slaney or htk")
        object.__setattr__(self, "mel_norm", "slaney" if self.mel_scale == "slaney" else "none")

    @property
    def shape(self) -> tuple[int, int]:
        """Return mel bands by frames of one segment: (128, 995)."""
        return self.mel_bands, 1 + self.segment_samples // self.hop_samples

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the type of one stored value."""
        return np.dtype(self.encoding)

    @property
    def segment_bytes(self) -> int:
        """Return the stored bytes of one segment's mel-spectrogram."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    @property
    def segment_seconds(self) -> float:
        """Return the length of one segment in seconds."""
        return self.segment_samples / self.sample_rate_hz

    def to_json(self) -> bytes:
        """Return the parameters as JSON, as a shard's metadata holds them."""
        return json.dumps(asdict(self), sort_keys=True).encode()


def decibels(stored: NDArray[Any], ref_db: NDArray[np.float32], settings: MelSettings) -> NDArray[np.float32]:
    """Convert stored values to float32 decibels relative to a full-scale power of 1, shape (n, bands, frames).

    `ref_db` is each segment's maximum, shape (n,). Training does the same on its device.
    """
    values = stored.astype(np.float32)
    if settings.encoding == "float16":
        return values
    values *= np.float32(settings.span_db / 255)
    values += (ref_db.astype(np.float32) - np.float32(settings.span_db))[:, None, None]
    return values


def read_settings(lake: Lake, shard: str) -> MelSettings:
    """Read the mel parameters of a shard, its encoding included. Raises `LakeError` when it cannot be read."""
    try:
        metadata = pq.read_metadata(lake.local_path(shard)).metadata or {}
    except FileNotFoundError as error:
        raise LakeError(f"{shard} is not in the lake; collect soundtracks again") from error
    except (pa.ArrowException, OSError) as error:
        raise LakeError(f"{shard} is damaged ({error}); delete it and collect soundtracks again") from error
    return parse_settings(shard, metadata)


def lake_settings(lake: Lake) -> MelSettings | None:
    """Return the mel parameters of a lake's shards; None when it has no shard that can be read."""
    for shard in list_shards(lake)[:SHARDS_TRIED]:
        try:
            with lake.local_path(shard).open("rb") as file:
                verify_checksums(file, shard)
                return parse_settings(shard, pq.read_metadata(file).metadata or {})
        except (LakeError, OSError, pa.ArrowException):
            continue  # `needledrop verify` reports it
    return None


def parse_settings(shard: str, metadata: dict[bytes, bytes]) -> MelSettings:
    """Parse the mel parameters in a shard's metadata; raises `LakeError` when they are absent or unknown."""
    try:
        written = json.loads(metadata[SETTINGS_KEY])
        return MelSettings(written["encoding"], written["short_tracks"], written["mel_scale"])
    except (KeyError, ValueError, InputError) as error:
        raise LakeError(
            f"{shard} does not state its mel parameters ({error}); delete it and extract it again"
        ) from error


def check_settings(shard: str, metadata: dict[bytes, bytes], settings: MelSettings) -> None:
    """Raise `LakeError` for a shard whose values could not be in one batch with ours."""
    parse_settings(shard, metadata)
    written, ours = json.loads(metadata[SETTINGS_KEY]), asdict(settings)
    different = [name for name in ours if name != "short_tracks" and written.get(name) != ours[name]]
    if different:
        values = ", ".join(f"{name}={written.get(name)!r}" for name in different)
        raise LakeError(f"{shard} was written with {values}; use the same settings, or delete it and extract it again")
