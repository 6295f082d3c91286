"""`needledrop cues`: music of the user's libraries for each scene of a script, as a cue sheet and timelines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from needledrop.cli.options import LakeRoot
from needledrop.cli.output.terminal_tables import as_clock, indented
from needledrop.cli.retrieval.search_options import (
    Artist,
    EncoderName,
    FilterOptions,
    Image,
    Libraries,
    Licence,
    Like,
    LikeWeight,
    Loudness,
    MaxDuration,
    MinDuration,
    Named,
    NotLike,
    RankedBy,
    Tags,
    Tempo,
    Years,
    check_named,
    check_references,
    choose_engine,
    engine_notes,
    open_engine,
    read_ranking,
    reference_vector,
)
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.libraries.library import Library, open_library
from storage.tables.tables import open_existing

if TYPE_CHECKING:
    from needledrop.cues.scene_list import PlacedScene
    from needledrop.cues.suggest_tracks import Cue, Wishes
    from needledrop.cues.timecode import Timebase

Script = Annotated[
    Path, typer.Argument(help="Text, Fountain, or a CSV list.", metavar="SCRIPT.txt|.fountain|.csv", show_default=False)
]


@dataclass(frozen=True)
class References:
    """Recordings that the music of all scenes should, or should not, sound like, as typed."""

    like: tuple[str, ...]
    not_like: tuple[str, ...]
    weight: float


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("cues")(cues_command)


def cues_command(
    script: Script,
    library: Libraries,
    out: Path = typer.Option(
        None, help="Folder to write to; files of an earlier run are replaced. Default: SCRIPT-cues, here."
    ),
    fps: str = typer.Option("24", help="Frames per second: 23.976, 24, 25, 29.97, 30, 48, 50, 59.94 or 60."),
    drop_frame: bool = typer.Option(False, "--drop-frame", help="Time codes are drop-frame (29.97 and 59.94 fps)."),
    per_scene: int = typer.Option(1, min=1, max=20, help="Tracks to suggest for a scene."),
    repeat: bool = typer.Option(False, "--repeat", help="Let a track be suggested for several scenes."),
    tags: Tags = None,
    image: Image = None,
    run: str = typer.Option(None, help="Run to search with; default: the best one that has indexed the libraries."),
    encoder: EncoderName = None,
    like: Like = None,
    not_like: NotLike = None,
    like_weight: LikeWeight = 0.5,
    by: RankedBy = "mean",
    min_duration: MinDuration = None,
    max_duration: MaxDuration = None,
    tempo: Tempo = None,
    loudness: Loudness = None,
    year: Years = None,
    licence: Licence = None,
    artist: Artist = None,
    lake: LakeRoot = "lake",
) -> None:
    """Suggest music of your libraries for each scene of a script, and write a cue sheet and timelines.

    Scenes are the paragraphs of a text, what follows the scene headings of a screenplay (Fountain), or the rows
    of a list with the columns scene, description, in, out, tags. Each track starts so that it lasts as long as its
    scene. Written are cues.csv, cues.html to print, cues.otio (OpenTimelineIO) and cues.edl (CMX3600).

    [bold]Examples[/]: needledrop cues script.fountain --library licensed
    · needledrop cues scenes.csv --library licensed --fps 29.97 --drop-frame --per-scene 3 --max-duration 4:00
    """
    opened = open_existing(lake)
    ranking, named = read_ranking(by), Named(run, encoder)
    check_named(named)
    folder = out or Path(f"{script.stem}-cues")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; give another folder with --out")
    wanted = FilterOptions(min_duration, max_duration, tempo, loudness, year, licence, artist).read()

    from needledrop.cli.retrieval.search_options import read_image, read_tags
    from needledrop.cues.scene_list import place_scenes
    from needledrop.cues.script import read_script
    from needledrop.cues.timecode import open_timebase
    from training.retrieval.query_and_filters import FilmQuery

    read = read_script(script, open_timebase(fps, drop_frame=drop_frame))
    timebase = read.timebase
    placed = place_scenes(read.scenes, timebase)
    of_film, picture = read_tags(tags), read_image(image)
    every = FilmQuery(("every scene",), of_film, picture)
    libraries = [open_library(opened, name) for name in dict.fromkeys(library)]
    references = References(tuple(like or ()), tuple(not_like or ()), like_weight)
    check_references(libraries, (*references.like, *references.not_like))
    chosen = choose_engine(opened, libraries, every.parts, named)

    from needledrop.cues.cue_files import file_texts, write_files
    from needledrop.cues.suggest_tracks import Wishes

    wishes = Wishes(per_scene, repeat, ranking, wanted, of_film, picture)
    cues, notes = _searched(opened, libraries, chosen, placed, timebase, wishes, references)
    _print(Console(highlight=False), cues, timebase)
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    for note in (*read.notes, *notes):
        errors.print(note, style="dim", markup=False)
    written = write_files(folder, file_texts(script.stem, cues, timebase, read.notes))
    errors.print(f"Wrote {', '.join(written)} to {folder}", markup=False)


def _searched(
    lake: Lake,
    libraries: Sequence[Library],
    chosen: Named,
    scenes: Sequence[PlacedScene],
    timebase: Timebase,
    wishes: Wishes,
    references: References,
) -> tuple[list[Cue], list[str]]:
    """Return the cues, and sentences about the search."""
    from needledrop.cues.suggest_tracks import suggest_cues
    from tasks.progress import shown_progress
    from training.loop.devices_and_torchrun import open_machine

    with open_machine() as machine, shown_progress() as progress:
        engine = open_engine(lake, libraries, chosen, machine)
        like, not_like = (
            tuple(reference_vector(engine, libraries, name) for name in given)
            for given in (references.like, references.not_like)
        )
        heard = replace(wishes, like=like, not_like=not_like, like_weight=references.weight)
        cues = suggest_cues(
            engine, libraries, scenes, timebase, heard, lambda done, total: progress("scenes", done, total)
        )
        searched = len(engine.open(libraries))
    tags = dict.fromkeys((*wishes.tags, *(tag for scene in scenes for tag in scene.scene.tags)))
    notes = engine_notes(engine, list(tags), has_image=wishes.image is not None)
    names = ", ".join(library.name for library in libraries)
    return cues, [*notes, f"Searched {searched:,} tracks of {names} with {chosen.encoder or engine.engine}"]


def _print(console: Console, cues: Sequence[Cue], timebase: Timebase) -> None:
    """Print each scene with its place, its tracks, and what there is to know about them."""
    for cue in cues:
        scene = cue.scene
        if cue.choice == 1:
            place = f"{timebase.label(scene.start)} – {timebase.label(scene.end)}"
            length = (
                f"{timebase.seconds(scene.frames):.1f} s{f', {scene.estimated} estimated' if scene.estimated else ''}"
            )
            console.print(f"{scene.number:>3}  {scene.scene.name}", style="bold", markup=False)
            console.print(f"     {place} ({length})", markup=False)
        if cue.row is not None:
            by = f" by {cue.row['artist']}" if cue.row["artist"] else ""
            start, length = (as_clock(timebase.seconds(frames)) for frames in (cue.source_start, cue.frames))
            facts = [f"from {start} of {as_clock(cue.row['duration_seconds'])} for {length}", f"score {cue.score:.3f}"]
            if cue.percentile is not None:
                facts.append(f"over {cue.percentile:.0f} % of training films")
            facts += [cue.row["licence"]] if cue.row["licence"] else []
            console.print(f"     ♪ {cue.row['title']}{by}", markup=False)
            console.print(indented(", ".join(facts), 7))
        for note in cue.notes if cue.choice == 1 else cue.notes[len(scene.notes) :]:
            console.print(indented(note, style="dim"))
