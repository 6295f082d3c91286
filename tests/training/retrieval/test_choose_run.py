"""The mels that a run hears are those of its version; where that is gone, those of its lake."""

from __future__ import annotations

from pathlib import Path

from storage.mels.settings_and_shard_format import MelSettings
from storage.mels.writer import write_shard
from storage.tables.tables import open_tables
from training.retrieval.choose_run import run_mel_settings


def test_a_run_whose_version_was_deleted_hears_the_mels_of_its_lake(tmp_path: Path) -> None:
    lake = open_tables(str(tmp_path / "lake"))
    assert run_mel_settings(lake, "v-deleted") == MelSettings()
    with write_shard(lake, "enwiki-1", 2015, MelSettings(mel_scale="htk")) as writer:
        writer.finish([])
    assert run_mel_settings(lake, "v-deleted").mel_scale == "htk"
