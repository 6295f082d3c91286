"""What the studio says of tracks, found by id; one that was taken down, or that is not in its music, is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from threading import Lock
from typing import Any

import numpy as np

from needledrop.studio.api_responses import Hit, Refusal
from needledrop.studio.searchable import Searchable
from storage.datasets import versions as datasets
from storage.lake.lake import Lake
from storage.libraries.decisions_and_shortlists import read_decisions
from storage.libraries.library import Library, library_names, open_library
from storage.takedown_list_and_erasure import HiddenTracks
from training.retrieval.dataset_search import DatasetTracks, known_tracks
from training.retrieval.query_and_filters import TrackRow
from training.retrieval.search_results import FoundTrack

ENERGY_STEPS = 120
"""Of an energy strip: more than a phone can show."""
SHOWN_DB = 40.0
"""An energy strip shows so much below the loudest moment of its track."""


class Tracks:
    """The tracks that may be asked about: those of the libraries and data sets of a studio."""

    def __init__(self, lake: Lake, searchable: Callable[[], Searchable]) -> None:
        self.lake, self.searchable = lake, searchable
        self._hidden, self._lock = HiddenTracks(lake), Lock()

    def library(self, name: str) -> Library:
        """Return a library that this studio searches. Raises `Refusal` for any other."""
        if name not in {one.name for one in self.searchable().libraries}:
            raise Refusal(404, f"There is no library {name} here")
        return open_library(self.lake, name)

    def find_sound(self, track_id: str, library: str | None) -> tuple[Library, list[dict[str, Any]]]:
        """Return the library that holds a track, and its files. Raises `Refusal` where there is none."""
        self.check_not_hidden(track_id)
        names = [library] if library else [one.name for one in self.searchable().libraries]
        for found in (self.library(name) for name in names):
            files = found.find_files([track_id])
            if files:
                return found, files
        raise Refusal(404, "There is no such track in the libraries of this studio; search again")

    def track(self, track_id: str, library: str | None) -> dict[str, Any]:
        """Return what is known of a track. Raises `Refusal` where there is none, or it was taken down."""
        self.check_not_hidden(track_id)
        names = [one.name for one in self.searchable().music if library in (None, one.name)]
        found = next((facts for name in names if (facts := self.facts(name, [track_id]).get(track_id))), None)
        if found is None:
            raise Refusal(404, "There is no such track in the music of this studio; search again")
        return found

    def check_not_hidden(self, track_id: str) -> None:
        """Raise `Refusal` for a track that was taken down."""
        if track_id in self.hidden():
            raise Refusal(410, "This track was taken down")

    def hidden(self, others: Collection[str] = ()) -> frozenset[str]:
        """Return what was taken down of the libraries and data sets that are searched, and of `others`, by name."""
        names = {one.name for one in self.searchable().music} | set(others)
        data_sets = (name.removeprefix(DatasetTracks.PREFIX) for name in names if name.startswith(DatasetTracks.PREFIX))
        versions = sorted(version for version in data_sets if datasets.exists(self.lake, version))
        with self._lock:
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

    def mounts(self) -> dict[str, str]:
        """Return where this machine sees the folders of the libraries -> their names."""
        libraries = self.searchable().libraries
        return {
            str(path): next((folder.name for folder in library.folders if folder.id == id), library.name)
            for library in libraries
            for id, path in library.mounts().items()
        }


def track_facts(row: TrackRow) -> dict[str, Any]:
    """Return what the API says of a track: texts as they are, no path but the one below the library's folder."""
    names = ("artist", "album", "composer", "publisher", "licence", "isrc", "year", "duration_seconds", "tempo_bpm",
             "loudness_lufs", "film")  # fmt: skip
    is_of_dataset = row["library"].startswith("dataset:")
    url = row.get("url") or ""
    return {
        "track_id": row["track_id"],
        "library": row["library"],
        "title": row.get("title") or row["track_id"],
        **{name: row.get(name) for name in names},
        "file": None if is_of_dataset else row["path"],
        "url": url if re.match(r"https?://", url) else None,
        "is_playable": not is_of_dataset,
    }


def energy_strip(decibels: Sequence[float]) -> list[float]:
    """Return a curve of one value per second as at most `ENERGY_STEPS` values from 0 to 1, the loudest of each step."""
    if not decibels:
        return []
    steps = np.array_split(np.asarray(decibels, np.float32), min(len(decibels), ENERGY_STEPS))
    loudest = np.array([step.max() for step in steps])
    shares = np.clip(1 + (loudest - loudest.max()) / SHOWN_DB, 0.02, 1)
    return [round(float(share), 3) for share in shares]


def hits_of(lake: Lake, found: Sequence[FoundTrack], query_id: str) -> list[Hit]:
    """Return what the API says of found tracks, with their energy and what was decided about them in this query."""
    by_library: dict[str, list[str]] = {}
    for hit in found:
        if not hit.library.startswith("dataset:"):
            by_library.setdefault(hit.library, []).append(hit.track_id)
    curves = {
        (name, track): curve
        for name, tracks in by_library.items()
        for track, curve in open_library(lake, name).energy_curves(tracks).items()
    }
    decided = {(row["library"], row["track_id"]): row["decision"] for row in read_decisions(lake, query_id)}
    return [
        Hit(
            **track_facts(hit.row),
            rank=hit.rank,
            score=hit.score,
            best_second=hit.best_second,
            best_score=hit.best_score,
            percentile=hit.percentile,
            support=hit.support,
            energy=energy_strip(curves.get((hit.library, hit.track_id), [])),
            decision=decided.get((hit.library, hit.track_id)),
        )
        for hit in found
    ]
