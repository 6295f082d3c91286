"""A lake of twelve films whose 24 recordings are of three kinds of source, a drawn sample of them, and its sheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from storage.lake.lake import Lake
from tasks.soundtracks.candidate_recordings import Decision
from tasks.soundtracks.reviews.draw_sample import Sample, draw_sample
from tasks.soundtracks.reviews.write_rating_sheet import csv_sheet

if TYPE_CHECKING:
    from tests.lakes import SmallLake

Sheet = Callable[..., Path]


@pytest.fixture
def reviewed(small_lake: SmallLake) -> Lake:
    """Return a lake with two bands of the score, three kinds of source, and films in three languages."""
    for number, row in enumerate(small_lake.tracks.values()):
        kind = ("official_album", "delivery", "search")[number % 3]
        row |= {
            "source": "youtube",
            "title": f"Theme {number}",
            "album": f"Music of {row['film_id']}",
            "album_id": f"OLAK5uy_{row['film_id']}" if kind == "official_album" else None,
            "url": f"https://www.youtube.com/watch?v={number}",
            "score": 0.75 if number < 8 else 1.0,
            "score_parts": {"official": 0.2 if kind == "search" else 1.0},
            "channel_id": f"channel{number}",
        }
    for number, film in enumerate(small_lake.films.values()):
        film["languages"] = (["English"], ["Tamil", "Hindi"], None)[number % 3]
        film["url"] = f"https://wiki.example/{number}"
    return small_lake.committed()


@pytest.fixture
def sample(reviewed: Lake) -> Sample:
    return draw_sample(reviewed, Decision.TAKEN, 50, 0, "run")


@pytest.fixture
def sheet(sample: Sample, tmp_path: Path) -> Sheet:
    """Return a function that writes a rated sheet: answers by the number of the row, "yes" for the others."""

    def write(answers: dict[int, str] | None = None, name: str = "anna.csv", albums: tuple[int, ...] = ()) -> Path:
        rows = list(csv.DictReader(io.StringIO(csv_sheet(sample))))
        for number, row in enumerate(rows):
            row["rating"] = (answers or {}).get(number, "yes")
            row["whole_album"] = "yes" if number in albums else ""
        with (tmp_path / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        return tmp_path / name

    return write
