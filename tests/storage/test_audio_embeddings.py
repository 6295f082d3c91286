"""Audio embeddings are read back as written, join the mels by track and segment, and are sealed as shards are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from needledrop.cli.inspect.sql import ask
from storage.audio_embeddings import (
    EncoderCard,
    Vectors,
    encoder_folder,
    list_embeddings,
    read_embeddings,
    register,
    write_embeddings,
)
from storage.errors import InputError, LakeError
from storage.lake.atomic_writes_and_fences import fenced
from storage.lake.lake import Lake
from storage.takedown_list_and_erasure import drop_embeddings
from storage.verify import Damage, verify
from tests.lakes import LakeWithMels

CARD = EncoderCard("laion/larger_clap_music", "clap", 48_000, 10.0, 4, True, "ab" * 32, "abc", "apache-2.0")
FILM, YEAR = "wiki-03", 2018


def vectors(count: int = 3, seed: int = 0) -> Vectors:
    return np.random.default_rng(seed).normal(size=(count, 4)).astype(np.float16)


@pytest.fixture
def lake(lake_with_mels: LakeWithMels) -> Lake:
    """A lake of twelve films, one of which has embeddings of its two recordings."""
    lake = lake_with_mels.committed()
    register(lake, CARD)
    write_embeddings(lake, CARD, FILM, YEAR, [("folder:3-0", vectors()), ("folder:3-1", vectors(seed=1))])
    return lake


def damage(lake: Lake, *, deep: bool = False) -> list[Damage]:
    return [one for one in verify(lake, deep=deep) if one.path.startswith("audio_embeddings")]


def test_embeddings_are_read_back_by_track(lake: Lake) -> None:
    [path] = list_embeddings(lake)
    assert path == f"audio_embeddings/laion--larger_clap_music/year={YEAR}/page={FILM}.parquet"
    found = read_embeddings(lake, path, deep=True)
    assert list(found) == ["folder:3-0", "folder:3-1"]
    assert np.array_equal(found["folder:3-1"], vectors(seed=1))
    assert damage(lake, deep=True) == []


def test_sql_joins_them_with_the_mels_and_the_card_of_their_encoder(lake: Lake) -> None:
    [(_columns, rows)] = ask(
        lake,
        "SELECT e.segment, e.start_seconds - mels.start_seconds, len(embedding), licence FROM audio_embeddings AS e "
        "JOIN mels USING (film_id, track_id, segment) JOIN audio_encoders USING (encoder) "
        "WHERE track_id = 'folder:3-0' ORDER BY segment",
    )
    assert rows == [(number, 0.0, 4, "apache-2.0") for number in range(3)]


def test_sql_leaves_out_a_damaged_file(lake: Lake, capsys: pytest.CaptureFixture[str]) -> None:
    [path] = list_embeddings(lake)
    lake.local_path(path).write_bytes(b"PAR1 and nothing else PAR1")
    [(_columns, rows)] = ask(lake, "SELECT count(*) FROM audio_embeddings")
    assert rows == [(0,)]
    assert "1 damaged files" in capsys.readouterr().err


@pytest.mark.parametrize("deep", [False, True])
def test_a_changed_byte_is_found(lake: Lake, deep: bool) -> None:
    [path] = list_embeddings(lake)
    file = lake.local_path(path)
    content = bytearray(file.read_bytes())
    content[10 if deep else -20] ^= 1
    file.write_bytes(content)
    [found] = damage(lake, deep=deep)
    assert "damaged" in found.what
    assert "--encode" in found.remedy


def test_rows_that_are_not_the_segments_of_the_shard_are_found(lake: Lake) -> None:
    write_embeddings(lake, CARD, FILM, YEAR, [("folder:3-0", vectors(2)), ("folder:other", vectors())])
    assert [one.what for one in damage(lake)] == [
        "has 2 rows of track folder:3-0, of which the shard has 3 segments",
        "holds track folder:other, which the film's shard lacks",
    ]


def test_a_film_without_a_shard_is_no_damage(lake: Lake) -> None:
    lake.remove(f"mels/year={YEAR}/page={FILM}.parquet")
    assert damage(lake) == []


def test_a_track_is_dropped_and_the_others_stay(lake: Lake) -> None:
    assert drop_embeddings(lake, FILM, ["folder:3-0"]) == 1
    [path] = list_embeddings(lake)
    assert list(read_embeddings(lake, path)) == ["folder:3-1"]
    assert drop_embeddings(lake, FILM, ["folder:3-1"]) == 1
    assert list_embeddings(lake) == []


def test_other_weights_of_the_same_name_are_refused(lake: Lake) -> None:
    register(lake, CARD)
    with pytest.raises(InputError, match="made with other weights of laion/larger_clap_music"):
        register(lake, replace(CARD, weights_sha256="cd" * 32))


def test_a_fence_refuses_the_commit(lake: Lake) -> None:
    def refuse() -> None:
        raise LakeError("The lease is lost")

    with pytest.raises(LakeError, match="lease is lost"), fenced(refuse):
        write_embeddings(lake, CARD, "wiki-04", 2019, [("folder:4-0", vectors())])
    assert len(list_embeddings(lake)) == 1


def test_vectors_that_are_not_finite_are_refused(lake: Lake) -> None:
    broken = vectors()
    broken[1, 2] = np.inf
    with pytest.raises(InputError, match="not finite for folder:4-0"):
        write_embeddings(lake, CARD, "wiki-04", 2019, [("folder:4-0", broken)])


def test_a_full_disk_is_a_sentence(small_disk: Callable[[str], Path]) -> None:
    lake = Lake(str(small_disk("size=1m")))
    random = np.random.default_rng(0).normal(size=(300_000, 4)).astype(np.float16)
    with pytest.raises(LakeError, match="No space left"):
        write_embeddings(lake, CARD, "wiki-04", 2019, [("folder:4-0", random)])


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("laion/larger_clap_music", "laion--larger_clap_music"),
        ("clap", "clap"),
        ("My model (v2)", "My-model--v2--503dd830"),
        ("..", "encoder-5ec1f7e7"),
        ("../../etc", "etc-"),
        ("модель", "encoder-"),
    ],
)
def test_a_name_becomes_one_safe_part_of_a_path(tmp_path: Path, name: str, folder: str) -> None:
    assert encoder_folder(name).startswith(folder)
    assert Lake(str(tmp_path)).uri("audio_embeddings", encoder_folder(name)).count("/") == str(tmp_path).count("/") + 2
