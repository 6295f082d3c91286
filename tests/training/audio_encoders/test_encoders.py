"""Audio models of four types embed segments through their own feature extractors; what cannot be one is a sentence."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from storage.errors import InputError, LakeError, NeedledropError
from storage.mels.settings_and_shard_format import MelSettings
from tests.small_encoders import SAVERS, change, save_ast, save_clap, save_speech
from training.audio_encoders.embed_audio_and_text import SAMPLE, Encoder
from training.audio_encoders.model_files import find_encoder, is_non_commercial, licence_of
from training.audio_encoders.process import open_encoders

CPU = torch.device("cpu")
Decoded = Callable[..., str]


@pytest.fixture
def decoded(tmp_path: Path) -> Decoded:
    """Return a function that writes a chirp as extraction leaves it, and returns the file's path."""

    def write(rate: int, segments: float = 2, name: str = "audio.pcm") -> str:
        t = np.arange(round(segments * rate * MelSettings().segment_seconds)) / rate
        (9_000 * np.sin(2 * np.pi * (200 + 20 * t) * t)).astype(SAMPLE).tofile(tmp_path / name)
        return str(tmp_path / name)

    return write


@pytest.mark.parametrize(
    ("kind", "rate", "window", "dimensions"),
    [
        ("clap", 48_000, 10.0, 12),
        ("audio-spectrogram-transformer", 16_000, 10.255, 16),
        ("wav2vec2", 16_000, None, 16),
        ("hubert", 16_000, None, 16),
    ],
)
def test_each_type_embeds_every_segment_by_itself(
    tmp_path: Path, decoded: Decoded, kind: str, rate: int, window: float | None, dimensions: int
) -> None:
    encoder = Encoder(str(SAVERS[kind](tmp_path / kind)), CPU)
    card = encoder.card
    assert (card.model_type, card.sample_rate_hz, card.window_seconds) == (kind, rate, window)
    assert (card.has_text, card.licence, card.name) == (kind == "clap", "apache-2.0", kind)
    vectors = encoder.embed_file(decoded(rate), 2)
    assert (vectors.shape, vectors.dtype) == ((2, dimensions), np.float16)
    tail = np.fromfile(decoded(rate), SAMPLE)[-round(rate * 9.92) :]
    tail.tofile(tmp_path / "tail.pcm")
    alone = encoder.embed_file(str(tmp_path / "tail.pcm"), 1)
    assert np.allclose(alone[0], vectors[1], atol=2e-3)
    assert not np.allclose(vectors[0], vectors[1], atol=2e-3)


def test_a_segment_longer_than_the_window_is_the_mean_of_windows_that_cover_it(
    tmp_path: Path, decoded: Decoded
) -> None:
    encoder = Encoder(str(save_clap(tmp_path / "short", window_seconds=4)), CPU)
    windows = encoder._windows(np.arange(round(9.92 * 48_000), dtype=np.float32))
    assert [len(window) for window in windows] == [4 * 48_000] * 3
    assert (windows[0][0], windows[2][-1]) == (0, round(9.92 * 48_000) - 1)
    assert encoder.embed_file(decoded(48_000), 2).shape == (2, 12)


def test_a_window_longer_than_the_segment_hears_it_whole(tmp_path: Path, decoded: Decoded) -> None:
    encoder = Encoder(str(save_ast(tmp_path / "long", window_frames=1_500)), CPU)
    assert encoder.card.window_seconds == pytest.approx(15.015)
    assert encoder.embed_file(decoded(16_000), 2).shape == (2, 16)


def test_a_short_recording_is_padded_and_one_that_lacks_segments_is_refused(tmp_path: Path, decoded: Decoded) -> None:
    encoder = Encoder(str(save_speech(tmp_path / "speech")), CPU)
    assert encoder.embed_file(decoded(16_000, 0.5), 1).shape == (1, 16)
    with pytest.raises(LakeError, match="too short for 3 segments"):
        encoder.embed_file(decoded(16_000, 1.9), 3)
    with pytest.raises(LakeError, match="cannot be read"):
        encoder.embed_file(str(tmp_path / "gone.pcm"), 1)


def test_texts_are_embedded_in_chunks_into_the_space_of_the_sounds(tmp_path: Path) -> None:
    encoder = Encoder(str(save_clap(tmp_path / "clap")), CPU)
    vectors = encoder.embed_texts(["a ferry in the fog " * 30, "a quarrel", ""])
    assert vectors.shape == (3, 12)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.allclose(encoder.embed_texts(["a quarrel"])[0], vectors[1], atol=1e-5)
    with pytest.raises(InputError, match="reads no text"):
        Encoder(str(save_speech(tmp_path / "speech")), CPU).embed_texts(["a"])


def _broken(tmp_path: Path, how: str) -> Path:
    folder = save_speech(tmp_path / "model")
    match how:
        case "no model":
            (folder / "config.json").unlink()
        case "no preprocessor":
            (folder / "preprocessor_config.json").unlink()
        case "no weights":
            (folder / "model.safetensors").unlink()
        case "pickled":
            (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
        case "own code":
            change(folder, "config.json", auto_map={"AutoModel": "model.Mine"})
        case "another type":
            change(folder, "config.json", model_type="whisper")
        case "weights missing":
            change(folder, "config.json", num_hidden_layers=2)
        case "list":
            (folder / "config.json").write_text("[]")
        case "rate too high":
            change(folder, "preprocessor_config.json", sampling_rate=10**9)
        case "rate in words":
            change(folder, "preprocessor_config.json", sampling_rate="48 kHz")
        case "of pictures":
            change(folder, "preprocessor_config.json", feature_extractor_type="ViTImageProcessor")
        case "damaged":
            (folder / "model.safetensors").write_bytes(b"nothing")
    return folder


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ("no model", "it has no config.json"),
        ("no preprocessor", "it has no preprocessor_config.json"),
        ("no weights", "has no weights"),
        ("pickled", r"only pickled weights \(pytorch_model.bin\)"),
        ("own code", "brings its own code"),
        ("another type", "of type whisper, which is none of CLAP"),
        ("weights missing", "lacks .* of its weights"),
        ("damaged", "damaged"),
        ("list", "config.json has no names with values"),
        ("rate too high", "sampling_rate is 1000000000, no whole number of 4000 to 192000"),
        ("rate in words", "preprocessor_config.json of the encoder .* is of no audio model"),
        ("of pictures", "preprocessor_config.json of the encoder"),
    ],
)
def test_what_cannot_be_an_encoder_is_a_sentence(tmp_path: Path, how: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Encoder(str(_broken(tmp_path, how)), CPU)


@pytest.mark.parametrize("values", [{"std": 0}, {"mean": float("nan")}])
def test_an_encoder_whose_embeddings_are_no_numbers_is_refused(values: dict[str, float], tmp_path: Path) -> None:
    folder = change(save_ast(tmp_path / "ast"), "preprocessor_config.json", **values)
    with pytest.raises(InputError, match=r"does not fit its weights \(what it embeds has values that are no numbers\)"):
        Encoder(str(folder), CPU)


def test_a_model_of_the_hub_that_cannot_be_reached_is_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"hub does not give it|neither a folder nor"):
        find_encoder("nobody/no-such-model")


def test_the_digest_changes_with_the_weights_and_with_what_prepares_their_input(tmp_path: Path) -> None:
    folder = save_speech(tmp_path / "speech")
    first = find_encoder(str(folder)).weights_sha256
    (folder / "README.md").write_text("Another card.")
    assert find_encoder(str(folder)).weights_sha256 == first
    change(folder, "preprocessor_config.json", do_normalize=False)
    assert find_encoder(str(folder)).weights_sha256 != first


@pytest.mark.parametrize(
    ("card", "licence", "is_restricted"),
    [
        ("---\nlicense: cc-by-nc-4.0\n---\nText", "cc-by-nc-4.0", True),
        ("---\nlicense: apache-2.0\ntags: [music]\n---\n", "apache-2.0", False),
        ("---\nlicense: other\nlicense_name: my-non-commercial\n---\n", "my-non-commercial", True),
        ("---\nlicense: [mit, bsd]\n---\n", "mit, bsd", False),
        ("---\n: : broken\n  - [\n---\n", "unknown", False),
        ("No head at all", "unknown", False),
        ("", "unknown", False),
    ],
)
def test_the_licence_is_read_from_the_model_card(tmp_path: Path, card: str, licence: str, is_restricted: bool) -> None:
    (tmp_path / "README.md").write_text(card)
    assert licence_of(tmp_path) == licence
    assert is_non_commercial(licence) == is_restricted


def test_the_process_embeds_films_in_order_and_says_when_it_was_killed(tmp_path: Path, decoded: Decoded) -> None:
    folder = save_speech(tmp_path / "speech")
    with open_encoders([str(folder)]) as encoders:
        encoders.submit([({16_000: decoded(16_000)}, 2)])
        encoders.submit([({16_000: decoded(16_000, 1, "b.pcm")}, 1), ({16_000: decoded(16_000, 1, "c.pcm")}, 1)])
        assert [[len(own) for own in film[0]] for film in (encoders.receive(), encoders.receive())] == [[2], [1, 1]]
        encoders.submit([({16_000: str(tmp_path / "gone.pcm")}, 1)])
        with pytest.raises(LakeError, match="cannot be read"):
            encoders.receive()
        encoders.process.kill()
        with pytest.raises(NeedledropError, match=r"ended \(exit status -9\)"):
            encoders.receive()


def test_the_process_reports_a_model_that_it_cannot_load(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no config"), open_encoders([str(_broken(tmp_path, "no model"))]):
        pass


def test_the_process_ends_with_the_one_that_started_it(tmp_path: Path) -> None:
    folder = save_speech(tmp_path / "speech")
    script = (
        "import time; from training.audio_encoders.process import open_encoders\n"
        f"with open_encoders([{str(folder)!r}]) as encoders:\n print(encoders.process.pid, flush=True)\n time.sleep(99)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes():
        assert time.monotonic() < deadline, "the process of the encoders outlived its flow"
        time.sleep(0.2)
