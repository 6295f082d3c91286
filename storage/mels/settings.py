"""The parameters of a mel-spectrogram, as shards carry them, and the decibels that stored values stand for.

They stand in every shard's metadata: a shard whose numbers would mean something else is refused, not read.
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

SETTINGS_KEY = b"needledrop.mel_settings"


def _fixed(value: Any) -> Any:
    """A parameter that stands in the metadata but that nobody chooses."""
    return field(default=value, init=False)


@dataclass(frozen=True)
class MelSettings:
    """How samples become a mel-spectrogram: the paper's numbers with librosa's definitions.

    `encoding` "uint8" keeps 255 steps over the `span_db` below each segment's own maximum (at most
    0.157 dB off); "float16" keeps the decibels themselves at twice the bytes.
    `short_tracks` says what becomes of a track shorter than one segment: "pad" with silence, or
    "refuse". The last partial segment of a longer track is always dropped: it holds under 9.92 s of
    music whose neighbours are kept, and padding it would teach the model silence.
    """

    encoding: Literal["uint8", "float16"] = "uint8"
    short_tracks: Literal["pad", "refuse"] = "pad"
    sample_rate_hz: int = _fixed(22_050)
    segment_samples: int = _fixed(218_736)
    n_fft: int = _fixed(1024)
    hop_samples: int = _fixed(220)
    mel_bands: int = _fixed(128)
    lowest_hz: float = _fixed(0.0)
    highest_hz: float = _fixed(11_025.0)
    mel_scale: str = _fixed("slaney")
    mel_norm: str = _fixed("slaney")
    window: str = _fixed("hann")
    pad_mode: str = _fixed("reflect")
    power_floor: float = _fixed(1e-10)
    span_db: float = _fixed(80.0)

    def __post_init__(self) -> None:
        """Refuse an encoding or a policy that no writer knows."""
        if self.encoding not in ("uint8", "float16"):
            raise InputError(f"Mel encoding {self.encoding!r} is unknown; use uint8 or float16")
        if self.short_tracks not in ("pad", "refuse"):
            raise InputError(f"Short-track policy {self.short_tracks!r} is unknown; use pad or refuse")

    @property
    def shape(self) -> tuple[int, int]:
        """Mel bands by frames of one segment: (128, 995)."""
        return self.mel_bands, 1 + self.segment_samples // self.hop_samples

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of one stored value."""
        return np.dtype(self.encoding)

    @property
    def segment_bytes(self) -> int:
        """The stored bytes of one segment's mel-spectrogram."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    @property
    def segment_seconds(self) -> float:
        """The length of one segment in seconds."""
        return self.segment_samples / self.sample_rate_hz

    def to_json(self) -> bytes:
        """The parameters as they stand in a shard's metadata."""
        return json.dumps(asdict(self), sort_keys=True).encode()


def decibels(stored: NDArray[Any], ref_db: NDArray[np.float32], settings: MelSettings) -> NDArray[np.float32]:
    """Stored values of shape (n, bands, frames) as float32 decibels relative to full scale power 1.

    `ref_db` is each segment's maximum, shape (n,). Training does the same on its own device.
    """
    values = stored.astype(np.float32)
    if settings.encoding == "float16":
        return values
    values *= np.float32(settings.span_db / 255)
    values += (ref_db.astype(np.float32) - np.float32(settings.span_db))[:, None, None]
    return values


def settings_in(lake: Lake, shard: str) -> MelSettings:
    """What a shard of the lake says of its mels, encoding included. Raises `LakeError` when it cannot be read."""
    try:
        metadata = pq.read_metadata(lake.local_path(shard)).metadata or {}
    except FileNotFoundError as error:
        raise LakeError(f"{shard} is not in the lake; collect soundtracks again") from error
    except (pa.ArrowException, OSError) as error:
        raise LakeError(f"{shard} is damaged ({error}); delete it and collect soundtracks again") from error
    return settings_of(shard, metadata)


def settings_of(shard: str, metadata: dict[bytes, bytes]) -> MelSettings:
    """Our parameters in a shard's encoding; raises `LakeError` when it does not say any that we know."""
    try:
        written = json.loads(metadata[SETTINGS_KEY])
        return MelSettings(encoding=written["encoding"], short_tracks=written["short_tracks"])
    except (KeyError, ValueError, InputError) as error:
        raise LakeError(f"{shard} does not say its mel parameters ({error}); delete it and extract it again") from error


def check_settings(shard: str, metadata: dict[bytes, bytes], settings: MelSettings) -> None:
    """Raise `LakeError` for a shard whose values could not stand in one batch with ours."""
    settings_of(shard, metadata)
    written, ours = json.loads(metadata[SETTINGS_KEY]), asdict(settings)
    foreign = [name for name in ours if name != "short_tracks" and written.get(name) != ours[name]]
    if foreign:
        said = ", ".join(f"{name}={written.get(name)!r}" for name in foreign)
        raise LakeError(f"{shard} was written with {said}; ask for the same, or delete it and extract it again")
