"""Options that several commands share: one name, one explanation and one place in the help for each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

FILMS, MUSIC, NETWORK = "Films", "Music", "Music from the network"
EXTRACTION, DATASET, TRAINING = "Audio to mels", "Data set", "Training"
"""The panels of a long help page, in the order of the road."""

WIKIPEDIA_API = "https://en.wikipedia.org/w/api.php"

LakeRoot = Annotated[
    str, typer.Option("--lake", envvar="NEEDLEDROP_LAKE", help="Root of the lake: a folder, or s3://bucket/prefix.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Show Prefect's own log lines.")]

Images = Annotated[
    Path | None, typer.Option(help="Folder with the pictures that the export names.", rich_help_panel=FILMS)
]
Wiki = Annotated[str, typer.Option(help="Address of the wiki's api.php.", rich_help_panel=FILMS)]
Contact = Annotated[
    str | None,
    typer.Option(
        envvar="NEEDLEDROP_CONTACT", help="Your mail address or page, told to the wiki.", rich_help_panel=FILMS
    ),
]

MusicLists = Annotated[
    list[Path] | None,
    typer.Option(
        help="Music folder, or CSV list of film,path,title,artist,licence; may be repeated.", rich_help_panel=MUSIC
    ),
]
Urls = Annotated[
    list[Path] | None,
    typer.Option(
        help="List of addresses or RSS feeds: one a line, or a CSV with film,url; may be repeated.",
        rich_help_panel=MUSIC,
    ),
]
Youtube = Annotated[
    bool, typer.Option("--youtube", help="Look for each film's album on YouTube, then search.", rich_help_panel=MUSIC)
]
Right = Annotated[
    bool,
    typer.Option(
        "--i-have-the-right-to-collect",
        help="Your statement that you may collect this audio; kept with the run.",
        rich_help_panel=NETWORK,
    ),
]
CreativeCommonsOnly = Annotated[
    bool,
    typer.Option(
        "--creative-commons-only", help="Take only what states a Creative Commons licence.", rich_help_panel=NETWORK
    ),
]
KeepAudio = Annotated[
    bool,
    typer.Option(
        "--keep-audio",
        help="Keep downloads in the lake; deleted once their mels are committed otherwise.",
        rich_help_panel=NETWORK,
    ),
]
DailyRequests = Annotated[
    int,
    typer.Option(min=1, help="Requests a day to each source, over all runs and workers.", rich_help_panel=NETWORK),
]
DailyDownloads = Annotated[
    int,
    typer.Option(min=1, help="Downloads a day from each source, over all runs and workers.", rich_help_panel=NETWORK),
]
RecheckDays = Annotated[
    int,
    typer.Option(
        min=0, help="Ask after so many days whether a track is still there; 0 never.", rich_help_panel=NETWORK
    ),
]
MostRechecks = Annotated[
    int,
    typer.Option(
        min=1, help="At most this many such questions in one run; two hundred take an hour.", rich_help_panel=NETWORK
    ),
]
Pace = Annotated[
    float,
    typer.Option(
        min=0.0,
        max=10.0,
        help="Multiplies every wait; below 1 only for servers of your own.",
        rich_help_panel=NETWORK,
    ),
]

Workers = Annotated[
    int, typer.Option(min=1, max=64, help="Processes that decode audio side by side.", rich_help_panel=EXTRACTION)
]
Runner = Annotated[
    Literal["workers", "processes", "dask"],
    typer.Option(
        help="Where they run: workers (here, at the least cost), processes (Prefect's process runner, a task run for "
        "each 16 films) or dask (the same on Dask, also on other machines; pip install 'needledrop\\[dask]').",
        rich_help_panel=EXTRACTION,
    ),
]
DaskAddress = Annotated[
    str | None,
    typer.Option(
        help="A running Dask scheduler (tcp://host:8786); without it one is started here. Lake and audio must be "
        "shared.",
        rich_help_panel=EXTRACTION,
    ),
]
ShortTracks = Annotated[
    Literal["pad", "refuse"],
    typer.Option(
        help="What becomes of a recording shorter than a segment (9.92 s): refuse, or pad with silence.",
        rich_help_panel=EXTRACTION,
    ),
]
Encoding = Annotated[
    Literal["uint8", "float16"] | None,
    typer.Option(
        help="uint8 (steps of 0.31 dB) or float16 (decibels, twice the bytes); by default the lake's own, and uint8 "
        "in a new lake.",
        rich_help_panel=EXTRACTION,
    ),
]

TrainUntil = Annotated[int, typer.Option(help="Last release year of the training split.", rich_help_panel=DATASET)]
TestFrom = Annotated[
    int,
    typer.Option(help="First release year of the test split; years between validate.", rich_help_panel=DATASET),
]

Systems = Annotated[
    list[str] | None,
    typer.Option(
        "--system",
        help="All, Im, Plo, Ta, ImPlo, ImTa, TaPlo, AVCA (frozen towers), AVCA-tuned; may be repeated. all: these "
        "nine.",
        rich_help_panel=TRAINING,
    ),
]
Preset = Annotated[
    str, typer.Option(help="small (towers for a CPU), paper (its text) or released.", rich_help_panel=TRAINING)
]
Seeds = Annotated[int, typer.Option(min=1, help="How many seeds: 0, 1, 2, ….", rich_help_panel=TRAINING)]
Epochs = Annotated[int | None, typer.Option(min=1, help="At most this many epochs.", rich_help_panel=TRAINING)]
