"""What a command searches libraries with: a trained run or an audio encoder, and the recordings it is given to hear."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storage.errors import InputError, ItemError
from storage.lake.lake import Lake
from storage.libraries.embeddings import indexed_encoder
from storage.libraries.library import Library

if TYPE_CHECKING:
    from training.loop.devices import Machine
    from training.retrieval.blended_query import Vector
    from training.retrieval.choose_run import SearchedRun
    from training.retrieval.search_engine import Music, SearchEngine
    from training.systems import Parts


@dataclass(frozen=True)
class Named:
    """The run or the audio encoder to search with; at most one of them."""

    run: str | None
    encoder: str | None


def check_named(named: Named, *, dataset: bool = False) -> None:
    """Raise `InputError` for options that exclude each other."""
    if named.encoder and named.run:
        raise InputError("--run and --encoder each rank the tracks; give one of them")
    if named.encoder and dataset:
        raise InputError("--dataset needs a trained run; leave out --encoder, or search libraries alone")


def choose_engine(lake: Lake, libraries: Sequence[Library], given: Parts, named: Named) -> Named:
    """Return the encoder that was named, else the run, else the best run that has indexed the libraries.

    Nothing is loaded: it takes seconds to load torch, and what cannot be searched is refused before that. Raises
    `InputError` for a run or an encoder that has not indexed the libraries.
    """
    from training.retrieval.choose_run import choose_indexed_run

    if named.encoder:
        indexed_encoder(libraries, named.encoder)
        return named
    return Named(choose_indexed_run(lake, libraries, given, named.run), None)


def check_references(libraries: Sequence[Library], names: Sequence[str]) -> None:
    """Raise `InputError` for a name that is neither a file nor in a library, before anything is loaded."""
    for name in names:
        if not Path(name).expanduser().is_file() and not any(library.holds(name) for library in libraries):
            raise _no_reference(libraries, name)


def _no_reference(music: Sequence[Music], name: str) -> InputError:
    names = ", ".join(one.name for one in music)
    return InputError(
        f"{name} is neither a file nor a track of {names}; give a file, the path of a file in the library, or a "
        "track_id that a search has printed"
    )


def open_engine(lake: Lake, libraries: Sequence[Library], chosen: Named, machine: Machine) -> SearchEngine:
    """Load what `choose_engine` has returned."""
    from training.retrieval.retriever import Retriever
    from training.retrieval.zero_shot import open_zero_shot

    if chosen.encoder:
        return open_zero_shot(lake, libraries, chosen.encoder, machine)
    return Retriever(lake, str(chosen.run), machine)


def engine_notes(engine: SearchEngine, tags: Sequence[str], *, has_image: bool) -> Iterator[str]:
    """Yield what to know of a query: tags that a run has not seen, a picture that an encoder leaves out."""
    from training.retrieval.choose_run import describe_run
    from training.retrieval.zero_shot import ZeroShotRetriever

    if isinstance(engine, ZeroShotRetriever):
        yield f"{engine.card.name} was not trained on films; its weights are under the licence: {engine.card.licence}"
        if has_image:
            yield f"{engine.card.name} looks at no picture, so the image was left out"
    else:
        yield from unknown_tags(describe_run(engine.lake, engine.engine), tags)


def unknown_tags(searched: SearchedRun, tags: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each tag that no film of the run's version has, with the most similar ones."""
    for tag, near in searched.unknown_tags(tags).items():
        known = f"similar ones: {', '.join(near)}" if near else "none is similar"
        yield f"No film of {searched.version} has the tag {tag!r}, so it may say little; {known}"


def reference_vector(engine: SearchEngine, music: Sequence[Music], name: str) -> Vector:
    """Return the vector of a recording that is named by a track id, by a path in a library, or by a file anywhere.

    Raises `InputError` for a name that is none of these, and for a file that cannot be listened to.
    """
    index = engine.open(music)
    known = index.row_of(name)
    if known is None:
        known = next((number for number, row in enumerate(index.rows) if row["path"] == name), None)
    if known is not None:
        return index.mean_of(known)
    path = Path(name).expanduser()
    if not path.is_file():
        raise _no_reference(music, name)
    try:
        return _heard(engine, path)
    except ItemError as error:
        raise InputError(f"{path} cannot be listened to: {error}") from error


def _heard(engine: SearchEngine, path: Path) -> Vector:
    from tasks.libraries.reference import reference_mels, reference_samples
    from training.retrieval.retriever import Retriever
    from training.retrieval.zero_shot import ZeroShotRetriever

    if isinstance(engine, ZeroShotRetriever):
        return engine.embed_sound(reference_samples(str(path), engine.card.sample_rate_hz)[0])
    assert isinstance(engine, Retriever)
    return engine.embed_sound(reference_mels(str(path), engine.mel_settings, path.name)[0])
