"""Train one system on a version of the data set, then search the version's music for a film of your own.

    python examples/train_and_search.py --lake demo-lake --plot "A detective hunts a killer through the rain."

The same as `needledrop train` and `needledrop search`, from Python and without Prefect:

1. A lake is opened, and the newest version of its data set is loaded: three splits of films with their tracks,
   the mel-spectrograms memory-mapped.
2. A job names one training run: a system (which parts of a film make the query), settings, a seed. The same
   version, system, settings and seed give the same run id, so a finished job is not trained again and an
   interrupted one resumes.
3. `run_experiment` trains the job, embeds the films and tracks of the test split with the best weights, ranks
   the tracks for each film and records the ranks.
4. `search` embeds a query like a film and returns the tracks with the highest cosine.
"""

from __future__ import annotations

import argparse

from storage.errors import InputError
from storage.tables.tables import open_existing
from training.data.splits import newest_version
from training.loop.devices_and_torchrun import open_machine
from training.presets import chosen_settings
from training.retrieval.dataset_search import search
from training.retrieval.query_and_filters import FilmQuery
from training.systems import SYSTEMS, chosen_systems
from training.training_runs import is_done, load_data, plan_jobs, run_experiment


def main() -> None:
    """Read the arguments, train, search and print the tracks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", default="demo-lake", help="folder of the lake (default: demo-lake)")
    parser.add_argument("--system", default="TaPlo", choices=sorted(SYSTEMS), help="what to train (default: TaPlo)")
    parser.add_argument("--epochs", type=int, help="at most this many epochs (default: the preset's)")
    parser.add_argument("--plot", default="", help="the plot of the film")
    parser.add_argument("--tags", default="", help="Wikipedia categories, separated by commas")
    parser.add_argument("--count", type=int, default=5, help="how many tracks to print (default: 5)")
    arguments = parser.parse_args()
    tags = tuple(tag.strip() for tag in arguments.tags.split(",") if tag.strip())
    try:
        query = FilmQuery(plot=(arguments.plot,) if arguments.plot else (), tags=tags)
        train_and_search(arguments.lake, arguments.system, arguments.epochs, query, arguments.count)
    except InputError as error:
        parser.error(str(error))


def train_and_search(lake_root: str, system: str, epochs: int | None, query: FilmQuery, count: int) -> None:
    """Train a system on the newest version, unless that is done, and print the tracks that it finds for a film."""
    lake = open_existing(lake_root)
    version = newest_version(lake)
    settings = chosen_settings("small", epochs=epochs)
    [job] = plan_jobs(version, chosen_systems([system]), settings, seeds=[0])
    with open_machine() as machine:
        if not is_done(lake, job.run_id):
            run_experiment(lake, load_data(lake, version), job, machine)
        for track in search(lake, job.run_id, query, count, machine):
            print(f"{track.rank:3}  {track.score:.3f}  {track.title or track.track_id}  ({track.film})")


if __name__ == "__main__":
    main()
