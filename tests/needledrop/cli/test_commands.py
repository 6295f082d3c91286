"""Every command: a help page with an example, and bad input that ends in one message and exit status 2."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from needledrop.cli.main import app, run
from storage.tables.tables import open_tables

TOP = list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
PAGES = [[name] for name in TOP if name not in ("datasets", "library")]
PAGES += [["library", name] for name in ("add", "index", "list", "show", "remove", "verify")]
PAGES += [["datasets", name] for name in ("list", "compare", "delete", "export")]
PAGES += [["review", name] for name in ("sample", "import")]

BAD_INPUT = {
    "demo --corpus FILE": "name a folder",
    "refresh --train nver": "'nver' is not one of",
    "refresh --order musik": "--order: Input should be 'music', 'urls' or 'youtube'",
    "refresh --years 20x2": "names no years",
    "refresh --years 2022 --recent-years 2": "not both",
    "refresh --recent-years 0": "'--recent-years'",
    "refresh --train-until 2025": "train_until=2025",
    "refresh --system Foo": "--system: Input should be 'All'",
    "refresh --lake absent": "say where films come from",
    "refresh --lake absent --music .": "say where films come from",
    "refresh --films export.xml": "No such option: --films",
    "refresh --export absent.xml": "There is no export",
    "refresh --youtube": "--i-have-the-right-to-collect",
    "films": "Say where films come from",
    "films --years 2022 --export x.xml": "Say where films come from",
    "films --recent-years 2": "NEEDLEDROP_CONTACT",
    "films --years 1492 --contact me@example.org": "--years: Input should be greater than or equal to 1870",
    "films --years 2022": "--contact",
    "films --years 2022 --contact banana": "The contact 'banana' is no mail address or web page",
    "films --film @absent.txt": "There is no file",
    "soundtracks": "No source of music is given",
    "soundtracks --music absent.csv": "absent.csv",
    "soundtracks --music FILE --workers 65": "less than or equal to 64",
    "soundtracks --music FILE --dask-address tcp://x:1": "--runner dask",
    "retry": "--reason",
    "retry --reason tired --music FILE": "No failure is called tired",
    "review --yes nonsense --lake LAKE": "There is no match 'nonsense'",
    "review --yes-album enwiki-1 Nothing --lake LAKE": "enwiki-1 has no album 'Nothing'",
    "review sample --taken --lake LAKE": "No recording was collected yet",
    "review sample --per-band 0 --lake LAKE": "'--per-band'",
    "review import absent.csv --lake LAKE": "There is no file absent.csv",
    "takedown youtube: --lake LAKE": "'youtube:' names nothing",
    "takedown nonsense --lake LAKE": "'nonsense' is no film id",
    "leases --release refresh --lake LAKE": "Nobody holds 'refresh'",
    "curate --test-from 2010 --lake LAKE": "test_from=2010",
    "datasets compare v0 --lake LAKE": "no version yet",
    "datasets delete v0 --lake LAKE": "v0",
    "datasets export out --format zip --lake LAKE": "'zip' is not one of",
    "compare All Im --lake LAKE": "no data set version",
    "train --preset tiny --lake LAKE": "'tiny' is not one of",
    "train --learning-rate 0 --lake LAKE": "--learning-rate: Input should be greater than 0",
    "train --dataset vnope --lake LAKE": "vnope",
    "cues absent.txt --library mine --lake LAKE": "The script absent.txt cannot be read (No such file or directory)",
    "cues FILE --library mine --fps 26 --lake LAKE": "--fps 26 is no frame rate of film or video",
    "cues FILE --library absent --lake LAKE": "There is no library absent",
    "cues FILE --lake LAKE": "Missing option '--library'",
    "search --library absent --plot Chase --lake LAKE": "There is no library absent",
    "search --plot Chase --tempo 90-120 --lake LAKE": "--tempo needs a library; name one with --library",
    "search --plot Chase --by worst --lake LAKE": "--by 'worst' is no ranking; give mean or best",
    "search --image absent.jpg --lake LAKE": "The image absent.jpg cannot be read",
    "search --plot @absent.txt --lake LAKE": "The plot absent.txt cannot be read (No such file or directory)",
    "search --image FILE --lake LAKE": "cannot be read as an image; give a JPEG or PNG",
    "worker --limit 0": "greater than or equal to 1",
    "sql SELEC --lake LAKE": "This query cannot be answered",
}
READ_A_LAKE = (
    "review",
    "review sample",
    "review import x.csv",
    "takedown youtube:a",
    "leases",
    "curate",
    "datasets list",
    "datasets compare v0",
    "train",
    "search --plot x",
    "report",
)
READ_A_LAKE += ("sql", "status", "verify", "cues x.txt --library mine")


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("NEEDLEDROP_CONTACT", raising=False)


def _bad_input(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Type a command that has to be refused; return its message."""
    with pytest.raises(SystemExit) as exit_:
        run(arguments)
    message = capsys.readouterr().err
    assert exit_.value.code == 2, message
    assert "Traceback" not in message
    return message


@pytest.mark.parametrize("command", PAGES, ids=" ".join)
def test_help_explains_a_command_with_an_example(command: list[str]) -> None:
    page = CliRunner().invoke(app, [*command, "--help"])
    assert page.exit_code == 0
    assert f"needledrop {' '.join(command)}" in page.output.split("Example")[1]


def test_help_wraps_a_paragraph_once() -> None:
    [paragraph] = [p for p in CliRunner().invoke(app, ["sql", "--help"]).output.split("\n \n") if "Prints a table" in p]
    assert "separated by semicolons, one after another." in paragraph


def test_help_in_a_narrow_terminal_cuts_no_name_and_no_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("typer.rich_utils.MAX_WIDTH", 80)
    page = CliRunner().invoke(app, ["refresh", "--help"]).output
    assert max(map(len, page.splitlines())) <= 80
    text = "".join(page.replace("│", "").split())
    assert "…" not in text.replace("(film,url,…)", "").replace("(batch,learningrate,pretrainedmodels,…)", "").replace(
        "seeds0,1,2,…", ""
    )
    assert "https://en.wikipedia.org" in text


def test_help_names_every_command_and_where_to_start() -> None:
    page = CliRunner().invoke(app, ["--help"]).output
    assert "needledrop demo" in page
    assert all(name in page for name in TOP)


@pytest.mark.parametrize("command", BAD_INPUT)
def test_bad_input_is_one_message_and_status_2(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("film,path\n")
    lake = open_tables(str(tmp_path / "lake")).root if "LAKE" in command else ""
    typed = [part.replace("FILE", str(tmp_path / "file")).replace("LAKE", lake) for part in command.split()]
    assert BAD_INPUT[command] in " ".join(_bad_input(typed, capsys).split())


@pytest.mark.parametrize("command", READ_A_LAKE)
def test_a_command_that_reads_a_lake_does_not_make_one(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "mistyped"
    assert "There is no lake at" in _bad_input([*command.split(), "--lake", str(root)], capsys)
    assert not root.exists()


def test_serve_makes_nothing_when_its_port_is_taken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert "--port" in _bad_input(["serve", "--lake", str(tmp_path / "lake"), "--port", port], capsys)
    assert list(tmp_path.iterdir()) == []


def test_serve_names_the_variable_of_a_folder_without_space_for_the_database(
    tmp_path: Path,
    small_disk: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(small_disk("size=1m")))
    message = " ".join(_bad_input(["serve", "--lake", str(tmp_path / "lake"), "--port", "5299"], capsys).split())
    assert "set PREFECT_HOME to a folder on another disk" in message


def test_serve_refuses_a_lake_that_cannot_be_written(
    small_disk: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    lake = open_tables(str(small_disk("size=1m") / "lake")).root
    subprocess.run(["mount", "-o", "remount,ro", str(Path(lake).parent)], check=True)
    with pytest.raises(SystemExit, match="3"):
        run(["serve", "--lake", lake, "--port", "5299"])
    assert f"{lake} cannot be written (Read-only file system)" in " ".join(capsys.readouterr().err.split())


def test_starting_a_command_imports_neither_prefect_nor_torch() -> None:
    slow = "{'prefect', 'torch', 'scipy', 'av', 'matplotlib', 'opentimelineio'}"
    code = f"import sys, needledrop.cli.main; print({slow} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n", "each of these takes seconds to import, before any command can answer"


def test_no_command_lets_prefect_count_its_users(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DO_NOT_TRACK", "PREFECT_SERVER_ANALYTICS_ENABLED"):
        monkeypatch.setenv(name, "")  # so that what the command sets is taken back
        monkeypatch.delenv(name)
    with pytest.raises(SystemExit):
        run(["--version"])
    assert (os.environ["DO_NOT_TRACK"], os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"]) == ("1", "false")
