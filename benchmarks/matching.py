"""Measure the matching rule on the labelled recordings: verdicts by kind, precision and recall with intervals.

    python -m benchmarks.matching
    python -m benchmarks.matching --against f5e3d12^    # next to the rule of an earlier commit: rule 4

The earlier rule is that commit's own code, on the same recordings: it is extracted into a temporary folder and run by a
process of its own, which gives it what its classes know of a film and a candidate.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tarfile
import tempfile
from collections import Counter
from pathlib import Path

from scipy.stats import binomtest

from storage.errors import InputError
from tasks.soundtracks.candidate_recordings import Decision
from tests.labelled_recordings import (
    DECISIONS,
    DELIVERIES,
    HALVES,
    INVENTED,
    OWN_VIDEOS,
    Result,
    entries,
    precision,
    recall,
    results,
)

JUDGE = """
import dataclasses, importlib.util, json, sys
from tasks.soundtracks.matching.film_index import FilmIndex

def module(*names):
    return next(importlib.import_module(name) for name in names if importlib.util.find_spec(name))

recordings = module("tasks.soundtracks.candidate_recordings", "tasks.soundtracks.models")
Candidate, Film = recordings.Candidate, recordings.Film
Matcher = module("tasks.soundtracks.matching.track_selection", "tasks.soundtracks.matching.matcher").Matcher
listings = module("tasks.films.wiki.site_and_pages", "tasks.films.models")

def known(kind, facts):
    names = {field.name for field in dataclasses.fields(kind)} - {"listings", "tracks"}
    return kind(**{n: tuple(v) if isinstance(v, list) else v for n, v in facts.items() if n in names and v is not None})

def film_of(facts):
    film = known(Film, facts)
    if "listings" not in {field.name for field in dataclasses.fields(Film)}:
        return film
    def listing(one):
        tracks = tuple(listings.ListedTrack(track["title"], track.get("seconds")) for track in one.get("tracks") or ())
        rest = (tuple(one.get("artists") or ()), one.get("record_label"), one.get("release_date"))
        return listings.AlbumListing(one["title"], *rest, tracks)
    return dataclasses.replace(film, listings=tuple(map(listing, facts.get("listings") or ())))

for entry in json.load(sys.stdin):
    film, others = film_of(entry["film"]), [film_of(one) for one in entry.get("other_films") or ()]
    matcher = Matcher(FilmIndex([film, *others]))
    for one in entry["candidates"]:
        print(str(matcher.judge(known(Candidate, one["candidate"]), film).verdict.decision))
"""
"""Reads films with candidates from its standard input; writes one decision per line. Older modules have other names."""


def main() -> None:
    """Print both halves and the invented recordings as tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", metavar="COMMIT", help="Print what the rule of this commit decides as well.")
    against = parser.parse_args().against
    try:
        for half in (*HALVES, INVENTED):
            by_rule = {"this tree": results(half)} | ({against: results_of_commit(half, against)} if against else {})
            print_decisions(half, by_rule)
            for rule, judged in by_rule.items():
                print_shares(rule, judged)
    except InputError as error:
        sys.exit(str(error))


def results_of_commit(half: str, commit: str) -> list[Result]:
    """Return what the rule of an earlier commit decides about the candidates of a half, in the order of `results`.

    Raises `InputError` when there is no such commit, or when its rule has another layout than `JUDGE` knows.
    """
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "tree.tar")
        made = ["git", "archive", "--output", str(archive), commit, "--", "tasks", "storage"]
        done = subprocess.run(made, capture_output=True, text=True, check=False)
        if done.returncode:
            raise InputError(f"{commit} cannot be read from this repository: {done.stderr.strip()}")
        with tarfile.open(archive) as tree:
            tree.extractall(folder, filter="data")
        films = json.dumps(entries(half))
        judged = subprocess.run(
            [sys.executable, "-c", JUDGE], input=films, capture_output=True, text=True, cwd=folder, check=False
        )
        if judged.returncode:
            reason = judged.stderr.strip().rsplit("\n", maxsplit=1)[-1]
            raise InputError(f"The rule of {commit} cannot be asked ({reason}); name a later commit")
    decisions = [Decision(line) for line in judged.stdout.split()]
    return [
        Result(one.group, one.language, one.kind, one.wanted, decision)
        for one, decision in zip(results(half), decisions, strict=True)
    ]


def print_decisions(half: str, by_rule: dict[str, list[Result]]) -> None:
    """Print how many candidates of each kind each rule took, left to a person and rejected."""
    counts = {rule: Counter((one.kind, one.wanted, one.actual) for one in judged) for rule, judged in by_rule.items()}
    print(f"| kind ({half}) | wanted | {' | '.join(f'{rule}: taken / review / rejected' for rule in by_rule)} |")
    print("| --- | --- |" + " --- |" * len(by_rule))
    for kind, wanted in sorted({key[:2] for counted in counts.values() for key in counted}):
        cells = [
            " / ".join(str(counted[kind, wanted, decision]) for decision in DECISIONS.values())
            for counted in counts.values()
        ]
        print(f"| {kind} | {wanted} | {' | '.join(cells)} |")


def print_shares(rule: str, judged: list[Result]) -> None:
    """Print precision, and recall by kind, group and language of films."""
    print_share(f"{rule}: precision", *precision(judged))
    for name, kinds in (("deliveries", DELIVERIES), ("own videos", OWN_VIDEOS)):
        for group in (None, "english", "indian", "other"):
            print_share(f"{rule}: recall of {name}, {group or 'all'}", *recall(judged, kinds, group))
    for language in sorted({one.language for one in judged if one.group == "other" and one.kind in OWN_VIDEOS}):
        print_share(f"{rule}: recall of own videos, {language}", *recall(judged, OWN_VIDEOS, language))


def print_share(name: str, successes: int, total: int) -> None:
    """Print a share with its 95 % interval (Wilson, 1927)."""
    if not total:
        print(f"{name}: none")
        return
    interval = binomtest(successes, total).proportion_ci(method="wilson")
    print(f"{name}: {successes} of {total} = {successes / total:.3f} ({interval.low:.3f}–{interval.high:.3f})")


if __name__ == "__main__":
    main()
