"""A run's card says what the leaderboard and the run's configuration say, and is rewritten when these change."""

import shutil
from pathlib import Path

import pytest

from storage.lake.lake import Lake
from storage.metrics.database import connect_metrics
from storage.metrics.record_measurements import Epoch, Run, record_epoch, record_ranks, record_run
from storage.metrics.run_files import RANKS_SCHEMA
from storage.tables.tables import open_tables
from training.evaluation.intervals_and_comparisons import record_confidence
from training.evaluation.model_card import CARD, write_model_cards
from training.presets import chosen_settings


@pytest.fixture
def lake(measured: Lake, tmp_path: Path) -> Lake:
    """The measured version, with the configuration of its system All."""
    shutil.copytree(measured.root, tmp_path / "lake")
    lake = open_tables(str(tmp_path / "lake"))
    settings = chosen_settings("small", epochs=4)
    run = Run("All-run", "All", "small", 0, "v1", state="completed", model_folder="models/All-run")
    config = settings.as_json()
    record_run(lake, Run(**{**vars(run), "config": config, "settings": "small, training.epochs=4"}))
    lake.write_json({}, "models", "All-run", "config.json")
    return lake


def test_a_card_has_the_figures_of_the_leaderboard_beside_controls_and_bounds(lake: Lake) -> None:
    write_model_cards(lake, "v1")
    text = lake.read_bytes("models", "All-run", CARD).decode()
    with connect_metrics(lake) as connection:
        row = connection.execute(
            "SELECT r_at_10, recall_at_10 FROM leaderboard WHERE system = 'All' AND policy = 'segments8'"
        ).fetchone()
    [line] = [line for line in text.splitlines() if line.startswith("| **All** | segments8")]
    assert row and all(f"| {value:,.1f}" in line for value in row)
    assert all(f"\n| {name} |" in text for name in ("chance", "ceiling", "random", "language oracle"))
    headings = ("Settings", "Results", "How to use", "Limits", "Licences")
    assert [line[3:] for line in text.splitlines() if line.startswith("## ")] == list(headings)
    assert text.startswith("# All, small\n") and "\nsmall, training.epochs=4. Digest " in text
    assert "Films by the licence of their texts: " in text and "(CC BY-SA 4.0)" not in text
    assert "| `training.epochs` | 4 |" in text and "| `audio.stem` | 4,8 |" in text


def test_a_card_of_a_model_for_any_parts_has_a_row_with_interval_for_each_choice_of_them(lake: Lake) -> None:
    config = chosen_settings("small", set=["data.modality_dropout=0.3"]).as_json()
    with connect_metrics(lake) as connection:
        ranks = connection.sql(
            f"SELECT {', '.join(RANKS_SCHEMA.names)} FROM ranks WHERE run_id = 'All-run' AND policy = 'segments8'"
        ).to_arrow_table()
    for run_id, system in (("All-run", "All"), ("Im-by-All-run", "Im by All")):
        record_run(lake, Run(run_id, system, "small", 0, "v1", state="completed", config=config,
                             settings_digest="1f3c9a2b", model_folder="models/All-run"))  # fmt: skip
        record_ranks(lake, run_id, ranks.cast(RANKS_SCHEMA))
    record_confidence(lake, "v1", draws=100)
    write_model_cards(lake, "v1")
    text = lake.read_bytes("models", "All-run", CARD).decode()
    assert "Parts may be missing: it was trained with some left out." in text
    [line] = [line for line in text.splitlines() if line.startswith("| Im by All | segments8 |")]
    assert line.count("–") == 5


def test_the_licences_are_of_the_weights_that_the_system_has(lake: Lake) -> None:
    config = chosen_settings("paper").as_json()
    record_run(
        lake, Run("Im-run", "Im", "paper", 0, "v1", state="completed", config=config, model_folder="models/Im-run")
    )
    lake.write_json({}, "models", "Im-run", "config.json")
    write_model_cards(lake, "v1")
    text = lake.read_bytes("models", "Im-run", CARD).decode()
    assert "The weights started from `google/vit-base-patch16-224-in21k`, whose own" in text


def test_the_licences_that_pretrained_weights_state_are_on_the_card(lake: Lake) -> None:
    config = chosen_settings("small", set=["text.pretrained=/models/t", "image.pretrained=org/i"]).as_json()
    run = Run("Im-run", "All", "small", 0, "v1", state="completed", config=config, model_folder="models/Im-run")
    record_run(lake, run)
    licences = {"text": "cc-by-nc-4.0", "image": "unknown"}
    lake.write_json({"towers": {"licences": licences}}, "models", "Im-run", "config.json")
    write_model_cards(lake, "v1")
    text = lake.read_bytes("models", "Im-run", CARD).decode()
    assert "from `/models/t` (cc-by-nc-4.0) and `org/i` (licence not stated), whose own" in text
    assert "cc-by-nc-4.0 forbids commercial use, which covers what is made with the weights" in text


def test_a_run_without_a_folder_or_not_completed_has_no_card(lake: Lake) -> None:
    write_model_cards(lake, "v1")
    assert not lake.exists("models", "Im-run", CARD)  # it has no config.json


def test_an_unchanged_card_is_not_written_again(lake: Lake) -> None:
    write_model_cards(lake, "v1")
    path = lake.local_path("models", "All-run", CARD)
    before = path.stat().st_mtime_ns
    write_model_cards(lake, "v1")
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("losses", "medians", "said"),
    [
        ((3.0, 2.0, 2.5, 2.6), (None, None, None, None), "of epoch 2, with the lowest validation loss"),
        ((3.0, 2.0, 2.5, 2.6), (90.0, 80.0, 70.0, 70.0), "of epoch 3, with the lowest median rank in validation"),
    ],
)
def test_a_card_says_which_epoch_was_kept_and_why(
    lake: Lake, losses: tuple[float, ...], medians: tuple[float | None, ...], said: str
) -> None:
    for epoch, (loss, median) in enumerate(zip(losses, medians, strict=True)):
        record_epoch(lake, Epoch("All-run", epoch, valid_loss=loss, valid_medr=median))
    write_model_cards(lake, "v1")
    assert (
        f"It trained for 4 epochs, and its weights are {said}." in lake.read_bytes("models", "All-run", CARD).decode()
    )
