"""Worker processes that crash, hang or end cost one recording, never a film; a defect of ours is raised as it is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.mels.reader import MelReader
from storage.mels.settings_and_shard_format import MelSettings
from tasks.soundtracks.candidate_recordings import Recording
from tasks.soundtracks.extraction import process_pool
from tasks.soundtracks.extraction.film_jobs import FilmJob
from tasks.soundtracks.extraction.process_pool import PoolExtractor, extract_films

JobOf = Callable[..., FilmJob]
WriteTone = Callable[..., str]
LONG_SECONDS = 3600.0
"""Seconds of work for a decoder, so that it is still at it when a test strikes."""


def worker_pids() -> list[int]:
    """The worker processes that this process has started and that run."""
    command = ["pgrep", "-P", str(os.getpid()), "-f", "tasks.soundtracks.extraction.process_pool"]
    return [int(pid) for pid in subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()]


def has_open(pid: int, path: str) -> bool:
    try:
        return any(os.path.realpath(link) == os.path.realpath(path) for link in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return False


def signal_the_worker_that_decodes(path: str, signal_number: signal.Signals) -> None:
    """Wait in a thread until a worker has the file open, and send it a signal."""

    def watch() -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            for pid in worker_pids():
                if has_open(pid, path):
                    os.kill(pid, signal_number)
                    return
            time.sleep(0.01)

    threading.Thread(target=watch, daemon=True).start()


def test_worker_processes_give_what_one_process_gives(lake: Lake, write_tone: WriteTone, job_of: JobOf) -> None:
    jobs = [job_of(Recording("m:1", write_tone(f"{n}.wav", 10 * n)), film_id=f"enwiki-{n}") for n in (1, 2)]
    results = extract_films(lake, jobs, MelSettings(), "run", workers=2)
    assert sorted(result.film_id for result in results) == ["enwiki-1", "enwiki-2"]
    assert len(MelReader(lake, [str(result.shard) for result in results], MelSettings())) == 3


@pytest.mark.parametrize(
    ("signal_number", "reason", "retry"),
    [
        (signal.SIGSEGV, "decoder_crashed", "never"),
        (signal.SIGKILL, "decoder_crashed", "later"),
        (signal.SIGSTOP, "timeout", "later"),
    ],
    ids=["crash", "out of memory", "hang"],
)
def test_a_decoder_that_ends_or_hangs_costs_one_recording(
    lake: Lake,
    write_tone: WriteTone,
    job_of: JobOf,
    monkeypatch: pytest.MonkeyPatch,
    signal_number: signal.Signals,
    reason: str,
    retry: str,
) -> None:
    monkeypatch.setattr(process_pool, "KILL_WALL_SECONDS", 30.0)
    bad = write_tone("bad.wav", LONG_SECONDS, rate=8_000)
    job = job_of(Recording("m:bad", bad), Recording("m:good", write_tone("good.wav", 20)))
    signal_the_worker_that_decodes(bad, signal_number)
    [result] = extract_films(lake, [job], MelSettings(), "run", workers=1)
    assert [outcome.reason for outcome in result.outcomes] == [reason, "ok", "ok"]
    assert result.outcomes[0].retry == retry


def test_a_decoder_that_works_without_end_is_killed_by_its_cpu_time(
    lake: Lake, write_tone: WriteTone, job_of: JobOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_pool, "KILL_CPU_SECONDS", 0.2)
    job = job_of(Recording("m:1", write_tone("a.wav", LONG_SECONDS, rate=8_000)))
    [result] = extract_films(lake, [job], MelSettings(), "run", workers=1)
    assert [outcome.reason for outcome in result.outcomes] == ["timeout", "no_usable_track"]
    assert result.outcomes[0].retry == "later"


def test_a_defect_while_writing_is_raised_with_its_traceback_and_blames_no_recording(
    lake: Lake, write_tone: WriteTone, job_of: JobOf
) -> None:
    job = job_of(Recording("m:\ud800", write_tone("a.wav", 11)))  # half a surrogate pair: Arrow cannot store it
    with pytest.raises(RuntimeError, match="UnicodeEncodeError") as caught:
        extract_films(lake, [job], MelSettings(), "run", workers=1)
    assert "writer.append" in caught.value.__notes__[0]
    assert lake.list("mels") == []


def test_a_lake_that_cannot_be_written_is_reported_as_it_is(lake: Lake, write_tone: WriteTone, job_of: JobOf) -> None:
    Path(lake.root, "mels").write_text("a file where a folder belongs")
    with pytest.raises(LakeError):
        extract_films(lake, [job_of(Recording("m:1", write_tone("a.wav", 11)))], MelSettings(), "run", workers=1)


def test_a_worker_that_ended_while_idle_costs_the_next_film_no_attempt(
    lake: Lake, write_tone: WriteTone, job_of: JobOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_pool, "FILM_ATTEMPTS", 1)
    recording = Recording("m:1", write_tone("a.wav", 11))
    with PoolExtractor(lake, MelSettings(), "run", workers=1) as extractor:
        assert [one.film_id for one in extractor.extract([job_of(recording)], drain=True)] == ["enwiki-1"]
        for pid in worker_pids():
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        later = list(extractor.extract([job_of(recording, film_id="enwiki-2")], drain=True))
    assert [one.shard is not None for one in later] == [True]


def test_idle_workers_serve_the_next_pool(lake: Lake, write_tone: WriteTone, job_of: JobOf) -> None:
    recording = Recording("m:1", write_tone("a.wav", 11))
    extract_films(lake, [job_of(recording)], MelSettings(), "run", workers=1)
    before = worker_pids()
    extract_films(lake, [job_of(recording, film_id="enwiki-2")], MelSettings(), "run", workers=1)
    assert worker_pids() == before != []


def test_a_worker_decodes_three_hours_within_its_memory(lake: Lake, write_tone: WriteTone, job_of: JobOf) -> None:
    job = job_of(Recording("m:1", write_tone("long.wav", 3 * 3600, rate=8_000)))
    [result] = extract_films(lake, [job], MelSettings(), "run", workers=1)
    assert result.outcomes[0].reason == "ok"
    assert result.rows[0]["segments"] == 1088


TABLES = """
import pyarrow
def megabytes():
    return next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmData"))
before = megabytes()
for size in (50, 60, 140):
    tables = [pyarrow.allocate_buffer(size << 20) for _ in range(2)]
    del tables
print(megabytes() - before)
"""
"""Prints how many MB of a worker's limit are used once shards of ever longer recordings were made, 280 MB at most."""


@pytest.mark.skipif(sys.platform != "linux", reason="the memory of a worker is limited on Linux alone")
def test_shards_that_were_made_leave_a_worker_its_memory() -> None:
    environment = {**os.environ, **process_pool.WORKER_ENVIRONMENT}
    ended = subprocess.run([sys.executable, "-c", TABLES], env=environment, check=True, capture_output=True, text=True)
    assert int(ended.stdout) < 700


def test_every_real_file_ends_as_mels_or_with_a_reason(lake: Lake, real_audio: Path, job_of: JobOf) -> None:
    files = sorted(str(path) for path in real_audio.rglob("*") if path.is_file())
    jobs = [job_of(Recording("m:1", path), film_id=f"enwiki-{n}") for n, path in enumerate(files)]
    results = extract_films(lake, jobs, MelSettings(short_tracks="pad"), "run", workers=2)
    reasons = [result.outcomes[0].reason for result in results]
    assert len(results) == len(files)
    assert reasons.count("ok") > 0.6 * len(files)
    assert not {"unforeseen_error", "decoder_crashed", "timeout"} & set(reasons)
    assert all((result.shard is not None) == (result.outcomes[0].reason == "ok") for result in results)
