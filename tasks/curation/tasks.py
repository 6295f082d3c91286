"""The Prefect task that makes a version, what a lake lacks before its first one, and the artifacts of what changed."""

from __future__ import annotations

from dataclasses import dataclass

from prefect import task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE

from storage.datasets import versions as datasets
from storage.datasets.diff import Change, counted
from storage.lake.lake import Lake
from storage.tables import duckdb_connection
from tasks.curation.candidates import load_candidates, take_snapshot
from tasks.curation.curate import Curation, curate
from tasks.curation.settings import CurationSettings
from tasks.curation.splits import NoVersionError, split_sql
from tasks.progress import artifact_key

CHANGES_SHOWN = 200
"""Rows of the artifact that lists changes: Prefect's database stores every one of them."""


@dataclass(frozen=True)
class NothingYet:
    """No version of a lake can be made so far: what it lacks, as a message."""

    message: str


@task(task_run_name="make a version", cache_policy=NO_CACHE, persist_result=False)
def make_version(lake: Lake, settings: CurationSettings, run_id: str, *, charts: bool) -> Curation | NothingYet:
    """Curate in a single task: DuckDB uses all cores by itself. A lake that has no version yet may lack something."""
    try:
        return curate(lake, settings, run_id, charts=charts)
    except NoVersionError as error:
        if datasets.current(lake):
            raise  # films or recordings were lost, or the rules changed: someone has to look
        missing = ", ".join(what_is_missing(lake, settings))
        return NothingYet(f"No version can be made yet: {missing}. {error}" if missing else str(error))


def publish_changes(lake: Lake, curation: Curation, changes: list[Change]) -> None:
    """Create the artifacts that show a new version's changes: the first ones as a table, and their counts."""
    between = f"{curation.previous} to {curation.version}"
    create_table_artifact(
        key=artifact_key(lake, "dataset-changes"),
        table=[vars(change) for change in changes[:CHANGES_SHOWN]],
        description=f"The first {CHANGES_SHOWN} of {len(changes)} changes from {between}",
    )
    rows = "\n".join(f"| {kind} | {change} | {count} |" for (kind, change), count in counted(changes).items())
    create_markdown_artifact(
        key=artifact_key(lake, "dataset-change-counts"),
        markdown=f"# {between}\n\n| kind | change | count |\n| --- | --- | --- |\n{rows}\n\n"
        f"List all of them: `needledrop datasets compare {curation.previous} {curation.version} --all`\n",
        description=f"How many films, tracks and tags came, went and changed from {between}",
    )


def what_is_missing(lake: Lake, settings: CurationSettings) -> list[str]:
    """Return what no film of the lake has: a year of each split, a recording. Empty where the rules exclude all."""
    with duckdb_connection.connect_alone(lake) as connection:
        load_candidates(connection, take_snapshot(lake))
        films = "candidate_films WHERE state = 'present' AND year IS NOT NULL"
        rows = connection.sql(f"SELECT DISTINCT {split_sql(settings)} FROM {films}").fetchall()
        recordings = connection.sql("SELECT 1 FROM candidate_tracks WHERE in_lake LIMIT 1").fetchall()
    splits = {split for (split,) in rows}
    first, last = settings.train_until + 1, settings.test_from - 1
    needed = {
        "train": f"no film before {first} to train on",
        "valid": f"no film of {first if first == last else f'{first} to {last}'} to validate on",
        "test": f"no film from {settings.test_from} on to test on",
    }
    missing = [sentence for split, sentence in needed.items() if split not in splits]
    return missing + ([] if recordings else ["no recording of any film"])
