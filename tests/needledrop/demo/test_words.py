"""The words of the sample corpus: checked on loading, and the same films from them on every machine."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import ValidationError

from needledrop.demo.corpus_and_library import EDITION
from needledrop.demo.films import invent_films
from needledrop.demo.moods import MOODS
from needledrop.demo.music.score import BASS_STYLES, CHORD_STYLES, SCALES
from needledrop.demo.music.synthesis import DRUMS, TEXTURES, VOICES
from needledrop.demo.posters.compositions import COMPOSITIONS
from needledrop.demo.wiki_export import article, distractor_pages, write_export
from needledrop.demo.words.loader import COUNTRIES, PLOTS, PlotSentence, parse

EXPORT_SHA256 = {2: "6929f39c509259695fdba5cf5523a029a6780e4784654a281e9b2c344bceeeba"}
"""By edition of the corpus: raise `EDITION` when the same seed gives other bytes."""


@dataclass(frozen=True)
class _Sentences:
    sentences: tuple[PlotSentence, ...]
    count: int = 0


def test_the_export_of_this_edition_has_the_same_bytes_as_ever(tmp_path: Path) -> None:
    films = invent_films(2024, 12)
    export = tmp_path / "films.xml.bz2"
    write_export(export, [*(article(film, films) for film in films), *distractor_pages(films)])
    assert hashlib.sha256(export.read_bytes()).hexdigest() == EXPORT_SHA256[EDITION]


def test_every_name_in_the_table_of_moods_exists() -> None:
    for sound in (mood.sound for mood in MOODS):
        assert {sound.chord_voice, sound.bass_voice, *sound.lead_voices} <= set(VOICES)
        assert sound.scale in SCALES
        assert sound.chords in CHORD_STYLES
        assert sound.bass in BASS_STYLES
        assert set(sound.drums) <= set(DRUMS)
        assert sound.texture in {*TEXTURES, "none"}
    assert {mood.look.composition for mood in MOODS} == set(COMPOSITIONS)
    assert {country.answer_voice for country in COUNTRIES} <= set(VOICES)


def test_every_mood_has_sentences_for_plots() -> None:
    assert set(PLOTS.moods) == {mood.name for mood in MOODS}


def test_toml_becomes_a_frozen_dataclass() -> None:
    assert parse('sentences = ["{He} [sings|hums] in {town}."]', _Sentences).sentences == (
        "{He} [sings|hums] in {town}.",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('sentences = ["{heroine} sings."]', "unknown placeholder"),
        ("sentences = [1]", "valid string"),
        ("sentences = []\nsentence = 1", "Unexpected keyword argument"),
        ("count = 1", "Field required|Missing required argument"),
    ],
)
def test_a_mistake_in_a_file_of_words_is_an_error_on_loading(text: str, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        parse(text, _Sentences)
