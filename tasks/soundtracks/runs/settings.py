"""What a person chooses for a run of soundtracks, checked before anything is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Any

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.mels.settings import MelSettings, lake_encoding
from storage.records.outcomes import REASONS, Stage
from tasks.options import SoundtrackOptions
from tasks.soundtracks.matching.film_index import FilmIndex
from tasks.soundtracks.models import Film
from tasks.soundtracks.sources.music_folder import check_music
from tasks.soundtracks.sources.url_list import read_url_lists


@dataclass(frozen=True, kw_only=True)
class SoundtrackSettings(SoundtrackOptions):
    """The options of one run of soundtracks, and what follows from them."""

    @property
    def is_networked(self) -> bool:
        """Whether anything is asked of the network."""
        return self.youtube or bool(self.urls)

    @property
    def rechecks(self) -> bool:
        """Whether what was collected is asked for again: not in a run that a person narrowed to something else."""
        return self.is_networked and self.recheck_days > 0 and not self.films and not self.retry_reasons

    @property
    def mels(self) -> MelSettings:
        """How samples become mels in this run."""
        return MelSettings(self.encoding or MelSettings.encoding, self.short_tracks)

    def check(self) -> None:
        """Raise `InputError` for what a person must mend before a run can start."""
        if not self.music and not self.is_networked:
            raise InputError(
                "Nothing says where music comes from; give --music FOLDER, --music LIST.csv, --urls LIST or --youtube"
            )
        if self.is_networked and not self.i_have_the_right_to_collect:
            raise InputError(
                "Collecting audio from the network needs your statement that you may: "
                "--i-have-the-right-to-collect (i_have_the_right_to_collect = true), which is kept with the run"
            )
        unknown = set(self.retry_reasons) - REASONS[Stage.TRACK] - REASONS[Stage.SOUNDTRACK]
        if unknown:
            known = ", ".join(sorted((REASONS[Stage.TRACK] | REASONS[Stage.SOUNDTRACK]) - {"ok"}))
            raise InputError(f"No failure is called {', '.join(sorted(unknown))}; the reasons are {known}")
        self._check_runner()
        check_music(list(self.music))
        read_url_lists(self.urls)

    def _check_runner(self) -> None:
        if self.dask_address and self.runner != "dask":
            raise InputError("The address of a Dask scheduler is of use only with the runner dask; add --runner dask")
        if self.runner == "dask" and find_spec("prefect_dask") is None:
            raise InputError("The runner dask is an extra that is not installed; run pip install 'needledrop[dask]'")

    def in_encoding_of(self, lake: Lake) -> SoundtrackSettings:
        """The same with the encoding of the lake's shards, if it has any.

        Segments of two encodings cannot stand in one batch. Raises `InputError` when another is asked for.
        """
        found = lake_encoding(lake)
        if found and self.encoding and found != self.encoding:
            raise InputError(
                f"The mels in {lake.root} are {found}, so they cannot become {self.encoding}; "
                f"leave --encoding out, or collect into another lake"
            )
        return replace(self, encoding=found or self.encoding or MelSettings.encoding)

    def chosen(self, films: Sequence[Film], film_index: FilmIndex) -> list[Film]:
        """Of the planned films, those that a person wants in this run. Raises `InputError` for an unknown one."""
        wanted: set[str] = set()
        for name in self.films:
            found = film_index.find(name)
            if not found:
                raise InputError(f"No film in the lake is {name!r}; give a title, a page id, an address or a film id")
            wanted |= {film.film_id for film in found}
        return [film for film in films if not wanted or film.film_id in wanted][: self.limit]

    def as_parameters(self) -> dict[str, Any]:
        """What is kept with the run, the person's statement among it."""
        return asdict(self)
