"""The cards of audio encoders, `audio_embeddings/ENCODER/encoder.json`: name, form, origin and licence.

A card is committed before the first embeddings. It states which weights made the files next to it, and under which
licence: files of other weights never join them.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from storage.errors import InputError, LakeError
from storage.lake.lake import Lake

FOLDER = "audio_embeddings"
CARD = "encoder.json"


@dataclass(frozen=True)
class EncoderCard:
    """What is known of an encoder: its name, its form, and the origin and licence of its weights."""

    name: str
    """Hub name, or the name of the folder of weights: never its path, as a lake may go to others."""
    model_type: str
    sample_rate_hz: int
    window_seconds: float | None
    """The longest sound that it hears at once; None: any length."""
    dimensions: int
    has_text: bool
    """Whether it embeds texts into the same space."""
    weights_sha256: str
    """Of the weights and of the settings that say how sound becomes their input."""
    revision: str | None
    licence: str
    """As the model card states it, or "unknown"."""

    @property
    def folder(self) -> str:
        """Return the encoder's part of the path of its files."""
        return encoder_folder(self.name)


def encoder_folder(name: str) -> str:
    """Return a model's name as one safe part of a path: laion/larger_clap_music → laion--larger_clap_music.

    A name that needs more changes than that gets a digest, so that two names never share a folder.
    """
    joined = name.replace("/", "--")
    safe = re.sub(r"[^A-Za-z0-9._=-]", "-", joined)[:100].lstrip("-._=")
    if safe == joined:
        return safe
    return f"{safe or 'encoder'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def list_encoders(lake: Lake) -> list[str]:
    """Return the folders of the encoders that have embeddings in the lake."""
    return [path.split("/")[1] for path in lake.list(FOLDER, suffix=f"/{CARD}") if path.count("/") == 2]


def stored_encoder(lake: Lake, name: str) -> str:
    """Return the folder of the lake's embeddings by an encoder: by that folder's name, a hub name, or a path.

    Raises `InputError`, which names the encoders that there are.
    """
    known = list_encoders(lake)
    names = [name, encoder_folder(name), encoder_folder(Path(name).expanduser().resolve().name)]
    for folder in names:
        if folder in known:
            return folder
    raise InputError(
        f"The lake has no audio embeddings by {name!r}; it has {', '.join(known) or 'none'}: collect with "
        "--audio-encoder, or embed your own files with `needledrop soundtracks --encode`"
    )


def read_card(lake: Lake, encoder: str) -> EncoderCard:
    """Return the card of an encoder's folder; raises `LakeError` when it is absent or damaged."""
    return read_card_in(lake, f"{FOLDER}/{encoder}")


def read_card_in(lake: Lake, folder: str) -> EncoderCard:
    """Return the card in a folder of the lake; raises `LakeError` when it is absent or damaged."""
    content = lake.read_bytes(folder, CARD)
    try:
        return EncoderCard(**json.loads(content))
    except (ValueError, TypeError) as error:
        raise LakeError(f"{folder}/{CARD} is damaged ({error}); restore it from a copy") from error


def register(lake: Lake, card: EncoderCard, folder: str | None = None) -> None:
    """Commit an encoder's card before its first embeddings, which are in `folder`, or else the encoder's own one.

    Raises `InputError` when the lake has embeddings of that name by other weights.
    """
    folder = folder or f"{FOLDER}/{card.folder}"
    if not lake.exists(folder, CARD):
        lake.write_json(asdict(card), folder, CARD)
        return
    known = read_card_in(lake, folder)
    if known.weights_sha256 != card.weights_sha256:
        raise InputError(
            f"The embeddings in {folder} were made with other weights of {card.name} "
            f"({known.weights_sha256[:12]}, now {card.weights_sha256[:12]}); give those weights"
            f"{f' (revision {known.revision})' if known.revision else ''}, or the new ones in a folder of another name"
        )
