"""Plan the music folder, three tracks per film and the defects of real folders, and encode its files.

`DEFECTS` lists the defects: each occurs once, so that each rule of the collection has something to do and
the sample can be checked by counting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from needledrop.demo.films import Film, safe_name
from needledrop.demo.music.score import compose
from needledrop.demo.music.synthesis import Samples, perform
from needledrop.demo.words.loader import TITLES

TRACKS_PER_FILM = 3
TWO_SEGMENTS_SECONDS = (20.5, 22.0)
THREE_SEGMENTS_SECONDS = (30.0, 31.0)
"""A segment lasts 9.92 s; codecs may add or take a few hundredths."""
DEFECTS = ("truncated", "no index", "text", "short", "silent", "unknown film", "duplicate", "compilation")


@dataclass(frozen=True)
class AudioFormat:
    """One kind of music file. Bit rates are low, for a small corpus that is quickly made."""

    suffix: str
    container: str
    codec: str
    rate_hz: int
    layout: str
    bit_rate: int
    options: tuple[tuple[str, str], ...] = ()


OPUS = AudioFormat(
    ".opus", "opus", "libopus", 48_000, "stereo", 20_000, (("compression_level", "0"), ("application", "lowdelay"))
)
M4A = AudioFormat(".m4a", "ipod", "aac", 44_100, "stereo", 24_000, (("aac_coder", "fast"),))
MP3 = AudioFormat(".mp3", "mp3", "libmp3lame", 44_100, "mono", 32_000, (("compression_level", "9"),))
OGG = AudioFormat(
    ".ogg", "ogg", "vorbis", 44_100, "stereo", 0, (("strict", "-2"), ("global_quality", "10"), ("flags", "+qscale"))
)
"""FFmpeg's own Vorbis encoder, the one PyAV's wheels bring, calls itself experimental: hence `strict`."""
ROTATION = (OPUS, M4A, OPUS, M4A, OPUS, MP3, OPUS, M4A, OPUS, M4A, OPUS, OGG)
"""The formats of successive tracks: the quick encoders more often."""


@dataclass(frozen=True)
class Track:
    """One file to be made."""

    film: Film
    number: int
    title: str
    album: str
    artist: str
    year: int
    seconds: float
    audio_format: AudioFormat
    defect: str = ""

    @property
    def path(self) -> Path:
        """Return the path of the file in the music folder."""
        return Path(safe_name(self.album)) / f"{self.number:02} {safe_name(self.title)}{self.audio_format.suffix}"


def plan_tracks(films: Sequence[Film], plotless: Sequence[Film]) -> list[Track]:
    """Return every file of the music folder, in order; the defects are in the albums of early films."""
    tracks = [track for index, film in enumerate(films) for track in plan_album(film, index * TRACKS_PER_FILM)]
    tracks += [plan_album(film, 0)[0] for film in plotless[:2]]
    return tracks + _defective(films)


def plan_album(film: Film, first_format: int) -> list[Track]:
    """Return the tracks of a film; their formats continue `ROTATION` from an index."""
    rng = film.random_stream("album")
    hero, friend, rival = (role.split()[0] for _, role in film.cast)
    titles = rng.sample(TITLES.tracks, TRACKS_PER_FILM)
    thing = film.setting.thing.title().replace("'S", "'s")
    return [
        Track(
            film,
            number,
            title.format(town=film.town, hero=hero, friend=friend, rival=rival, Thing=thing),
            f"{film.title} (Original Motion Picture Soundtrack)",
            film.composer,
            film.year,
            round(rng.uniform(*(THREE_SEGMENTS_SECONDS if rng.random() < 0.2 else TWO_SEGMENTS_SECONDS)), 2),
            ROTATION[(first_format + number) % len(ROTATION)],
        )
        for number, title in enumerate(titles, 1)
    ]


def _defective(films: Sequence[Film]) -> list[Track]:
    """Return one file per defect, most of them in the albums of early films next to good tracks."""
    lamp, second, third, fourth = (plan_album(film, 0)[0] for film in films[:4])
    unknown = plan_album(replace(films[-1], title="The Film That Nobody Made", seed="unknown"), 0)[0]
    shared, borrower = plan_album(films[4], 4 * TRACKS_PER_FILM)[0], plan_album(films[-2], 0)[0]
    return [
        replace(lamp, number=4, title="Cut Short", audio_format=MP3, defect="truncated"),
        replace(
            lamp, number=5, title="Lost Index", audio_format=M4A, defect="no index"
        ),  # an m4a's index is at its end
        replace(second, number=4, title="Track List", audio_format=MP3, defect="text"),
        replace(third, number=4, title="Sting", audio_format=OPUS, seconds=4.0, defect="short"),
        replace(fourth, number=4, title="Intermission", audio_format=OPUS, defect="silent"),
        replace(unknown, audio_format=OPUS, defect="unknown film"),
        replace(shared, album=borrower.album, year=borrower.year, defect="duplicate"),
        replace(
            lamp,
            title="Various Themes",
            album="Greatest Film Themes, Vol. 3",
            artist="Various Artists",
            audio_format=OPUS,
            defect="compilation",
        ),
    ]


def make_track(folder: Path, track: Track) -> None:
    """Compose, play and encode one track; the file is complete or absent."""
    path = folder / track.path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    if track.defect == "text":
        unfinished.write_text("This is not music. Somebody saved the track list under the wrong name.\n", "utf-8")
    else:
        _record(unfinished, track)
    if track.defect in {"truncated", "no index"}:
        unfinished.write_bytes(unfinished.read_bytes()[: unfinished.stat().st_size * 3 // 5])
    unfinished.replace(path)


def _record(path: Path, track: Track) -> None:
    score = compose(track.film, track.number, track.seconds)
    sound = perform(score, track.audio_format.rate_hz)
    if track.defect == "silent":
        sound = np.zeros_like(sound)
    tags = {"title": track.title, "artist": track.artist, "album": track.album, "date": str(track.year)}
    _encode(path, sound, track.audio_format, {**tags, "track": str(track.number)})


def _encode(path: Path, sound: Samples, audio_format: AudioFormat, tags: Mapping[str, str]) -> None:
    """Write float samples [2, n] at the format's rate as a tagged music file."""
    pcm = np.asarray(np.round(sound * 32767.0), np.int16)
    if audio_format.layout == "mono":
        pcm = np.asarray(pcm.mean(axis=0, keepdims=True), np.int16)
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(pcm.T).reshape(1, -1), format="s16", layout=audio_format.layout
    )
    frame.sample_rate = audio_format.rate_hz
    # Without a time base on the frame, Vorbis files state a sixteenth of their length.
    frame.pts, frame.time_base = 0, Fraction(1, audio_format.rate_hz)
    # bitexact: no random stream numbers and no library version in the file.
    with av.open(str(path), "w", format=audio_format.container, options={"fflags": "+bitexact"}) as container:
        container.metadata.update(tags)
        stream = container.add_stream(
            audio_format.codec,
            rate=audio_format.rate_hz,
            layout=audio_format.layout,
            options=dict(audio_format.options),
        )
        if audio_format.bit_rate:
            stream.bit_rate = audio_format.bit_rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
