"""One film's recordings become one shard; what cannot be used becomes an outcome, and never loses the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from storage.errors import LakeError
from storage.lake.lake import Lake
from storage.mels.reader import read_tracks
from storage.mels.settings_and_shard_format import MelSettings
from tasks.soundtracks.candidate_recordings import Recording
from tasks.soundtracks.extraction.extract_film import extract_film
from tasks.soundtracks.extraction.film_jobs import FilmJob

JobOf = Callable[..., FilmJob]
WriteTone = Callable[..., str]


def test_a_bad_recording_does_not_lose_the_others(
    lake: Lake, tmp_path: Path, write_tone: WriteTone, job_of: JobOf
) -> None:
    good = write_tone("good.wav", 21)
    (tmp_path / "bad.mp3").write_bytes(b"no audio here")
    job = job_of(Recording("m:bad", str(tmp_path / "bad.mp3")), Recording("m:good", good))
    result = extract_film(lake, job, MelSettings(), "run")
    assert [outcome.reason for outcome in result.outcomes] == ["not_audio", "ok", "ok"]
    assert str(tmp_path) not in result.outcomes[0].message
    assert [row["decision"] for row in result.rows] == ["rejected", "taken"]
    assert result.rows[1]["segments"] == 2
    assert read_tracks(lake, str(result.shard)) == result.rows


def test_a_film_without_a_usable_recording_leaves_no_shard(lake: Lake, tmp_path: Path, job_of: JobOf) -> None:
    result = extract_film(lake, job_of(Recording("m:1", str(tmp_path / "none.mp3"))), MelSettings(), "run")
    assert result.shard is None
    assert [outcome.reason for outcome in result.outcomes] == ["missing_file", "no_usable_track"]
    assert lake.list("mels") == []


@pytest.mark.parametrize(("stated_seconds", "reason"), [(41.9, "ok"), (60.0, "truncated"), (None, "ok"), (20.0, "ok")])
def test_a_truncated_recording_is_recognised_by_the_length_that_its_source_states(
    lake: Lake, write_tone: WriteTone, job_of: JobOf, stated_seconds: float | None, reason: str
) -> None:
    job = job_of(Recording("m:1", write_tone("a.wav", 40), stated_seconds))
    assert extract_film(lake, job, MelSettings(), "run").outcomes[0].reason == reason


def test_a_shard_that_a_killed_worker_of_the_same_run_committed_is_accepted(
    lake: Lake, write_tone: WriteTone, job_of: JobOf
) -> None:
    job = job_of(Recording("m:1", write_tone("a.wav", 10)))
    first, again = (extract_film(lake, job, MelSettings(), "run") for _ in range(2))
    assert (again.shard, again.rows) == (first.shard, first.rows)
    with pytest.raises(LakeError, match="Another process has committed"):
        extract_film(lake, job, MelSettings(), "another run")


def test_an_unforeseen_error_is_an_outcome_that_may_be_tried_again(
    lake: Lake, write_tone: WriteTone, job_of: JobOf
) -> None:
    recording = Recording("m:1", write_tone("a.wav", 10), expected_seconds="ten")  # type: ignore[arg-type]
    result = extract_film(lake, job_of(recording), MelSettings(), "run")
    assert (result.outcomes[0].reason, result.outcomes[0].retry) == ("unforeseen_error", "later")
    assert "TypeError" in result.outcomes[0].message


def test_a_full_disk_is_not_the_recordings_failure(
    small_disk: Callable[[str], Path], write_tone: WriteTone, job_of: JobOf
) -> None:
    lake = Lake(str(small_disk("size=1m")))
    with pytest.raises(LakeError, match="No space left"):
        extract_film(lake, job_of(Recording("m:1", write_tone("a.wav", 200))), MelSettings(), "run")
    assert lake.list("mels") == []
