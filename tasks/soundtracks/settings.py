"""What a person chooses for a run of soundtracks, checked before anything is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from storage.errors import InputError
from storage.outcomes import REASONS, Stage
from tasks.soundtracks.candidates import Film
from tasks.soundtracks.catalogue import Catalogue
from tasks.soundtracks.music_folder import check_music
from tasks.soundtracks.url_list import read_url_lists


@dataclass(frozen=True)
class SoundtrackSettings:
    """The parameters of the flow `collect-soundtracks`; their meaning is told there."""

    music: tuple[str, ...] = ()
    urls: tuple[str, ...] = ()
    youtube: bool = False
    order: tuple[str, ...] = ("music", "urls", "youtube")
    has_consent: bool = False
    creative_commons_only: bool = False
    keep_audio: bool = False
    films: tuple[str, ...] = ()
    limit: int | None = None
    retry_reasons: tuple[str, ...] = ()
    daily_requests: int = 20_000
    daily_downloads: int = 2_500
    recheck_days: int = 90
    most_rechecks: int = 200
    pace: float = 1.0
    workers: int = 2

    @property
    def is_networked(self) -> bool:
        """Whether anything is asked of the network."""
        return self.youtube or bool(self.urls)

    @property
    def rechecks(self) -> bool:
        """Whether what was collected is asked for again: not in a run that a person narrowed to something else."""
        return self.is_networked and self.recheck_days > 0 and not self.films and not self.retry_reasons

    def check(self) -> None:
        """Raise `InputError` for what a person must mend before a run can start."""
        if not self.music and not self.is_networked:
            raise InputError(
                "Nothing says where music comes from; give --music FOLDER, --music LIST.csv, --urls LIST or --youtube"
            )
        if self.is_networked and not self.has_consent:
            raise InputError(
                "Collecting audio from the network needs your statement that you may: "
                "--i-have-the-right-to-collect (i_have_the_right_to_collect = true), which is kept with the run"
            )
        unknown = set(self.retry_reasons) - REASONS[Stage.TRACK] - REASONS[Stage.SOUNDTRACK]
        if unknown:
            known = ", ".join(sorted((REASONS[Stage.TRACK] | REASONS[Stage.SOUNDTRACK]) - {"ok"}))
            raise InputError(f"No failure is called {', '.join(sorted(unknown))}; the reasons are {known}")
        check_music(list(self.music))
        read_url_lists(self.urls)

    def chosen(self, films: Sequence[Film], catalogue: Catalogue) -> list[Film]:
        """Of the planned films, those that a person wants in this run. Raises `InputError` for an unknown one."""
        wanted: set[str] = set()
        for name in self.films:
            found = catalogue.find(name)
            if not found:
                raise InputError(f"No film in the lake is {name!r}; give a film id, a page id or a title")
            wanted |= {film.film_id for film in found}
        return [film for film in films if not wanted or film.film_id in wanted][: self.limit]

    def as_parameters(self) -> dict[str, Any]:
        """What is kept with the run, the person's statement among it."""
        return {**asdict(self), "i_have_the_right_to_collect": self.has_consent}
