"""Measure a run on what users kept and rejected: how often a kept track ranks above a rejected one of the same query.

No training reads these decisions. Those about tracks of the run's own training films are left out, unless these tracks
were held out of its training (`decided_tracks`); so they are a test set for every run. Tracks are ranked by their mean,
as on the leaderboard; a tie counts half.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from storage.lake.lake import Lake
from storage.libraries.decisions_and_shortlists import TrackKey, read_decisions, read_queries
from storage.libraries.library import library_names, open_library
from storage.libraries.library_embeddings import embedding_runs
from training.data.splits import load_split
from training.evaluation.embeddings import TRACKS_FILE, load_embeddings
from training.evaluation.intervals_and_comparisons import DRAWS, Interval, ratio_interval
from training.loop.checkpoint import FOLDER
from training.loop.devices_and_torchrun import Machine
from training.retrieval.dataset_search import DatasetTracks
from training.retrieval.query_and_filters import FilmQuery, Query, Vector, blend
from training.retrieval.search_engines import Retriever

Row = Mapping[str, Any]


@dataclass(frozen=True)
class DecisionResult:
    """What a run reaches on users' decisions."""

    model_run: str
    queries: int
    """Those with a kept and a rejected track that the run has heard, and was not trained on."""
    pairs: int
    """Of a kept and a rejected track of one query."""
    kept_before_rejected: Interval | None
    """The share of pairs in which the kept track ranks higher, with its interval over queries; None without pairs."""
    left_out: int
    """Decisions about tracks that the run has not heard, such as those of a library it has not indexed, or was trained
    on."""
    trained_on: int
    """Those of them that are about tracks on which the run was trained."""

    def row(self) -> dict[str, Any]:
        """Return the row of `decision_results`."""
        counts = {name: getattr(self, name) for name in ("model_run", "queries", "pairs", "left_out", "trained_on")}
        found = self.kept_before_rejected
        if found is None:
            return {**counts, "kept_before_rejected": None, "low": None, "high": None}
        return {**counts, "kept_before_rejected": found.value, "low": found.low, "high": found.high}


def measure_decisions(lake: Lake, run_id: str, machine: Machine, draws: int = DRAWS) -> DecisionResult:
    """Return what a run reaches on all decisions of a lake. Raises as `Retriever` does."""
    decisions = sorted(read_decisions(lake), key=lambda row: str(row["query_id"]))
    if not decisions:
        return DecisionResult(run_id, 0, 0, None, 0, 0)
    queries = {row["query_id"]: row for row in read_queries(lake)}
    retriever = Retriever(lake, run_id, machine)
    own = DatasetTracks(lake, retriever.version).name
    decisions = [{**row, "library": own if _is_of_dataset(row) else row["library"]} for row in decisions]
    heard = _heard_tracks(retriever, own, {(row["library"], row["track_id"]) for row in decisions})
    trained_on = sum(row["library"] == own and (own, row["track_id"]) not in heard for row in decisions)
    wins, pairs, used = [], [], 0
    for query_id, rows in groupby(decisions, key=lambda row: str(row["query_id"])):
        known = [row for row in rows if (row["library"], row["track_id"]) in heard]
        query = _embedded(retriever, queries.get(query_id), heard)
        kept, rejected = ([row for row in known if row["decision"] == verdict] for verdict in ("keep", "reject"))
        used += len(known) if query is not None else 0
        if query is not None and kept and rejected:
            ahead = _scores(query, kept, heard)[:, None] - _scores(query, rejected, heard)
            wins.append(float((ahead > 0).sum() + 0.5 * (ahead == 0).sum()))
            pairs.append(ahead.size)
    interval = ratio_interval(np.array(wins), np.array(pairs, np.float64), draws) if pairs else None
    return DecisionResult(run_id, len(pairs), sum(pairs), interval, len(decisions) - used, trained_on)


def decided_tracks(lake: Lake, version: str) -> tuple[str, ...]:
    """Return the tracks on which a version trains and about which users have decided, in any version; sorted."""
    decided = {row["track_id"] for row in read_decisions(lake) if _is_of_dataset(row)}
    trained = {name for split in ("train", "valid") for name in load_split(lake, version, split).track_ids}
    return tuple(sorted(decided & trained))


def _is_of_dataset(row: Row) -> bool:
    return str(row["library"]).startswith(DatasetTracks.PREFIX)


def _heard_tracks(retriever: Retriever, own: str, decided: set[TrackKey]) -> dict[TrackKey, Vector]:
    """Return the vectors of tracks: of libraries, of the run's test films, and those held out of its training."""
    lake, run_id, names = retriever.lake, retriever.run_id, {library for library, _ in decided}
    heard: dict[TrackKey, Vector] = {}
    for name in sorted(names & set(library_names(lake))):
        library = open_library(lake, name)
        if run_id in embedding_runs(library):
            index = retriever.open([library])
            heard |= {(name, row["track_id"]): index.mean_of(number) for number, row in enumerate(index.rows)}
    if own in names and lake.exists(FOLDER, run_id, TRACKS_FILE):
        tracks = load_embeddings(lake, FOLDER, run_id, TRACKS_FILE)
        heard |= {(own, track_id): vector for track_id, vector in zip(tracks.ids, tracks.vectors, strict=True)}
    held_out = [track_id for track_id in retriever.held_out if (own, track_id) in decided]
    if held_out:
        heard |= {(own, track_id): vector for track_id, vector in retriever.sounds_of(held_out).items()}
    return heard


def _embedded(retriever: Retriever, asked: Row | None, heard: Mapping[TrackKey, Vector]) -> Query | None:
    """Return a query as it was searched with; None where a track that it should be like is not heard by the run."""
    if asked is None:
        return None
    by_id = {track_id: vector for (_, track_id), vector in heard.items()}
    named = [*asked["likes"], *asked["not_likes"]]
    if any(track_id not in by_id for track_id in named):
        return None
    like, not_like = ([by_id[track_id] for track_id in asked[column]] for column in ("likes", "not_likes"))
    given = (tuple(asked["plot"] or ()), tuple(asked["tags"] or ()), asked["image"])
    film = retriever.embed(FilmQuery(*given)) if any(given) else None
    return blend(film, like, not_like, asked["like_weight"])


def _scores(query: Query, rows: Sequence[Row], heard: Mapping[TrackKey, Vector]) -> Any:
    return np.array([heard[row["library"], row["track_id"]] @ query.vector for row in rows])


def decision_sentence(row: Row) -> str:
    """Return what a run reaches on users' decisions as a sentence."""
    if "error" in row:
        return f"Kept before rejected, {row['model_run']}: not measured. {row['error']}"
    left_out = _left_out(row["left_out"] - row["trained_on"], row["trained_on"])
    if row["kept_before_rejected"] is None:
        return (
            f"Kept before rejected, {row['model_run']}: no query has a kept and a rejected track to compare{left_out}"
        )
    value, low, high = (100 * row[name] for name in ("kept_before_rejected", "low", "high"))
    return (
        f"Kept before rejected, {row['model_run']}: {value:.1f} % (95 %: {low:.1f}–{high:.1f}) of "
        f"{row['pairs']:,} pairs in {row['queries']:,} queries{left_out}"
    )


def _left_out(unheard: int, trained_on: int) -> str:
    """Return what to add about decisions that do not count."""
    sentences = []
    if unheard:
        sentences.append(f"; {unheard:,} decisions are about tracks that it has not heard, and do not count")
    if trained_on:
        sentences.append(
            f"; {trained_on:,} decisions are about tracks that it was trained on, and do not count: "
            "--hold-out-decisions trains without these tracks"
        )
    return "".join(sentences)
