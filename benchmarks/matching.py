"""Measure the matching rule on the labelled recordings: verdicts by kind, precision and recall with intervals.

Run: python -m benchmarks.matching
"""

from __future__ import annotations

from collections import Counter

from scipy.stats import binomtest

from tests.labelled_recordings import DECISIONS, DELIVERIES, HALVES, OWN_VIDEOS, precision, recall, results


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
    """Print a share with its 95 % interval (Wilson, 1927)."""
    interval = binomtest(successes, total).proportion_ci(method="wilson")
    print(f"{name}: {successes} of {total} = {successes / total:.3f} ({interval.low:.3f}–{interval.high:.3f})")


if __name__ == "__main__":
    main()
