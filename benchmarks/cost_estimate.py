"""Estimate what a data set of any size costs: requests, days, bytes, cores and GPU hours, from measured unit costs.

The unit costs are those of docs/benchmarks.md, docs/films.md and docs/soundtracks.md. Prices and the speed of a GPU
are inputs: the defaults are placeholders for your own. `docs/scale.md` shows the output for the paper's size and
for all films of English Wikipedia.

    python -m benchmarks.cost_estimate [--films 7771] [--tracks-per-film 9.04] [--items-per-second 142] …
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass

PAPER_FILMS, PAPER_TRACKS = 7_771, 70_215
WIKIPEDIA_FILMS = 160_000
"""Assumed: the order of magnitude of the articles below "Films by year" of English Wikipedia; count them first."""

TEXT_REQUESTS_PER_FILM = 0.044
"""Measured on a MediaWiki 1.39: 27 requests for 612 films, the category tree included (docs/films.md)."""
IMAGE_REQUESTS_PER_FILM = 1.0
IMAGE_BYTES = 12_000
PAGE_BYTES = 9_000
"""Assumed: a page's wikitext of 22,890 characters, compressed in the table `pages`."""
SEARCH_REQUESTS_PER_FILM, REQUESTS_PER_TRACK = 2.0, 5.0
"""Counted with yt-dlp and ytmusicapi against an edge of real shape (docs/soundtracks.md)."""
TRACKS_PER_HOUR = 170.0
"""At the default pace, 10 to 20 s before each download."""
DOWNLOADS_PER_DAY = 2_500
"""The default daily budget."""
DOWNLOAD_BYTES = 4_000_000
SEGMENTS_PER_TRACK = 17.4
SEGMENT_BYTES = 127_379
DECODES_PER_TRACK = 2
"""A download is decoded once to verify it and once to make its mels."""
DECODE_SECONDS = 0.41
"""CPU time of a recording of 181 s in WebM (docs/benchmarks.md)."""
METADATA_BYTES_PER_TRACK = 28_000
"""A fingerprint of 25 kB for three minutes, estimated from the 32 kB of four minutes that are measured
(docs/benchmarks.md), and, assumed, 3 kB for the row and its outcomes."""


@dataclass(frozen=True)
class Prices:
    """What the operator pays, in any one currency."""

    per_gb_month: float
    per_core_hour: float
    per_gpu_hour: float


@dataclass(frozen=True)
class Training:
    """One training of one system: how often it sees each track, and how fast the device is."""

    epochs: int
    items_per_second: float
    systems: int


@dataclass(frozen=True)
class Estimate:
    """The cost of collecting, keeping and training on a number of films."""

    films: int
    tracks: int
    wiki_requests: int
    wiki_hours: float
    source_requests: int
    collection_days: float
    transferred_bytes: float
    core_hours: float
    lake_bytes: float
    gpu_hours: float

    def price(self, prices: Prices) -> float:
        """Return the price of the first month: storage, the cores of extraction, the GPU of training."""
        storage = self.lake_bytes / 1e9 * prices.per_gb_month
        return storage + self.core_hours * prices.per_core_hour + self.gpu_hours * prices.per_gpu_hour


def estimate(films: int, tracks_per_film: float, requests_per_minute: float, training: Training) -> Estimate:
    """Return the cost of collecting this many films with the default pace and budgets."""
    tracks = round(films * tracks_per_film)
    wiki_requests = films * (TEXT_REQUESTS_PER_FILM + IMAGE_REQUESTS_PER_FILM)
    per_day = min(DOWNLOADS_PER_DAY, TRACKS_PER_HOUR * 24)
    mel_bytes = tracks * SEGMENTS_PER_TRACK * SEGMENT_BYTES
    table_bytes = films * (IMAGE_BYTES + PAGE_BYTES) + tracks * METADATA_BYTES_PER_TRACK
    return Estimate(
        films=films,
        tracks=tracks,
        wiki_requests=round(wiki_requests),
        wiki_hours=wiki_requests / requests_per_minute / 60,
        source_requests=round(films * SEARCH_REQUESTS_PER_FILM + tracks * REQUESTS_PER_TRACK),
        collection_days=tracks / per_day,
        transferred_bytes=tracks * DOWNLOAD_BYTES,
        core_hours=tracks * DECODES_PER_TRACK * DECODE_SECONDS / 3600,
        lake_bytes=mel_bytes + table_bytes,
        gpu_hours=training.systems * training.epochs * tracks / training.items_per_second / 3600,
    )


def as_markdown(estimates: Sequence[Estimate], prices: Prices) -> str:
    """Return the estimates as a Markdown table, one column per size."""
    rows = {
        "tracks": [f"{one.tracks:,}" for one in estimates],
        "requests to the wiki": [f"{one.wiki_requests:,}" for one in estimates],
        "hours at the wiki's rate": [f"{one.wiki_hours:,.1f}" for one in estimates],
        "requests to the source of music": [f"{one.source_requests:,}" for one in estimates],
        "days of collecting": [f"{one.collection_days:,.0f}" for one in estimates],
        "audio transferred": [f"{one.transferred_bytes / 1e12:,.2f} TB" for one in estimates],
        "core hours of decoding": [f"{one.core_hours:,.0f}" for one in estimates],
        "lake": [f"{one.lake_bytes / 1e12:,.2f} TB" for one in estimates],
        "GPU hours of training": [f"{one.gpu_hours:,.0f}" for one in estimates],
        "price of the first month": [f"{one.price(prices):,.0f}" for one in estimates],
    }
    head = ["| what | " + " | ".join(f"{one.films:,} films" for one in estimates) + " |"]
    rule = ["| --- |" + " ---: |" * len(estimates)]
    return "\n".join(head + rule + [f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items()])


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the command line's inputs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--films", type=int, nargs="+", default=[PAPER_FILMS, WIKIPEDIA_FILMS], help="sizes to estimate")
    add("--tracks-per-film", type=float, default=PAPER_TRACKS / PAPER_FILMS, help="recordings per film")
    add("--requests-per-minute", type=float, default=150.0, help="rate to the wiki")
    add("--epochs", type=int, default=20, help="times each track is seen in training, which stops early")
    add("--systems", type=int, default=27, help="trainings: nine systems with three seeds")
    add("--items-per-second", type=float, default=142.0, help="speed of your GPU, which `make gpu` measures")
    add("--per-gb-month", type=float, default=0.023, help="price of storage")
    add("--per-core-hour", type=float, default=0.04, help="price of a CPU core")
    add("--per-gpu-hour", type=float, default=3.0, help="price of a GPU")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table for the sizes that the command line names."""
    given = parsed(arguments)
    training = Training(given.epochs, given.items_per_second, given.systems)
    prices = Prices(given.per_gb_month, given.per_core_hour, given.per_gpu_hour)
    sizes = [estimate(films, given.tracks_per_film, given.requests_per_minute, training) for films in given.films]
    print(as_markdown(sizes, prices))


if __name__ == "__main__":
    main()
