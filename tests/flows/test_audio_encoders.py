"""Collection with audio encoders as a flow: what is refused before anything, what is said, and embedding later."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from flows.collect_soundtracks import collect_soundtracks
from flows.parameters import RefreshParameters, check
from storage.audio_embeddings import list_embeddings, read_card
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.mels.settings_and_shard_format import list_shards
from storage.tables import tables
from storage.tables.schemas import FILMS, TRACKS
from storage.verify import verify
from tests.small_encoders import save_speech

NON_COMMERCIAL = "---\nlicense: cc-by-nc-4.0\n---\n"


@pytest.fixture
def lake(tmp_path: Path, prefect_server: None, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """A lake of one film."""
    monkeypatch.setenv("NEEDLEDROP_CACHE", str(tmp_path / "cache"))
    made = tables.open_tables(str(tmp_path / "lake"))
    tables.append(made, FILMS, [{"film_id": "wiki-1", "title": "Slow Water", "year": 2016, "state": "present"}], "test")
    return made


@pytest.fixture
def music(tmp_path: Path) -> str:
    """A list with one recording of that film."""
    wave = 0.3 * np.sin(np.arange(11 * 8_000) / 20)
    soundfile.write(str(tmp_path / "a.wav"), wave, 8_000)
    (tmp_path / "music.csv").write_text("film,path\nwiki-1,a.wav\n")
    return str(tmp_path / "music.csv")


def test_a_run_embeds_what_it_collects_and_says_what_the_licence_forbids(
    lake: Lake, music: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_speech(tmp_path / "speech")
    (model / "README.md").write_text(NON_COMMERCIAL)
    monkeypatch.setattr(logging.getLogger("prefect"), "propagate", True)
    with caplog.at_level(logging.INFO):
        collect_soundtracks(lake=lake.root, music=[music], audio_encoders=[str(model)], workers=1)
    assert "cc-by-nc-4.0, which forbids commercial use" in caplog.text
    assert len(list_embeddings(lake, "speech")) == len(list_shards(lake)) == 1
    card = read_card(lake, "speech")
    assert (card.licence, card.name) == ("cc-by-nc-4.0", "speech")
    assert str(tmp_path) not in lake.read_bytes("audio_embeddings/speech/encoder.json").decode()


def test_what_was_collected_without_an_encoder_is_embedded_later(lake: Lake, music: str, tmp_path: Path) -> None:
    collect_soundtracks(lake=lake.root, music=[music], workers=1)
    model = str(save_speech(tmp_path / "speech"))
    rows = [row for row in tables.latest(lake, TRACKS).to_pylist() if row["segments"]]
    fetched = {**rows[0], "track_id": "youtube:abc", "media_id": "abc", "source": "youtube"}
    tables.append(lake, TRACKS, [{k: v for k, v in fetched.items() if k not in ("run_id", "recorded_at")}], "test")
    counts = collect_soundtracks(lake=lake.root, music=[music], audio_encoders=[model], encode=True, workers=1)
    assert (counts["tracks_embedded"], counts["tracks_without_audio"]) == (1, 1)
    assert [one for one in verify(lake, deep=True) if one.path.startswith("audio")] == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"audio_encoders": ["nowhere/at/all"]}, "There is no folder nowhere/at/all"),
        ({"audio_encoders": ["FOLDER"]}, "it has no config"),
        ({"encode": True}, "Name the models"),
        ({"encode": True, "audio_encoders": ["a/b"], "youtube": True}, "asks no source on the network"),
        ({"audio_encoders": ["a/b"], "runner": "dask"}, "leave --runner dask out"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_collected(
    lake: Lake, music: str, tmp_path: Path, options: dict[str, Any], sentence: str
) -> None:
    (tmp_path / "empty").mkdir()
    names = [str(tmp_path / "empty") if name == "FOLDER" else name for name in options.get("audio_encoders", ())]
    given = {**options, **({"audio_encoders": names} if names else {})}
    with pytest.raises(InputError, match=sentence):
        collect_soundtracks(lake=lake.root, music=[music], **given)
    assert list_shards(lake) == []


def test_a_refresh_looks_at_the_encoder_before_it_begins(music: str, tmp_path: Path) -> None:
    folder = save_speech(tmp_path / "speech")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(InputError, match="only pickled weights"):
        check(RefreshParameters(lake=str(tmp_path), music=(music,), audio_encoders=(str(folder),), train="never"))


def test_weights_that_changed_are_refused_when_a_run_goes_on(
    lake: Lake, music: str, tmp_path: Path, write_more: Callable[[], str]
) -> None:
    collect_soundtracks(
        lake=lake.root, music=[music], audio_encoders=[str(save_speech(tmp_path / "speech"))], workers=1
    )
    other = str(save_speech(tmp_path / "speech", "Hubert"))
    with pytest.raises(InputError, match="made with other weights of speech"):
        collect_soundtracks(lake=lake.root, music=[write_more()], audio_encoders=[other], workers=1)
    assert len(list_shards(lake)) == 1


@pytest.fixture
def write_more(lake: Lake, tmp_path: Path) -> Callable[[], str]:
    """Return a function that adds a film and returns the list of its recording."""

    def write() -> str:
        film = {"film_id": "wiki-2", "title": "Night Ferry", "year": 2015, "state": "present"}
        tables.append(lake, FILMS, [film], "test")
        soundfile.write(str(tmp_path / "b.wav"), 0.3 * np.sin(np.arange(11 * 8_000) / 9), 8_000)
        (tmp_path / "more.csv").write_text("film,path\nwiki-2,b.wav\n")
        return str(tmp_path / "more.csv")

    return write
