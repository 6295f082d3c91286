"""Search a data-set version: its tracks for one query, or in memory next to libraries, and its training films.

`search` ranks the tracks of the run's test films, or of all splits, by their mean. A query is embedded by the function
that evaluation uses for whole plots: every paragraph is read, so that no text is lost to the model's token limit, and
the leaderboard has a row for just that (`training.evaluation.evaluate_run`).

`DatasetTracks` are searched as those of a library are: by their mean or their best moment, filtered. What evaluation
embeds of a track is up to eight evenly spaced segments, and these are what is searched here: their mean is the mean of
the leaderboard, and the best of them the best moment. They are embedded the first time and kept in the model folder, in
`VERSION-segments.parquet`; until all are, in parts, with which an interrupted start goes on. The audio is gone, so a
hit links to its source.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from storage.datasets import versions as datasets
from storage.errors import InputError, LakeError, NeedledropError
from storage.lake.lake import Lake
from storage.libraries.library_embeddings import LibraryEmbeddings, TrackEmbedding
from storage.mels.reader import MelReader
from storage.mels.settings_and_shard_format import MelSettings
from storage.metrics.database import connect_metrics
from storage.tables.duckdb_connection import connect, fetch_rows
from storage.tables.schemas import TRACKS
from storage.tables.tables import latest_sql
from storage.takedown_list_and_erasure import taken_down_tracks
from storage.views.lake_views import define_lake_views
from training.data.film_inputs import FilmInputs
from training.data.splits import SPLITS, Split, load_split
from training.evaluation.embed_films_and_tracks import embed_films, embed_tracks
from training.evaluation.embeddings import TRACKS_FILE, Embeddings, load_embeddings, save_embeddings
from training.evaluation.ranking import top_tracks
from training.loop.checkpoint import FOLDER, Job, load_model
from training.loop.devices_and_torchrun import Machine
from training.model.retrieval_model import Built
from training.retrieval.library_track_encoder import TrackEncoder
from training.retrieval.query_and_filters import FilmQuery, Query, TrackRow, normalised

ALL_TRACKS_FILE = "all-tracks.parquet"
"""In the model folder: the tracks of all three splits, embedded by the first search in all tracks."""
TRAIN_FILMS_FILE = "train-films.parquet"
"""In the model folder: the queries of the training films, embedded by the first search in a library."""
NEAREST_FILMS = 3
TRACKS_PER_PART = 1_000
"""Committed at once, so that a start that is interrupted loses no more."""
OnProgress = Callable[[int, int], None]
"""Progress callback (embedded segments, total segments)."""
Embedded = tuple[str, TrackEmbedding, NDArray[np.float32]]
"""A track's id, its segments, and the second at which each of them begins."""
OnTrack = Callable[[int, int], None]
"""Progress callback (tracks embedded, tracks in all)."""
_UNKNOWN: TrackRow = dict.fromkeys(
    ("composer", "publisher", "isrc", "tempo_bpm", "loudness_lufs", "loudness_range_lu", "brightness_hz", "folder")
)
"""What is known of a library's track and not of a data set's."""
FilmName = tuple[str, int]
"""Title and year."""


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
    film = query.as_split(lake)
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


@dataclass(frozen=True)
class NearFilm:
    """A training film that is near to a query."""

    title: str
    year: int
    cosine: float


def training_queries(lake: Lake, job: Job, built: Built, machine: Machine) -> Embeddings | None:
    """Return the queries of a run's training films, of length 1; None where their version was deleted."""
    if lake.exists(FOLDER, job.run_id, TRAIN_FILMS_FILE):
        return load_embeddings(lake, FOLDER, job.run_id, TRAIN_FILMS_FILE)
    try:
        split = load_split(lake, job.dataset, "train")
    except NeedledropError:
        return None
    inputs = FilmInputs(split, job.system, job.settings, built.tokenizer, built.image_format.pixels)
    found = embed_films(built.model, split, inputs, machine, paragraphs="all")
    embedded = Embeddings(found.ids, normalised(found.vectors))
    save_embeddings(lake, embedded, FOLDER, job.run_id, TRAIN_FILMS_FILE)
    return embedded


def nearest_films(films: Embeddings, names: Mapping[str, FilmName], query: Query, count: int) -> list[NearFilm]:
    """Return the training films nearest to a query, as far as their names are known."""
    cosines = films.vectors @ query.vector
    near = [(films.ids[number], float(cosines[number])) for number in np.argsort(-cosines, kind="stable")[:count]]
    return [NearFilm(*names[name], cosine) for name, cosine in near if name in names]


def training_film_names(lake: Lake, version: str) -> dict[str, FilmName]:
    """Return title and year of each training film of a version, by its id."""
    with connect_metrics(lake) as connection:
        define_lake_views(connection, lake, temporary=True)
        named = "SELECT film_id, title, year FROM dataset_films WHERE dataset_version = ? AND split = 'train'"
        rows = fetch_rows(connection, named, version)
    return {row["film_id"]: (row["title"], row["year"]) for row in rows}


@dataclass(frozen=True)
class DatasetTracks:
    """The tracks of a data-set version, to be searched next to libraries."""

    PREFIX: ClassVar[str] = "dataset:"
    """Of names that no library can have."""

    lake: Lake
    version: str

    @property
    def name(self) -> str:
        """Return a name that no library can have."""
        return f"{self.PREFIX}{self.version}"

    def stored_files(self, run_id: str) -> list[str]:
        """Return the files of the lake that a search by a run reads, as far as they are there."""
        paths = [f"{datasets.FOLDER}/{self.version}/{datasets.MANIFEST}", f"{FOLDER}/{run_id}/{self.file}"]
        return [path for path in paths if self.lake.exists(path)]

    @property
    def parts(self) -> str:
        """Return the name of the folder in a model folder with what is embedded until all is."""
        return f"{self.version}-segments"

    @property
    def file(self) -> str:
        """Return the name of the file in a model folder that holds the embeddings."""
        return f"{self.version}-segments.parquet"


def load_dataset_tracks(
    music: DatasetTracks,
    run_id: str,
    encoder: TrackEncoder,
    heard: MelSettings,
    segments: int,
    on_progress: OnTrack | None = None,
) -> tuple[LibraryEmbeddings, list[TrackRow]]:
    """Return the tracks of a version as a run hears them, and what is known of each; they are embedded if need be.

    `heard`: the mels on which the run was trained. Raises `InputError` for a version with others, and for a version
    without tracks, `LakeError` for files that are missing or damaged.
    """
    lake = music.lake
    if not lake.exists(FOLDER, run_id, music.file):
        _embed_in_parts(music, run_id, encoder, heard, segments, on_progress)
    table = _read(lake, f"{FOLDER}/{run_id}/{music.file}")
    known = known_tracks(music)
    table = table.filter(pc.is_in(table["id"], value_set=pa.array(known, pa.string()))).combine_chunks()
    names = table["id"].combine_chunks().dictionary_encode()
    starts = np.flatnonzero(np.r_[True, np.diff(names.indices.to_numpy()) != 0][: len(table)])
    first = np.r_[starts, len(table)].astype(np.int64)
    column = table["vector"].combine_chunks()
    vectors = column.flatten().to_numpy().reshape(len(table), column.type.list_size)
    ids, seconds = tuple(names.dictionary.to_pylist()), table["second"].to_numpy()
    spans = [seconds[first[number] : first[number + 1]] for number in range(len(ids))]
    rows: list[TrackRow] = [{**known[name], "segment_starts": span} for name, span in zip(ids, spans, strict=True)]
    return LibraryEmbeddings(ids, first, vectors, table["weight"].to_numpy()), rows


def _embed_in_parts(
    music: DatasetTracks,
    run_id: str,
    encoder: TrackEncoder,
    heard: MelSettings,
    segments: int,
    on_progress: OnTrack | None,
) -> None:
    """Embed every track of a version and commit them in parts, then all of them as one file in the parts' place."""
    lake, splits = music.lake, _splits(music)
    names = sorted({name for split in splits for name in split.track_ids})
    paths = []
    for start in range(0, len(names), TRACKS_PER_PART):
        own = names[start : start + TRACKS_PER_PART]
        digest = hashlib.sha256("\n".join(own).encode()).hexdigest()[:16]
        path = f"{FOLDER}/{run_id}/{music.parts}/{digest}.parquet"
        if not lake.exists(path):
            done = partial(_shifted, on_progress, start, len(names))
            lake.write_table(_table(_embedded(splits, encoder, heard, segments, own, done)), path)
        paths.append(path)
    lake.write_table(pa.concat_tables([_read(lake, path) for path in paths]), FOLDER, run_id, music.file)
    lake.remove(FOLDER, run_id, music.parts)


def _shifted(on_progress: OnTrack | None, start: int, total: int, done: int) -> None:
    if on_progress:
        on_progress(start + done, total)


def _read(lake: Lake, path: str) -> pa.Table:
    try:
        return pq.read_table(lake.local_path(path), partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise LakeError(f"{path} is damaged ({error}); delete it and search again") from error


def _splits(music: DatasetTracks) -> list[Split]:
    return [load_split(music.lake, music.version, name) for name in SPLITS]


def mean_sounds(
    music: DatasetTracks, encoder: TrackEncoder, heard: MelSettings, segments: int, track_ids: Collection[str]
) -> dict[str, NDArray[np.float32]]:
    """Return what some tracks of a version sound like to a run: their means, as evaluated, of length 1."""
    found: dict[str, NDArray[np.float32]] = {}
    for name, embedding, _ in _embedded(_splits(music), encoder, heard, segments, track_ids):
        total = (embedding.vectors * embedding.weights[:, None]).sum(axis=0)
        found[name] = np.asarray(total / max(float(np.linalg.norm(total)), 1e-12), np.float32)
    return found


def _embedded(
    splits: Sequence[Split],
    encoder: TrackEncoder,
    heard: MelSettings,
    segments: int,
    track_ids: Collection[str],
    on_done: Callable[[int], None] = lambda _done: None,
) -> list[Embedded]:
    """Embed tracks of a version, a recording that several films share once; ordered by track and time."""
    wanted = frozenset(track_ids)
    chosen = {name: (split, row) for split in splits for row, name in enumerate(split.track_ids) if name in wanted}
    rows: list[Embedded] = []
    for number, name in enumerate(sorted(chosen), 1):
        split, row = chosen[name]
        assert isinstance(split.mels, MelReader)
        if split.mels.settings.mel_scale != heard.mel_scale:
            raise InputError("The mels of this version are not like those that the run hears; choose a run of it")
        positions = split.even_segments(row, segments)
        seconds = (positions - split.positions[split.first_segment[row]]) * heard.segment_seconds
        rows.append((name, encoder.embed_segments(split.mels, positions), seconds.astype(np.float32)))
        on_done(number)
    return rows


def _table(rows: list[Embedded]) -> pa.Table:
    vectors = np.concatenate([embedding.vectors for _, embedding, _ in rows]).astype(np.float32)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.reshape(-1)), vectors.shape[1])
    columns: dict[str, Any] = {
        "id": pa.array([name for name, _, seconds in rows for _ in seconds], pa.string()),
        "second": pa.array(np.concatenate([seconds for _, _, seconds in rows])),
        "weight": pa.array(np.concatenate([embedding.weights for _, embedding, _ in rows]).astype(np.float32)),
        "vector": flat,
    }
    return pa.table(columns)


def known_tracks(music: DatasetTracks, track_ids: Sequence[str] | None = None) -> dict[str, TrackRow]:
    """Return what a version says of its tracks, or of some; of a recording that films share, with the first of them."""
    lake = music.lake
    tracks, films = (
        datasets.file_uri(lake, music.version, file.name) for file in (datasets.TRACKS_FILE, datasets.FILMS_FILE)
    )
    years = f"(SELECT film_id, track_id, release_year FROM {latest_sql(lake, TRACKS)})"
    query = (
        "SELECT DISTINCT ON (track_id) track_id, t.title, t.artist, t.album, t.licence, t.duration_seconds, "
        "t.segments, t.url, f.title AS film, release_year AS year FROM read_parquet($tracks) AS t "
        f"LEFT JOIN read_parquet($films) AS f USING (film_id) LEFT JOIN {years} USING (film_id, track_id) "
        "WHERE $track_ids IS NULL OR list_contains($track_ids, track_id) ORDER BY track_id, film_id"
    )
    with connect(lake) as connection:
        rows = fetch_rows(
            connection, query, tracks=tracks, films=films, track_ids=track_ids if track_ids is None else list(track_ids)
        )
    return {row["track_id"]: {**_UNKNOWN, **row, "path": row["url"], "library": music.name} for row in rows}
