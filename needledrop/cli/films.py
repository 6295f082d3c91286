"""`needledrop films`: collect films from Wikipedia's API or from an XML export."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

from flows.parameters import CollectFilmsParameters
from needledrop.cli.options import options_of
from needledrop.cli.run_flow import print_pause, run_flow
from storage.errors import SourcePaused


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("films")(films_command)


@options_of(CollectFilmsParameters)
def films_command(parameters: CollectFilmsParameters, verbose: bool) -> None:
    """Collect films: plot, tags, year and poster. Fetches only what is new or changed.

    When the wiki asks for a pause, the run ends with exit status 4: run it again later.

    [bold]Examples[/]

    needledrop films --years 2022 --contact me@example.org

    needledrop films --film "Metropolis (1927 film)" --film @more-films.txt --contact me@example.org

    needledrop films --export enwiki-latest-pages-articles.xml.bz2 --images posters
    """
    counts = run_flow("flows.collect_films:collect_films", parameters, verbose=verbose)
    table = Table("result", "pages or images", title=f"Films in {parameters.lake}", title_justify="left")
    for name, count in counts.items():
        if name != "paused":
            table.add_row(name.replace("_", " "), f"{count:,}")
    Console().print(table)
    if print_pause(counts):
        raise typer.Exit(SourcePaused.exit_status)
