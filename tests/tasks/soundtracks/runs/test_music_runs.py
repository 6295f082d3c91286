"""Runs over a music folder or list: every file ends in a shard or with a reason, and a second run changes nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.records.outcomes import Stage
from storage.tables import tables
from storage.tables.schemas import OUTCOMES, TRACKS
from storage.verify import verify
from tasks.run_report import RunReport
from tasks.soundtracks.runs.soundtrack_option_checks import SoundtrackSettings
from tasks.soundtracks.runs.takedown import take_down

ALBUM = "Slow Water (Original Motion Picture Soundtrack)"
Collect = Callable[..., RunReport]
WriteClip = Callable[..., Path]


@pytest.fixture
def collect(lake: Lake, run_collection: Callable[..., RunReport]) -> Collect:
    """A function that runs over these folders and lists."""
    return lambda *music: run_collection(lake, SoundtrackSettings(music=tuple(map(str, music)), workers=1))


def outcomes(lake: Lake, stage: Stage) -> dict[str, str]:
    rows = tables.latest(lake, OUTCOMES).to_pylist()
    return {row["item"]: row["reason"] for row in rows if row["stage"] == stage}


def parts(lake: Lake) -> list[str]:
    return lake.list("tracks") + lake.list("outcomes") + lake.list("mels")


def test_every_file_ends_in_a_shard_or_with_a_reason(
    lake: Lake, tmp_path: Path, collect: Collect, write_clip: WriteClip
) -> None:
    music = tmp_path / "music"
    write_clip(music / "a.opus", title="Dream", album=ALBUM, date="2016")
    write_clip(music / "b.opus", hertz=330, title="Other", album="Nobody's Film (Soundtrack)")
    (music / "c.opus").write_bytes(b"not audio")
    shutil.copy(music / "a.opus", music / "again.opus")
    report = collect(music)
    assert report.counts["tracks"] == 1
    assert outcomes(lake, Stage.SOUNDTRACK) == {"enwiki-1": "ok", "enwiki-2": "no_match", "enwiki-3": "no_match"}
    assert sorted(outcomes(lake, Stage.TRACK).values()) == ["no_film", "no_film", "ok"]


def test_a_broken_file_never_loses_the_others(
    lake: Lake, tmp_path: Path, collect: Collect, write_clip: WriteClip
) -> None:
    music = tmp_path / "music"
    write_clip(music / ALBUM / "01.opus", title="One")
    (music / ALBUM / "02.opus").write_bytes(b"OggS" + b"\0" * 4000)
    collect(music)
    assert sorted(outcomes(lake, Stage.TRACK).values()) == ["not_audio", "ok"]


def test_a_second_run_writes_nothing(lake: Lake, tmp_path: Path, collect: Collect, write_clip: WriteClip) -> None:
    write_clip(tmp_path / "music" / "a.opus", title="Dream", album=ALBUM)
    write_clip(tmp_path / "music" / "b.opus", hertz=330, album="Nobody's Film (Soundtrack)")
    collect(tmp_path / "music")
    before = parts(lake)
    assert collect(tmp_path / "music").counts["films"] == 0
    assert parts(lake) == before


def test_a_recording_added_after_its_film_is_done_gets_a_row_only(
    lake: Lake, tmp_path: Path, collect: Collect, write_clip: WriteClip
) -> None:
    write_clip(tmp_path / "music" / "a.opus", title="Dream", album=ALBUM)
    collect(tmp_path / "music")
    write_clip(tmp_path / "music" / "b.opus", hertz=330, title="Late", album=ALBUM)
    collect(tmp_path / "music")
    before = parts(lake)
    collect(tmp_path / "music")
    rows = {row["title"]: row["reason"] for row in tables.latest(lake, TRACKS).to_pylist()}
    assert rows == {"Dream": "matched", "Late": "film_already_done"}
    assert parts(lake) == before


def test_rows_and_outcomes_are_recovered_from_a_shard(
    lake: Lake, tmp_path: Path, collect: Collect, write_clip: WriteClip
) -> None:
    write_clip(tmp_path / "music" / "a.opus", title="Dream", album=ALBUM)
    collect(tmp_path / "music")
    complete = tables.latest(lake, TRACKS).drop_columns(["run_id", "recorded_at"])
    for name in lake.list("tracks") + lake.list("outcomes"):
        lake.remove(name)
    tables.create_tables(lake)
    collect(tmp_path / "music")
    assert tables.latest(lake, TRACKS).drop_columns(["run_id", "recorded_at"]).equals(complete)
    assert outcomes(lake, Stage.SOUNDTRACK)["enwiki-1"] == "ok"


@pytest.mark.parametrize("table", ["tracks", "outcomes"])
def test_rows_of_a_deleted_part_are_recovered_from_the_shard(
    lake: Lake, tmp_path: Path, collect: Collect, write_clip: WriteClip, table: str
) -> None:
    write_clip(tmp_path / "music" / "a.opus", title="Dream", album=ALBUM)
    collect(tmp_path / "music")
    lake.remove(table)
    tables.create_tables(lake)
    collect(tmp_path / "music")
    assert list(verify(lake, deep=True)) == []
    assert [row["segments"] for row in tables.latest(lake, TRACKS).to_pylist()] == [1]
    assert outcomes(lake, Stage.SOUNDTRACK)["enwiki-1"] == "ok"


def test_a_deleted_shard_is_extracted_again(
    lake: Lake, tmp_path: Path, collect: Collect, write_clip: WriteClip
) -> None:
    write_clip(tmp_path / "music" / "a.opus", title="Dream", album=ALBUM)
    collect(tmp_path / "music")
    [shard] = lake.list("mels")
    complete = lake.read_bytes(shard)
    lake.remove(shard)
    assert collect(tmp_path / "music").counts["films"] == 1
    assert len(lake.read_bytes(shard)) == len(complete)
    assert list(verify(lake, deep=True)) == []
    assert collect(tmp_path / "music").counts["films"] == 0


def test_a_film_whose_recording_was_taken_down_stays_intact_and_blank(
    lake: Lake, tmp_path: Path, collect: Collect, write_clip: WriteClip
) -> None:
    write_clip(tmp_path / "music" / "a.opus", title="Dream", album=ALBUM)
    write_clip(tmp_path / "music" / "b.opus", hertz=330, title="Other", album=ALBUM)
    collect(tmp_path / "music")
    [removed, _] = sorted(row["track_id"] for row in tables.latest(lake, TRACKS).to_pylist())
    take_down(lake, removed, "its owner asked", "test")
    assert list(verify(lake, deep=True)) == []
    before = parts(lake)
    collect(tmp_path / "music")
    assert parts(lake) == before


def write_list(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["film,path,title,artist,licence", *rows]) + "\n")
    return path


def test_a_list_pairs_by_title_page_or_film_id(
    lake: Lake, tmp_path: Path, collect: Collect, write_clip: WriteClip
) -> None:
    for number, hertz in enumerate((220, 330, 440, 550)):
        write_clip(tmp_path / f"{number}.opus", hertz=hertz)
    rows = (
        "Slow Water,0.opus,A,,CC0",
        "Night Ferry (film),1.opus,B,,",
        "enwiki-3,2.opus,C,,",
        "No Such Film,3.opus,,,",
    )
    collect(write_list(tmp_path / "list.csv", *rows))
    stored = {
        row["film_id"]: (row["title"], row["decision"], row["reason"])
        for row in tables.latest(lake, TRACKS).to_pylist()
    }
    assert stored == {f"enwiki-{n}": (t, "taken", "listed") for n, t in enumerate("ABC", 1)}
    assert "unknown_film" in outcomes(lake, Stage.TRACK).values()


def test_a_row_whose_file_is_missing_stops_before_any_work(
    lake: Lake, tmp_path: Path, collect: Collect, write_clip: WriteClip
) -> None:
    write_clip(tmp_path / "0.opus")
    listing = write_list(tmp_path / "list.csv", "Slow Water,0.opus,,,", "Slow Water,gone.opus,,,")
    with pytest.raises(InputError, match=r"row 3 \(gone.opus\)") as caught:
        collect(listing)
    assert caught.value.exit_status == 2
    assert not lake.list("mels")


def test_no_source_no_consent_and_an_unknown_reason_are_refused() -> None:
    invalid: list[dict[str, Any]] = [{}, {"youtube": True}, {"music": ("x",), "retry_reasons": ("no_such_reason",)}]
    for parameters in invalid:
        with pytest.raises(InputError):
            SoundtrackSettings(**parameters).check()
