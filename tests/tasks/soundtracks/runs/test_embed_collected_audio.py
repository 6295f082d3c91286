"""Collection with audio encoders: embeddings, then the shard, then no audio; a kill at any point loses nothing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from storage.audio_embeddings import encoded_films, list_embeddings, read_embeddings, register
from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import list_shards
from storage.tables import tables
from storage.tables.schemas import TRACKS
from storage.verify import verify
from tasks.run_report import RunReport
from tasks.soundtracks.download.downloader_and_staging import staging_folder
from tasks.soundtracks.extraction import embed_audio, extract_film
from tasks.soundtracks.runs import collect_film
from tasks.soundtracks.runs.embed_collected_audio import encode_collected
from tasks.soundtracks.runs.open_sources import open_context
from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings
from tasks.soundtracks.runs.takedown import take_down
from tests.small_encoders import save_clap, save_speech
from training.audio_encoders.process import EncoderProcess, open_encoders

ALBUM = "Slow Water (Original Motion Picture Soundtrack)"
WriteClip = Callable[..., Path]
Collect = Callable[..., RunReport]


@pytest.fixture(scope="module")
def encoders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EncoderProcess]:
    """A process with two encoders, of 16 and of 48 kHz."""
    folder = tmp_path_factory.mktemp("models")
    with open_encoders([str(save_speech(folder / "speech")), str(save_clap(folder / "clap"))]) as process:
        yield process


@pytest.fixture
def music(tmp_path: Path, write_clip: WriteClip) -> Path:
    """Two recordings of one film: of two segments and of one."""
    folder = tmp_path / "music"
    write_clip(folder / "a.opus", seconds=21, title="Dream", album=ALBUM, date="2016")
    write_clip(folder / "b.opus", seconds=12, hertz=330, title="Night", album=ALBUM, date="2016")
    return folder


@pytest.fixture
def run(lake: Lake, music: Path, encoders: EncoderProcess, run_collection: Callable[..., RunReport]) -> Collect:
    """A function that collects that music, with the encoders unless none are given."""
    settings = SoundtrackSettings(music=(str(music),), audio_encoders=("speech", "clap"), workers=1)
    for card in encoders.cards:
        register(lake, card)
    return lambda heard_by=encoders: run_collection(lake, settings, heard_by)


def assert_complete(lake: Lake) -> None:
    """Every film with a shard has aligned embeddings by both encoders, and no audio is left."""
    assert len(list_shards(lake)) == 1
    for encoder, dimensions in (("speech", 16), ("clap", 12)):
        [path] = encoded_films(lake, encoder).values()
        assert sorted(own.shape for own in read_embeddings(lake, path).values()) == [(1, dimensions), (2, dimensions)]
    assert list(verify(lake, deep=True)) == []
    assert not list(staging_folder(lake).rglob("*"))
    assert len([row for row in tables.latest(lake, TRACKS).to_pylist() if row["segments"]]) == 2


def test_every_segment_is_embedded_while_its_audio_is_at_hand(lake: Lake, run: Collect) -> None:
    assert run().counts["tracks"] == 2
    assert_complete(lake)
    before = {path: lake.modified(path) for path in list_embeddings(lake)}
    assert run().counts["tracks"] == 0
    assert {path: lake.modified(path) for path in list_embeddings(lake)} == before


def _die(*_arguments: Any, **_options: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize(
    ("module", "before", "committed"),
    [
        (extract_film, "segment_mels", (0, 0)),
        (embed_audio, "decoded_audio", (0, 0)),
        (embed_audio, "write_embeddings", (0, 0)),
        (embed_audio.shutil, "copyfile", (2, 0)),
        (collect_film.Collector, "_commit", (2, 1)),
        (collect_film, "release_staged", (2, 1)),
    ],
)
def test_a_kill_at_any_point_loses_nothing_and_the_next_run_does_only_that_film(
    lake: Lake, run: Collect, encoders: EncoderProcess, monkeypatch: pytest.MonkeyPatch, module: Any, before: str,
    committed: tuple[int, int],
) -> None:  # fmt: skip
    child = os.fork()
    if not child:
        monkeypatch.setattr(module, before, _die)
        run()
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert (len(list_embeddings(lake)), len(list_shards(lake))) == committed
    sent: list[Sequence[Any]] = []
    monkeypatch.setattr(encoders, "submit", lambda films, submit=encoders.submit: (sent.append(films), submit(films)))
    run()
    assert len(sent) == (0 if committed[1] else 1)
    assert_complete(lake)


def test_encoders_that_are_killed_end_the_run_and_the_next_one_goes_on(
    lake: Lake, music: Path, run: Collect, encoders: EncoderProcess, tmp_path: Path
) -> None:
    with open_encoders([str(save_speech(tmp_path / "speech"))]) as short_lived:
        killer = threading.Timer(0, short_lived.process.kill)
        killer.start()
        killer.join()
        with pytest.raises(Exception, match="process of the audio encoders ended"):
            run(short_lived)
    assert (list_embeddings(lake), list_shards(lake)) == ([], [])
    run()
    assert_complete(lake)


def test_a_recording_that_fails_is_not_embedded(lake: Lake, music: Path, run: Collect, write_clip: WriteClip) -> None:
    write_clip(music / "c.opus", seconds=3, hertz=500, title="Short", album=ALBUM, date="2016")
    assert run().counts["tracks_failed"] == 1
    assert_complete(lake)


def test_a_full_staging_disk_is_a_sentence(
    lake: Lake, music: Path, run_collection: Callable[..., RunReport], encoders: EncoderProcess,
    small_disk: Callable[[str], Path],
) -> None:  # fmt: skip
    full = replace(lake, cache_folder=str(small_disk("size=1m")))
    with pytest.raises(LakeError, match=r"No space left to write .*to-embed"):
        run_collection(full, SoundtrackSettings(music=(str(music),), audio_encoders=("x",)), encoders)
    assert (list_embeddings(lake), list_shards(lake)) == ([], [])


def test_a_takedown_deletes_the_embeddings_of_a_track_or_a_film(lake: Lake, run: Collect) -> None:
    run()
    [first, second] = [row["track_id"] for row in tables.latest(lake, TRACKS).to_pylist() if row["segments"]]
    take_down(lake, first, "asked", "test")
    assert [list(read_embeddings(lake, path)) for path in list_embeddings(lake)] == [[second]] * 2
    assert list(verify(lake, deep=True)) == []
    take_down(lake, "enwiki-1", "asked", "test")
    assert list_embeddings(lake) == []


def test_embeddings_whose_shard_was_deleted_are_made_again(lake: Lake, run: Collect) -> None:
    run()
    lake.remove(list_shards(lake)[0])
    run()
    assert_complete(lake)


def encode(lake: Lake, encoders: EncoderProcess, *music: Path) -> RunReport:
    settings = SoundtrackSettings(music=tuple(map(str, music)), audio_encoders=("speech",), encode=True, workers=1)
    with open_context(lake, settings, "test") as context:
        context.encoders = encoders
        return encode_collected(context)


def test_own_files_are_embedded_later_and_what_has_embeddings_is_skipped(
    lake: Lake, music: Path, run: Collect, encoders: EncoderProcess
) -> None:
    run(None)
    assert list_embeddings(lake) == []
    assert encode(lake, encoders, music).counts["tracks_embedded"] == 2
    assert_complete(lake)
    again = encode(lake, encoders, music).counts
    assert (again["films_embedded"], again["tracks_without_audio"]) == (0, 0)


def test_recordings_without_audio_are_counted_and_embedded_once_it_is_there(
    lake: Lake, music: Path, run: Collect, encoders: EncoderProcess, tmp_path: Path
) -> None:
    run(None)
    aside = tmp_path / "aside.opus"
    (music / "b.opus").rename(aside)
    counts = encode(lake, encoders, music).counts
    assert (counts["tracks_embedded"], counts["tracks_without_audio"]) == (1, 1)
    aside.rename(music / "b.opus")
    assert encode(lake, encoders, music).counts["tracks_embedded"] == 1
    assert_complete(lake)
