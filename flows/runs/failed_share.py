"""End a run as failed when a larger share of its items failed than `max_failed_share` allows."""

from __future__ import annotations

from storage.errors import TooManyFailed
from storage.lake.lake import Lake
from storage.views.run_changes import StageResult, stage_results

FEWEST_ITEMS = 5
"""A share of fewer items says little: one recording that cannot be decoded must not fail a nightly run."""
REASONS_SHOWN = 3


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
