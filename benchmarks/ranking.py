"""Ranking the whole data set: 7,771 films against 70,215 tracks, compared with the method of the released code.

    python benchmarks/ranking.py            # about a minute; --sample 20 for a shorter look

The released method is reimplemented here, step by step as its evaluation script does it: one film's row of the
similarity matrix becomes a Python list and a tensor again, is sorted in full, and each own track is looked for by
walking the sorted list; every track's path is split again for every film to find out whose it is. Its matrix of
tracks by tracks (19.7 GB) and its rewriting of a JSON file after each film are left out, in its favour. It is
timed on some films spread over the data and multiplied; ours is run in full, in a separate process for the
memory. CPU seconds count all threads; on a machine that does other work they are the ones to trust.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import time
from pathlib import Path

import numpy as np

DIMENSIONS = 64
HISTOGRAM = Path(__file__).parent.parent / "tests" / "storage" / "metrics" / "tracks_per_film.json"


def main() -> None:
    """Print both times, the ratio and the memory."""
    options = _options()
    sizes = _sizes(options.films, options.tracks)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        ours = pool.apply(_ours, (sizes, options.device))
    theirs = _released(sizes, options.sample)
    apart = [abs(a - b) for f, r in theirs["ranks"].items() for a, b in zip(ours["ranks"][f], r, strict=True)]
    whole = theirs["seconds_per_film"] * options.films
    print(f"{options.films:,} films x {options.tracks:,} tracks x {DIMENSIONS} dimensions on {os.cpu_count()} cores")
    print(f"ours, in full           {ours['seconds']:8.2f} s   {ours['cpu_seconds']:8.2f} CPU-s")
    print(f"ours, first (compiling) {ours['compile_seconds']:8.2f} s")
    print(f"ours, peak memory       {ours['peak_mib']:8.0f} MiB (of which {ours['base_mib']:.0f} before ranking)")
    print(f"released method         {whole:8.0f} s   ({1000 * theirs['seconds_per_film']:.1f} ms a film, "
          f"{theirs['cpu_seconds_per_film'] * options.films:.0f} CPU-s, from {options.sample} films)")  # fmt: skip
    print(f"ratio                   {whole / ours['seconds']:8.0f} x wall   "
          f"{theirs['cpu_seconds_per_film'] * options.films / ours['cpu_seconds']:.0f} x CPU")  # fmt: skip
    print(f"ranks on the sampled films: {apart.count(0):,} of {len(apart):,} the same, the others at most "
          f"{max(apart)} apart (float32 rounding there, exact here)")  # fmt: skip


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=7771)
    parser.add_argument("--tracks", type=int, default=70215)
    parser.add_argument("--sample", type=int, default=60, help="films that the released method is timed on")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    return parser.parse_args()


def _sizes(films: int, tracks: int) -> np.ndarray:
    """Tracks per film with the spread of the released test films, at least one each, adding up to `tracks`."""
    random = np.random.default_rng(0)
    share = random.choice(np.array(json.loads(HISTOGRAM.read_text()), float), size=films)
    return 1 + random.multinomial(tracks - films, share / share.sum())


def _embeddings(sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Films, tracks and each track's film: a track is its film's direction and three times as much noise."""
    random = np.random.default_rng(1)
    films = random.normal(size=(len(sizes), DIMENSIONS)).astype(np.float32)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    tracks = films[owner] + 3 * random.normal(size=(len(owner), DIMENSIONS)).astype(np.float32)
    order = random.permutation(len(owner))
    return films, tracks[order], owner[order]


def _ours(sizes: np.ndarray, device: str) -> dict:
    from training.evaluation.embeddings import Embeddings
    from training.evaluation.ranking import rank_tracks

    films, tracks, owner = _embeddings(sizes)
    queries = Embeddings(tuple(f"f{i}" for i in range(len(films))), films)
    candidates = Embeddings(tuple(f"t{i}" for i in range(len(tracks))), tracks)
    owners = {f"t{i}": f"f{film}" for i, film in enumerate(owner)}
    began = time.perf_counter()
    few = Embeddings(queries.ids[:2], films[:2])
    rank_tracks(few, candidates, owners, device)
    compiled, base, cpu = time.perf_counter(), _peak_mib(), time.process_time()
    ranks = rank_tracks(queries, candidates, owners, device)
    done = time.perf_counter()
    found: dict[int, list[int]] = {}
    for film, rank in zip(ranks.film_ids, ranks.rank_lo.tolist(), strict=True):
        found.setdefault(int(film[1:]), []).append(rank)
    return {
        "seconds": done - compiled,
        "compile_seconds": compiled - began,
        "cpu_seconds": time.process_time() - cpu,
        "base_mib": base,
        "peak_mib": _peak_mib(),
        "ranks": {film: sorted(values) for film, values in found.items()},
    }


def _released(sizes: np.ndarray, sample: int) -> dict:
    """The released method on films spread evenly over the data, torch and lists as it uses them."""
    import torch

    films, tracks, owner = _embeddings(sizes)
    names = ["".join(chr(97 + film // 26**place % 26) for place in range(3)) for film in range(len(films))]
    paths = [f"./data/audio/{'/'.join(names[film])}/{index}.mp3" for index, film in enumerate(owner)]
    query, candidate = (torch.nn.functional.normalize(torch.from_numpy(v), dim=-1) for v in (films, tracks))
    chosen = np.linspace(0, len(films) - 1, sample).astype(int)
    found, began, cpu = {}, time.perf_counter(), time.process_time()
    for film in chosen:
        scores = torch.matmul(query[film], candidate.T).cpu().numpy().tolist()
        places = torch.argsort(torch.tensor(scores), descending=True).tolist()
        ranks = []
        for index, path in enumerate(paths):
            if path.split("/")[-4] + path.split("/")[-3] + path.split("/")[-2] == names[film]:
                ranks.append(places.index(index) + 1)
        found[int(film)] = sorted(ranks)
    return {
        "seconds_per_film": (time.perf_counter() - began) / sample,
        "cpu_seconds_per_film": (time.process_time() - cpu) / sample,
        "ranks": found,
    }


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
