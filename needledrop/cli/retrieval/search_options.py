"""What a search is given, as typed and read: film, filters, ranking, a run or an encoder, recordings to sound like."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from storage.errors import InputError, ItemError
from storage.lake.lake import Lake
from storage.libraries.library import Library
from storage.libraries.library_embeddings import indexed_encoder

if TYPE_CHECKING:
    from training.loop.devices_and_torchrun import Machine
    from training.retrieval.choose_run import SearchedRun
    from training.retrieval.query_and_filters import Range, TrackFilter, Vector
    from training.retrieval.search_engines import Music, SearchEngine
    from training.systems import Parts

_NUMBER = r"[-−]?\d+(?:\.\d+)?"
_RANGE = re.compile(rf"\s*(?P<low>{_NUMBER})?\s*(?:\.\.|to|-|–)\s*(?P<high>{_NUMBER})?\s*")
_CLOCK = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)")


def _of_libraries(flag: str, help_text: str, **more: Any) -> Any:
    return typer.Option(flag, help=help_text, rich_help_panel="Your own libraries", **more)


Tags = Annotated[
    str | None, typer.Option("--tags", help="Tags, separated by commas: 'Tamil-language films, Horror films'.")
]
Image = Annotated[Path | None, typer.Option("--image", help="A poster or a still.")]
Libraries = Annotated[list[str], _of_libraries("--library", "Library to search. May be repeated.")]
EncoderName = Annotated[
    str | None,
    _of_libraries("--encoder", "Audio encoder to search with, in the place of a run; it has indexed the libraries."),
]
Like = Annotated[
    list[str] | None,
    _of_libraries("--like", "A recording that it should sound like: a file or a track_id. May be repeated."),
]
NotLike = Annotated[list[str] | None, _of_libraries("--not-like", "One that it should not sound like.")]
LikeWeight = Annotated[
    float, _of_libraries("--like-weight", "Share of these recordings next to the film's query.", min=0, max=1)
]
PerAlbum = Annotated[int, _of_libraries("--per-album", "Tracks of one album at most; 0: any number.", min=0)]
RankedBy = Annotated[
    str, _of_libraries("--by", "Rank tracks as a whole, or by their best moment.", metavar="[mean|best]")
]
MinDuration = Annotated[str | None, _of_libraries("--min-duration", "Shortest length, as in 90 or 1:30.")]
MaxDuration = Annotated[str | None, _of_libraries("--max-duration", "Longest length.")]
Tempo = Annotated[str | None, _of_libraries("--tempo", "Beats per minute, as in 90-120.")]
Loudness = Annotated[str | None, _of_libraries("--loudness", "Integrated loudness in LUFS, as in -23..-14.")]
Years = Annotated[str | None, _of_libraries("--year", "Release years, as in 1990-2005, or one year.")]
Licence = Annotated[str | None, _of_libraries("--licence", "A part of the licence, as in 'CC BY'.")]
Artist = Annotated[str | None, _of_libraries("--artist", "A part of the artist's name.")]


@dataclass(frozen=True)
class FilterOptions:
    """Which tracks are wanted, as typed."""

    min_duration: str | None = None
    max_duration: str | None = None
    tempo: str | None = None
    loudness: str | None = None
    year: str | None = None
    licence: str | None = None
    artist: str | None = None

    def read(self) -> TrackFilter:
        """Return the filter. Raises `InputError` for a range or a length that cannot be read."""
        from training.retrieval.query_and_filters import TrackFilter

        shortest = read_seconds("--min-duration", self.min_duration)
        longest = read_seconds("--max-duration", self.max_duration)
        if shortest is not None and longest is not None and shortest > longest:
            raise InputError(
                f"--min-duration {self.min_duration} is longer than --max-duration {self.max_duration}; exchange them"
            )
        return TrackFilter(
            seconds=(shortest, longest),
            tempo_bpm=read_range("--tempo", self.tempo, "90-120"),
            loudness_lufs=read_range("--loudness", self.loudness, "-23..-14"),
            year=read_year_range(self.year),
            licence=self.licence,
            artist=self.artist,
        )


def read_range(flag: str, text: str | None, example: str) -> Range:
    """Return the two ends of a range as typed: 90-120, 90-, ..120, -23..-14, -23 to -14.

    Raises `InputError` for anything else, and for a range whose end is below its beginning.
    """
    if text is None:
        return None, None
    match = _RANGE.fullmatch(text) if not re.fullmatch(_NUMBER, text.strip()) else None
    if match is None or not any(match.groups()):
        raise InputError(f"{flag} {text!r} is no range; write two numbers, as in {example}, or leave one end open")
    low, high = (None if end is None else float(end.replace("−", "-")) for end in (match["low"], match["high"]))
    if low is not None and high is not None and low > high:
        raise InputError(f"{flag} {text!r} ends below its beginning; write the smaller number first, as in {example}")
    return low, high


def read_year_range(text: str | None) -> Range:
    """Return the two ends of a range of years as typed; one year alone is itself. Raises `InputError`."""
    one = (text or "").strip()
    return read_range("--year", f"{one}-{one}" if re.fullmatch(r"\d{4}", one) else text, "1990-2005")


def read_seconds(flag: str, text: str | None) -> float | None:
    """Return a length typed as seconds, minutes and seconds, or hours: 90, 1:30, 1:02:03. Raises `InputError`."""
    if text is None:
        return None
    match = _CLOCK.fullmatch(text.strip())
    if match is None:
        raise InputError(f"{flag} {text!r} is no length; write seconds or minutes and seconds, as in 90 or 1:30")
    hours, minutes, seconds = match.groups()
    return 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(seconds)


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
    from training.retrieval.search_engines import Retriever, open_zero_shot

    if chosen.encoder:
        return open_zero_shot(lake, libraries, chosen.encoder, machine)
    return Retriever(lake, str(chosen.run), machine)


def engine_notes(engine: SearchEngine, tags: Sequence[str], *, has_image: bool) -> Iterator[str]:
    """Yield what to know of a query: tags that a run has not seen, a picture that an encoder leaves out."""
    from training.retrieval.choose_run import describe_run
    from training.retrieval.search_engines import ZeroShotRetriever

    if isinstance(engine, ZeroShotRetriever):
        yield f"{engine.card.name} was not trained on films; its weights are under the licence: {engine.card.licence}"
        if has_image:
            yield f"{engine.card.name} looks at no picture, so the image was left out"
    else:
        yield from about_unknown_tags(describe_run(engine.lake, engine.engine), tags)


def about_unknown_tags(searched: SearchedRun, tags: Sequence[str]) -> Iterator[str]:
    """Yield a sentence for each tag that no film of the run's version has, with the most similar ones."""
    from training.retrieval.query_and_filters import unknown_tags

    for tag, near in unknown_tags(tags, searched.tags).items():
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
    from tasks.libraries.reference_recording import reference_mels, reference_samples
    from training.retrieval.search_engines import Retriever, ZeroShotRetriever

    if isinstance(engine, ZeroShotRetriever):
        return engine.embed_sound(reference_samples(str(path), engine.card.sample_rate_hz)[0])
    assert isinstance(engine, Retriever)
    return engine.embed_sound(reference_mels(str(path), engine.mel_settings, path.name)[0])


def read_paragraphs(plot: str | None) -> tuple[str, ...]:
    """Return the paragraphs of a plot, read from a file where it begins with @."""
    text = plot or ""
    if text.startswith("@"):
        try:
            text = Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8"
            raise InputError(f"The plot {text[1:]} cannot be read ({reason}); give a text file in UTF-8") from error
    return tuple(paragraph.strip() for paragraph in re.split(r"\n\s*\n|\r?\n", text) if paragraph.strip())


def read_tags(tags: str | None) -> tuple[str, ...]:
    """Return tags that were typed with commas between them."""
    return tuple(tag.strip() for tag in (tags or "").split(",") if tag.strip())


def read_image(image: Path | None) -> bytes | None:
    """Return the bytes of an image, if one is given. Raises `InputError` for one that cannot be read."""
    if image is None:
        return None
    try:
        content = image.read_bytes()
    except OSError as error:
        raise InputError(f"The image {image} cannot be read ({error.strerror}); give the path of an image") from error

    from tasks.films.images import make_thumbnail

    try:
        make_thumbnail(content)
    except ItemError as error:
        if error.reason in ("too_large", "too_many_pixels"):  # what is no picture is refused where it is read
            raise InputError(f"The image {image} cannot be used: {error}; give a smaller one") from error
    return content


def read_ranking(text: str) -> Literal["mean", "best"]:
    """Return a ranking as typed. Raises `InputError` for another word."""
    if text == "mean":
        return "mean"
    if text == "best":
        return "best"
    raise InputError(f"--by {text!r} is no ranking; give mean or best")
