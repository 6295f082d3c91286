"""What an operator reads after a refresh: what is new, what is dead, what was not done, beside the run before.

The same numbers are SQL: the view `refreshes` has a row a run, `run_counts` a row a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Counted = Mapping[str, Any]
"""One row of `run_counts`: name, this_run, run_before, more."""


def as_markdown(root: str, summary: Mapping[str, Any], counted: Sequence[Counted]) -> str:
    """The report: a line a subject, then what was not done, then every other number, each beside the run before."""
    rest = [row for row in counted if not row["name"].startswith("not_done.") and (row["this_run"] or row["more"])]
    not_done = [row for row in counted if row["name"].startswith("not_done.")]
    lines = [f"# Refresh of {root}", "", *(f"- {line}" for line in _headlines(summary))]
    if not_done:
        named = [{**row, "name": row["name"].removeprefix("not_done.")} for row in not_done]
        lines += ["", "## Not done, by stage and reason", "", *_table(named)]
    lines += ["", "## Every number that is or was not 0", "", *_table(rest)]
    return "\n".join(lines) + "\n"


def _headlines(summary: Mapping[str, Any]) -> Iterator[str]:
    changes, dataset, training = (summary.get(name) or {} for name in ("changes", "dataset", "training"))
    yield f"**Films**: {_counts(changes, 'films', 'new', 'changed', 'gone')}"
    yield f"**Tracks**: {_counts(changes, 'tracks', 'new', 'removed', 'dead', 'back')}"
    if dataset:
        yield f"**Version**: {_version(dataset, summary.get('version_changes') or {})}"
    yield f"**Training**: {_training(training)}"
    if summary.get("soundtracks", {}).get("paused"):
        yield f"**Paused**: {summary['soundtracks']['paused']}"
    if summary.get("error"):
        yield f"**Failed**: {summary['error']}"


def _counts(changes: Mapping[str, int], kind: str, *ways: str) -> str:
    said = [f"{changes[f'{kind}_{way}']:,} {way}" for way in ways if changes.get(f"{kind}_{way}")]
    return ", ".join(said) or "nothing changed"


def _version(dataset: Mapping[str, Any], changes: Mapping[str, int]) -> str:
    size = f"{dataset['films']:,} films, {dataset['tracks']:,} tracks"
    if not dataset["new"]:
        return f"{dataset['version']}, unchanged ({size})"
    came = ", ".join(f"{count:,} {name.replace('_', 's ')}" for name, count in changes.items())
    since = f" since {dataset['before']}: {came or 'settings or order'}" if dataset.get("before") else ""
    return f"{dataset['version']} is new ({size}){since}"


def _training(training: Mapping[str, Any]) -> str:
    if not training:
        return "not asked for"
    if not training["trained"] and not training["failed"]:
        return f"nothing to do; runs of this version: {training['already_done']} done"
    failed = f", {training['failed']} failed" if training["failed"] else ""
    return f"{training['trained']} trained{failed} on {training['version']}: {', '.join(training['runs'])}"


def _table(rows: Sequence[Counted]) -> list[str]:
    """Numbers as Markdown; one that did not change shows no difference."""
    lines = ["| what | this run | run before | difference |", "| --- | ---: | ---: | ---: |"]
    for row in rows:
        difference = f"{row['more']:+,.6g}" if row["more"] else ""
        before = "" if row["run_before"] is None else f"{row['run_before']:,.6g}"
        lines.append(f"| {row['name'].replace('_', ' ')} | {row['this_run']:,.6g} | {before} | {difference} |")
    return lines
