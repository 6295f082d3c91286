"""Embeddings by an audio encoder take the place of mels, and give two baselines that need no training."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from needledrop.cli.output.leaderboard_table import leaderboard_rows
from storage.audio_embeddings import EncoderCard, register, stored_encoder, write_embeddings
from storage.datasets import versions as datasets
from storage.errors import InputError
from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics
from storage.takedown_list_and_erasure import drop_embeddings
from tests.small_encoders import save_clap, save_speech
from training.audio_encoders.embed_audio_and_text import Encoder
from training.audio_encoders.model_files import remember_model
from training.data.splits import load_split
from training.evaluation.baselines import NEAREST, ZERO_SHOT, text_similarity
from training.evaluation.model_card import CARD, write_model_cards
from training.evaluation.record_baselines import record_baselines
from training.loop.devices_and_torchrun import Machine
from training.model.audio_tower import EmbeddingTower
from training.retrieval.dataset_search import search
from training.retrieval.library_track_encoder import load_encoder
from training.retrieval.query_and_filters import FilmQuery
from training.settings import Settings
from training.systems import SYSTEMS
from training.training_runs import load_data, plan_jobs, run_experiment

CPU = torch.device("cpu")
MOODS = 4


@pytest.fixture
def clap(lake: Lake, tmp_path: Path) -> EncoderCard:
    """A CLAP model on this machine."""
    folder = save_clap(tmp_path / "clap")
    card = Encoder(str(folder), CPU).card
    register(lake, card)
    remember_model(lake, card, str(folder))
    return card


def write_sounds(lake: Lake, version: str, card: EncoderCard) -> None:
    """Write embeddings of every segment of a version: films of one mood sound alike."""
    path = lake.local_path(datasets.FOLDER, version, datasets.SEGMENTS_FILE.name)
    counts: dict[str, dict[str, int]] = {}
    for row in pq.read_table(path).to_pylist():
        tracks = counts.setdefault(row["film_id"], {})
        tracks[row["track_id"]] = tracks.get(row["track_id"], 0) + 1
    rng = np.random.default_rng(0)
    for film_id, tracks in counts.items():
        year, number = divmod(int(film_id.split("-")[1]), 1000)
        mood = 3 * np.eye(card.dimensions)[number % MOODS]
        vectors = [
            (name, (mood + rng.normal(size=(count, card.dimensions))).astype(np.float16))
            for name, count in tracks.items()
        ]
        write_embeddings(lake, card, film_id, year, vectors)


def with_encoder(quick: Settings, name: str) -> Settings:
    return replace(quick, audio=replace(quick.audio, encoder=name))


def train_on(lake: Lake, version: str, settings: Settings, machine: Machine, system: str = "All") -> str:
    [job] = plan_jobs(version, [SYSTEMS[system]], settings, [0])
    run_experiment(lake, load_data(lake, version, settings.audio.encoder), job, machine)
    return job.run_id


@pytest.mark.parametrize("system", ["All", "AVCA-tuned"])
def test_a_system_is_trained_measured_and_searched_with_embeddings(
    lake: Lake, write_version: Callable[..., str], quick: Settings, machine: Machine, clap: EncoderCard, system: str
) -> None:
    version = write_version(films=4)
    write_sounds(lake, version, clap)
    run_id = train_on(lake, version, with_encoder(quick, "clap"), machine, system)
    with connect_metrics(lake) as connection:
        ranked = connection.execute("SELECT count(DISTINCT track_id) FROM ranks WHERE run_id = ?", [run_id]).fetchall()
    assert ranked == [(8,)]
    found = search(lake, run_id, FilmQuery(plot=("scream in the cellar",)), 3, machine, all_tracks=True)
    assert len(found) == 3


def test_several_segments_are_pooled_by_attention_and_a_library_is_refused(
    lake: Lake, write_version: Callable[..., str], quick: Settings, machine: Machine, clap: EncoderCard
) -> None:
    version = write_version(films=4)
    write_sounds(lake, version, clap)
    changes = {"audio.encoder": "clap", "data.segments": 2, "audio.segment_pooling": "attention"}
    run_id = train_on(lake, version, quick.changed(changes), machine)
    with connect_metrics(lake) as connection:
        assert connection.execute("SELECT state FROM runs WHERE run_id = ?", [run_id]).fetchall() == [("completed",)]
    with pytest.raises(InputError, match="hears music through the audio encoder clap"):
        load_encoder(lake, run_id, machine)


def test_the_controls_of_an_encoder_and_its_licence_are_in_the_table_and_on_the_card(
    lake: Lake, write_version: Callable[..., str], quick: Settings, machine: Machine, clap: EncoderCard
) -> None:
    version = write_version(films=4)
    write_sounds(lake, version, clap)
    run_id = train_on(lake, version, with_encoder(quick, "clap"), machine)
    record_baselines(lake, version)
    write_model_cards(lake, version)
    assert {ZERO_SHOT, NEAREST} <= {row["system"] for row in leaderboard_rows(lake.root, version, [run_id])}
    text = lake.read_bytes("models", run_id, CARD).decode()
    assert all(f"\n| {name} (clap) |" in text for name in (ZERO_SHOT, NEAREST))
    assert "through the pretrained audio model `clap`, whose licence is apache-2.0." in text
    assert "needledrop search --run" in text and "library index" not in text


def test_the_encoder_is_part_of_what_names_a_run_and_no_encoder_changes_no_name(quick: Settings) -> None:
    assert quick.audio.encoder == ""
    assert with_encoder(quick, "clap").digest != quick.digest
    assert "audio.encoder" not in quick.as_json()


def test_segments_are_read_in_the_order_of_the_version(
    lake: Lake, write_version: Callable[..., str], clap: EncoderCard
) -> None:
    version = write_version(films=2, segments=3)
    write_sounds(lake, version, clap)
    by_mels, by_encoder = (load_split(lake, version, "test", encoder) for encoder in ("", "clap"))
    assert by_mels.track_ids == by_encoder.track_ids
    out = np.empty((2, clap.dimensions), np.float16)
    by_encoder.mels.gather(by_encoder.even_segments(1, 2), out)
    first = by_encoder.first_segment[1]
    assert np.array_equal(out, by_encoder.mels.vectors[[first, first + 2]])


def test_a_track_without_an_embedding_and_an_unknown_encoder_are_sentences(
    lake: Lake, write_version: Callable[..., str], clap: EncoderCard
) -> None:
    version = write_version(films=2)
    write_sounds(lake, version, clap)
    film_id = load_split(lake, version, "test").film_ids[0]
    drop_embeddings(lake, film_id, [f"music_folder:{film_id}-0"])
    with pytest.raises(InputError, match=r"1 tracks of the test split have no embeddings by clap"):
        load_split(lake, version, "test", "clap")
    with pytest.raises(InputError, match=r"no audio embeddings by 'ast'; it has clap"):
        load_split(lake, version, "test", "ast")


def test_an_encoder_is_named_by_folder_hub_name_or_path(lake: Lake, tmp_path: Path, clap: EncoderCard) -> None:
    register(lake, replace(clap, name="laion/larger"))
    for name in ("laion/larger", "laion--larger"):
        assert stored_encoder(lake, name) == "laion--larger"
    assert stored_encoder(lake, str(tmp_path / "clap")) == "clap"


def test_the_controls_are_recorded_once_and_beat_chance_where_sound_follows_text(
    lake: Lake, write_version: Callable[..., str], quick: Settings, machine: Machine, clap: EncoderCard
) -> None:
    version = write_version(films={"train": 16, "valid": 2, "test": 8})
    write_sounds(lake, version, clap)
    train_on(lake, version, quick, machine, "Ta")
    for _again in range(2):
        record_baselines(lake, version)
    with connect_metrics(lake) as connection:
        rows = connection.execute(
            "SELECT system, settings, policy, median(rank_lo), count(*) FROM ranks JOIN runs USING (run_id) "
            "WHERE settings = 'clap' GROUP BY ALL ORDER BY ALL"
        ).fetchall()
        [(chance,)] = connection.execute(
            "SELECT median(rank_lo) FROM ranks JOIN runs USING (run_id) WHERE system = 'random'"
        ).fetchall()
    assert [row[:3] for row in rows] == [
        (system, "clap", policy) for system in (NEAREST, ZERO_SHOT) for policy in ("segments1", "segments8")
    ]
    assert all(count == 16 for *_, count in rows)
    assert max(rows[0][3], rows[1][3]) < 0.6 * chance


def test_a_model_that_is_gone_leaves_out_its_row_with_a_warning(
    lake: Lake, write_version: Callable[..., str], quick: Settings, machine: Machine, clap: EncoderCard,
    tmp_path: Path, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    version = write_version(films=4)
    write_sounds(lake, version, clap)
    train_on(lake, version, quick, machine, "Ta")
    (tmp_path / "clap").rename(tmp_path / "elsewhere")
    with caplog.at_level(logging.WARNING):
        record_baselines(lake, version)
    with connect_metrics(lake) as connection:
        systems = connection.execute("SELECT DISTINCT system FROM runs WHERE settings = 'clap'").fetchall()
    assert systems == [(NEAREST,)]
    assert "model of clap is not on this machine" in caplog.text


def test_an_encoder_without_a_text_side_has_one_control(
    lake: Lake, write_version: Callable[..., str], quick: Settings, machine: Machine, tmp_path: Path
) -> None:
    card = Encoder(str(save_speech(tmp_path / "speech")), CPU).card
    register(lake, card)
    version = write_version(films=4)
    write_sounds(lake, version, card)
    train_on(lake, version, quick, machine, "Ta")
    record_baselines(lake, version)
    with connect_metrics(lake) as connection:
        systems = connection.execute("SELECT DISTINCT system FROM runs WHERE settings = 'speech'").fetchall()
    assert systems == [(NEAREST,)]


def test_texts_are_similar_by_rare_words() -> None:
    known = ["a ferry in the fog", "the wedding of a baker", "a chase in the night"]
    similarity = text_similarity(["the ferry", "Wedding!", "nothing alike"], known)
    assert similarity.argmax(1).tolist()[:2] == [0, 1]
    assert similarity[2].max() == 0


def test_the_trained_layer_takes_off_the_scale_of_an_encoder(quick: Settings) -> None:
    tower = EmbeddingTower(quick.audio, 12).eval()
    vectors = torch.randn(5, 12)
    assert torch.allclose(tower(vectors, torch.zeros(5)), tower(100 * vectors, torch.zeros(5)), atol=1e-3)
