"""Music for a new film: its plot, tags and picture make a query, and a run's tracks are ranked for it.

The query goes through the very functions that evaluation uses. A plot of several paragraphs asks once with each
and the answers are averaged, so nothing of it is lost to the model's limit of tokens.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, UnidentifiedImageError

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.mels.reader import MelReader
from storage.mels.settings import MelSettings
from storage.metrics.records import connect_metrics
from training.config import SYSTEMS, System
from training.data.batches import FilmInputs
from training.data.splits import SPLITS, Split, load_split
from training.evaluation.embed import embed_films, embed_tracks
from training.evaluation.embeddings import TRACKS_FILE, Embeddings, load_embeddings, save_embeddings
from training.evaluation.ranking import top_tracks
from training.loop.checkpoint import FOLDER, Job, load_model
from training.loop.device import Machine
from training.model.factory import Built

ALL_TRACKS_FILE = "all-tracks.parquet"
"""In the model folder: the tracks of all three splits, embedded when they are first searched."""

OnProgress = Callable[[int, int], None]
"""Told how many segments are embedded, and how many there are."""


@dataclass(frozen=True)
class FilmQuery:
    """What is known of a film; at least one part of it."""

    plot: tuple[str, ...] = ()
    """Paragraphs."""
    tags: tuple[str, ...] = ()
    """Category names, such as "Tamil-language films"."""
    picture: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse an empty query and a picture that is none."""
        if not (self.plot or self.tags or self.picture):
            raise InputError("There is nothing to search by; give --plot, --tags or --image")
        if self.picture is not None:
            try:
                Image.open(io.BytesIO(self.picture)).verify()
            except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
                raise InputError(
                    f"The image is not a picture that can be read ({error}); give a JPEG or PNG"
                ) from error


@dataclass(frozen=True)
class Found:
    """One suggestion: its place from 1, its cosine, and what the data set knows of the track."""

    place: int
    score: float
    track_id: str
    title: str | None
    artist: str | None
    film: str | None
    url: str | None


def choose_run(lake: Lake, query: FilmQuery) -> str:
    """The run with the best R@10 in the version measured last, of the systems that ask for no more than is given.

    When none asks for so little, the best of all: what is missing is then left empty. Raises `InputError` when no
    run has been measured.
    """
    with connect_metrics(lake) as connection:
        rows = connection.execute(
            "SELECT run_id, system FROM latest_metrics JOIN run_policies USING (run_id, policy) "
            "QUALIFY dataset_version = first_value(dataset_version) OVER (ORDER BY (SELECT finished_at FROM runs r "
            "WHERE r.run_id = latest_metrics.run_id) DESC NULLS LAST) ORDER BY r_at_10 DESC, run_id"
        ).fetchall()
    if not rows:
        raise InputError("No run has been measured in this lake; run `needledrop train` first")
    fitting = [run_id for run_id, name in rows if name in SYSTEMS and _asks_no_more(SYSTEMS[name], query)]
    return str((fitting or [rows[0][0]])[0])


def _asks_no_more(system: System, query: FilmQuery) -> bool:
    given = {"plot": bool(query.plot), "tags": bool(query.tags), "image": query.picture is not None}
    return all(has for part, has in given.items() if getattr(system, part))


def search(
    lake: Lake,
    run_id: str,
    query: FilmQuery,
    count: int,
    machine: Machine,
    *,
    all_tracks: bool = False,
    on_progress: OnProgress | None = None,
) -> tuple[Found, ...]:
    """The `count` tracks that a run finds closest to a film, the best first.

    The candidates are the tracks of the run's test films, or those of all splits, which takes a while the first
    time. Raises `LakeError` for a run whose model is not there.
    """
    job, built = load_model(lake, run_id)
    built.model.to(machine.device)
    candidates = _candidates(lake, job, built, machine, all_tracks, on_progress)
    best = top_tracks(_embed(lake, job, built, query, machine), candidates, count)["query"]
    return _described(lake, job.dataset, best)


def _embed(lake: Lake, job: Job, built: Built, query: FilmQuery, machine: Machine) -> Embeddings:
    """The mean of the query's embeddings, one a paragraph where the system reads the plot."""
    paragraphs = query.plot if job.system.plot and query.plot else ("",)
    count, nothing = len(paragraphs), np.empty(0, np.int64)
    asked = Split(
        name="search",
        film_ids=tuple(f"paragraph-{number}" for number in range(count)),
        years=(0,) * count,
        tags=(query.tags,) * count,
        plots=tuple((paragraph,) for paragraph in paragraphs),
        thumbnails=(query.picture,) * count,
        track_ids=(),
        owner=nothing,
        first_segment=np.zeros(1, np.int64),
        positions=nothing,
        mels=MelReader(lake, [], MelSettings()),
    )
    inputs = FilmInputs(asked, job.system, job.settings, built.tokenizer)
    vectors = embed_films(built.model, asked, inputs, machine).vectors
    lengths = np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return Embeddings(("query",), (vectors / lengths).mean(axis=0, keepdims=True))


def _candidates(
    lake: Lake, job: Job, built: Built, machine: Machine, all_tracks: bool, on_progress: OnProgress | None
) -> Embeddings:
    if not all_tracks:
        return load_embeddings(lake, FOLDER, job.run_id, TRACKS_FILE)
    if lake.exists(FOLDER, job.run_id, ALL_TRACKS_FILE):
        return load_embeddings(lake, FOLDER, job.run_id, ALL_TRACKS_FILE)
    splits = [load_split(lake, job.dataset, name) for name in SPLITS]
    segments = job.settings.eval_segments
    total = sum(len(split.even_segments(t, segments)) for split in splits for t in range(len(split.track_ids)))
    done = 0

    def on_done(embedded: int) -> None:
        nonlocal done
        done += embedded
        if on_progress:
            on_progress(min(done, total), total)

    embedded = _merged([embed_tracks(built.model, split, segments, machine, on_done) for split in splits])
    save_embeddings(lake, embedded, FOLDER, job.run_id, ALL_TRACKS_FILE)
    return embedded


def _merged(parts: Sequence[Embeddings]) -> Embeddings:
    """All parts as one; a recording that two of them share stands once."""
    rows = {track_id: (part, row) for part in parts for row, track_id in enumerate(part.ids)}
    return Embeddings(tuple(rows), np.stack([part.vectors[row] for part, row in rows.values()]))


def _described(lake: Lake, version: str, best: Sequence[tuple[str, float]]) -> tuple[Found, ...]:
    """The tracks with their titles and films; of a recording that films share, the first film."""
    with connect_metrics(lake) as connection:
        rows = connection.execute(
            "SELECT DISTINCT ON (track_id) track_id, t.title, t.artist, f.title, t.url "
            "FROM dataset_tracks t LEFT JOIN dataset_films f USING (dataset_version, film_id) "
            "WHERE dataset_version = ? AND list_contains(?, track_id) ORDER BY track_id, film_id",
            [version, [track_id for track_id, _ in best]],
        ).fetchall()
    known = {row[0]: row[1:] for row in rows}
    nothing = (None,) * 4
    return tuple(
        Found(place, score, track_id, *known.get(track_id, nothing)) for place, (track_id, score) in enumerate(best, 1)
    )
