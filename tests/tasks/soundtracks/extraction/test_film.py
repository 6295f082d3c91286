"""A film's recordings become one shard; what cannot becomes a reason, and never takes the rest along."""

from __future__ import annotations

import errno
import signal
from pathlib import Path

import av
import numpy as np
import pytest

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.mels import writer as mel_shards
from storage.mels.reader import MelReader
from storage.mels.settings import MelSettings
from storage.mels.writer import ShardWriter, read_tracks
from storage.tables.tables import open_tables
from tasks.soundtracks.extraction import film as extraction
from tasks.soundtracks.extraction import process_pool as workers
from tasks.soundtracks.extraction.film import Extraction, FilmJob, Recording, extract_film, extract_films


def write_tone(path: Path, seconds: float, hz: float = 440.0, rate: int = 22_050, codec: str = "pcm_s16le") -> Path:
    wave = 0.5 * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate)) / rate)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate, layout="mono")
        frame = av.AudioFrame.from_ndarray((wave * 32767).astype(np.int16)[None], format="s16", layout="mono")
        frame.sample_rate = rate
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def job_of(*recordings: Recording, film_id: str = "enwiki-1") -> FilmJob:
    rows = tuple({"film_id": film_id, "track_id": r.track_id, "decision": "taken"} for r in recordings)
    return FilmJob(film_id, 2020, recordings, rows)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_tables(str(tmp_path / "lake"))


def test_a_bad_recording_does_not_lose_the_others(lake: Lake, tmp_path: Path) -> None:
    good = write_tone(tmp_path / "good.wav", 21)
    (tmp_path / "bad.mp3").write_bytes(b"no audio here")
    job = job_of(Recording("m:bad", str(tmp_path / "bad.mp3")), Recording("m:good", str(good)))
    result = extract_film(lake, job, MelSettings(), "run")
    assert [o.reason for o in result.outcomes] == ["not_audio", "ok", "ok"]
    assert [row["decision"] for row in result.rows] == ["rejected", "taken"]
    assert result.rows[1]["segments"] == 2
    assert read_tracks(lake, str(result.shard)) == result.rows


def test_a_film_without_a_usable_recording_leaves_no_shard(lake: Lake, tmp_path: Path) -> None:
    result = extract_film(lake, job_of(Recording("m:1", str(tmp_path / "none.mp3"))), MelSettings(), "run")
    assert result.shard is None
    assert [o.reason for o in result.outcomes] == ["missing_file", "no_usable_track"]
    assert lake.list("mels") == []


def test_worker_processes_give_what_one_process_gives(lake: Lake, tmp_path: Path) -> None:
    jobs = [
        job_of(Recording("m:1", str(write_tone(tmp_path / f"{i}.wav", 10 * i))), film_id=f"enwiki-{i}") for i in (1, 2)
    ]
    finished: list[str] = []
    results = extract_films(lake, jobs, MelSettings(), "run", workers=2, on_film=lambda r: finished.append(r.film_id))
    reader = MelReader(lake, [str(r.shard) for r in results], MelSettings())
    assert sorted(finished) == ["enwiki-1", "enwiki-2"]
    assert len(reader) == 3


@pytest.mark.parametrize(
    ("signal_number", "reason"), [(signal.SIGKILL, "decoder_crashed"), (signal.SIGSTOP, "timeout")]
)
def test_a_decoder_that_crashes_or_hangs_costs_one_recording(lake, tmp_path, monkeypatch, signal_number, reason):
    hear = workers.Workers._hear

    def hear_and_strike(self, worker):
        ended = hear(self, worker)
        if worker.track_id == "m:bad":
            worker.process.send_signal(signal_number)
        return ended

    monkeypatch.setattr(workers.Workers, "_hear", hear_and_strike)
    monkeypatch.setattr(workers, "KILL_WALL_SECONDS", 6.0)
    paths = [str(write_tone(tmp_path / f"{i}.wav", seconds)) for i, seconds in enumerate((600, 20))]
    job = job_of(Recording("m:bad", paths[0]), Recording("m:good", paths[1]))
    [result] = extract_films(lake, [job], MelSettings(), "run", workers=1)
    assert [outcome.reason for outcome in result.outcomes] == [reason, "ok", "ok"]


def test_a_decoder_that_works_without_end_is_killed_by_its_cpu_time(lake, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "KILL_SECONDS", 0.2)
    path = str(write_tone(tmp_path / "a.wav", 2 * 3600, rate=8_000))
    [result] = extract_films(lake, [job_of(Recording("m:1", path))], MelSettings(), "run", workers=1)
    assert [outcome.reason for outcome in result.outcomes] == ["timeout", "no_usable_track"]
    assert result.outcomes[0].retry == "later"


def test_workers_that_left_for_want_of_films_cost_the_next_film_no_attempt(lake, tmp_path, monkeypatch):
    monkeypatch.setattr(extraction, "FILM_ATTEMPTS", 1)
    music = Recording("a", str(write_tone(tmp_path / "a.wav", 11)))
    with Extraction(lake, MelSettings(), "run", workers=1) as films:
        assert [one.film_id for one in films.extract([job_of(music)], to_the_end=True)] == ["enwiki-1"]
        for worker in films._pool._workers:
            worker.process.kill()
            worker.process.wait()
        later = films.extract([job_of(music, film_id="enwiki-2")], to_the_end=True)
        assert [one.shard is not None for one in later] == [True]


def test_a_truncated_recording_is_told_by_its_source(lake, tmp_path):
    path = str(write_tone(tmp_path / "a.wav", 40))
    for expected_seconds, reason in [(41.9, "ok"), (60.0, "truncated"), (None, "ok"), (20.0, "ok")]:
        result = extract_film(lake, job_of(Recording("m:1", path, expected_seconds)), MelSettings(), "run")
        assert result.outcomes[0].reason == reason


def test_an_unforeseen_error_is_an_outcome_and_may_be_tried_again(lake, tmp_path, monkeypatch):
    monkeypatch.setattr(extraction, "fingerprint", lambda _mels: 1 / 0)
    path = str(write_tone(tmp_path / "a.wav", 10))
    result = extract_film(lake, job_of(Recording("m:1", path)), MelSettings(), "run")
    assert (result.outcomes[0].reason, result.outcomes[0].retry) == ("unforeseen_error", "later")
    assert "ZeroDivisionError" in result.outcomes[0].message


def test_a_full_disk_is_no_fault_of_the_recording(lake, tmp_path, monkeypatch):
    def full(_writer: ShardWriter) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(mel_shards, "ROW_GROUP_ROWS", 1)
    monkeypatch.setattr(ShardWriter, "_write_group", full)
    with pytest.raises(LakeError, match="No space left"):
        extract_film(lake, job_of(Recording("m:1", str(write_tone(tmp_path / "a.wav", 21)))), MelSettings(), "run")
    assert lake.list("mels") == []


def test_a_worker_lives_within_its_memory(lake, tmp_path):
    wave = tmp_path / "long.wav"
    write_tone(wave, 3 * 3600, rate=8_000, codec="pcm_s16le")
    [result] = extract_films(lake, [job_of(Recording("m:1", str(wave)))], MelSettings(), "run", workers=1)
    assert result.outcomes[0].reason == "ok"
    assert result.rows[0]["segments"] == 1088


def test_every_real_file_ends_as_mels_or_as_a_reason(lake, real_audio):
    files = sorted(str(path) for path in real_audio.rglob("*") if path.is_file())
    jobs = [job_of(Recording("m:1", path), film_id=f"enwiki-{i}") for i, path in enumerate(files)]
    results = extract_films(lake, jobs, MelSettings(short_tracks="pad"), "run", workers=2)
    reasons = [result.outcomes[0].reason for result in results]
    assert len(results) == len(files)
    assert reasons.count("ok") > 0.6 * len(files)
    assert not {"unforeseen_error", "decoder_crashed", "timeout"} & set(reasons)
    assert all((result.shard is not None) == (result.outcomes[0].reason == "ok") for result in results)
