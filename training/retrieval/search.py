"""Search music for a film: a query from its plot, tags and image, and the tracks of a run ranked for it.

The query is embedded by the function that evaluation uses for whole plots: every paragraph is read, so that no text is
lost to the model's token limit, and the leaderboard has a row for just that (`training.evaluation.policies`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from storage.lake.lake import Lake
from storage.mels.reader import MelReader
from storage.mels.settings import MelSettings
from storage.metrics.database import connect_metrics
from storage.records.takedown_list import taken_down_tracks
from storage.views.lake_views import define_lake_views
from training.config import Job
from training.data.films import FilmInputs
from training.data.splits import SPLITS, Split, load_split
from training.evaluation.embedding_files import TRACKS_FILE, Embeddings, load_embeddings, save_embeddings
from training.evaluation.embeddings import embed_films, embed_tracks
from training.evaluation.ranking import top_tracks
from training.loop.checkpoint import FOLDER, load_model
from training.loop.devices import Machine
from training.model.build import Built
from training.retrieval.film_query import FilmQuery

ALL_TRACKS_FILE = "all-tracks.parquet"
"""In the model folder: the tracks of all three splits, embedded by the first search in all tracks."""

OnProgress = Callable[[int, int], None]
"""Progress callback (embedded segments, total segments)."""


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
    best = top_tracks(embed_query(lake, job, built, query, machine), candidates, count)["query"]
    return _described(lake, job.dataset, best)


def embed_query(lake: Lake, job: Job, built: Built, query: FilmQuery, machine: Machine) -> Embeddings:
    """Return a query's embedding, as evaluation embeds a film with its whole plot.

    A model for any parts is given those that the query has. Others read an empty text or a grey image for the rest.
    """
    nothing = np.empty(0, np.int64)
    film = Split(
        name="search",
        film_ids=("query",),
        years=(0,),
        tags=(query.tags,),
        plots=(query.plot,),
        thumbnails=(query.image,),
        track_ids=(),
        owner=nothing,
        first_segment=np.zeros(1, np.int64),
        positions=nothing,
        mels=MelReader(lake, [], MelSettings()),
    )
    inputs = FilmInputs(film, job.system, job.settings, built.tokenizer, built.image_format.pixels)
    return embed_films(built.model, film, inputs, machine, paragraphs="all")


def _candidates(
    lake: Lake, job: Job, built: Built, machine: Machine, all_tracks: bool, on_progress: OnProgress | None
) -> Embeddings:
    if not all_tracks:
        return load_embeddings(lake, FOLDER, job.run_id, TRACKS_FILE)
    if lake.exists(FOLDER, job.run_id, ALL_TRACKS_FILE):
        return load_embeddings(lake, FOLDER, job.run_id, ALL_TRACKS_FILE)
    splits = [load_split(lake, job.dataset, name, job.settings.audio.encoder) for name in SPLITS]
    segments = job.settings.evaluation.segments
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
