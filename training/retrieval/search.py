"""Search music for a film: a query from its plot, tags and image, and the tracks of a run ranked for it.

The query is embedded by the functions that evaluation uses. Each paragraph of a plot is embedded separately and the
embeddings are averaged, so that no text is lost to the model's token limit.
"""

from __future__ import annotations

import difflib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, UnidentifiedImageError

from storage.datasets.versions import current
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.mels.reader import MelReader
from storage.mels.settings import MelSettings
from storage.metrics.database import connect_metrics
from storage.records.takedown_list import taken_down_tracks
from storage.views.lake_views import define_lake_views
from training.config import SYSTEMS, Job, System
from training.data.batches import FilmInputs
from training.data.splits import SPLITS, Split, load_split
from training.evaluation.embedding_files import TRACKS_FILE, Embeddings, load_embeddings, save_embeddings
from training.evaluation.embeddings import embed_films, embed_tracks
from training.evaluation.ranking import top_tracks
from training.loop.checkpoint import FOLDER, load_model
from training.loop.devices import Machine
from training.model.retrievers import Built

ALL_TRACKS_FILE = "all-tracks.parquet"
"""In the model folder: the tracks of all three splits, embedded by the first search in all tracks."""

OnProgress = Callable[[int, int], None]
"""Progress callback (embedded segments, total segments)."""


@dataclass(frozen=True)
class FilmQuery:
    """A film to find music for, by at least one of plot, tags and image.

    Raises `InputError` for an empty query and for bytes that are not an image.
    """

    plot: tuple[str, ...] = ()
    """Paragraphs."""
    tags: tuple[str, ...] = ()
    """Category names, such as "Tamil-language films"."""
    image: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Reject an empty query and an unreadable image."""
        if not (self.plot or self.tags or self.image):
            raise InputError("There is nothing to search by; give --plot, --tags or --image")
        if self.image is not None:
            try:
                Image.open(io.BytesIO(self.image)).verify()
            except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
                raise InputError("The file given as image cannot be read as an image; give a JPEG or PNG") from error


@dataclass(frozen=True)
class Suggestion:
    """A track for the film: its rank from 1, its cosine with the query, and what the data set holds about it."""

    rank: int
    score: float
    track_id: str
    title: str | None
    artist: str | None
    film: str | None
    url: str | None


def choose_run(lake: Lake, query: FilmQuery) -> str:
    """Return the run with the best R@10 in the version evaluated last, of the systems that need only what is given.

    If every system needs more, the best of all: missing parts are left empty then. Raises `InputError` when no run
    has been evaluated.
    """
    with connect_metrics(lake) as connection:
        rows = connection.execute(
            "SELECT run_id, system FROM latest_metrics JOIN run_policies USING (run_id, policy) "
            "QUALIFY dataset_version = first_value(dataset_version) OVER (ORDER BY (SELECT finished_at FROM runs r "
            "WHERE r.run_id = latest_metrics.run_id) DESC NULLS LAST) ORDER BY r_at_10 DESC, run_id"
        ).fetchall()
    if not rows:
        first = "run `needledrop train` first" if current(lake) else "it needs a version first: run `needledrop curate`"
        raise InputError(f"No run has been evaluated in this lake; {first}")
    for run_id, name in rows:
        if name in SYSTEMS and _has_all_inputs(SYSTEMS[name], query):
            return str(run_id)
    return str(rows[0][0])


@dataclass(frozen=True)
class SearchedRun:
    """What a run can be searched for: its version, the version's tags, its tracks, and those of the test films."""

    run_id: str
    version: str
    tags: frozenset[str]
    test_tracks: int
    all_tracks: int

    def unknown_tags(self, tags: Sequence[str]) -> dict[str, list[str]]:
        """Return those of the tags that no film of the version has, each with the most similar that one has."""
        by_small_letters = {tag.lower(): tag for tag in sorted(self.tags)}
        similar = {tag: difflib.get_close_matches(tag.lower(), by_small_letters, cutoff=0.5) for tag in tags}
        return {tag: [by_small_letters[one] for one in near] for tag, near in similar.items() if tag not in self.tags}


def describe_run(lake: Lake, run_id: str) -> SearchedRun:
    """Return what a run can be searched for. Raises `InputError`, which names the runs that there are."""
    with connect_metrics(lake) as connection:
        runs = dict(connection.execute("SELECT run_id, dataset_version FROM runs WHERE state = 'completed'").fetchall())
        if run_id not in runs:
            raise InputError(f"There is no run {run_id}; there are: {', '.join(sorted(runs)) or 'none'}")
        version = runs[run_id]
        define_lake_views(connection, lake, temporary=True)
        tags = connection.execute(
            "SELECT DISTINCT unnest(tags) FROM dataset_films WHERE dataset_version = ?", [version]
        ).fetchall()
        [(of_test, every)] = connection.execute(
            "SELECT count(DISTINCT track_id) FILTER (split = 'test'), count(DISTINCT track_id) "
            "FROM dataset_tracks WHERE dataset_version = ? AND NOT list_contains(?, track_id)",
            [version, sorted(taken_down_tracks(lake, version))],
        ).fetchall()
    return SearchedRun(run_id, version, frozenset(tag for (tag,) in tags), of_test, every)


def _has_all_inputs(system: System, query: FilmQuery) -> bool:
    """Return whether the query has every part of a film that the system uses."""
    given = {"plot": bool(query.plot), "tags": bool(query.tags), "image": query.image is not None}
    return all(is_given for part, is_given in given.items() if getattr(system, part))


def search(
    lake: Lake,
    run_id: str,
    query: FilmQuery,
    count: int,
    machine: Machine,
    *,
    all_tracks: bool = False,
    on_progress: OnProgress | None = None,
) -> tuple[Suggestion, ...]:
    """Return the `count` tracks with the highest cosine to a film's query, best first.

    The candidates are the tracks of the run's test films, or with `all_tracks` those of all splits, which are
    embedded the first time; tracks that were taken down since the version was made are left out.
    Raises `LakeError` for a run whose model is not in the lake.
    """
    job, built = load_model(lake, run_id)
    built.model.to(machine.device)
    candidates = _candidates(lake, job, built, machine, all_tracks, on_progress)
    candidates = candidates.without(taken_down_tracks(lake, job.dataset))
    best = top_tracks(_embed(lake, job, built, query, machine), candidates, count)["query"]
    return _described(lake, job.dataset, best)


def _embed(lake: Lake, job: Job, built: Built, query: FilmQuery, machine: Machine) -> Embeddings:
    """Return the mean of the query's embeddings, one per paragraph where the system reads the plot."""
    paragraphs = query.plot if job.system.plot and query.plot else ("",)
    count, nothing = len(paragraphs), np.empty(0, np.int64)
    film = Split(
        name="search",
        film_ids=tuple(f"paragraph-{number}" for number in range(count)),
        years=(0,) * count,
        tags=(query.tags,) * count,
        plots=tuple((paragraph,) for paragraph in paragraphs),
        thumbnails=(query.image,) * count,
        track_ids=(),
        owner=nothing,
        first_segment=np.zeros(1, np.int64),
        positions=nothing,
        mels=MelReader(lake, [], MelSettings()),
    )
    inputs = FilmInputs(film, job.system, job.settings, built.tokenizer)
    vectors = embed_films(built.model, film, inputs, machine).vectors
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


def _merged(embeddings: Sequence[Embeddings]) -> Embeddings:
    """Merge embeddings; a recording in two of them is kept once."""
    vectors = {track_id: vector for each in embeddings for track_id, vector in zip(each.ids, each.vectors, strict=True)}
    return Embeddings(tuple(vectors), np.stack(list(vectors.values())))


def _described(lake: Lake, version: str, best: Sequence[tuple[str, float]]) -> tuple[Suggestion, ...]:
    """Add titles and films to tracks with their scores; of a recording that films share, the first film."""
    with connect_metrics(lake) as connection:
        # The stored views name files by absolute path as of the last training: wrong once the lake has been moved.
        define_lake_views(connection, lake, temporary=True)
        rows = connection.execute(
            "SELECT DISTINCT ON (track_id) track_id, t.title, t.artist, f.title, t.url "
            "FROM dataset_tracks t LEFT JOIN dataset_films f USING (dataset_version, film_id) "
            "WHERE dataset_version = ? AND list_contains(?, track_id) ORDER BY track_id, film_id",
            [version, [track_id for track_id, _ in best]],
        ).fetchall()
    known = {row[0]: row[1:] for row in rows}
    unknown = (None,) * 4
    return tuple(
        Suggestion(rank, score, track_id, *known.get(track_id, unknown))
        for rank, (track_id, score) in enumerate(best, 1)
    )
