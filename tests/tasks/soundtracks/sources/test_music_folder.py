"""Folders with tags and lists with pairs: what is read, what is refused, and what a second run does."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.records.outcomes import Stage
from storage.tables import tables
from storage.tables.schemas import FILMS, OUTCOMES, TRACKS
from storage.verify import verify
from tasks.soundtracks.extraction.film import extract_film
from tasks.soundtracks.runs import collect as collecting
from tasks.soundtracks.runs.collect import Collector, Report
from tasks.soundtracks.runs.context import open_supply
from tasks.soundtracks.runs.plan import plan
from tasks.soundtracks.runs.reconcile import recover
from tasks.soundtracks.runs.settings import SoundtrackSettings
from tasks.soundtracks.runs.takedown import take_down
from tasks.soundtracks.sources.music_folder import content_id, read_music, read_tags

ALBUM = "Slow Water (Original Motion Picture Soundtrack)"


def write_clip(path: Path, seconds: float = 12.0, hertz: float = 220.0, **tags: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = (0.1 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * 48_000)) / 48_000)).astype(np.float32)
    with av.open(str(path), "w", format="ogg") as container:
        stream = container.add_stream("libopus", rate=48_000, layout="mono")
        container.metadata.update(tags)
        for start in range(0, len(wave), 48_000):
            frame = av.AudioFrame.from_ndarray(wave[None, start : start + 48_000], format="flt", layout="mono")
            frame.sample_rate, frame.pts = 48_000, start
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture(autouse=True)
def _mels_in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Worker processes have their own tests; starting them for every film here would cost most of the time."""

    def one_by_one(lake: Lake, jobs: Any, settings: Any, run_id: str, **_how: Any) -> list[Any]:
        return [extract_film(lake, job, settings, run_id) for job in jobs]

    monkeypatch.setattr(collecting, "extract_films", one_by_one)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = tables.open_tables(str(tmp_path / "lake"))
    films = [("Slow Water", 2016), ("Night Ferry (film)", 2015), ("Silent One", 2014)]
    rows = [{"film_id": f"enwiki-{n}", "title": t, "year": y, "state": "present"} for n, (t, y) in enumerate(films, 1)]
    tables.append(made, FILMS, rows, "test")
    return made


def collect(lake: Lake, *music: Path) -> Report:
    settings = SoundtrackSettings(music=tuple(str(place) for place in music), workers=1)
    settings.check()
    recover(lake, "test")
    with open_supply(lake, settings, "test", lambda *_told: None) as supply:
        planned = plan(lake, supply, "test")
        return Collector(supply, planned, "test").collect(planned.films)


def outcomes(lake: Lake, stage: Stage) -> dict[str, str]:
    rows = tables.latest(lake, OUTCOMES).to_pylist()
    return {row["item"]: row["reason"] for row in rows if row["stage"] == stage}


def parts(lake: Lake) -> list[str]:
    return lake.list("tracks") + lake.list("outcomes") + lake.list("mels")


def test_tags_are_read_where_the_container_keeps_them(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.opus", title="Dream", artist="Ann", album=ALBUM, date="2016-05-01", track="3/9")
    tags = read_tags(path)
    assert (tags.title, tags.artist, tags.album, tags.year, tags.track_number) == ("Dream", "Ann", ALBUM, 2016, 3)


def test_every_file_ends_in_a_shard_or_with_a_reason(lake: Lake, tmp_path: Path) -> None:
    music = tmp_path / "music"
    write_clip(music / "a.opus", title="Dream", album=ALBUM, date="2016")
    write_clip(music / "b.opus", hertz=330, title="Other", album="Nobody's Film (Soundtrack)")
    (music / "c.opus").write_bytes(b"not audio")
    shutil.copy(music / "a.opus", music / "again.opus")
    report = collect(lake, music)
    assert report.counts["tracks"] == 1
    assert outcomes(lake, Stage.SOUNDTRACK) == {"enwiki-1": "ok", "enwiki-2": "no_match", "enwiki-3": "no_match"}
    assert sorted(outcomes(lake, Stage.TRACK).values()) == ["no_film", "no_film", "ok"]


def test_a_broken_file_never_loses_the_others(lake: Lake, tmp_path: Path) -> None:
    music = tmp_path / "music"
    write_clip(music / ALBUM / "01.opus", title="One")
    (music / ALBUM / "02.opus").write_bytes(b"OggS" + b"\0" * 4000)
    collect(lake, music)
    assert sorted(outcomes(lake, Stage.TRACK).values()) == ["not_audio", "ok"]


def test_a_second_run_writes_nothing(lake: Lake, tmp_path: Path) -> None:
    write_clip(tmp_path / "music" / "a.opus", title="Dream", album=ALBUM)
    write_clip(tmp_path / "music" / "b.opus", hertz=330, album="Nobody's Film (Soundtrack)")
    collect(lake, tmp_path / "music")
    before = parts(lake)
    assert collect(lake, tmp_path / "music").counts["films"] == 0
    assert parts(lake) == before


def test_a_recording_that_comes_late_gets_a_row_and_no_more(lake: Lake, tmp_path: Path) -> None:
    write_clip(tmp_path / "music" / "a.opus", title="Dream", album=ALBUM)
    collect(lake, tmp_path / "music")
    write_clip(tmp_path / "music" / "b.opus", hertz=330, title="Late", album=ALBUM)
    collect(lake, tmp_path / "music")
    before = parts(lake)
    collect(lake, tmp_path / "music")
    rows = {row["title"]: row["reason"] for row in tables.latest(lake, TRACKS).to_pylist()}
    assert rows == {"Dream": "matched", "Late": "film_already_done"}
    assert parts(lake) == before


def test_a_shard_without_its_rows_gives_them_back(lake: Lake, tmp_path: Path) -> None:
    write_clip(tmp_path / "music" / "a.opus", title="Dream", album=ALBUM)
    collect(lake, tmp_path / "music")
    whole = tables.latest(lake, TRACKS).drop_columns(["run_id", "recorded_at"])
    for name in lake.list("tracks") + lake.list("outcomes"):
        lake.remove(name)
    tables.create_tables(lake)
    collect(lake, tmp_path / "music")
    assert tables.latest(lake, TRACKS).drop_columns(["run_id", "recorded_at"]).equals(whole)
    assert outcomes(lake, Stage.SOUNDTRACK)["enwiki-1"] == "ok"


@pytest.mark.parametrize("table", ["tracks", "outcomes"])
def test_rows_of_one_lost_part_come_back_from_the_shard(lake: Lake, tmp_path: Path, table: str) -> None:
    write_clip(tmp_path / "music" / "a.opus", title="Dream", album=ALBUM)
    collect(lake, tmp_path / "music")
    lake.remove(table)
    tables.create_tables(lake)
    collect(lake, tmp_path / "music")
    assert list(verify(lake, deep=True)) == []
    assert [row["segments"] for row in tables.latest(lake, TRACKS).to_pylist()] == [1]
    assert outcomes(lake, Stage.SOUNDTRACK)["enwiki-1"] == "ok"


def test_a_shard_that_was_deleted_is_made_again(lake: Lake, tmp_path: Path) -> None:
    write_clip(tmp_path / "music" / "a.opus", title="Dream", album=ALBUM)
    collect(lake, tmp_path / "music")
    [shard] = lake.list("mels")
    whole = lake.read_bytes(shard)
    lake.remove(shard)
    assert collect(lake, tmp_path / "music").counts["films"] == 1
    assert len(lake.read_bytes(shard)) == len(whole)
    assert list(verify(lake, deep=True)) == []
    assert collect(lake, tmp_path / "music").counts["films"] == 0


def test_a_film_whose_recording_was_taken_down_is_whole_and_stays_blank(lake: Lake, tmp_path: Path) -> None:
    write_clip(tmp_path / "music" / "a.opus", title="Dream", album=ALBUM)
    write_clip(tmp_path / "music" / "b.opus", hertz=330, title="Other", album=ALBUM)
    collect(lake, tmp_path / "music")
    [gone, _] = sorted(row["track_id"] for row in tables.latest(lake, TRACKS).to_pylist())
    take_down(lake, gone, "its owner asked", "test")
    assert list(verify(lake, deep=True)) == []
    before = parts(lake)
    collect(lake, tmp_path / "music")
    assert parts(lake) == before


def write_list(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(["film,path,title,artist,licence", *rows]) + "\n")
    return path


def test_a_list_pairs_by_title_page_or_film_id(lake: Lake, tmp_path: Path) -> None:
    for number, hertz in enumerate((220, 330, 440, 550)):
        write_clip(tmp_path / f"{number}.opus", hertz=hertz)
    rows = (
        "Slow Water,0.opus,A,,CC0",
        "Night Ferry (film),1.opus,B,,",
        "enwiki-3,2.opus,C,,",
        "No Such Film,3.opus,,,",
    )
    collect(lake, write_list(tmp_path / "list.csv", *rows))
    found = {
        row["film_id"]: (row["title"], row["decision"], row["reason"])
        for row in tables.latest(lake, TRACKS).to_pylist()
    }
    assert found == {f"enwiki-{n}": (t, "taken", "listed") for n, t in enumerate("ABC", 1)}
    assert "unknown_film" in outcomes(lake, Stage.TRACK).values()


def test_a_row_whose_file_is_missing_stops_before_any_work(lake: Lake, tmp_path: Path) -> None:
    write_clip(tmp_path / "0.opus")
    listing = write_list(tmp_path / "list.csv", "Slow Water,0.opus,,,", "Slow Water,gone.opus,,,")
    with pytest.raises(InputError, match=r"row 3 \(gone.opus\)") as caught:
        collect(lake, listing)
    assert caught.value.exit_status == 2
    assert not lake.list("mels")


@pytest.mark.parametrize("content", ["title,artist\na,b\n", "\xff\xfe", "film;path\na;b\n"])
def test_a_list_that_cannot_be_used_says_why(tmp_path: Path, content: str) -> None:
    (tmp_path / "list.csv").write_bytes(content.encode("latin-1"))
    with pytest.raises(InputError, match=r"list\.csv"):
        read_music([str(tmp_path / "list.csv")])


def test_an_empty_folder_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError):
            read_music([str(place)])


def test_a_file_is_known_by_its_content(tmp_path: Path) -> None:
    one = write_clip(tmp_path / "a.opus")
    moved = Path(shutil.copy(one, tmp_path / "b.opus"))
    other = write_clip(tmp_path / "c.opus", hertz=221)
    assert content_id(one) == content_id(moved) != content_id(other)


def test_nothing_chosen_and_no_consent_are_refused() -> None:
    chosen: list[dict[str, Any]] = [{}, {"youtube": True}, {"music": ("x",), "retry_reasons": ("no_such_reason",)}]
    for parameters in chosen:
        with pytest.raises(InputError):
            SoundtrackSettings(**parameters).check()
