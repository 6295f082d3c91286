"""Measure the matching rule on the labelled recordings: verdicts by kind, precision and recall with intervals.

Run: python -m benchmarks.matching
"""

from __future__ import annotations

import math
from collections import Counter

from tests.labelled_recordings import DECISIONS, DELIVERIES, HALVES, OWN_VIDEOS, precision, recall, results


def wilson(successes: int, total: int) -> tuple[float, float, float]:
    """Return a share and its 95 % interval (Wilson 1927)."""
    z, share = 1.96, successes / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / (1 + z * z / total)
    return share, middle - half, middle + half


def main() -> None:
    """Print both halves as tables."""
    for half in HALVES:
        counts = Counter((one.kind, one.wanted, one.actual) for one in results(half))
        print(f"| kind ({half}) | wanted | taken | review | rejected |\n| --- | --- | --- | --- | --- |")
        for kind, wanted in sorted({key[:2] for key in counts}):
            shares = " | ".join(str(counts[kind, wanted, decision]) for decision in DECISIONS.values())
            print(f"| {kind} | {wanted} | {shares} |")
        print_share("precision", *precision(half))
        for name, kinds in (("deliveries", DELIVERIES), ("own videos", OWN_VIDEOS)):
            for group in (None, "english", "indian", "other"):
                print_share(f"recall of {name}, {group or 'all'}", *recall(half, kinds, group))


def print_share(name: str, successes: int, total: int) -> None:
    """Print a share with its 95 % interval."""
    share, low, high = wilson(successes, total)
    print(f"{name}: {successes} of {total} = {share:.3f} ({low:.3f}–{high:.3f})")


if __name__ == "__main__":
    main()
