"""The flow `index-library`: scan a library of the user's own music, then decode and embed what an engine has not heard.

The engine is a trained run, or a pretrained audio encoder.

A run does only what is missing: it is the first run, the update and the repair. Audio is read in place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, astuple, dataclass
from functools import partial
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from flows.parameters import IndexLibraryParameters, check, takes
from flows.runs.start_and_end import names_its_leases, recorded, run_name
from storage.coordination.leases import leased
from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from storage.libraries.library import Library, lease_of, open_library
from storage.libraries.library_embeddings import TrackEmbedding, encoder_engine, register_encoder
from storage.mels.settings_and_shard_format import MelSettings
from storage.output_escaping import printable
from storage.tables.tables import open_existing
from tasks.libraries.index import Embed, FileRow, Heard, IndexCounts, files_to_index, index_files, open_decoder
from tasks.libraries.scan import ScanCounts, scan_folder
from tasks.progress import ReportProgress, log_line, run_logger, shown_progress
from tasks.run_report import as_words
from training.audio_encoders.embed_audio_and_text import Encoder
from training.audio_encoders.model_files import licence_warning, remember_model
from training.loop.devices_and_torchrun import Machine, open_machine
from training.retrieval.choose_run import choose_run, describe_run
from training.retrieval.library_track_encoder import embed_recording, load_encoder, load_library_encoder
from training.systems import ALL_PARTS

NAME = "index-library"


@flow(name=NAME, flow_run_name=run_name, timeout_seconds=3 * 24 * 3600)
@takes(IndexLibraryParameters)
@names_its_leases
def index_library(parameters: IndexLibraryParameters) -> dict[str, Any]:
    """Scan a library and embed its new music with the model of a run, so that it can be searched with a film."""
    check(parameters)
    lake, run_id = open_existing(parameters.lake), str(flow_run.id)
    library = open_library(lake, parameters.library)
    with open_machine() as machine:
        encoder = _loaded(library, parameters.encoder, machine) if parameters.encoder else None
        engine = _engine(lake, parameters, encoder)
        with (
            leased(lake, lease_of(library.name)) as lease,
            recorded(lake, NAME, run_id, {**asdict(parameters), "run": engine}) as summary,
            shown_progress(lake) as progress,
        ):
            if lease is None:
                raise LakeError(f"Another process is indexing the library {library.name}; wait until it ends")
            scanned = _scan(library, run_id, progress)
            summary |= {"run": engine, **vars(scanned.counts)}
            files = files_to_index(library, engine, scanned.folders)
            listen = partial(_listener, lake, engine, encoder, machine)
            counts = vars(_index(library, engine, files, listen, parameters.workers, run_id, progress))
            summary |= {"to_index": counts.pop("files"), **counts}
            if scanned.problems:
                done = as_words({name: count for name, count in summary.items() if name != "run"})
                raise InputError(f"{'; '.join(scanned.problems)}. The other folders were indexed: {done}")
    return summary


def _loaded(library: Library, name: str, machine: Machine) -> Encoder:
    """Load an audio encoder, say under which licence it is, and note in the library what it is."""
    encoder = load_library_encoder(name, machine)
    card = encoder.card
    log_line("Audio encoder %s (licence: %s) on %s", card.name, card.licence, machine.device.type)
    if (warning := licence_warning(card)) is not None:
        run_logger().warning("%s", warning)
    register_encoder(library, card)
    remember_model(library.lake, card, name)
    return encoder


def _engine(lake: Lake, parameters: IndexLibraryParameters, encoder: Encoder | None) -> str:
    """Return what the embeddings are known by."""
    if encoder is not None:
        return encoder_engine(encoder.card.name)
    return describe_run(lake, parameters.run or choose_run(lake, ALL_PARTS)).run_id


@dataclass(frozen=True)
class _Listener:
    """What embeds decoded tracks, and what it hears of them."""

    embed: Embed
    mels: MelSettings
    rate_hz: int | None = None
    """Of an audio encoder, which hears samples."""


def _listener(lake: Lake, engine: str, encoder: Encoder | None, machine: Machine) -> _Listener:
    if encoder is not None:
        return _Listener(partial(_embed_sound, encoder), MelSettings(), encoder.card.sample_rate_hz)
    model, settings = load_encoder(lake, engine, machine)
    return _Listener(lambda heard: model.embed_shard(heard.mels, heard.shard), settings)


def _embed_sound(encoder: Encoder, heard: Heard) -> TrackEmbedding:
    assert heard.sound is not None
    return embed_recording(encoder, heard.sound, heard.segments)


@dataclass(frozen=True)
class _Scanned:
    """What a scan found in the folders that can be read, their ids, and why others cannot be."""

    counts: ScanCounts
    folders: frozenset[str]
    problems: tuple[str, ...]


def _scan(library: Library, run_id: str, progress: ReportProgress) -> _Scanned:
    """Scan every folder of a library, and add up what was found; one that is not mounted keeps what it has.

    Raises `InputError` where no folder can be read.
    """
    found: dict[str, ScanCounts] = {}
    problems = []
    for folder in library.folders:
        try:
            shown = f"scan {printable(folder.name)}"
            found[folder.id] = scan_folder(library, folder, run_id, partial(progress, shown))
        except InputError as error:
            problems.append(str(error))
            run_logger().warning("%s", error)
    if not found:
        raise InputError("; ".join(problems))
    counts = ScanCounts(*map(sum, zip(*map(astuple, found.values()), strict=True)))
    return _Scanned(counts, frozenset(found), tuple(problems))


def _index(
    library: Library,
    engine: str,
    files: Sequence[FileRow],
    listen: Callable[[], _Listener],
    workers: int,
    run_id: str,
    progress: ReportProgress,
) -> IndexCounts:
    """Decode and embed what is missing; the process pool decodes while this process embeds."""
    counts = IndexCounts()
    if not files:
        log_line("Every track of the library %s is indexed by %s", library.name, engine)
        return counts
    listener = listen()
    with open_decoder(library, listener.mels, run_id, workers, listener.rate_hz) as decoder:
        for counts in index_files(library, files, decoder, listener.embed, run_id, engine):
            progress(f"index {library.name}", counts.files, len(files))
    return counts
