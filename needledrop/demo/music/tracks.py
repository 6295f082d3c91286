"""What lies in the music folder: three tracks a film, and the trouble that real folders bring.

The trouble is listed in `TROUBLE`: each kind once, so that each rule of the collection has something
to do and the sample can be checked by counting.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from needledrop.demo.films import Film, safe_name
from needledrop.demo.music.encoding import M4A, MP3, OPUS, ROTATION, Format, encode
from needledrop.demo.music.perform import perform
from needledrop.demo.music.score import compose
from needledrop.demo.rng import stream

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
        unfinished.write_bytes(unfinished.read_bytes()[: unfinished.stat().st_size * 3 // 5])
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
    """One of each kind of trouble, most of them beside the good tracks of early films."""
    lamp, second, third, fourth = (_album(film, 0)[0] for film in films[:4])
    unknown = _album(replace(films[-1], title="The Film That Nobody Made", seed="unknown"), 0)[0]
    shared, borrower = _album(films[4], 4 * TRACKS_A_FILM)[0], _album(films[-2], 0)[0]
    return [
        replace(lamp, number=4, title="Cut Short", form=MP3, trouble="truncated"),
        replace(lamp, number=5, title="Lost Index", form=M4A, trouble="beheaded"),  # an m4a's index is at its end
        replace(second, number=4, title="Track List", form=MP3, trouble="text"),
        replace(third, number=4, title="Sting", form=OPUS, seconds=4.0, trouble="short"),
        replace(fourth, number=4, title="Intermission", form=OPUS, trouble="silent"),
        replace(unknown, form=OPUS, trouble="unknown film"),
        replace(shared, album=borrower.album, year=borrower.year, trouble="duplicate"),
        replace(
            lamp,
            title="Various Themes",
            album="Greatest Film Themes, Vol. 3",
            artist="Various Artists",
            form=OPUS,
            trouble="compilation",
        ),
    ]
