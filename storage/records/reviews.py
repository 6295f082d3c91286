"""Reviews: the user's yes or no about doubtful matches, which every later run respects."""

from __future__ import annotations

from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import REVIEWS


def record_review(lake: Lake, film_id: str, track_id: str, *, is_match: bool, note: str, run_id: str) -> None:
    """Record the user's answer; a later answer for the same pair replaces it."""
    tables.append(
        lake, REVIEWS, [{"film_id": film_id, "track_id": track_id, "is_match": is_match, "note": note}], run_id
    )


def read_reviews(lake: Lake) -> dict[tuple[str, str], bool]:
    """Read the answers: (film_id, track_id) -> whether the recording belongs to the film."""
    rows = tables.latest(lake, REVIEWS, ["film_id", "track_id", "is_match"]).to_pylist()
    return {(row["film_id"], row["track_id"]): row["is_match"] for row in rows}
