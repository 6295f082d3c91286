"""Plot recall at K of every system of a lake's newest measured version, next to chance, as in the paper's Table 1.

    python examples/plot_recall.py --lake demo-lake --out recall.png

A lake keeps its measurements in one DuckDB file, `needledrop.duckdb`. Only ranks are stored: one row per film and
track of that film, with the rank of the track among all candidates. Every metric is a SQL view over these ranks,
so any program that reads DuckDB can ask for any of them; this one does not import Needledrop. Views to begin with:

    leaderboard   one row per system: recall at 1 to 100 in percent, median rank, MRR, with 95 % intervals
    metrics       the same for each single run
    slices        recall by year, language and number of tracks
    ranks         the ranks themselves

`needledrop sql --lake demo-lake "DESCRIBE leaderboard"` lists the columns of a view.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import duckdb
from matplotlib.figure import Figure

CUTOFFS = (1, 5, 10, 20, 50, 100)

# A policy is how tracks and queries were embedded: segments8 is the mean of eight segments and the first paragraph,
# segments1 the middle segment alone; a name with a hyphen is of whole plots or of best moments. Chance has none.
RECALLS = """
WITH newest AS (
    SELECT dataset_version FROM runs WHERE state = 'completed' AND source = 'trained'
    ORDER BY finished_at DESC LIMIT 1
)
SELECT system, source, r_at_1, r_at_5, r_at_10, r_at_20, r_at_50, r_at_100, any_value(candidates) OVER () AS candidates
FROM leaderboard JOIN newest USING (dataset_version)
WHERE source IN ('trained', 'chance') AND policy IS DISTINCT FROM 'segments1'
AND coalesce(policy, '') NOT LIKE '%-%'
ORDER BY source DESC, r_at_10 DESC
"""


def main() -> None:
    """Read the arguments, query the lake and write the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", type=Path, default=Path("demo-lake"), help="folder of the lake (default: demo-lake)")
    parser.add_argument("--out", type=Path, default=Path("recall.png"), help="image to write (default: recall.png)")
    arguments = parser.parse_args()
    database = arguments.lake / "needledrop.duckdb"
    if not database.is_file():
        parser.error(f"there is no lake at {arguments.lake}, or nothing was measured in it; run `needledrop demo`")
    rows = read_recalls(database)
    if not rows:
        parser.error(f"no run has been measured in {arguments.lake}; run `needledrop train` first")
    plot(rows).savefig(arguments.out, dpi=150)
    print(f"{arguments.out}: {', '.join(str(row[0]) for row in rows)}")


def read_recalls(database: Path) -> list[tuple[Any, ...]]:
    """Return (system, source, recall at each cutoff in percent …, number of candidates), trained systems first."""
    with duckdb.connect(str(database), read_only=True) as connection:
        return connection.execute(RECALLS).fetchall()


def plot(rows: list[tuple[Any, ...]]) -> Figure:
    """Return a figure of recall over K, one line per system, K on a logarithmic axis."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for system, source, *recalls, _ in rows:
        axes.plot(CUTOFFS, recalls, "--" if source == "chance" else "o-", label=system)
    axes.set(xscale="log", xlabel="K", ylabel="R@K (%)", title=f"Recall at K among {rows[0][-1]} tracks")
    axes.set_xticks(CUTOFFS, [str(cutoff) for cutoff in CUTOFFS])
    axes.minorticks_off()
    axes.legend()
    return figure


if __name__ == "__main__":
    main()
