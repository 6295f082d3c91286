"""`needledrop library`: a user's own music is added, indexed by a trained run, listed, verified and removed."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from needledrop.cli.output.terminal_tables import as_clock
from needledrop.cli.retrieval.library import failure_of
from storage.coordination.leases import leased
from storage.errors import InputError, LakeError
from storage.lake.lake import Lake
from storage.libraries.library import lease_of, open_library
from storage.libraries.library_embeddings import embedding_runs, load_library_embeddings
from tests.commands import run
from tests.small_encoders import save_ast, save_clap

WriteClip = Callable[..., Path]


@pytest.fixture
def lake(refreshed_copy: Lake) -> Lake:
    return refreshed_copy


@pytest.fixture
def music(tmp_path: Path, write_clip: WriteClip) -> Path:
    for name, hertz in (("one", 200), ("two", 300)):
        write_clip(tmp_path / "Music" / f"{name}.opus", hertz=hertz, title=name.title(), artist="Ann", license="CC0")
    (tmp_path / "Music" / "broken.wav").write_bytes(b"RIFF" * 1000)
    return tmp_path / "Music"


def test_a_library_is_added_indexed_shown_verified_and_removed(lake: Lake, music: Path) -> None:
    at = ("--lake", lake.root)
    added = run("library", "add", "mine", music, *at)
    assert "files 3, new 3" in added.stdout
    indexed = run("library", "index", "mine", *at)
    assert indexed.exit_code == 0, indexed.output
    assert "embedded 2, failed 1" in " ".join(indexed.stdout.split())
    assert f"Why   needledrop library show mine --lake {lake.root}\n" in indexed.stdout
    assert f'Next  needledrop search --library mine --lake {lake.root} --plot "…"\n' in indexed.stdout
    [trained] = embedding_runs(open_library(lake, "mine"))
    assert len(load_library_embeddings(open_library(lake, "mine"), trained)) == 2
    found = run("search", "--library", "mine", "--plot", "A chase.", "--like", "one.opus", "--like-weight", 1, *at)
    rows = list(csv.DictReader(found.stdout.splitlines()))
    assert [row["path"] for row in rows] == ["one.opus", "two.opus"]
    assert float(rows[0]["score"]) == pytest.approx(1, abs=1e-4)
    longer = run("search", "--library", "mine", "--like", music / "two.opus", "--min-duration", "0:13", *at)
    assert list(csv.DictReader(longer.stdout.splitlines())) == []
    shown = run("library", "show", "mine", *at).stdout
    assert "complete" in shown
    assert "broken.wav cannot be decoded" in " ".join(shown.split())
    assert "a file that has changed is tried again by `needledrop library index mine`" in shown
    assert "1 more: --count shows them" in run("library", "show", "mine", "--count", 1, *at).stdout
    assert "mine" in run("library", "list", *at).stdout
    assert "is intact" in run("library", "verify", "mine", *at).stdout
    (music / "one.opus").unlink()
    assert isinstance(run("library", "verify", "mine", *at).exception, LakeError)
    (music / "two.opus").rename(music / "zwei.opus")
    run("library", "add", "mine", music, *at)
    gone = run("library", "show", "mine", "--count", 1, *at).stdout
    assert "present 1, failed 1, vanished 1" in gone
    assert "one.opus has vanished, so no search finds it" in gone
    assert "more" not in gone
    assert "two.opus" not in gone
    assert run("library", "remove", "mine", *at, input="n\n").exit_code == 1
    assert run("library", "remove", "mine", "--yes", *at).exit_code == 0
    assert "no library yet" in run("library", "list", *at).stdout
    assert (music / "zwei.opus").exists()


def test_names_of_folders_and_files_are_shown_as_they_are_and_command_no_terminal(
    lake: Lake, tmp_path: Path, write_clip: WriteClip
) -> None:
    folder = tmp_path / "old [" / "b] Music [live]\x1b[31m"
    write_clip(folder / "one [demo]\x1b]0;x\x07.opus", hertz=200)
    (folder / "broken [demo]\x1b[31m.wav").write_bytes(b"RIFF" * 1000)
    at = ("--lake", lake.root)
    added = run("library", "add", "mine", folder, *at)
    indexed, shown = run("library", "index", "mine", *at), run("library", "show", "mine", *at)
    (folder / "broken [demo]\x1b[31m.wav").unlink()
    outputs = [one.output for one in (added, indexed, shown, run("library", "verify", "mine", *at))]
    assert "old [/b] Music [live]\\x1b[31m: files 2" in added.output
    assert "b] Music [live]\\x1b[31m  " in shown.output
    assert "broken [demo]\\x1b[31m.wav cannot be decoded" in " ".join(shown.output.split())
    assert "[live]" in run("library", "list", *at, env={"COLUMNS": "200"}).output
    assert not any("\x1b" in output for output in outputs)


def test_an_audio_encoder_indexes_and_searches_next_to_runs_and_without_any(
    lake: Lake, music: Path, tmp_path: Path
) -> None:
    at, clap = ("--lake", lake.root), save_clap(tmp_path / "clap")
    run("library", "add", "mine", music, *at)
    indexed = run("library", "index", "mine", "--encoder", clap, *at)
    assert indexed.exit_code == 0, indexed.output
    assert "Audio encoder clap, whose weights are under the licence: apache-2.0" in indexed.stderr
    assert "mine by encoder=clap: " in indexed.stdout
    assert "embedded 2, failed 1" in " ".join(indexed.stdout.split())
    assert "encoder clap (licence: apache-2.0): complete" in run("library", "show", "mine", *at).stdout
    assert "encoder=clap" in run("library", "list", *at).stdout
    assert "is intact" in run("library", "verify", "mine", *at).stdout
    found = run("search", "--library", "mine", "--encoder", "clap", "--plot", "A chase.", "--like", "one.opus", *at)
    rows = list(csv.DictReader(found.stdout.splitlines()))
    assert [row["percentile"] for row in rows] == ["", ""]
    assert "clap was not trained on films; its weights are under the licence: apache-2.0" in found.stderr
    alike = run("search", "--library", "mine", "--encoder", clap, "--like", music / "two.opus", *at)
    assert float(next(csv.DictReader(alike.stdout.splitlines()))["score"]) == pytest.approx(1, abs=1e-3)
    assert "embedded 2" in " ".join(run("library", "index", "mine", *at).stdout.split())  # the best run hears it too


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("library", "index", "mine", "--run", "x", "--encoder", "CLAP"), "--run and --encoder each embed"),
        (("library", "index", "mine", "--encoder", "AST"), "reads no text, so it can answer neither a plot nor tags"),
        (
            ("library", "index", "mine", "--encoder", "/absent/model"),
            "There is no folder /absent/model; correct --encoder",
        ),
        (("search", "--library", "mine", "--encoder", "CLAP", "--plot", "x"), "is not indexed by"),
        (("search", "--library", "mine", "--encoder", "CLAP", "--run", "x", "--plot", "x"), "give one of them"),
        (("search", "--library", "mine", "--encoder", "CLAP", "--dataset", "--plot", "x"), "needs a trained run"),
        (("search", "--encoder", "CLAP", "--plot", "x"), "--encoder needs a library"),
    ],
)
def test_an_encoder_that_can_not_be_used_is_a_sentence(
    lake: Lake, music: Path, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    folders = {"CLAP": lambda: str(save_clap(tmp_path / "clap")), "AST": lambda: str(save_ast(tmp_path / "ast"))}
    run("library", "add", "mine", music, "--lake", lake.root)
    refused = run(*(folders[one]() if one in folders else one for one in arguments), "--lake", lake.root)
    assert isinstance(refused.exception, InputError)
    assert message in str(refused.exception)


def test_what_cannot_be_scanned_never_becomes_part_of_a_library(lake: Lake, music: Path) -> None:
    (music.parent / "empty").mkdir()
    (music / "list.csv").write_bytes("path,title\none.opus,Frö\n".encode("latin-1"))
    for source, message in ((music.parent / "empty", "No audio files are in"), (music / "list.csv", "in UTF-8")):
        refused = run("library", "add", "mine", music, source, "--lake", lake.root)
        assert isinstance(refused.exception, InputError)
        assert message in str(refused.exception)
    assert "no library yet" in run("library", "list", "--lake", lake.root).stdout


def test_a_folder_that_is_not_mounted_keeps_what_it_has_and_the_others_are_indexed(
    lake: Lake, music: Path, tmp_path: Path, write_clip: WriteClip
) -> None:
    away = write_clip(tmp_path / "Disk" / "three.opus", hertz=400, title="Three").parent
    at = ("--lake", lake.root)
    run("library", "add", "mine", music, away, *at)
    away.rename(tmp_path / "elsewhere")
    indexed = run("library", "index", "mine", *at)
    assert isinstance(indexed.exception, InputError)
    said = str(indexed.exception)
    assert f"The folder 'Disk' of the library mine is not at {away}; mount it" in said
    assert "The other folders were indexed: files 3" in said
    assert "embedded 2" in said
    shown = {row["path"]: row["state"] for row in open_library(lake, "mine").file_rows()}
    assert shown == {"broken.wav": "failed", "one.opus": "present", "two.opus": "present", "three.opus": "present"}
    verified = run("library", "verify", "mine", *at)
    assert isinstance(verified.exception, LakeError)
    assert "The folder 'Disk' of the library mine is not at" in verified.stdout
    (tmp_path / "elsewhere").rename(away)
    assert "embedded 1" in run("library", "index", "mine", *at).stdout
    music.rename(tmp_path / "Music away")
    away.rename(tmp_path / "elsewhere")
    none = run("library", "index", "mine", *at)
    assert "The folder 'Music' of the library mine is not at" in str(none.exception)
    assert "indexed" not in str(none.exception)


def test_an_unknown_run_is_an_error_that_names_the_others(lake: Lake, music: Path) -> None:
    run("library", "add", "mine", music, "--lake", lake.root)
    refused = run("library", "index", "mine", "--run", "absent", "--lake", lake.root)
    assert isinstance(refused.exception, InputError)
    assert "There is no run absent; there are: v" in str(refused.exception)


def test_a_library_that_another_process_changes_is_left_alone(lake: Lake, music: Path) -> None:
    with leased(lake, lease_of("mine")):
        refused = run("library", "add", "mine", music, "--lake", lake.root)
    assert isinstance(refused.exception, LakeError)
    assert "Another process is changing the library mine" in str(refused.exception)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("add", "a/b", "MUSIC"), "cannot be a library's name"),
        (("add", "mine", "absent"), "There is no folder or list absent"),
        (("show", "mine"), "There is no library mine"),
        (("index", "mine"), "There is no library mine"),
        (("remove", "mine"), "There is no library mine"),
        (("verify", "mine"), "There is no library mine"),
    ],
)
def test_bad_input_is_a_sentence(lake: Lake, music: Path, arguments: tuple[str, ...], message: str) -> None:
    refused = run("library", *(str(music) if one == "MUSIC" else one for one in arguments), "--lake", lake.root)
    assert isinstance(refused.exception, InputError)
    assert message in str(refused.exception)


def test_a_failure_names_its_file_once() -> None:
    assert failure_of("a/b.wav", "b.wav is empty; replace it") == "a/b.wav is empty; replace it"
    assert failure_of("a/b.wav", "22 of 23 packets are broken") == "a/b.wav: 22 of 23 packets are broken"


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "0:59"), (441, "7:21"), (3723, "1:02:03")])
def test_lengths_are_shown_as_on_a_player(seconds: float, text: str) -> None:
    assert as_clock(seconds) == text
