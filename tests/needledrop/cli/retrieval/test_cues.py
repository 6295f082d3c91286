"""`needledrop cues`: a script becomes suggestions that fit its scenes, a cue sheet, a page and timelines."""

from __future__ import annotations

import codecs
import csv
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import opentimelineio as otio
import pytest
from typer.testing import CliRunner

from needledrop.cli.main import app
from needledrop.cues.cue_files import file_texts
from needledrop.cues.scene_list import Scene, place_scenes
from needledrop.cues.suggest_tracks import Wishes, suggest_cues
from needledrop.cues.timecode import open_timebase
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.libraries.library import Library, add_folder
from storage.libraries.library_embeddings import TrackEmbedding, append_embeddings
from training.loop.devices_and_torchrun import open_machine
from training.retrieval.choose_run import choose_run
from training.retrieval.query_and_filters import FilmQuery, normalised
from training.retrieval.search_engines import Retriever
from training.systems import ALL_PARTS

STORM, FEAST = "A storm breaks over the harbour.", "They dance at the wedding until dawn."
AddTracks = Callable[..., Library]


def run(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["cues", *(str(argument) for argument in arguments)])


@pytest.fixture
def lake(refreshed_copy: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lake:
    monkeypatch.chdir(tmp_path)
    return refreshed_copy


@pytest.fixture
def queries(lake: Lake) -> dict[str, np.ndarray]:
    """The two scenes as the lake's run sees them, and what is like neither."""
    with open_machine() as machine:
        retriever = Retriever(lake, choose_run(lake, ALL_PARTS), machine)
        storm, feast = (retriever.embed(FilmQuery(plot=(text,))).vector for text in (STORM, FEAST))
    away = -(storm + feast)
    return {"storm": storm, "feast": feast, "away": away / np.linalg.norm(away)}


@pytest.fixture
def add_tracks(lake: Lake, queries: dict[str, np.ndarray], tmp_path: Path) -> AddTracks:
    """A function that adds tracks to a library, each with its seconds and the scenes that its segments are like."""

    def add(**tracks: tuple[float, list[str]]) -> Library:
        (tmp_path / "Music").mkdir(exist_ok=True)
        library, folder = add_folder(lake, "mine", tmp_path / "Music")
        described = {"tempo_bpm": 90.0, "loudness_lufs": -14.0}
        for name, (seconds, like) in tracks.items():
            file = {"folder": folder.id, "path": f"{name}.wav", "track_id": name, "state": "present", "title": name}
            library.record(library.tracks, [{"track_id": name, "duration_seconds": seconds, **described}], "test")
            library.record(library.files, [{**file, "licence": "=CC0"}], "test")
            vectors = np.stack([queries[one] for one in like]).astype(np.float32)
            embedding = TrackEmbedding(vectors, np.ones(len(like), np.float32))
            append_embeddings(library, choose_run(lake, ALL_PARTS), [(name, embedding)])
        return library

    return add


def script(tmp_path: Path, *rows: str) -> Path:
    path = tmp_path / "film.csv"
    path.write_text("\n".join(["scene,description,in,out", *rows]), encoding="utf-8")
    return path


def sheet(folder: Path) -> list[dict[str, str]]:
    with (folder / "cues.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_each_scene_has_a_track_that_fits_and_all_files_agree(
    lake: Lake, add_tracks: AddTracks, tmp_path: Path
) -> None:
    add_tracks(wind=(60, ["away", "storm", "away"]), dance=(90, ["feast"] * 9), other=(90, ["away"] * 9))
    rows = (f"1,{STORM},00:01:00:00,00:01:40:00", f"2,{FEAST},00:01:40:00,00:02:10:12")
    done = run(script(tmp_path, *rows), "--library", "mine", "--lake", lake.root)
    assert done.exit_code == 0, done.output
    written = sheet(tmp_path / "film-cues")
    assert [(row["title"], row["in"], row["out"]) for row in written] == [
        ("wind", "00:01:00:00", "00:01:40:00"),
        ("dance", "00:01:40:00", "00:02:10:12"),
    ]
    assert float(written[0]["start_second"]) == pytest.approx(9.92, abs=0.03)
    assert written[0]["licence"] == "'=CC0"
    assert all(0 <= float(row["percentile"]) <= 100 for row in written)
    timelines = [
        otio.adapters.read_from_file(str(tmp_path / "film-cues" / name), **more)
        for name, more in (("cues.otio", {}), ("cues.edl", {"rate": 24}))
    ]
    one, other = ([clip.source_range for clip in timeline.find_clips()] for timeline in timelines)
    assert one == other
    assert [clip.duration().value for clip in timelines[0].find_clips()] == [960, 732]
    for path in (tmp_path / "film-cues").iterdir():
        assert str(tmp_path) not in path.read_text(encoding="utf-8")


def test_the_memory_of_many_scenes_is_bounded(lake: Lake, tmp_path: Path) -> None:
    scenes, tracks, per_scene = 60, 2_000, 20
    (tmp_path / "Music").mkdir()
    library, folder = add_folder(lake, "mine", tmp_path / "Music")
    names, drawn = [f"t{number}" for number in range(tracks)], np.random.default_rng(0)
    rows = [{"folder": folder.id, "path": f"{name}.wav", "track_id": name, "state": "present"} for name in names]
    library.record(library.tracks, [{"track_id": name, "duration_seconds": 60.0} for name in names], "test")
    library.record(library.files, rows, "test")
    timebase = open_timebase("24")
    placed = place_scenes([Scene(f"{number}", (f"{STORM} {number}",)) for number in range(scenes)], timebase)
    with open_machine() as machine:
        retriever = Retriever(lake, choose_run(lake, ALL_PARTS), machine)
        width = len(retriever.embed(FilmQuery(plot=(STORM,))).vector)
        vectors = normalised(drawn.normal(size=(tracks, 1, width)).astype(np.float32))
        embedded = [
            (name, TrackEmbedding(own, np.ones(1, np.float32))) for name, own in zip(names, vectors, strict=True)
        ]
        append_embeddings(library, retriever.run_id, embedded)
        wishes = Wishes(per_scene=per_scene)
        suggest_cues(retriever, [library], placed[:2], timebase, wishes)
        tracemalloc.start()
        cues = suggest_cues(retriever, [library], placed, timebase, wishes)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert len({cue.row["track_id"] for cue in cues if cue.row}) == len(cues) == scenes * per_scene
    assert peak < 15_000_000  # an object for each candidate would be 60 MB


def test_the_music_of_all_scenes_may_be_like_one_recording_and_unlike_another(
    lake: Lake, add_tracks: AddTracks, tmp_path: Path
) -> None:
    add_tracks(wind=(90, ["storm"] * 9), dance=(90, ["feast"] * 9), other=(90, ["away"] * 9))
    path = script(tmp_path, f"1,{STORM},00:00:00:00,00:00:40:00", f"2,{FEAST},00:00:40:00,00:01:00:00")
    at = ("--library", "mine", "--lake", lake.root, "--repeat")
    for given, titles in (
        ((), ["wind", "dance"]),
        (("--like", "dance.wav", "--like-weight", "1"), ["dance", "dance"]),
        (("--not-like", "wind", "--like", "other.wav", "--like-weight", "0.9"), ["other", "other"]),
    ):
        assert run(path, *at, *given).exit_code == 0
        assert [row["title"] for row in sheet(tmp_path / "film-cues")] == titles
    refused = run(path, *at, "--like", "absent.wav")
    assert isinstance(refused.exception, InputError)
    assert "absent.wav is neither a file nor a track of mine" in str(refused.exception)


def test_a_track_begins_earlier_where_its_best_moment_is_near_its_end(
    lake: Lake, add_tracks: AddTracks, tmp_path: Path
) -> None:
    add_tracks(wind=(30, ["away", "away", "storm"]))
    run(script(tmp_path, f"1,{STORM},0,25"), "--library", "mine", "--lake", lake.root)
    [row] = sheet(tmp_path / "film-cues")
    assert float(row["start_second"]) == pytest.approx(5, abs=0.05)
    assert float(row["length"]) == 25


def test_a_track_that_is_too_short_is_taken_last_and_says_so(lake: Lake, add_tracks: AddTracks, tmp_path: Path) -> None:
    add_tracks(short=(20, ["storm", "storm"]), long=(60, ["away"] * 6))
    path = script(tmp_path, f"1,{STORM},0,40", f"2,{STORM},50,90")
    assert "20.0 s shorter than the scene" in run(path, "--library", "mine", "--lake", lake.root).stdout
    rows = sheet(tmp_path / "film-cues")
    assert sorted(row["title"] for row in rows) == ["long", "short"]
    [short] = [row for row in rows if row["title"] == "short"]
    assert float(short["length"]) == 20
    assert "its music ends at" in short["note"].lower()


def test_no_track_is_suggested_twice_unless_asked(lake: Lake, add_tracks: AddTracks, tmp_path: Path) -> None:
    add_tracks(wind=(60, ["storm"]))
    path = script(tmp_path, f"1,{STORM},0,10", f"2,{STORM},10,20")
    run(path, "--library", "mine", "--lake", lake.root)
    assert sorted(row["title"] for row in sheet(tmp_path / "film-cues")) == ["", "wind"]
    [empty] = [row for row in sheet(tmp_path / "film-cues") if not row["title"]]
    assert "--repeat lets tracks recur" in empty["note"]
    run(path, "--library", "mine", "--lake", lake.root, "--repeat")
    assert [row["title"] for row in sheet(tmp_path / "film-cues")] == ["wind", "wind"]


def test_filters_hold_and_a_row_of_bad_times_is_kept(lake: Lake, add_tracks: AddTracks, tmp_path: Path) -> None:
    add_tracks(wind=(60, ["storm"]), dance=(100, ["feast"]))
    path = script(tmp_path, f"1,{STORM},00:00:20:00,00:00:10:00", f"2,{FEAST},00:00:00:77,1:00")
    done = run(path, "--library", "mine", "--lake", lake.root, "--min-duration", "1:30", "--out", tmp_path / "out")
    assert "is not after its in" in done.stdout
    rows = sheet(tmp_path / "out")
    assert [row["title"] for row in rows].count("dance") == 1
    assert "frames end at 23" in rows[1]["note"]


def test_a_script_whose_name_is_in_another_encoding_has_its_files() -> None:
    texts = file_texts(os.fsdecode(b"caf\xe9"), [], open_timebase("24"), [])
    assert all("caf" in texts[f"cues.{kind}"] for kind in ("html", "otio"))
    assert texts["cues.csv"].encode().startswith(codecs.BOM_UTF8)  # or Excel takes it for another encoding


def test_an_edit_list_of_an_earlier_run_does_not_stay(lake: Lake, add_tracks: AddTracks, tmp_path: Path) -> None:
    add_tracks(wind=(60, ["storm"]), dance=(100, ["feast"]))
    at = ("--library", "mine", "--lake", lake.root, "--out", tmp_path / "out")
    run(script(tmp_path, f"1,{STORM},0,10", f"2,{FEAST},5,15"), *at)
    assert (tmp_path / "out" / "cues-2.edl").exists()
    run(script(tmp_path, f"1,{STORM},0,10", f"2,{FEAST},10,20"), *at)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "cues.csv", "cues.edl", "cues.html", "cues.otio",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fps", "26"), "no frame rate of film or video"),
        (("--fps", "25", "--drop-frame"), "29.97 and 59.94 fps only"),
        (("--by", "worst"), "give mean or best"),
        (("--library", "absent"), "There is no library absent"),
        (("--image", "absent.jpg"), "cannot be read"),
        (("--tempo", "fast"), "is no range"),
        (("--out", "film.csv"), "is a file; give another folder"),
    ],
)
def test_bad_input_is_a_sentence(
    lake: Lake, add_tracks: AddTracks, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    add_tracks(wind=(60, ["storm"]))
    refused = run(script(tmp_path, f"1,{STORM},0,10"), "--library", "mine", *arguments, "--lake", lake.root)
    assert isinstance(refused.exception, InputError)
    assert message in str(refused.exception)
