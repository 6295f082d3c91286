"""Embed what was collected without an encoder: from the user's own files, and from audio that the lake kept.

Audio from the network is deleted when its mels are committed, so those recordings can only be collected again; they
are counted. Each film is decoded again as in collection, and its embeddings are committed only for recordings whose
audio and segments are the ones of the film's shard. What has embeddings is skipped: an interrupted run goes on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from storage.audio_embeddings import EncoderCard, encoded_films, read_embeddings
from storage.coordination.leases import LeaseKeeper, warn
from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import done_films
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import TRACKS
from tasks.progress import run_logger
from tasks.run_report import RunReport
from tasks.soundtracks.candidate_recordings import Recording
from tasks.soundtracks.download.downloader_and_staging import kept_audio, pending_folder, staging_folder
from tasks.soundtracks.extraction.embed_audio import (
    Commit,
    Embedded,
    EncodingExtractor,
    add_embeddings,
    embedded_tracks,
    while_leased,
)
from tasks.soundtracks.extraction.film_jobs import FilmJob, FilmResult
from tasks.soundtracks.extraction.process_pool import PoolExtractor
from tasks.soundtracks.runs.open_sources import RunContext

FILMS_PER_BATCH = 16
"""Films that are leased at once; each is committed by itself."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class _Film:
    """A film with recordings that an encoder has not heard: those whose audio is at hand, and how many have none."""

    film_id: str
    year: int
    recordings: tuple[Recording, ...]
    rows: tuple[Row, ...]
    without_audio: int


def encode_collected(context: RunContext) -> RunReport:
    """Embed the recordings of finished films that lack embeddings by the run's encoders, where their audio is at hand.

    Raises `LakeError` when embeddings cannot be written, and `NeedledropError` when the encoders end.
    """
    assert context.encoders is not None
    films, report, index = list(_films(context)), RunReport(), context.matcher.film_index
    listed = [index.films[film.film_id] for film in films if film.recordings and film.film_id in index.films]
    chosen = {film.film_id for film in context.settings.chosen(listed, index)}
    to_do = [film for film in films if film.film_id in chosen]
    report.counts.update(
        films_embedded=0,
        tracks_embedded=0,
        tracks_without_audio=sum(film.without_audio for film in films),
    )
    settings = replace(context.settings.mels, short_tracks="pad")  # as they are in the shard, whatever was chosen then
    with PoolExtractor(context.lake, settings, context.run_id, workers=context.settings.workers) as pool:
        for start in range(0, len(to_do), FILMS_PER_BATCH):
            context.progress("Embedding audio", start, len(to_do))
            _encode_batch(context, pool, to_do[start : start + FILMS_PER_BATCH], report)
    context.progress("Embedding audio", len(to_do), len(to_do))
    if lacking := report.counts["tracks_without_audio"]:
        run_logger().warning(
            "%s recordings cannot be embedded: their audio is neither in the music given nor kept in the lake; what "
            "came from the network was deleted with its mels, and only collecting it again brings it back",
            lacking,
        )
    return report


def _encode_batch(context: RunContext, pool: PoolExtractor, films: Sequence[_Film], report: RunReport) -> None:
    assert context.encoders is not None
    with LeaseKeeper(context.lake) as leases:
        jobs = []
        for film in films:
            if (lease := leases.acquire(film.film_id, on_wait=warn)) is None:
                report.counts["films_of_other_workers"] += 1
            else:
                rows = tuple(dict(row) for row in film.rows)
                jobs.append(FilmJob(film.film_id, film.year, film.recordings, rows, lease.number))
        stored = {(film.film_id, row["track_id"]): row for film in films for row in film.rows}
        extractor = EncodingExtractor(
            pool,
            context.encoders,
            lambda film_id: pending_folder(context.lake, film_id),
            _merge_into(context.lake, context.encoders.cards, stored, report),
        )
        results = list(extractor.extract(jobs, drain=True))
        for job in jobs:
            with suppress(OSError):  # not empty: downloads of a film that is to be reopened
                staging_folder(context.lake, job.film_id).rmdir()
    report.counts["tracks_that_differ"] += sum(len(result.rows) for result in results if result.shard is None)


def _merge_into(
    lake: Lake, cards: Sequence[EncoderCard], stored: Mapping[tuple[str, str], Row], report: RunReport
) -> Commit:
    """Return the function that adds to a film's embeddings those of recordings that are still the ones of its shard."""

    def commit(job: FilmJob, result: FilmResult, embedded: Embedded) -> None:
        heard = {row["track_id"]: row for row in result.rows}
        tracks = embedded_tracks(job, result)
        same = [track_id for track_id in tracks if _is_same(heard[track_id], stored[job.film_id, track_id])]
        report.counts["tracks_that_differ"] += len(job.recordings) - len(same)
        with while_leased(lake, job.film_id, job.lease):
            add_embeddings(lake, cards, job, tracks, embedded, only=same)
        report.counts["films_embedded"] += bool(same)
        report.counts["tracks_embedded"] += len(same)

    return commit


def _is_same(heard: Row, stored: Row) -> bool:
    return (heard["audio_sha256"], heard["segments"]) == (stored["audio_sha256"], stored["segments"])


def _films(context: RunContext) -> Iterator[_Film]:
    """Yield every finished film of which an encoder lacks recordings."""
    assert context.encoders is not None
    lake, done = context.lake, done_films(context.lake)
    encoded = [encoded_films(lake, card.folder) for card in context.encoders.cards]
    files = _files_of_sources(context)
    for film_id, rows in _collected_tracks(lake, done).items():
        heard = [set(read_embeddings(lake, paths[film_id])) if film_id in paths else set() for paths in encoded]
        missing = [row for row in rows if not all(row["track_id"] in known for known in heard)]
        if not missing:
            continue
        at_hand = {
            row["track_id"]: path for row in missing if (path := files.get(row["track_id"]) or _kept_file(lake, row))
        }
        recordings = tuple(Recording(track_id, path) for track_id, path in at_hand.items())
        own = tuple(row for row in missing if row["track_id"] in at_hand)
        yield _Film(film_id, rows[0]["year"], recordings, own, len(missing) - len(own))


def _collected_tracks(lake: Lake, done: Collection[str]) -> dict[str, list[dict[str, Any]]]:
    """Return film_id -> rows of the recordings in its shard, with the year in the shard's path."""
    query = (
        "SELECT film_id, track_id, media_id, source, audio_sha256, segments, "
        "regexp_extract(shard, 'year=(-?[0-9]+)', 1)::INTEGER AS year "
        f"FROM {tables.latest_sql(lake, TRACKS)} WHERE segments > 0 AND shard IS NOT NULL ORDER BY film_id, track_id"
    )
    by_film: dict[str, list[dict[str, Any]]] = {}
    with duckdb_connection.connect(lake, duckdb_connection.SMALL_MEMORY_LIMIT) as connection:
        for row in duckdb_connection.fetch_rows(connection, query):
            if row["film_id"] in done:
                by_film.setdefault(row["film_id"], []).append(row)
    return by_film


def _files_of_sources(context: RunContext) -> dict[str, str]:
    """Return track_id -> file of every recording of the run's music folders and lists, whatever film it fits."""
    listed = [judged.candidate for source in context.assigned for own in source.by_film.values() for judged in own]
    unmatched = [candidate for source in context.assigned for candidate, _error in source.unmatched]
    return {one.track_id: one.path for one in (*listed, *unmatched) if one.path}


def _kept_file(lake: Lake, row: Row) -> str | None:
    """Return the path of a download that was kept in the lake."""
    kept = kept_audio(lake, row["film_id"], row["media_id"])
    return str(lake.local_path(kept[0])) if kept else None
