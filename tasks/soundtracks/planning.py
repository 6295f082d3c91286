"""Which films need music now, worked out from the lake alone.

A film is done when its shard exists. Of the others, those are planned for which a source has something
that was not tried before; whoever has nothing is recorded once, with the reason, and not again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from storage import tables
from storage.errors import ItemError, Retry
from storage.lake import Lake
from storage.outcomes import Outcome, Stage, Status, from_error, settled
from storage.reviews import read_reviews
from storage.schemas import TRACKS
from tasks.soundtracks.candidates import Decision, Film, Judged, track_row
from tasks.soundtracks.catalogue import Catalogue
from tasks.soundtracks.choosing import decided
from tasks.soundtracks.collecting import done_films, record_changes
from tasks.soundtracks.matching import RULE_VERSION
from tasks.soundtracks.music_folder import read_music
from tasks.soundtracks.sources import MusicSource


def music_source(lake: Lake, places: list[str], catalogue: Catalogue, on_file: Callable[[int], None]) -> MusicSource:
    """The person's own recordings, judged for the films of the lake."""
    return MusicSource(read_music(places, on_file), catalogue, read_reviews(lake))


def plan(lake: Lake, catalogue: Catalogue, source: MusicSource, run_id: str) -> tuple[list[Film], frozenset[str]]:
    """The films to work on, oldest first, and the track items that are not to be tried now.

    What needs no work is recorded here if that says something new: recordings that no film wants, films for
    which there is nothing, and recordings that came after their film was done.
    """
    done = done_films(lake)
    tracks_settled = frozenset(settled(lake, Stage.TRACK))
    films, quiet = [], []
    for film in catalogue.films.values():
        if film.film_id in done:
            continue
        taken = [j for j in source.find(film) if j.verdict.decision is Decision.TAKEN]
        if any(judged.item not in tracks_settled for judged in taken):
            films.append(film)
        elif not taken:
            quiet.append(_without_music(film, source.find(film)))
    homeless = [from_error(Stage.TRACK, c.track_id, error, Status.SKIPPED) for c, error in source.homeless]
    record_changes(lake, [*quiet, *homeless], run_id)
    _record_rows(
        lake, source, set(done) | {f.film_id for f in catalogue.films.values()} - {f.film_id for f in films}, run_id
    )
    return sorted(films, key=lambda film: (film.year or 0, film.film_id)), tracks_settled


def _without_music(film: Film, judged: Sequence[Judged]) -> Outcome:
    if any(one.verdict.decision is Decision.REVIEW for one in judged):
        error = ItemError("awaiting_review", "A person must say yes or no: run needledrop review", Retry.LATER)
    else:
        error = ItemError("no_match", "No source has music that matches; add some or wait for more", Retry.LATER)
    return from_error(Stage.SOUNDTRACK, film.film_id, error, Status.SKIPPED)


def _record_rows(lake: Lake, source: MusicSource, resting: set[str], run_id: str) -> None:
    """Rows for candidates of films that are not worked on now, unless a row says the same already."""
    columns = ["film_id", "track_id", "decision", "reason", "segments"]
    known = {(r["film_id"], r["track_id"]): r for r in tables.latest(lake, TRACKS, columns).to_pylist()}
    done = done_films(lake)
    rows = []
    for film_id in sorted(resting & set(source.by_film)):
        for judged in source.by_film[film_id]:
            row = known.get((film_id, judged.candidate.track_id))
            if row is None or _says_more(judged, row, film_id in done):
                late = judged.verdict.decision is Decision.TAKEN and film_id in done
                one = decided(judged, Decision.REJECTED, "film_already_done") if late else judged
                rows.append(track_row(one, RULE_VERSION))
    tables.append(lake, TRACKS, rows, run_id)


def _says_more(judged: Judged, row: dict[str, object], is_done: bool) -> bool:
    """Whether the verdict changed since the row was written; a done film's rows stand."""
    return not is_done and not row["segments"] and row["reason"] != judged.verdict.reason
