"""Search in a library of 100,000 tracks with 1.8 million segments: exact, next to numpy's product with all segments.

    python -m benchmarks.library_search            # half a minute, 1.5 GB of memory

The vectors are drawn at random, the rows have what filters read. Each figure is the median of the queries, which take
turns: the mean of each track, the best moment, the mean with a filter that few tracks pass, and the product alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.libraries.library_embeddings import LibraryEmbeddings
from training.retrieval.query_and_filters import TrackFilter
from training.retrieval.search_results import LibraryIndex

FOUND = 20
NARROW = TrackFilter(seconds=(60.0, 240.0), tempo_bpm=(100.0, 101.0), licence="cc0")
"""What about one track in three hundred passes."""


def main() -> None:
    """Print the median time of each way to search."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", type=int, default=100_000)
    parser.add_argument("--segments", type=int, default=18, help="of each track: three minutes")
    parser.add_argument("--dimensions", type=int, default=64, help="of the shared space; the paper's is 64")
    parser.add_argument("--queries", type=int, default=20)
    options = parser.parse_args()
    index = draw_index(options.tracks, options.segments, options.dimensions)
    times: dict[str, list[float]] = {}
    rng = np.random.default_rng(1)
    for _ in range(options.queries):
        query = rng.normal(size=options.dimensions).astype(np.float32)
        query /= np.linalg.norm(query)
        for name, ask in ways(index, query).items():
            started = time.perf_counter()
            ask()
            times.setdefault(name, []).append(1000 * (time.perf_counter() - started))
    segments = options.tracks * options.segments
    print(f"{options.tracks:,} tracks, {segments:,} segments, {options.dimensions} dimensions, "
          f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")  # fmt: skip
    for name, measured in times.items():
        print(f"{name:38s} {statistics.median(measured):6.0f} ms, the slowest {max(measured):.0f}")


def ways(index: LibraryIndex, query: NDArray[np.float32]) -> dict[str, Callable[[], Any]]:
    """Return what is timed, by name."""
    return {
        "by the mean": lambda: index.search(query, FOUND, most_per_album=3),
        "by the best moment": lambda: index.search(query, FOUND, by="best", most_per_album=3),
        "by the mean, with a narrow filter": lambda: index.search(query, FOUND, allows=NARROW.allows),
        "numpy's product with all segments": lambda: index.embeddings.vectors @ query,
    }


def draw_index(tracks: int, segments: int, dimensions: int) -> LibraryIndex:
    """Return an index of random tracks of the same length."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((tracks * segments, dimensions), np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    first = np.arange(0, tracks * segments + 1, segments)
    names = tuple(f"{track:032x}" for track in range(tracks))
    embeddings = LibraryEmbeddings(names, first, vectors, np.ones(len(vectors), np.float32))
    tempo, licensed = rng.uniform(60, 180, tracks), rng.random(tracks) < 0.5
    rows = [
        {"duration_seconds": 9.92 * segments, "tempo_bpm": float(tempo[track]), "loudness_lufs": -14.0, "year": 2020,
         "licence": "CC0 1.0" if licensed[track] else "all rights reserved", "artist": f"artist {track % 4_000}",
         "album": f"album {track // 12}"}
        for track in range(tracks)
    ]  # fmt: skip
    return LibraryIndex(embeddings, rows, 8)


if __name__ == "__main__":
    main()
