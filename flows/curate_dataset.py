"""The flow that makes a version of the data set from what the lake holds, and shows what changed."""

from __future__ import annotations

from typing import Annotated, Any

from prefect import flow, task
from prefect.artifacts import create_markdown_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from pydantic import Field

from storage.datasets.diff import Change, compare, counted
from storage.lake.lake import Lake
from storage.tables.tables import open_tables
from tasks.curation.curate import Curation, curate
from tasks.curation.settings import CurationSettings

SHOWN_CHANGES = 200
"""Rows that a person would look through; an artifact is kept in Prefect's database."""


@flow(name="curate-dataset", flow_run_name="curate-dataset-of-{lake}")
def curate_dataset(
    lake: str = "lake",
    train_until: Annotated[int, Field(ge=1888, le=2200)] = 2021,
    test_from: Annotated[int, Field(ge=1888, le=2200)] = 2023,
    require_plot: bool = True,
    require_thumbnail: bool = True,
    require_tracks: bool = True,
    require_tag: bool = True,
    min_films_per_tag: Annotated[int, Field(ge=1)] = 2,
    leave_out: list[str] | None = None,
    plots: bool = True,
) -> dict[str, Any]:
    """Make a version of the data set if its content differs from every version that there is.

    Args:
        lake: Root of the lake: a folder, or s3://bucket/prefix.
        train_until: Last release year of the training side.
        test_from: First release year of the test side; the years between are for validation.
        require_plot: Leave films without a plot out.
        require_thumbnail: Leave films without a picture out.
        require_tracks: Leave films without a usable recording out.
        require_tag: Leave films out of which every tag is rare.
        min_films_per_tag: Keep a tag when at least this many distinct films of the version carry it.
        leave_out: Films (enwiki-123), tracks (youtube:abc) or pairs (enwiki-123/youtube:abc) to leave out.
        plots: Draw the plots of the version's card.
    """
    settings = CurationSettings(
        train_until=train_until,
        test_from=test_from,
        require_plot=require_plot,
        require_thumbnail=require_thumbnail,
        require_tracks=require_tracks,
        require_tag=require_tag,
        min_films_per_tag=min_films_per_tag,
        leave_out=tuple(leave_out or ()),
    )
    opened = open_tables(lake)
    made = make_version(opened, settings, str(flow_run.id), plots=plots)
    if made.previous:
        _show_changes(made, compare(opened, made.previous, made.version))
    counts = made.manifest["counts"]
    return {
        "version": made.version,
        "new": made.is_new,
        "films": counts["films"],
        "tracks": counts["tracks"],
        "segments": counts["segments"],
        "hours": counts["hours"],
        "tags": counts["tags"],
    }


@task(cache_policy=NO_CACHE, persist_result=False)
def make_version(lake: Lake, settings: CurationSettings, run_id: str, *, plots: bool) -> Curation:
    """Curate in one task: DuckDB uses all cores by itself."""
    return curate(lake, settings, run_id, charts=plots)


def _show_changes(made: Curation, changes: list[Change]) -> None:
    """What differs from the version before: a table of the changes, and their numbers in words."""
    between = f"{made.previous} to {made.version}"
    create_table_artifact(
        key="dataset-changes",
        table=[vars(change) for change in changes[:SHOWN_CHANGES]],
        description=f"The first {SHOWN_CHANGES} of {len(changes)} changes from {between}",
    )
    rows = "\n".join(f"| {kind} | {change} | {count} |" for (kind, change), count in counted(changes).items())
    create_markdown_artifact(
        key="dataset-change-counts",
        markdown=f"# {between}\n\n| what | change | how many |\n| --- | --- | --- |\n{rows}\n\n"
        f"All of them: `needledrop datasets compare {made.previous} {made.version} --all`\n",
        description=f"How many films, tracks and tags came, went and changed from {between}",
    )
