"""Find an audio encoder's files on this machine or the hub: its type, the digest of its weights, and their licence.

Imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HTTPError, LocalEntryNotFoundError

from storage.audio_embeddings import EncoderCard
from storage.errors import InputError
from storage.lake.lake import Lake

JOINT = "clap"
"""The type that hears and reads into one space."""
POOLED = "audio-spectrogram-transformer"
"""The type that returns one vector for a window."""
FRAMES = ("wav2vec2", "hubert", "wavlm", "data2vec-audio", "unispeech-sat")
"""The types that return a vector per frame of the waveform; their mean is the embedding."""
TYPES = (JOINT, POOLED, *FRAMES)
TYPE_NAMES = "CLAP, AST, Wav2Vec2, HuBERT, WavLM, Data2Vec or UniSpeech-SAT"
CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
HUB_SECONDS = 5.0
"""Timeout of a request to the hub; without an answer, only cached files are used."""
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_WANTED = ["*.json", "*.txt", "*.safetensors", "README.md"]
_NOTES = "encoders"
"""The folder of this machine's cache with the paths of models."""
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt")
UNKNOWN_LICENCE = "unknown"
_NON_COMMERCIAL = re.compile(r"(^|[^a-z])(nc|non-?commercial)([^a-z]|$)")


@dataclass(frozen=True)
class EncoderFiles:
    """The files of a model, and what they say of it without being loaded."""

    name: str
    folder: Path
    model_type: str
    weights_sha256: str
    revision: str | None
    licence: str


def find_encoder(name: str) -> EncoderFiles:
    """Find the model of this folder or hub name.

    Raises `InputError` for what holds no model, brings its own code, has only pickled weights or is of another type.
    """
    is_folder = Path(name).expanduser().is_dir()
    folder = Path(name).expanduser().resolve() if is_folder else _snapshot(name)
    model_type = _checked_type(name, folder)
    revision = None if is_folder else folder.name  # a snapshot's folder is named after its commit
    shown = folder.name if is_folder else name
    return EncoderFiles(shown, folder, model_type, _digest(folder), revision, licence_of(folder))


def check_encoder(name: str, flag: str = "--audio-encoder") -> None:
    """Raise `InputError` for a folder that cannot be an encoder, without loading it; a name on the hub is not asked."""
    folder = Path(name).expanduser()
    if folder.is_dir():
        _checked_type(name, folder)
    elif not _HUB_NAME.fullmatch(name):
        raise InputError(f"There is no folder {name}; correct {flag}")


def remember_model(lake: Lake, card: EncoderCard, name: str) -> None:
    """Note on this machine, not in the lake, under which name or path a model was given."""
    note = _note(lake, card)
    note.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(name).expanduser()
    note.write_text(str(folder.resolve()) if folder.is_dir() else name)


def _note(lake: Lake, card: EncoderCard) -> Path:
    """Return the file of this machine with a model's name or path; other weights of the same name have their own."""
    return lake.cached(_NOTES) / f"{card.folder}-{card.weights_sha256[:8]}"


def known_model(lake: Lake, card: EncoderCard) -> str | None:
    """Return the name or path of an encoder's model if this machine has it, without asking the hub."""
    try:
        given = _note(lake, card).read_text()
    except OSError:
        given = card.name
    if Path(given).is_dir():
        return given
    try:
        snapshot_download(given, allow_patterns=_WANTED, local_files_only=True)
    except (OSError, ValueError):
        return None
    return given


def _snapshot(name: str) -> Path:
    """Return the folder of a model of the hub: the copy on this machine if there is one, which never changes."""
    options: dict[str, Any] = {"allow_patterns": _WANTED, "etag_timeout": HUB_SECONDS}
    try:
        return Path(snapshot_download(name, local_files_only=True, **options))
    except LocalEntryNotFoundError:
        pass  # it is not on this machine yet, so the hub is asked
    except (OSError, ValueError) as error:
        raise InputError(f"{name!r} is neither a folder nor a name on the hub; correct --audio-encoder") from error
    try:
        return Path(snapshot_download(name, **options))
    except (HfHubHTTPError, HTTPError, OSError, ValueError) as error:
        raise InputError(
            f"The encoder {name!r} is not on this machine, and the hub does not give it "
            f"({next(iter(str(error).splitlines()), type(error).__name__)}); correct the name, connect this machine "
            "once, or give a folder with config.json, preprocessor_config.json and model.safetensors"
        ) from error


def _checked_type(name: str, folder: Path) -> str:
    """Return the type of the model in a folder; raises `InputError` for what cannot be an encoder."""
    config = _config(name, folder)
    model_type = str(config.get("model_type", "not given"))
    if "auto_map" in config:
        raise InputError(f"The encoder {name!r} brings its own code, which is never executed; give {TYPE_NAMES}")
    if model_type not in TYPES:
        raise InputError(
            f"The encoder {name!r} is of type {model_type}, which is none of {TYPE_NAMES}; give such a model"
        )
    _check_weights(name, folder)
    return model_type


def _config(name: str, folder: Path) -> Mapping[str, Any]:
    try:
        config, _ = (_json_object(folder / file) for file in (CONFIG, PREPROCESSOR))
    except FileNotFoundError as error:
        missing = Path(str(error.filename)).name
        raise InputError(
            f"The folder {name!r} holds no audio encoder: it has no {missing}; give one with config.json, "
            "preprocessor_config.json and model.safetensors"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"The files of the encoder {name!r} cannot be read ({error}); restore them") from error
    return config


def _json_object(path: Path) -> Mapping[str, Any]:
    values = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(values, dict):
        raise ValueError(f"{path.name} has no names with values")
    return values


def _check_weights(name: str, folder: Path) -> None:
    if list(folder.glob("*.safetensors")):
        return
    pickled = sorted(path.name for pattern in _PICKLED for path in folder.glob(pattern))
    if pickled:
        raise InputError(
            f"The encoder {name!r} has only pickled weights ({pickled[0]}), which can run code when they are opened; "
            "save it again with save_pretrained, which writes model.safetensors"
        )
    raise InputError(f"The encoder {name!r} has no weights (model.safetensors); give a complete folder")


def _digest(folder: Path) -> str:
    """Return the SHA-256 of the weights, and of the files that decide what they make of sound."""
    digest = hashlib.sha256()
    for path in (folder / CONFIG, folder / PREPROCESSOR, *sorted(folder.glob("*.safetensors"))):
        digest.update(path.name.encode())
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def check_weights(loaded: EncoderCard, card: EncoderCard) -> None:
    """Raise `InputError` for other weights than those that made the embeddings of a card."""
    if loaded.weights_sha256 != card.weights_sha256:
        raise InputError(f"The weights of {card.name} are not those that made its embeddings; give those weights")


def licence_of(folder: Path) -> str:
    """Return the licence that a model card states in its YAML head, or that config.json names; else "unknown"."""
    text = _read(folder / "README.md")
    head = re.match(r"---\s*\n(.*?)\n---\s*(\n|$)", text, re.DOTALL)
    try:
        card = yaml.safe_load(head[1]) if head else {}
        card = {**json.loads(_read(folder / "config.json") or "{}"), **(card if isinstance(card, dict) else {})}
    except (yaml.YAMLError, ValueError):
        return UNKNOWN_LICENCE
    licence = card.get("license")
    if licence == "other":
        licence = card.get("license_name") or licence
    return ", ".join(map(str, licence)) if isinstance(licence, list) else str(licence or UNKNOWN_LICENCE)


def is_non_commercial(licence: str) -> bool:
    """Return whether a licence, as its short name says, forbids commercial use."""
    return _NON_COMMERCIAL.search(licence.lower()) is not None


def licence_warning(card: EncoderCard) -> str | None:
    """Return what to know of the licence of an encoder's weights before they are used; None for nothing."""
    if is_non_commercial(card.licence):
        return (
            f"The weights of {card.name} are under {card.licence}, which forbids commercial use: it covers what is "
            "made with them"
        )
    if card.licence == UNKNOWN_LICENCE:
        return f"The licence of {card.name} is not stated; read it where you got the weights"
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
