"""Choose the run to search with, and say what it can be searched for and what it hears. Imports no torch."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import pyarrow.parquet as pq

from storage.datasets import versions as datasets
from storage.datasets.versions import current
from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from storage.libraries.library import Library
from storage.libraries.library_embeddings import command_to_index, embedding_runs
from storage.mels.settings_and_shard_format import MelSettings, lake_settings, read_settings
from storage.metrics.database import connect_metrics
from storage.takedown_list_and_erasure import taken_down_tracks
from storage.views.lake_views import define_lake_views
from training.evaluation.embeddings import PARAGRAPHS
from training.systems import Parts, System, parts_of_row


def choose_run(lake: Lake, given: Parts, among: Collection[str] | None = None) -> str:
    """Return the run with the best R@10 for what is given, in the version evaluated last, or `among` these runs.

    A system counts if all its parts are given, and a model for any parts by what it reached from exactly the given
    ones. Where a plot is read, R@10 is that of whole plots, which search reads too; runs of older versions have only
    that of first paragraphs. Of equals, the run that reads more of what is given. If every system needs more, the best
    of all: missing parts are left empty then. Raises `InputError` when no run has been evaluated.
    """
    with connect_metrics(lake) as connection:
        rows = connection.execute(
            "SELECT latest.run_id, latest.system, model_folder, dataset_version, r_at_10 "
            "FROM latest_metrics AS latest JOIN runs USING (run_id, dataset_version) JOIN run_policies AS own USING "
            f"(run_id) WHERE latest.policy IN (own.policy, own.policy || '{PARAGRAPHS}') "
            "QUALIFY dataset_version = first_value(dataset_version) OVER (ORDER BY finished_at DESC NULLS LAST) "
            "AND row_number() OVER (PARTITION BY run_id ORDER BY length(latest.policy) DESC) = 1 "
        ).fetchall()
    measured = {
        (-r_at_10, -len(row[1] & given), (folder or run_id).rpartition("/")[2]): (name, *row)
        for run_id, name, folder, _, r_at_10 in rows
        if (row := parts_of_row(name)) is not None and (among is None or (folder or run_id).rpartition("/")[2] in among)
    }
    if not measured and among:
        return max(among)
    if not measured:
        first = "run `needledrop train` first" if current(lake) else "it needs a version first: run `needledrop curate`"
        raise InputError(f"No run has been evaluated in this lake; {first}")
    fitting = [found for found, row in measured.items() if _fits(*row, given)]
    *_, run_id = min(fitting or measured)
    return str(run_id)


def _fits(name: str, system: System, parts: Parts, given: Parts) -> bool:
    """Return whether a row of the leaderboard says what its model reaches from the given parts."""
    return parts <= given if name == system.name else parts == given & system.parts


@dataclass(frozen=True)
class SearchedRun:
    """What a run can be searched for: its version, the version's tags, its tracks, and those of the test films."""

    run_id: str
    version: str
    tags: frozenset[str]
    test_tracks: int
    all_tracks: int


def describe_run(lake: Lake, run_id: str) -> SearchedRun:
    """Return what a run can be searched for. Raises `InputError`, which names the runs that there are."""
    with connect_metrics(lake) as connection:
        found = connection.execute(
            "SELECT run_id, dataset_version, regexp_extract(coalesce(model_folder, run_id), '[^/]*$') FROM runs "
            "WHERE state = 'completed'"
        ).fetchall()
        runs = {name: (version, model) for name, version, model in found}
        if run_id not in runs:
            raise InputError(f"There is no run {run_id}; there are: {', '.join(sorted(runs)) or 'none'}")
        version, model = runs[run_id]
        define_lake_views(connection, lake, temporary=True)
        tags = connection.execute(
            "SELECT DISTINCT unnest(tags) FROM dataset_films WHERE dataset_version = ?", [version]
        ).fetchall()
        [(of_test, every)] = connection.execute(
            "SELECT count(DISTINCT track_id) FILTER (split = 'test'), count(DISTINCT track_id) "
            "FROM dataset_tracks WHERE dataset_version = ? AND NOT list_contains(?, track_id)",
            [version, sorted(taken_down_tracks(lake, version))],
        ).fetchall()
    return SearchedRun(model, version, frozenset(tag for (tag,) in tags), of_test, every)


def choose_indexed_run(lake: Lake, libraries: Sequence[Library], given: Parts, run: str | None = None) -> str:
    """Return the run to search libraries with: the given one, or the best that has indexed every one of them.

    Without libraries it is the best run for a search of its own data set. Raises `InputError` where there is none, and
    where the given one has not indexed a library.
    """
    if run is not None:
        model = describe_run(lake, run).run_id
        for library in libraries:
            if model not in embedding_runs(library):
                command = command_to_index(library.name, model)
                raise InputError(f"The library {library.name} is not indexed by {run}; run `{command}`")
        return model
    if not libraries:
        return choose_run(lake, given)
    common = set[str].intersection(*(set(embedding_runs(library)) for library in libraries))
    if not common:
        names = " and ".join(library.name for library in libraries)
        raise InputError(f"No run has indexed {names}; run `needledrop library index` for each with the same --run")
    return choose_run(lake, given, common)


def run_mel_settings(lake: Lake, version: str) -> MelSettings:
    """Return the mel parameters of a version's shards, on which its runs were trained.

    Where they were deleted, those of the lake's other shards, which are all alike; without any the usual ones.
    """
    try:
        path = lake.local_path(datasets.FOLDER, version, datasets.SEGMENTS_FILE.name)
        shards = pq.read_table(path, columns=["shard"])["shard"].unique().to_pylist()
    except (OSError, LakeError):
        shards = []  # the version was deleted
    for shard in sorted(shards):
        if lake.exists(shard):
            return read_settings(lake, shard)
    return lake_settings(lake) or MelSettings()
