"""Cues as timelines for an editing system: OpenTimelineIO, and edit decision lists in the form CMX3600.

Time begins at 00:00:00:00, so a clip's place in the timeline is its time code in the film. Media are named by their
path below the library's folder, which an editing system links to the files on its own machine. An edit list knows one
track, 999 events, names of eight letters and digits, and ASCII: overlapping cues go into a list of their own, and each
recording has a reel name, which the cue sheet repeats. It states no frame rate: whoever reads it gives it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import opentimelineio as otio
from opentimelineio.opentime import RationalTime, TimeRange
from opentimelineio.schema import Clip, ExternalReference, Gap, Timeline, Track, TrackKind

from needledrop.cues.suggest import Cue
from needledrop.cues.timecode import Timebase

REEL_LETTERS = 5
"""The other three of eight are the number of the recording, so that no two are alike and none is reserved (BL, AX)."""
COMMENT_CHARACTERS = 120
_EVENT_CODE = re.compile(r"[0-9]{2}[:;][0-9]{2}[:;][0-9]{2}[:;][0-9]{2}")


def reel_names(cues: Sequence[Cue]) -> dict[str, str]:
    """Return a name of eight letters and digits for each recording, by its track id."""
    names: dict[str, str] = {}
    for cue in cues:
        if cue.row is not None and cue.row["track_id"] not in names:
            letters = re.sub(r"[^A-Z0-9]", "", _ascii(cue.row["title"] or "").upper())[:REEL_LETTERS]
            names[cue.row["track_id"]] = f"{letters:X<{REEL_LETTERS}}{len(names) + 1:03}"
    return names


def layers(cues: Sequence[Cue]) -> list[list[Cue]]:
    """Return the first choices in tracks without overlap, in the order of time; most films need one track."""
    found: list[list[Cue]] = []
    chosen = [cue for cue in cues if cue.choice == 1 and cue.row is not None and cue.frames]
    for cue in sorted(chosen, key=lambda cue: (cue.start, cue.scene.number)):
        layer = next((layer for layer in found if layer[-1].end <= cue.start), None)
        if layer is None:
            found.append([cue])
        else:
            layer.append(cue)
    return found


def otio_text(name: str, cues: Sequence[Cue], timebase: Timebase) -> str:
    """Return the cues as an OpenTimelineIO file: an audio track of first choices, and more where they overlap."""
    timeline = Timeline(name, global_start_time=timebase.time(0))
    timeline.metadata["needledrop"] = {"rate": timebase.name, "drop_frame": timebase.drop_frame}
    reels = reel_names(cues)
    for number, layer in enumerate(layers(cues), 1):
        timeline.tracks.append(_track(f"Music {number}", layer, reels, timebase))
    return str(otio.adapters.write_to_string(timeline, "otio_json"))


def edl_texts(name: str, cues: Sequence[Cue], timebase: Timebase) -> list[str]:
    """Return the cues as edit decision lists, one per track of the timeline."""
    reels = reel_names(cues)
    return [_edl(_ascii(name), layer, reels, timebase) for layer in layers(cues)]


def _edl(title: str, layer: Sequence[Cue], reels: dict[str, str], timebase: Timebase) -> str:
    timeline = Timeline(title or "CUES")
    track = _track("A", layer, reels, timebase, is_ascii=True)
    # The writer lists the first track, and wants one of video somewhere.
    timeline.tracks.extend([track, Track("V", kind=TrackKind.Video)])
    text = str(otio.adapters.write_to_string(timeline, "cmx_3600", rate=timebase.rate))
    mode = "DROP FRAME" if timebase.drop_frame else "NON-DROP FRAME"
    lines = text.split("\n")
    return "\n".join([lines[0], f"FCM: {mode}", *(_labelled(line, timebase) for line in lines[1:])])


def _labelled(line: str, timebase: Timebase) -> str:
    """Return an event with the kind of time codes that was asked for: at 29.97 fps the writer knows only drop-frame."""
    if not line[:1].isdigit():
        return line
    return _EVENT_CODE.sub(
        lambda code: timebase.label(int(RationalTime.from_timecode(code[0], timebase.rate).value)), line
    )


def _track(
    name: str, layer: Sequence[Cue], reels: dict[str, str], timebase: Timebase, *, is_ascii: bool = False
) -> Track:
    track, end = Track(name, kind=TrackKind.Audio), 0
    for cue in layer:
        if cue.start > end:
            track.append(Gap(source_range=TimeRange(timebase.time(0), timebase.time(cue.start - end))))
        track.append(_clip(cue, reels, timebase, is_ascii=is_ascii))
        end = cue.end
    return track


def _clip(cue: Cue, reels: dict[str, str], timebase: Timebase, *, is_ascii: bool) -> Clip:
    row = cue.row or {}
    available = TimeRange(timebase.time(0), timebase.time(timebase.whole_frames(row["duration_seconds"])))
    scene = f"{cue.scene.number} {cue.scene.scene.name}".strip()
    title, path = str(row["title"] or row["path"]), str(row["path"])
    reel = reels[row["track_id"]]
    if is_ascii:
        title, path = _ascii(title) or reel, _ascii(path, None).replace("[", "(").replace("]", ")")
    clip = Clip(
        name=title,
        media_reference=ExternalReference(target_url=path, available_range=available),
        source_range=TimeRange(timebase.time(cue.source_start), timebase.time(cue.frames)),
    )
    clip.metadata["cmx_3600"] = {"reel": reel, "comments": [f"SCENE: {_ascii(scene)}"]}
    if not is_ascii:
        known = ("track_id", "library", "artist", "composer", "publisher", "isrc", "licence")
        clip.metadata["needledrop"] = {name: row.get(name) for name in known if row.get(name)} | {"scene": scene}
    return clip


def _ascii(text: str, most: int | None = COMMENT_CHARACTERS) -> str:
    """Return the ASCII of a text on one line: letters without their accents, and nothing for other scripts."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode()
    return " ".join(re.sub(r"[^\x20-\x7e]", " ", plain).split())[:most]
