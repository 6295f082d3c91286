"""The licence of a pretrained model's weights, as its card states it, and whether it forbids commercial use."""

from __future__ import annotations

import json
import re
from pathlib import Path

import yaml

from storage.audio_embeddings.cards import EncoderCard

UNKNOWN_LICENCE = "unknown"
_NON_COMMERCIAL = re.compile(r"(^|[^a-z])(nc|non-?commercial)([^a-z]|$)")


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
