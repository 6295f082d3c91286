"""What lies in the music folder: three tracks a film, and the trouble that real folders bring.

The trouble is listed in `TROUBLE`: each kind once, so that each rule of the collection has something
to do and the sample can be checked by counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from flows.demo.encoding import M4A, MP3, OPUS, ROTATION, Format, encode
from flows.demo.films import Film, safe_name
from flows.demo.music import perform
from flows.demo.score import compose
from flows.demo.seeds import stream

TRACK_TITLES: tuple[str, ...] = (
    "Main Title",
    "{town}",
    "{hero}'s Theme",
    "{friend} and {hero}",
    "Enter {rival}",
    "{Thing}",
    "Second Act",
    "The Morning After",
    "What {friend} Knew",
    "Interlude",
    "End Credits",
    "{rival}'s Offer",
    "Leaving {town}",
    "The Long Way Home",
    "A Letter",
    "Reprise",
    "{hero} Alone",
    "Finale",
    "Before the Storm",
    "Waltz for {friend}",
)
TRACKS_A_FILM = 3
TWO_SEGMENTS_SECONDS = (20.5, 22.0)
THREE_SEGMENTS_SECONDS = (30.0, 31.0)
"""A segment lasts 9.92 s; codecs may add or take a few hundredths."""

TROUBLE: tuple[str, ...] = (
    "truncated",
    "beheaded",
    "text",
    "short",
    "silent",
    "unknown film",
    "duplicate",
    "compilation",
)


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
    form: Format
    trouble: str = ""

    @property
    def path(self) -> Path:
        """Where the file lies, in the music folder."""
        return Path(safe_name(self.album)) / f"{self.number:02} {safe_name(self.title)}{self.form.suffix}"


def plan_tracks(films: Sequence[Film], plotless: Sequence[Film]) -> list[Track]:
    """Every file of the music folder, in order; the first films carry the trouble."""
    tracks = [track for place, film in enumerate(films) for track in _album(film, place * TRACKS_A_FILM)]
    tracks += [_album(film, 0)[0] for film in plotless[:2]]
    return tracks + _troubled(films)


def make_track(folder: Path, track: Track) -> None:
    """Compose, play and encode one track, whole or not at all."""
    path = folder / track.path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    if track.trouble == "text":
        unfinished.write_text("This is not music. Somebody saved the track list under the wrong name.\n", "utf-8")
    else:
        _record(unfinished, track)
    if track.trouble in {"truncated", "beheaded"}:
        unfinished.write_bytes(unfinished.read_bytes()[: unfinished.stat().st_size // 3])
    unfinished.replace(path)


def _record(path: Path, track: Track) -> None:
    film = track.film
    score = compose(film.main, film.second, film.country.answer_voice, film.key, film.seed, track.number, track.seconds)
    sound = perform(score, track.form.rate_hz)
    if track.trouble == "silent":
        sound = np.zeros_like(sound)
    tags = {"title": track.title, "artist": track.artist, "album": track.album, "date": str(track.year)}
    encode(path, sound, track.form, {**tags, "track": str(track.number)})


def _album(film: Film, place: int) -> list[Track]:
    rng = stream(film.seed, "album")
    hero, friend, rival = (role.split()[0] for _, role in film.cast)
    titles = rng.sample(TRACK_TITLES, TRACKS_A_FILM)
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
            ROTATION[(place + number) % len(ROTATION)],
        )
        for number, title in enumerate(titles, 1)
    ]


def _troubled(films: Sequence[Film]) -> list[Track]:
    """One of each kind of trouble, beside the good tracks of some early films."""

    def beside(film: Film, number: int, title: str, trouble: str, **changes: object) -> Track:
        return replace(_album(film, 0)[0], number=number, title=title, trouble=trouble, **changes)  # type: ignore[arg-type]

    unknown = replace(films[-1], title="The Film That Nobody Made", seed="unknown")
    shared, shared_place = films[4], 4 * TRACKS_A_FILM
    return [
        beside(films[0], 4, "Cut Short", "truncated", form=MP3),
        beside(films[0], 5, "Lost Index", "beheaded", form=M4A),  # an m4a keeps its index at the end
        beside(films[1], 4, "Track List", "text", form=MP3),
        beside(films[2], 4, "Sting", "short", form=OPUS, seconds=4.0),
        beside(films[3], 4, "Intermission", "silent", form=OPUS),
        beside(unknown, 1, "Main Title", "unknown film", form=OPUS),
        replace(_album(shared, shared_place)[0], album=_album(films[-2], 0)[0].album, trouble="duplicate"),
        beside(
            films[0],
            1,
            "Various Themes",
            "compilation",
            form=OPUS,
            album="Greatest Film Themes, Vol. 3",
            artist="Various Artists",
        ),
    ]
