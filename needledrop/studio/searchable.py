"""What can be searched in a lake, and with which runs: what the page states before anybody has searched."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from needledrop.studio.api_responses import EncoderAbout, MusicAbout, RunAbout, TagCount
from storage.audio_embeddings import EncoderCard
from storage.datasets import versions as datasets
from storage.errors import NeedledropError
from storage.lake.lake import Lake
from storage.libraries.library import Library, library_names, open_library
from storage.libraries.library_embeddings import embedding_encoders, embedding_runs
from storage.metrics.database import connect_metrics
from storage.tables.duckdb_connection import connect, fetch_rows
from storage.tables.tables import latest_sql
from storage.views.lake_views import define_lake_views
from training.audio_encoders.model_files import licence_warning
from training.retrieval.choose_run import choose_run
from training.retrieval.dataset_search import DatasetTracks
from training.retrieval.search_engines import Music
from training.systems import ALL_PARTS

MODELS = "models"
DEMO_SITE = "https://sample.invalid/"
"""Where the articles of the demo's invented films would be."""
_RUNS = """
SELECT run_id, system, coalesce(settings, preset) AS settings, dataset_version FROM runs
WHERE state = 'completed' AND source = 'trained' AND coalesce(model_folder, run_id) IN (run_id, 'models/' || run_id)
ORDER BY finished_at DESC NULLS LAST, run_id
"""
"""A model for any parts has a row for each of the parts that it was measured with; here it counts once."""
_MEASURED = """
SELECT metrics.run_id, metrics.hit_at_10, metrics.candidates, chance.hit_at_10 AS chance_hit_at_10
FROM metrics JOIN run_policies USING (run_id, policy) LEFT JOIN chance USING (dataset_version)
WHERE list_contains(?, run_id)
"""
_TAGS = """
SELECT tag, count(*) AS films FROM (SELECT unnest(tags) AS tag FROM dataset_films WHERE dataset_version = ?)
GROUP BY tag ORDER BY films DESC, tag
"""
_VERSIONS = """
SELECT dataset_version, bool_and(starts_with(coalesce(url, ''), ?)) AS is_demo FROM dataset_films
WHERE list_contains(?, dataset_version) GROUP BY dataset_version
"""
Row = dict[str, Any]


def describe_runs(lake: Lake, indexed: Mapping[str, Sequence[str]]) -> list[RunAbout]:
    """Return the trained runs whose models are in the lake and hear mels, newest first.

    `indexed`: library -> the runs that have indexed it.
    """
    with connect_metrics(lake) as connection:
        define_lake_views(connection, lake, temporary=True)
        rows = [row for row in fetch_rows(connection, _RUNS) if _hears_mels(lake, row["run_id"])]
        measured = {row["run_id"]: row for row in fetch_rows(connection, _MEASURED, [row["run_id"] for row in rows])}
        named = [row["dataset_version"] for row in rows]
        demo = {row["dataset_version"]: row["is_demo"] for row in fetch_rows(connection, _VERSIONS, DEMO_SITE, named)}
    counts = {version: _counts(lake, version) for version in set(named)}
    return [_run_about(row, measured.get(row["run_id"], {}), counts, demo, indexed) for row in rows]


def _run_about(
    row: Row, measured: Row, counts: Mapping[str, Row], demo: Mapping[str, bool], indexed: Mapping[str, Sequence[str]]
) -> RunAbout:
    version = row["dataset_version"]
    return RunAbout(
        run_id=row["run_id"],
        label=f"{row['system']}, {row['settings']}",
        dataset_version=version,
        films=counts[version].get("films"),
        tracks=counts[version].get("tracks"),
        is_demo=bool(demo.get(version)),
        hit_at_10=measured.get("hit_at_10"),
        chance_hit_at_10=measured.get("chance_hit_at_10"),
        candidates=measured.get("candidates"),
        indexed=[name for name, runs in indexed.items() if row["run_id"] in runs],
    )


def _hears_mels(lake: Lake, model: str) -> bool:
    """Return whether a run's model is in the lake, and reads mels; a damaged one is left out of the choice."""
    if not lake.exists(MODELS, model, "config.json"):
        return False
    try:
        config = json.loads(lake.read_bytes(MODELS, model, "config.json"))
        return not config["settings"].get("audio.encoder") and lake.exists(MODELS, model, "best.safetensors")
    except (ValueError, KeyError, TypeError, AttributeError):
        return False


def describe_encoders(libraries: Sequence[Library]) -> list[EncoderAbout]:
    """Return the audio encoders that read texts and have indexed some of these libraries, by name."""
    cards: dict[str, EncoderCard] = {}
    indexed: dict[str, list[str]] = {}
    for library in libraries:
        for card in embedding_encoders(library).values():
            if card.has_text:
                cards[card.name] = card
                indexed.setdefault(card.name, []).append(library.name)
    return [_encoder_about(cards[name], indexed[name]) for name in sorted(cards)]


def _encoder_about(card: EncoderCard, indexed: list[str]) -> EncoderAbout:
    note = f"{card.name} was not trained on films: it reads a plot as it reads the caption of a recording"
    warning = licence_warning(card) or f"Its weights are under the licence: {card.licence}"
    return EncoderAbout(encoder=card.name, licence=card.licence, indexed=indexed, note=f"{note}. {warning}.")


def _counts(lake: Lake, version: str) -> Row:
    try:
        return dict(datasets.read_manifest(lake, version).get("counts", {}))
    except NeedledropError:
        return {}  # the version was deleted


def tag_counts(lake: Lake, version: str) -> list[TagCount]:
    """Return the tags of a version's films, those of most films first: what a model trained on it knows."""
    with connect_metrics(lake) as connection:
        define_lake_views(connection, lake, temporary=True)
        return [TagCount(**row) for row in fetch_rows(connection, _TAGS, version)]


def describe_music(music: Sequence[Music]) -> list[MusicAbout]:
    """Return what the page says of libraries and data sets."""
    defaults = searched_by_default(music)
    return [
        _dataset_about(one, is_default=one in defaults) if isinstance(one, DatasetTracks) else _library_about(one)
        for one in music
    ]


def searched_by_default(music: Sequence[Music]) -> list[Music]:
    """Return the libraries, or the data set where there is none: who has music of his own looks for that."""
    return [one for one in music if isinstance(one, Library)] or list(music)


def _library_about(library: Library) -> MusicAbout:
    with connect(library.lake) as connection:
        rows = fetch_rows(
            connection,
            "SELECT count(DISTINCT track_id) FILTER (state = 'present') AS tracks "
            f"FROM {latest_sql(library.lake, library.files)}",
        )
    [row], mounts = rows, library.mounts()
    away = [one.name for one in library.folders if one.id not in mounts or not mounts[one.id].is_dir()]
    notes = [f"The folder {', '.join(away)} is not mounted on this machine, so it cannot be heard"] if away else []
    if lost := library.lost_files():
        notes.append(f"Files that vanished since they were indexed: {len(lost):,}")
    return MusicAbout(
        name=library.name, label=library.name, kind="library", tracks=row["tracks"], is_default=True,
        note="; ".join(notes) or None,
    )  # fmt: skip


def _dataset_about(music: DatasetTracks, *, is_default: bool) -> MusicAbout:
    tracks = int(_counts(music.lake, music.version).get("tracks", 0))
    label = f"Data set {music.version}"
    return MusicAbout(name=music.name, label=label, kind="dataset", tracks=tracks, is_default=is_default)


@dataclass(frozen=True)
class Searchable:
    """What a lake offers to a search: its runs and music, and which of them are searched if nothing else is said."""

    runs: tuple[RunAbout, ...]
    libraries: tuple[Library, ...]
    encoders: tuple[EncoderAbout, ...] = ()
    best_run: str | None = None
    chosen: tuple[Music, ...] = ()
    """What the best run searches."""
    problem: str | None = None
    commands: tuple[str, ...] = ()

    @property
    def music(self) -> list[Music]:
        """Return all that can be chosen."""
        return [*self.libraries, *(one for one in self.chosen if isinstance(one, DatasetTracks))]

    @property
    def first_encoder(self) -> str | None:
        """Return the encoder that is searched with where no run can be."""
        return self.encoders[0].encoder if self.encoders else None

    def heard_by(self, run: str | None, encoder: str | None) -> list[Music]:
        """Return what a run or an encoder can search."""
        if encoder is not None:
            indexed = next((one.indexed for one in self.encoders if one.encoder == encoder), [])
            return [library for library in self.libraries if library.name in indexed]
        indexed = next((one.indexed for one in self.runs if one.run_id == run), [])
        return [one for one in self.music if isinstance(one, DatasetTracks) or one.name in indexed]


def find_searchable(lake: Lake, run: str | None, names: Sequence[str], *, dataset: bool) -> Searchable:
    """Return what can be searched: with a run, or else the best one; libraries of these names, or else all.

    Without any library it is the tracks of the run's data set.
    """
    known = library_names(lake)
    libraries = [open_library(lake, name) for name in (names or known) if name in known]
    if names and not libraries:
        removed = " and ".join(names)
        lines = tuple(f"needledrop library add {name} FOLDER --lake {lake.name}" for name in names)
        return Searchable((), (), problem=f"{removed} was removed from this lake. In a terminal, type:", commands=lines)
    indexed = {library.name: embedding_runs(library) for library in libraries}
    runs, encoders = describe_runs(lake, indexed), tuple([] if run else describe_encoders(libraries))
    usable = {one.run_id for one in runs if run in (None, one.run_id)}
    at = f" --lake {lake.name}"
    found = Searchable(tuple(runs), tuple(libraries), encoders)
    fitting = usable if not libraries else usable.intersection(*[set().union(*indexed.values())])
    if not fitting and encoders:
        return found
    if not usable:
        what = f"The run {run} has no model in this lake" if run else "There is no trained model in this lake yet"
        train = "needledrop demo" if datasets.current(lake) is None else f"needledrop train{at}"
        return replace(found, problem=f"{what}. In a terminal, type:", commands=(train,))
    if not fitting:
        lines = tuple(f"needledrop library index {library.name}{at}" for library in libraries)
        sentence = "No library is indexed by a model of this lake yet. In a terminal, type:"
        return replace(found, problem=sentence, commands=lines)
    best = choose_run(lake, ALL_PARTS, fitting)
    chosen: list[Music] = [library for library in libraries if best in indexed[library.name]]
    if dataset or not libraries:
        chosen.append(DatasetTracks(lake, next(one.dataset_version for one in runs if one.run_id == best)))
    return replace(found, best_run=best, chosen=tuple(chosen))
