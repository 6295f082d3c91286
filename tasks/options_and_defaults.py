"""Every option of the flows and commands: its type, bounds, default and help, each written once.

An option is a field of one of the groups below. `typing_extensions.Doc` holds its help and `annotated_types` its
bounds, which pydantic (and so Prefect) enforces. `flows.parameters` makes the parameters of a flow from groups,
`needledrop.cli.options` makes the options of a command from the parameters of its flow, and the settings of
soundtracks and curation are groups with methods. A group's `panel` is its heading in a command's help.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from annotated_types import Ge, Gt, Le
from typing_extensions import Doc

from storage.mels.settings_and_shard_format import Encoding, MelScale, MelSettings, ShortTracks

T = TypeVar("T")

Year = Annotated[int, Ge(1870), Le(2200)]
Source = Literal["music", "urls", "youtube"]
SystemName = Literal["All", "Im", "Plo", "Ta", "ImPlo", "ImTa", "TaPlo", "AVCA", "AVCA-tuned", "all"]
"""Those of `training.settings`, which this package may not import (a test holds them equal); in small letters: all."""
Changes = tuple[str | dict[str, Any], ...] | dict[str, Any]
"""Settings by name, as texts NAME=VALUE, as mappings of names or groups, or both (`training.settings_parsing`)."""


@dataclass(frozen=True, kw_only=True)
class OptionGroup:
    """The base of all groups: options by name."""

    panel: ClassVar[str | None] = None

    def part(self, parameters: type[Any]) -> dict[str, Any]:
        """Return the values of those options that another dataclass has too, to make one of them."""
        names = {field.name for field in fields(parameters)}
        return {name: value for name, value in vars(self).items() if name in names}


@dataclass(frozen=True, kw_only=True)
class LakeOptions(OptionGroup):
    """Where everything is kept."""

    lake: Annotated[str, Doc("Root of the lake: a folder, or s3://bucket/prefix.")] = "lake"


@dataclass(frozen=True, kw_only=True)
class SelectionOptions(OptionGroup):
    """Work on single films."""

    panel: ClassVar[str | None] = "Films"

    films: Annotated[tuple[str, ...], Doc("Films to collect, each by title, page id, address or film id.")] = ()


@dataclass(frozen=True, kw_only=True)
class LimitOptions(OptionGroup):
    """Work on a few films, for a first try."""

    panel: ClassVar[str | None] = "Films"

    limit: Annotated[
        Annotated[int, Ge(1)] | None,
        Doc("Process at most this many new films, and the music of this many films, per run: for a first try."),
    ] = None


@dataclass(frozen=True, kw_only=True)
class FilmOptions(OptionGroup):
    """Where films come from: an export, or a wiki."""

    panel: ClassVar[str | None] = "Films"

    export: Annotated[
        str | None, Doc("MediaWiki XML export or dump to read instead of a wiki: .xml, .xml.gz or .xml.bz2.")
    ] = None
    images: Annotated[str | None, Doc("Folder with the images that the export's articles name.")] = None
    years: Annotated[tuple[Year, ...], Doc("Release years whose films are collected from the wiki.")] = ()
    recent_years: Annotated[
        Annotated[int, Ge(1), Le(200)] | None,
        Doc("Collect the films of the newest N release years, this one included, instead of years that are named."),
    ] = None
    wiki: Annotated[str, Doc("Address of the wiki's api.php.")] = "https://en.wikipedia.org/w/api.php"
    contact: Annotated[
        str | None,
        Doc(
            "Your mail address or page, sent to the wiki in the User-Agent; its API requires one. "
            "Default: NEEDLEDROP_CONTACT."
        ),
    ] = None
    requests_per_minute: Annotated[
        float, Gt(0), Doc("Request rate to the wiki; Wikimedia allows 200 for a client that names a contact.")
    ] = 150
    daily_evidence: Annotated[
        int,
        Ge(0),
        Doc("Requests per day for albums' articles and Wikidata ids, and as many to MusicBrainz; 0: none."),
    ] = 1_000
    musicbrainz: Annotated[
        str | None,
        Doc("Ask MusicBrainz for soundtrack albums: https://musicbrainz.org/ws/2, or a mirror; default: not asked."),
    ] = None

    def release_years(self, today: int | None = None) -> tuple[int, ...]:
        """Return the release years to collect: the named ones, or the newest `recent_years` up to the year `today`."""
        if not self.recent_years:
            return self.years
        newest = today or datetime.now(UTC).year
        return tuple(range(newest - self.recent_years + 1, newest + 1))


@dataclass(frozen=True, kw_only=True)
class FailureOptions(OptionGroup):
    """When a run that collects counts as failed."""

    panel: ClassVar[str | None] = "Run"

    max_failed_share: Annotated[
        float,
        Ge(0),
        Le(1),
        Doc("Share of the items of a stage that may fail before the run ends as failed; 1 allows all."),
    ] = 0.5


@dataclass(frozen=True, kw_only=True)
class MusicOptions(OptionGroup):
    """Where music comes from, and which source is asked first."""

    panel: ClassVar[str | None] = "Music"

    music: Annotated[
        tuple[str, ...],
        Doc("Folders of tagged music files, or CSV lists (film,path,title,artist,licence) that assign files to films."),
    ] = ()
    urls: Annotated[
        tuple[str, ...],
        Doc("Lists of addresses of recordings, pages or RSS feeds: one per line, or a CSV (film,url,…)."),
    ] = ()
    youtube: Annotated[bool, Doc("Look for each film's soundtrack album on YouTube, then search for tracks.")] = False
    order: Annotated[tuple[Source, ...], Doc("The order in which sources are tried.")] = (
        "music",
        "urls",
        "youtube",
    )


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(OptionGroup):
    """What may be taken from the network, how much and how fast."""

    panel: ClassVar[str | None] = "Music from the network"

    i_have_the_right_to_collect: Annotated[
        bool, Doc("Your statement that you may collect this audio: required for the network, stored with the run.")
    ] = False
    creative_commons_only: Annotated[
        bool, Doc("Take only recordings whose page states a Creative Commons licence.")
    ] = False
    keep_audio: Annotated[bool, Doc("Keep downloaded audio in the lake after its mels are committed.")] = False
    daily_requests: Annotated[int, Ge(1), Doc("Requests per day to each source, over all runs and workers.")] = 20_000
    daily_downloads: Annotated[int, Ge(1), Doc("Downloads per day from each source, over all runs and workers.")] = (
        2_500
    )
    retry_share: Annotated[
        float,
        Ge(0),
        Le(1),
        Doc("Share of each day's requests for films that were tried before, while others have not been tried yet."),
    ] = 0.25
    recheck_days: Annotated[
        int, Ge(0), Doc("Check after this many days whether a collected track is still available; 0: never.")
    ] = 90
    most_rechecks: Annotated[int, Ge(1), Doc("Availability checks per run, at most; 200 take about an hour.")] = 200
    pace: Annotated[
        float, Ge(0), Le(10), Doc("Factor on every wait between requests; below 1 only for servers of your own.")
    ] = 1.0


@dataclass(frozen=True, kw_only=True)
class WorkerOptions(OptionGroup):
    """How many processes decode."""

    panel: ClassVar[str | None] = "Audio to mels"

    workers: Annotated[int, Ge(1), Le(64), Doc("Processes that decode audio in parallel.")] = 2


@dataclass(frozen=True, kw_only=True)
class ExtractionOptions(WorkerOptions):
    """How audio becomes mel-spectrograms."""

    panel: ClassVar[str | None] = "Audio to mels"

    runner: Annotated[
        Literal["local", "dask"],
        Doc(
            "Where audio is decoded: local (a pool of processes on this machine) or dask (also on other machines; "
            "pip install 'needledrop[dask]')."
        ),
    ] = "local"
    dask_address: Annotated[
        str | None,
        Doc("Address of a running Dask scheduler (tcp://host:8786) that sees lake and audio; default: a new one."),
    ] = None
    short_tracks: Annotated[
        ShortTracks,
        Doc("What to do with a recording shorter than one segment (9.92 s): refuse it, or pad it with silence."),
    ] = MelSettings.short_tracks
    audio_encoders: Annotated[
        tuple[str, ...],
        Doc(
            "Pretrained audio models (CLAP, AST, Wav2Vec2, HuBERT) that embed each segment while its audio is at hand: "
            "names on the Hugging Face hub, such as laion/larger_clap_music, or folders of weights."
        ),
    ] = ()
    encoding: Annotated[
        Encoding | None,
        Doc("uint8 (steps of 0.31 dB) or float16 (twice the bytes); default: the lake's own, uint8 in a new lake."),
    ] = None
    mel_scale: Annotated[
        MelScale | None,
        Doc(
            "slaney (librosa) or htk (torchaudio, as the paper's code, for parity with it); default: the lake's own, "
            "slaney in a new lake."
        ),
    ] = None


@dataclass(frozen=True, kw_only=True)
class SoundtrackOptions(MusicOptions, NetworkOptions, ExtractionOptions, SelectionOptions, LimitOptions):
    """Everything that a run of soundtracks is given, but the lake."""

    retry_reasons: Annotated[
        tuple[str, ...], Doc("Try only failures of these reasons again, such as http_403 or timeout.")
    ] = ()
    find_only: Annotated[
        bool,
        Doc(
            "Look for recordings, print what would be taken, download nothing. Needs the same statement; nothing of "
            "what it finds is stored, but its requests count in the daily budget, and pauses are kept."
        ),
    ] = False
    encode: Annotated[
        bool,
        Doc(
            "Collect nothing: have the audio encoders embed what was collected without them, from your own files "
            "(music) and from audio that was kept."
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class DatasetOptions(OptionGroup):
    """The rules of a data-set version."""

    panel: ClassVar[str | None] = "Data set"

    train_until: Annotated[Year, Doc("Last release year of the training split.")] = 2021
    test_from: Annotated[Year, Doc("First release year of the test split; the years between validate.")] = 2023
    require_plot: Annotated[bool, Doc("Leave out films without a plot.")] = True
    require_thumbnail: Annotated[bool, Doc("Leave out films without an image.")] = True
    require_tracks: Annotated[bool, Doc("Leave out films without a usable recording.")] = True
    require_tag: Annotated[bool, Doc("Leave out films whose tags are all rare.")] = True
    min_films_per_tag: Annotated[int, Ge(1), Doc("Keep a tag that at least this many distinct films carry.")] = 2
    leave_out: Annotated[
        tuple[str, ...],
        Doc(
            "Films (enwiki-1), tracks (youtube:ID), pairs (enwiki-1/youtube:ID) or channels (channel:ID) to leave out."
        ),
    ] = ()


@dataclass(frozen=True, kw_only=True)
class CardOptions(OptionGroup):
    """How a version is described."""

    panel: ClassVar[str | None] = "Data set"

    charts: Annotated[bool, Doc("Draw the charts of the version's card.")] = True


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(OptionGroup):
    """Which systems are trained, how often and how long."""

    panel: ClassVar[str | None] = "Training"

    systems: Annotated[
        tuple[SystemName, ...],
        Doc(
            "Systems to train: All, Im, Plo, Ta, ImPlo, ImTa, TaPlo, AVCA (frozen towers), AVCA-tuned; all: these nine."
        ),
    ] = ("All",)
    preset: Annotated[
        Literal["small", "paper", "released", "strong"],
        Doc("Settings: small (for a CPU), paper (the paper's text), released (its code) or strong (to beat both)."),
    ] = "small"
    seeds: Annotated[int, Ge(1), Le(1000), Doc("Training runs per system, with the seeds 0, 1, 2, ….")] = 1
    epochs: Annotated[Annotated[int, Ge(1), Le(1_000_000)] | None, Doc("Epochs at most; default: the preset's.")] = None


@dataclass(frozen=True, kw_only=True)
class TuningOptions(OptionGroup):
    """Single settings that replace those of a preset."""

    panel: ClassVar[str | None] = "Training"

    batch: Annotated[Annotated[int, Ge(2), Le(1_000_000)] | None, Doc("Tracks per batch, over all GPUs together.")] = (
        None
    )
    micro_batch: Annotated[
        Annotated[int, Ge(1), Le(1_000_000)] | None,
        Doc("Films or tracks encoded at once, where a batch is too large for a GPU's memory; a third slower."),
    ] = None
    learning_rate: Annotated[Annotated[float, Gt(0), Le(1000)] | None, Doc("Peak learning rate.")] = None
    patience: Annotated[
        Annotated[int, Ge(1), Le(1_000_000)] | None,
        Doc("Epochs without a lower validation loss before training stops."),
    ] = None
    eval_segments: Annotated[
        Annotated[int, Ge(1), Le(1_000_000)] | None,
        Doc("Segments whose mean embeds a track; the middle segment alone is measured as well."),
    ] = None
    set: Annotated[
        Changes,
        Doc(
            "A setting as NAME=VALUE, such as optimiser.rate=3e-4, over the preset and the file; "
            "`needledrop train --show-settings` lists them. In a deployment also a mapping of names."
        ),
    ] = ()
    settings: Annotated[
        str | None, Doc("TOML file of settings, with a table per group (optimiser, training, …), over the preset.")
    ] = None
    text_model: Annotated[
        str | None, Doc("Hub name or folder of a pretrained text model: BERT, RoBERTa, MPNet, ModernBERT, CLIP.")
    ] = None
    image_model: Annotated[
        str | None, Doc("Hub name or folder of a pretrained image model: ViT, CLIP, SigLIP, DINOv2.")
    ] = None


@dataclass(frozen=True, kw_only=True)
class TrainingRunOptions(OptionGroup):
    """On what and how systems are trained."""

    panel: ClassVar[str | None] = "Training"

    dataset: Annotated[str | None, Doc("Data-set version to train on; default: the newest.")] = None
    compiled: Annotated[bool, Doc("Use torch.compile: slower to start, faster for long runs on a GPU.")] = False
    again: Annotated[bool, Doc("Also repeat finished runs; the earlier ones stay.")] = False
    decisions: Annotated[
        bool,
        Doc("Also measure the runs on what users of the studio kept and rejected, which no training reads."),
    ] = False
    hold_out_decisions: Annotated[
        bool,
        Doc(
            "Train without the data set's recordings that users kept or rejected, and measure the runs on these too; "
            "such runs have names of their own."
        ),
    ] = False


@dataclass(frozen=True, kw_only=True)
class WhenToTrainOptions(OptionGroup):
    """When a refresh trains."""

    panel: ClassVar[str | None] = "Training"

    train: Annotated[
        Literal["when_new", "always", "never", "deployment"],
        Doc(
            "When to train: when_new (a version that has no run yet), always or never, in this run; or deployment: "
            "have the server's train-and-evaluate/on-new-version train every version that has no run yet."
        ),
    ] = "when_new"


@dataclass(frozen=True, kw_only=True)
class LibraryOptions(OptionGroup):
    """A library of the user's own music, and what listens to it: a run, or an audio encoder."""

    library: Annotated[str, Doc("Name of the library, which `needledrop library add` has made.")] = "music"
    run: Annotated[
        str | None, Doc("Run whose model embeds the music; default: the one with the best R@10 on the newest version.")
    ] = None
    encoder: Annotated[
        str | None,
        Doc(
            "Pretrained audio encoder that reads texts, such as CLAP, in the place of a run: a hub name or a folder. "
            "Read the licence of its weights, which is shown first."
        ),
    ] = None
