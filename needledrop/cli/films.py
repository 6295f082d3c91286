"""`needledrop films`: collect films from Wikipedia's API or from an XML export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from needledrop.cli.options import FILMS, WIKIPEDIA_API, Contact, Images, LakeRoot, Verbose, Wiki
from needledrop.cli.run_flow import embedded
from storage.errors import InputError


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("films")(films_command)


def films_command(
    export: Annotated[
        Path | None,
        typer.Option(help="A MediaWiki XML export or dump: .xml, .xml.gz, .xml.bz2.", rich_help_panel=FILMS),
    ] = None,
    images: Images = None,
    years: Annotated[
        str | None,
        typer.Option(help="Release years from the wiki: 2022, 2019-2022 or 2014,2016.", rich_help_panel=FILMS),
    ] = None,
    titles: Annotated[
        list[str] | None,
        typer.Option(
            help="A title, page id or address; repeat it, or give @FILE with one a line.", rich_help_panel=FILMS
        ),
    ] = None,
    wiki: Wiki = WIKIPEDIA_API,
    contact: Contact = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Read at most this many new pages.", rich_help_panel=FILMS)
    ] = None,
    requests_per_minute: Annotated[
        float,
        typer.Option(
            min=1, help="The pace. Wikimedia lets 200 through for a client that names a contact.", rich_help_panel=FILMS
        ),
    ] = 150,
    lake: LakeRoot = "lake",
    verbose: Verbose = False,
) -> None:
    """Collect films: their plot, tags, year and picture. Only what is new or changed is fetched.

    [bold]Examples[/]

    needledrop films --years 2022 --contact me@example.org

    needledrop films --export enwiki-latest-pages-articles.xml.bz2 --images posters
    """
    with embedded(verbose=verbose):
        from flows.collect_films import check_parameters, collect_films

        path, asked, named = str(export) if export else None, parse_years(years), parse_titles(titles or [])
        check_parameters(path, asked, named, contact)  # before a server is started for nothing
        counts = collect_films(
            lake=lake,
            export=path,
            images=str(images) if images else None,
            years=asked,
            titles=named,
            wiki=wiki,
            contact=contact,
            limit=limit,
            requests_per_minute=requests_per_minute,
        )
    table = Table("What", "How many", title=f"Films in {lake}", title_justify="left")
    for what, how_many in counts.items():
        table.add_row(what.replace("_", " "), str(how_many))
    Console().print(table)


def parse_years(text: str | None) -> list[int]:
    """The years in "2022", "2019-2022" or "2014,2016-2018", none in None. Raises `InputError` for anything else."""
    years: set[int] = set()
    if text is None:
        return []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last if dash else first).isdecimal()):
            raise InputError(f"{text!r} names no years; write 2022, 2019-2022 or 2014,2016")
        years.update(range(int(first), int(last or first) + 1))
    if not years:
        raise InputError(f"{text!r} names no years; write the earlier one first, as in 2019-2022")
    return sorted(years)


def parse_titles(given: list[str]) -> list[str]:
    """Titles as given, and those in files given as @FILE, one a line. Raises `InputError` for a missing file."""
    titles: list[str] = []
    for entry in given:
        if not entry.startswith("@"):
            titles.append(entry)
            continue
        file = Path(entry[1:]).expanduser()
        if not file.is_file():
            raise InputError(f"There is no file {file}; give @FILE with one title a line")
        titles.extend(line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    return titles
