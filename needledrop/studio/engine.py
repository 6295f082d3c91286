"""The resident side of the studio: models, libraries, references and the last searches in memory; one search at a time.

Searches are made one after another, since each uses all processors; whoever asks at the same time waits for some tens
of milliseconds. But for `in_turn`, all of this is called from threads, never from the event loop.

References are recordings that the music should, or should not, sound like, sent to the studio or chosen on its page.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread

from needledrop.studio.api_requests import DecisionRequest, SearchRequest, read_query, track_filter
from needledrop.studio.api_responses import About, NearbyFilm, Reference, Refusal, SearchResult, TagCount
from needledrop.studio.searchable import (
    MODELS,
    Searchable,
    describe_music,
    find_searchable,
    searched_by_default,
    tag_counts,
)
from needledrop.studio.track_lookup import hits_of
from storage.errors import ItemError
from storage.lake.lake import Lake
from storage.libraries.decisions_and_shortlists import AskedQuery, Decision, record_decision, record_query
from storage.libraries.library import Library, open_library
from storage.libraries.library_embeddings import encoder_engine
from storage.mels.reader import TrackMels
from storage.tables.duckdb_connection import connect, fetch_rows
from storage.tables.schemas import LIBRARY_QUERIES
from storage.tables.tables import latest_sql
from tasks.libraries.reference_recording import reference_mels, reference_samples
from training.loop.devices_and_torchrun import Machine
from training.retrieval.choose_run import describe_run
from training.retrieval.dataset_search import DatasetTracks
from training.retrieval.query_and_filters import FilmQuery, Query, Vector, blend
from training.retrieval.search_engines import Music, Retriever, SearchEngine, ZeroShotRetriever, open_zero_shot
from training.retrieval.search_results import LibraryIndex

STUDIO = "studio"
"""The `run_id` of rows that the studio writes."""
ENGINES_KEPT, QUERIES_KEPT, SEARCHES_KEPT, REFERENCES_KEPT = 2, 64, 512, 16
RECORDINGS_AT_ONCE = 1

K = TypeVar("K")
T = TypeVar("T")
V = TypeVar("V")


@dataclass(frozen=True)
class Searched:
    """A search that was answered, for decisions about what it has found."""

    query: AskedQuery
    engine: str
    """The run, or the encoder, that ranked."""
    by: str
    found: dict[tuple[str, str], tuple[int, float]]
    """Library and track -> rank and score."""


@dataclass
class Memory:
    """What a studio keeps of the last searches, the newest few of each kind."""

    queries: dict[tuple[str, str], Query] = field(default_factory=dict)
    searches: dict[str, Searched] = field(default_factory=dict)
    references: dict[str, tuple[TrackMels, str] | tuple[Vector, str]] = field(default_factory=dict)
    """Id -> mels and their scale, or what an encoder has made of the recording, and the encoder."""
    sounds: dict[tuple[str, str], Vector] = field(default_factory=dict)
    """Engine and id of a reference -> what the engine makes of its mels."""
    tags: dict[str, list[TagCount]] = field(default_factory=dict)


def remember(kept: dict[K, V], key: K, value: V, most: int) -> None:
    """Keep a value under a key; the one that was kept first goes when there are too many."""
    kept.pop(key, None)
    kept[key] = value
    for oldest in list(kept)[:-most]:
        kept.pop(oldest, None)


class Engine:
    """The models, libraries and decisions behind one studio."""

    def __init__(
        self,
        lake: Lake,
        machine: Machine,
        run: str | None = None,
        libraries: Sequence[str] = (),
        *,
        dataset: bool = False,
    ) -> None:
        """`run`, `libraries`: what to search with and in; by default the best run and all libraries."""
        self.lake = lake
        self.loading: str | None = "Loading the model"
        self._machine, self._run, self._names, self._dataset = machine, run, tuple(libraries), dataset
        self._engines: dict[str, SearchEngine] = {}
        self._remembered = Memory()
        self._found: tuple[Any, Searchable] | None = None
        self._search_lock, self._write_lock, self._about_lock = Lock(), Lock(), Lock()
        self._one_at_a_time = CapacityLimiter(1)
        """Searches wait here and not in threads, which others need to stream and to list."""
        self.decoding = CapacityLimiter(RECORDINGS_AT_ONCE)
        """Recordings that are sent to be searched by are decoded next to searches, which do not wait for them."""

    async def in_turn(self, call: Callable[[], T]) -> T:
        """Call what needs a model, after those that came before."""
        return await to_thread.run_sync(call, limiter=self._one_at_a_time)

    def warm_up(self) -> None:
        """Load what a search needs, so that the first one is answered soon."""
        try:
            with self._search_lock:
                at = self.searchable()
                if at.best_run is not None or at.first_encoder is not None:
                    engine = self._engine(at, None, None)
                    heard = at.heard_by(at.best_run, None if at.best_run else at.first_encoder)
                    self._open(engine, searched_by_default(heard))
                    for offered in (one for one in heard if isinstance(one, DatasetTracks)):
                        self._open(engine, [offered])  # embedded once, before somebody chooses it
                    query = engine.embed(FilmQuery(plot=("A film.",)))
                    if isinstance(engine, Retriever):
                        engine.nearest_films(query)
        finally:
            self.loading = None

    def searchable(self) -> Searchable:
        """Return what can be searched, found again when a run or an index was added or removed."""
        with self._about_lock:
            paths = (
                *self.lake.list("runs"),
                *self.lake.list("libraries"),
                *self.lake.list(MODELS, suffix=".safetensors"),
            )
            if self._found is None or self._found[0] != paths:
                found = find_searchable(self.lake, self._run, self._names, dataset=self._dataset)
                self._found = (paths, found)
            return self._found[1]

    def about(self) -> About:
        """Return what can be searched here, and with what."""
        at = self.searchable()
        return About(
            lake=self.lake.name,
            runs=list(at.runs),
            encoders=list(at.encoders),
            music=describe_music(at.music),
            best_run=at.best_run,
            problem=at.problem,
            commands=list(at.commands),
            loading=self.loading,
        )

    def tags(self, typed: str, count: int, run: str | None = None) -> list[TagCount]:
        """Return the tags of the model's vocabulary that hold what was typed; those that begin with it come first."""
        run_id = run or self.searchable().best_run
        if run_id is None:
            return []
        with self._about_lock:
            if run_id not in self._remembered.tags:
                self._remembered.tags[run_id] = tag_counts(self.lake, describe_run(self.lake, run_id).version)
        wanted, tags = typed.strip().casefold(), self._remembered.tags[run_id]
        holding = [one for one in tags if wanted in one.tag.casefold()]
        return sorted(holding, key=lambda one: not one.tag.casefold().startswith(wanted))[:count]

    def search(self, request: SearchRequest) -> SearchResult:
        """Answer a search. Raises `Refusal` or `InputError` with a sentence for what cannot be searched."""
        asked, film = read_query(request)
        with self._search_lock:
            started = time.perf_counter()
            at = self.searchable()
            engine = self._engine(at, request.run, request.encoder)
            music = self._chosen(at, request)
            index = self._open(engine, music)
            query = self._query(engine, index, request, asked, film)
            found = engine.search(
                music, query, request.count, by=request.by, wanted=track_filter(request.filters),
                most_per_album=request.per_album or None,
            )  # fmt: skip
            near = engine.nearest_films(query) if film and isinstance(engine, Retriever) else []
            seconds = time.perf_counter() - started
        query_id = asked.query_id
        ranked = {(hit.library, hit.track_id): (hit.rank, hit.score) for hit in found}
        remember(self._remembered.searches, query_id, Searched(asked, engine.engine, request.by, ranked), SEARCHES_KEPT)
        return SearchResult(
            query_id=query_id,
            run_id=engine.run_id if isinstance(engine, Retriever) else None,
            encoder=engine.card.name if isinstance(engine, ZeroShotRetriever) else None,
            searched=len(index),
            milliseconds=round(1000 * seconds, 1),
            hits=hits_of(self.lake, found, query_id),
            near=[NearbyFilm(title=film.title, year=film.year, cosine=film.cosine) for film in near],
            notes=self._notes(request, engine),
        )

    def decide(self, request: DecisionRequest) -> Decision:
        """Commit a decision about a track that a search has found."""
        searched = self._remembered.searches.get(request.query_id)
        with self._write_lock:
            if searched is not None:
                record_query(self.lake, searched.query, STUDIO)
            elif not _is_known(self.lake, request.query_id):
                raise Refusal(409, "This search is no longer known; search again, then decide")
            rank, score = (
                searched.found.get((request.library, request.track_id), (None, None)) if searched else (None, None)
            )
            decision = Decision(
                query_id=request.query_id,
                library=request.library,
                track_id=request.track_id,
                decision=request.decision,
                model_run=searched.engine if searched else None,
                ranking=searched.by if searched else None,
                rank=rank,
                score=score,
                note=request.note,
            )
            record_decision(self.lake, decision, STUDIO)
        return decision

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Let one thread write at a time, so that the newest row is the last one."""
        with self._write_lock:
            yield

    def add_reference(self, data: bytes, encoder: str | None = None) -> Reference:
        """Decode a recording that was sent, and keep what is heard of it. Raises `ItemError` for what is none."""
        at = self.searchable()
        with self._search_lock:
            engine = self._engine(at, None, encoder)
        return add_reference(self._remembered, engine, data, self._search_lock)

    def _engine(self, at: Searchable, run: str | None, encoder: str | None) -> SearchEngine:
        """Return an engine in memory: what was asked for, else the best run, else the first encoder.

        Raises `Refusal` for one that is not there, and for a run that was deleted.
        """
        if run is not None and encoder is not None:
            raise Refusal(400, "A run and an encoder each rank the tracks; give one of them")
        if at.best_run is None and at.first_encoder is None:
            raise Refusal(503, f"{at.problem} {'; '.join(at.commands)}")
        if encoder is None and (run or at.best_run) is not None:
            return self._trained(at, run or str(at.best_run))
        name = encoder or str(at.first_encoder)
        if name not in {one.encoder for one in at.encoders}:
            raise Refusal(404, f"No library here is indexed by an encoder {name}; load the page again")
        engine = encoder_engine(name)
        if engine not in self._engines:
            libraries = [one for one in at.heard_by(None, name) if isinstance(one, Library)]
            opened = open_zero_shot(self.lake, libraries, name, self._machine)
            remember(self._engines, engine, opened, ENGINES_KEPT)
        return self._engines[engine]

    def _trained(self, at: Searchable, run_id: str) -> SearchEngine:
        if run_id not in {run.run_id for run in at.runs}:
            raise Refusal(404, f"There is no run {run_id} in this lake; load the page again")
        if not self.lake.exists(MODELS, run_id, "best.safetensors"):
            self._engines.pop(run_id, None)
            raise Refusal(410, f"The run {run_id} was deleted; choose another one, or train again")
        if run_id not in self._engines:
            remember(self._engines, run_id, Retriever(self.lake, run_id, self._machine), ENGINES_KEPT)
        return self._engines[run_id]

    def _open(self, engine: SearchEngine, music: Sequence[Music]) -> LibraryIndex:
        def on_track(done: int, total: int) -> None:
            self.loading = f"Listening to the data set for the first time: {done:,} of {total:,} tracks"

        before = self.loading
        index = engine.open(music, on_track)
        self.loading = before
        return index

    def _chosen(self, at: Searchable, request: SearchRequest) -> list[Music]:
        """Return what to search. Raises `Refusal` for a library that is not here."""
        known: dict[str, Music] = {one.name: one for one in at.music}
        unknown = [name for name in request.libraries if name not in known]
        if unknown:
            raise Refusal(404, f"There is no library {', '.join(unknown)} here; there are: {', '.join(known)}")
        run = request.run or at.best_run
        encoder = request.encoder or (at.first_encoder if run is None else None)
        names = request.libraries or [one.name for one in searched_by_default(at.heard_by(run, encoder))]
        chosen = [known[name] for name in dict.fromkeys(names)]
        return [open_library(self.lake, one.name) if isinstance(one, Library) else one for one in chosen]

    def _query(
        self,
        engine: SearchEngine,
        index: LibraryIndex,
        request: SearchRequest,
        asked: AskedQuery,
        film: FilmQuery | None,
    ) -> Query:
        embedded = None
        if film is not None:
            key = (engine.engine, replace(asked, likes=(), not_likes=()).query_id)
            if key not in self._remembered.queries:
                remember(self._remembered.queries, key, engine.embed(film), QUERIES_KEPT)
            embedded = self._remembered.queries[key]
        like, not_like = (
            [reference_vector(self._remembered, engine, index, name) for name in names]
            for names in (request.like, request.not_like)
        )
        return blend(embedded, like, not_like, request.like_weight)

    def _notes(self, request: SearchRequest, engine: SearchEngine) -> list[str]:
        """Return a sentence per tag that the model has never seen, and about a poster that an encoder leaves out."""
        if isinstance(engine, ZeroShotRetriever):
            left_out = f"{engine.card.name} looks at no picture, so the poster was left out"
            return [left_out] if request.poster else []
        tags = request.tags
        known = {one.tag.casefold() for one in self.tags("", 1_000_000, engine.engine)} if tags else set()
        strange = [tag for tag in tags if tag.strip().casefold() not in known]
        return [f"No film that the model has seen has the tag “{tag}”, so it may say little" for tag in strange]


def _is_known(lake: Lake, query_id: str) -> bool:
    with connect(lake) as connection:
        found = latest_sql(lake, LIBRARY_QUERIES, "query_id = $id")
        return bool(fetch_rows(connection, f"SELECT query_id FROM {found}", id=query_id))


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
