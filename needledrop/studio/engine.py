"""The resident side of the studio: models and libraries in memory, and one search at a time.

Everything here is called from threads, never from the event loop. Searches are made one after another, since each
uses all processors; whoever asks at the same time waits for some tens of milliseconds.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from threading import Lock
from typing import Any

from needledrop.studio.about import (
    MODELS,
    Searchable,
    describe_music,
    find_searchable,
    searched_by_default,
    tag_counts,
)
from needledrop.studio.api_answers import (
    About,
    NearbyFilm,
    Reference,
    SearchResult,
    TagCount,
    hits_of,
    track_facts,
)
from needledrop.studio.api_requests import DecisionRequest, SearchRequest, read_query, track_filter
from needledrop.studio.error_answers import Refusal
from needledrop.studio.memory import ENGINES_KEPT, QUERIES_KEPT, SEARCHES_KEPT, Memory, Searched, remember
from needledrop.studio.references import add_reference, reference_vector
from storage.datasets import versions as datasets
from storage.lake.lake import Lake
from storage.libraries.decisions import AskedQuery, Decision, record_decision, record_query
from storage.libraries.embeddings import encoder_engine
from storage.libraries.library import Library, library_names, open_library
from storage.records.takedown_list import HiddenTracks
from storage.tables.duckdb_connection import connect, fetch_rows
from storage.tables.schemas import LIBRARY_QUERIES
from storage.tables.tables import latest_sql
from training.loop.devices import Machine
from training.retrieval.blended_query import Query, blend
from training.retrieval.choose_run import describe_run
from training.retrieval.dataset_tracks import DatasetTracks, known_tracks
from training.retrieval.film_query import FilmQuery
from training.retrieval.library_search import LibraryIndex, TrackRow
from training.retrieval.retriever import Retriever
from training.retrieval.search_engine import Music, SearchEngine
from training.retrieval.zero_shot import ZeroShotRetriever, open_zero_shot

STUDIO = "studio"
"""The `run_id` of rows that the studio writes."""


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
        self._hidden = HiddenTracks(lake)
        self._search_lock, self._write_lock, self._about_lock = Lock(), Lock(), Lock()

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

    def mounts(self) -> dict[str, str]:
        """Return where this machine sees the folders of the libraries -> their names."""
        libraries = self.searchable().libraries
        return {
            str(path): next((folder.name for folder in library.folders if folder.id == id), library.name)
            for library in libraries
            for id, path in library.mounts().items()
        }

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

    def hidden(self, others: Collection[str] = ()) -> frozenset[str]:
        """Return what was taken down of the libraries and data sets that are searched, and of `others`, by name."""
        names = {one.name for one in self.searchable().music} | set(others)
        data_sets = (name.removeprefix(DatasetTracks.PREFIX) for name in names if name.startswith(DatasetTracks.PREFIX))
        versions = sorted(version for version in data_sets if datasets.exists(self.lake, version))
        with self._about_lock:
            return self._hidden.read(versions)

    def facts(self, library: str, track_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Return what the API says of tracks of a library, or of a data set; those that are not there lack.

        Of music that is not searched here nothing can be played.
        """
        if library.startswith(DatasetTracks.PREFIX):
            music = DatasetTracks(self.lake, library.removeprefix(DatasetTracks.PREFIX))
            known = known_tracks(music, track_ids) if datasets.exists(self.lake, music.version) else {}
            return {name: track_facts(row) for name, row in known.items()}
        if library not in library_names(self.lake):
            return {}
        rows: dict[str, TrackRow] = {}
        for row in open_library(self.lake, library).find_files(track_ids):
            rows.setdefault(row["track_id"], {**row, "library": library})
        served = {one.name for one in self.searchable().libraries}
        return {
            name: {**track_facts(row), "is_playable": library in served and row["state"] == "present"}
            for name, row in rows.items()
        }

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
