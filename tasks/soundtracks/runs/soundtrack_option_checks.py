"""Check what the user chose for a run of soundtracks, before anything is fetched or written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Any

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import MelSettings, lake_settings
from storage.records.outcomes import REASONS, Stage
from tasks.options_and_defaults import SoundtrackOptions
from tasks.soundtracks.candidate_recordings import Film
from tasks.soundtracks.matching.film_index import FilmIndex
from tasks.soundtracks.sources.music_folders_and_url_lists import check_music, read_url_lists


@dataclass(frozen=True, kw_only=True)
class SoundtrackSettings(SoundtrackOptions):
    """The options of one run of soundtracks, and what follows from them."""

    @property
    def is_networked(self) -> bool:
        """Whether any of the music comes from the network."""
        return self.youtube or bool(self.urls)

    @property
    def rechecks(self) -> bool:
        """Whether the run checks what is still available: not when the user narrowed it to something else."""
        return self.is_networked and self.recheck_days > 0 and not self.films and not self.retry_reasons

    @property
    def mels(self) -> MelSettings:
        """The parameters of this run's mel shards."""
        encoding, scale = self.encoding or MelSettings.encoding, self.mel_scale or MelSettings.mel_scale
        return MelSettings(encoding, self.short_tracks, scale)

    def check(self) -> None:
        """Raise `InputError` for what the user must correct before a run can start."""
        if self.encode:
            self._check_encode()
        elif not self.music and not self.is_networked:
            raise InputError(
                "No source of music is given; give --music FOLDER, --music LIST.csv, --urls LIST or --youtube"
            )
        if self.is_networked and not self.i_have_the_right_to_collect:
            raise InputError(
                "Collecting audio from the network needs your statement that you may: "
                "--i-have-the-right-to-collect (i_have_the_right_to_collect = true), which is stored with the run"
            )
        unknown = set(self.retry_reasons) - REASONS[Stage.TRACK] - REASONS[Stage.SOUNDTRACK]
        if unknown:
            known = ", ".join(sorted((REASONS[Stage.TRACK] | REASONS[Stage.SOUNDTRACK]) - {"ok"}))
            raise InputError(f"No failure is called {', '.join(sorted(unknown))}; the reasons are {known}")
        self._check_runner()
        check_music(list(self.music))
        read_url_lists(self.urls)

    def _check_encode(self) -> None:
        """Raise `InputError` for options that are of no use where nothing is collected."""
        if not self.audio_encoders:
            raise InputError(
                "Name the models that shall embed the audio, such as --audio-encoder laion/larger_clap_music"
            )
        if self.is_networked or self.find_only or self.retry_reasons:
            raise InputError(
                "--encode collects nothing and asks no source on the network; give it your own files (--music) alone"
            )

    def _check_runner(self) -> None:
        if self.dask_address and self.runner != "dask":
            raise InputError("The address of a Dask scheduler is of use only with the runner dask; add --runner dask")
        if self.runner == "dask" and self.audio_encoders:
            raise InputError(
                "Audio encoders hear what workers of this machine decoded; leave --runner dask out, or collect without "
                "--audio-encoder and embed your own files afterwards with --encode"
            )
        if self.runner == "dask" and find_spec("prefect_dask") is None:
            raise InputError("The runner dask is an extra that is not installed; run pip install 'needledrop[dask]'")

    def for_lake(self, lake: Lake) -> SoundtrackSettings:
        """Return these settings with the encoding and the mel scale of the lake's shards, if it has any.

        A training batch copies segments of many shards, so all have one. Raises `InputError` when the settings ask
        for another one.
        """
        existing = lake_settings(lake) or self.mels
        for name in ("encoding", "mel_scale"):
            kept, asked = getattr(existing, name), getattr(self, name)
            if asked not in (None, kept):
                raise InputError(
                    f"The mels in {lake.root} are {kept}, so they cannot become {asked}; "
                    f"leave --{name.replace('_', '-')} out, or collect into another lake"
                )
        return replace(self, encoding=existing.encoding, mel_scale=existing.mel_scale)

    def chosen(self, films: Sequence[Film], film_index: FilmIndex) -> list[Film]:
        """Return those of the planned films that the settings select. Raises `InputError` for an unknown name."""
        selected: set[str] = set()
        for name in self.films:
            matches = film_index.find(name)
            if not matches:
                raise InputError(f"No film in the lake is {name!r}; give a title, a page id, an address or a film id")
            selected |= {film.film_id for film in matches}
        return [film for film in films if not selected or film.film_id in selected][: self.limit]

    def as_parameters(self) -> dict[str, Any]:
        """Return what is stored with the run, the user's statement of consent included."""
        return asdict(self)
