"""References: recordings that the music should, or should not, sound like, sent to the studio or chosen on its page."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from threading import Lock

from needledrop.studio.api_answers import Reference
from needledrop.studio.error_answers import Refusal
from needledrop.studio.memory import REFERENCES_KEPT, Memory, remember
from storage.errors import ItemError
from storage.mels.writer import TrackMels
from tasks.libraries.reference import reference_mels, reference_samples
from training.retrieval.blended_query import Vector
from training.retrieval.library_search import LibraryIndex
from training.retrieval.retriever import Retriever
from training.retrieval.search_engine import SearchEngine
from training.retrieval.zero_shot import ZeroShotRetriever


def add_reference(memory: Memory, engine: SearchEngine, data: bytes, searching: Lock) -> Reference:
    """Decode a recording that was sent, and keep what is heard of it. Raises `ItemError` for what is none.

    `searching` is held by who computes with a model: decoding does not wait for searches, nor they for it.
    """
    with tempfile.NamedTemporaryFile(prefix="needledrop-reference-") as file:
        file.write(data)
        file.flush()
        try:
            heard, seconds = _heard(engine, file.name, searching)
        except ItemError as error:
            sentence = str(error).replace(Path(file.name).name, "The recording")
            raise ItemError(error.reason, f"{sentence[:1].upper()}{sentence[1:]}") from error
    name = f"reference:{hashlib.sha256(data).hexdigest()[:24]}"
    remember(memory.references, name, heard, REFERENCES_KEPT)
    return Reference(reference_id=name, seconds=round(seconds, 2))


def _heard(
    engine: SearchEngine, path: str, searching: Lock
) -> tuple[tuple[TrackMels, str] | tuple[Vector, str], float]:
    """Return what is kept of a recording, and its length in seconds."""
    if isinstance(engine, ZeroShotRetriever):
        samples, seconds = reference_samples(path, engine.card.sample_rate_hz)
        with searching:
            return (engine.embed_sound(samples), engine.engine), seconds
    assert isinstance(engine, Retriever)
    mels, seconds = reference_mels(path, engine.mel_settings, "the recording")
    return (mels, engine.mel_settings.mel_scale), seconds


def reference_vector(memory: Memory, engine: SearchEngine, index: LibraryIndex, name: str) -> Vector:
    """Return what a reference sounds like to an engine: a recording that was sent, or a track of what is searched.

    Raises `Refusal` for one that is neither, and for one that was prepared for another model.
    """
    if name in memory.references:
        heard, heard_by = memory.references[name]
        if isinstance(heard, TrackMels) and isinstance(engine, Retriever):
            if heard_by == engine.mel_settings.mel_scale:
                return _sound_of(memory, engine, name, heard)
        elif not isinstance(heard, TrackMels) and heard_by == engine.engine:
            return heard
        raise Refusal(409, "The reference was prepared for another model; add it again")
    number = index.row_of(name)
    if number is None:
        raise Refusal(404, "The reference is not in what is searched; choose another track, or add its file again")
    return index.mean_of(number)


def _sound_of(memory: Memory, engine: Retriever, name: str, heard: TrackMels) -> Vector:
    key = (engine.engine, name)
    if key not in memory.sounds:
        remember(memory.sounds, key, engine.embed_sound(heard), REFERENCES_KEPT)
    return memory.sounds[key]
