"""What a run or a part of it did: counts, pauses, whether too many items failed, and the Markdown of a refresh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from storage.errors import SourcePaused, TooManyFailed
from storage.lake.lake import Lake
from storage.records.outcomes import StageResult, stage_results

FEWEST_ITEMS = 5
"""A share of fewer items says little: one recording that cannot be decoded must not fail a nightly run."""
REASONS_SHOWN = 3
RunCount = Mapping[str, Any]
"""One row of the view `run_counts`: name, this_run, run_before, more."""


def as_words(summary: Mapping[str, Any]) -> str:
    """Return what a run counted in words, without what is 0: "pages 3, films 2, dataset (version v1, new)"."""
    return ", ".join(_in_words(name.replace("_", " "), value) for name, value in summary.items() if value)


def _in_words(name: str, value: Any) -> str:
    if value is True:
        return name
    if isinstance(value, Mapping):
        return f"{name} ({as_words(value) or 'nothing'})"
    if isinstance(value, list | tuple):
        return f"{name} {', '.join(map(str, value))}"
    return f"{name} {value:,}" if isinstance(value, int) else f"{name} {value}"


@dataclass
class RunReport:
    """The counts of a run or of a part of it, and the pause that ended it early, if a source asked for one."""

    counts: Counter[str] = field(default_factory=Counter)
    paused: SourcePaused | None = None

    def add(self, other: RunReport) -> None:
        """Add the counts of a further part, and take over its pause."""
        self.counts.update(other.counts)
        self.paused = self.paused or other.paused

    def summary(self, **more: Any) -> dict[str, Any]:
        """Return the counts as a flow returns them; `paused` is the sentence about a pause."""
        summary: dict[str, Any] = {**self.counts, **more}
        return {**summary, "paused": str(self.paused)} if self.paused else summary


def check_failures(lake: Lake, run_id: str, max_failed_share: float) -> None:
    """Raise `TooManyFailed`, with the commonest reasons, if more than this share of a stage's items failed in a run."""
    for stage in stage_results(lake, run_id):
        share = stage.failed / stage.tried  # a product is rounded: 0.29 * 100 is less than 29
        if (stage.tried >= FEWEST_ITEMS or not max_failed_share) and share > max_failed_share:
            raise TooManyFailed(_sentence(stage, max_failed_share))


def _sentence(stage: StageResult, max_failed_share: float) -> str:
    reasons = "; ".join(
        f"{count:,} {reason} (for example: {example})" for reason, count, example in stage.reasons[:REASONS_SHOWN]
    )
    return (
        f"{stage.failed:,} of {stage.tried:,} items of stage {stage.stage} failed, more than the allowed share of "
        f"{max_failed_share:g}: {reasons}. What succeeded is kept; correct the cause and run again, or allow more "
        "with max_failed_share"
    )


def as_markdown(root: str, summary: Mapping[str, Any], counts: Sequence[RunCount]) -> str:
    """Return one line per subject, then what was not done, then all other numbers, each next to the run before."""
    rest = [row for row in counts if not row["name"].startswith("not_done.") and (row["this_run"] or row["more"])]
    not_done = [row for row in counts if row["name"].startswith("not_done.")]
    lines = [f"# Refresh of {root}", "", *(f"- {line}" for line in _headlines(summary))]
    if not_done:
        by_reason = [{**row, "name": row["name"].removeprefix("not_done.")} for row in not_done]
        note = "Of the items that this run tried; one that is not due yet is not tried and not counted."
        lines += ["", "## Not done, by stage and reason", "", note, "", *_table(by_reason)]
    lines += ["", "## All other numbers that are or were not 0", "", *_table(rest)]
    return "\n".join(lines) + "\n"


def _headlines(summary: Mapping[str, Any]) -> Iterator[str]:
    changes, dataset, training = (summary.get(name) or {} for name in ("changes", "dataset", "training"))
    yield f"**Films**: {_counts(changes, 'films', 'new', 'changed', 'gone')}"
    yield f"**Tracks**: {_counts(changes, 'tracks', 'new', 'removed', 'dead', 'back')}"
    if dataset:
        yield f"**Version**: {_version(dataset, summary.get('version_changes') or {})}"
    if summary.get("nothing_yet"):
        yield f"**Nothing yet**: {summary['nothing_yet']}"
    yield f"**Training**: {_started(summary['started']) if 'started' in summary else _training(training)}"
    if summary.get("paused"):
        yield f"**Paused**: {summary['paused']}"
    if summary.get("error"):
        yield f"**Failed**: {summary['error']}"


def _counts(changes: Mapping[str, int], kind: str, *names: str) -> str:
    shown = {"gone": "deleted"}
    counts = [
        f"{changes[f'{kind}_{name}']:,} {shown.get(name, name)}" for name in names if changes.get(f"{kind}_{name}")
    ]
    return ", ".join(counts) or "nothing changed"


def _version(dataset: Mapping[str, Any], changes: Mapping[str, int]) -> str:
    size = f"{dataset['films']:,} films, {dataset['tracks']:,} tracks"
    if not dataset["new"]:
        return f"{dataset['version']}, unchanged ({size})"
    differences = ", ".join(f"{count:,} {name.replace('_', 's ')}" for name, count in changes.items())
    since = f" since {dataset['before']}: {differences or 'settings or order'}" if dataset.get("before") else ""
    return f"{dataset['version']} is new ({size}){since}"


def _started(started: Mapping[str, Any]) -> str:
    """Return what is trained in runs of their own; a new version is not among them, as its event starts that."""
    trainings = ", ".join(started["trainings"])
    return ". ".join([f"started for {trainings}" if trainings else "nothing to start", *started["warnings"]])


def _training(training: Mapping[str, Any]) -> str:
    if not training:
        return "not requested"
    elsewhere = training.get("skipped") or training.get("message")  # another run is at all, or at some, of it
    if not training["trained"] and not training["failed"]:
        if elsewhere:
            return str(elsewhere)
        return f"nothing to do; runs of this version: {training['already_done']} done"
    failed = f", {training['failed']} failed" if training["failed"] else ""
    done = f"{training['trained']} trained{failed} on {training['version']}: {', '.join(training['runs'])}"
    return f"{done}. {elsewhere}" if elsewhere else done


def _table(rows: Sequence[RunCount]) -> list[str]:
    """Return numbers as a Markdown table; one that did not change shows no difference."""
    lines = ["| what | this run | run before | difference |", "| --- | ---: | ---: | ---: |"]
    for row in rows:
        difference = f"{row['more']:+,.6g}" if row["more"] else ""
        before = "" if row["run_before"] is None else f"{row['run_before']:,.6g}"
        lines.append(f"| {row['name'].replace('_', ' ')} | {row['this_run']:,.6g} | {before} | {difference} |")
    return lines
