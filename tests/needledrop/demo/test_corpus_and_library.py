"""The sample corpus: the same from the same seed, well-formed, decodable, and with moods that can be distinguished."""

from __future__ import annotations

import bz2
import csv
import json
import re
import time
from pathlib import Path

import av
import numpy as np
import pytest
from defusedxml import ElementTree
from PIL import Image

from needledrop.demo.corpus_and_library import MANIFEST, Corpus, plan_library, write_corpus, write_library
from needledrop.demo.films import FIRST_YEAR, LAST_YEAR, Film, invent_films
from needledrop.demo.moods import MOODS
from needledrop.demo.music.music_files import DEFECTS, M4A, MP3, OGG, OPUS, make_track, plan_tracks
from needledrop.demo.music.score import compose
from needledrop.demo.music.synthesis import perform
from needledrop.demo.posters.poster import draw_poster, save_poster
from needledrop.demo.wiki_export import PLOTLESS, article, distractor_pages, plotless_films, write_export
from needledrop.demo.words.loader import TITLES
from storage.errors import InputError

YEARS = LAST_YEAR - FIRST_YEAR + 1
EXPORT = "{http://www.mediawiki.org/xml/export-0.11/}"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return write_corpus(tmp_path_factory.mktemp("demo") / "corpus", films_per_year=1)


def _pages(corpus: Corpus) -> dict[str, str]:
    root = ElementTree.fromstring(bz2.decompress(corpus.export.read_bytes()))
    return {
        page.findtext(f"{EXPORT}title"): page.findtext(f"{EXPORT}revision/{EXPORT}text")
        for page in root.iter(f"{EXPORT}page")
    }


def test_the_export_has_every_film_with_plot_year_and_infobox(corpus: Corpus) -> None:
    pages = _pages(corpus)
    for film in invent_films(2024, 1):
        text = pages[film.title]
        assert re.search(r"==\s?Plot\s?==\n\S", text)
        assert f"[[Category:{film.year} films]]" in text
        assert "{{Infobox film" in text


def test_the_export_has_pages_that_must_be_excluded(corpus: Corpus) -> None:
    pages = _pages(corpus)
    assert {title for title, _, _ in PLOTLESS} <= set(pages)
    assert pages["The Lamp (film)"].startswith("#REDIRECT")
    assert "{{Infobox television" in pages["Night Shift at Pell"]
    assert sum("| image          = \n" in text for text in pages.values()) == 1


def test_the_full_corpus_has_twelve_films_a_year_with_unique_titles() -> None:
    films = invent_films(2024, 12)
    assert len(films) == 12 * YEARS == len({film.title for film in films}) == len({film.poster for film in films})
    tracks = plan_tracks(films, plotless_films(films))
    assert len({track.path for track in tracks}) == len(tracks)
    assert sum(track.year >= 2023 and not track.defect for track in tracks) >= 60
    assert {track.defect for track in tracks} == {"", *DEFECTS}


def test_only_the_chosen_titles_contain_one_another() -> None:
    titles = [film.title.lower() for film in invent_films(2024, 12)]
    within = {one for one in titles for other in titles if one != other and one in other}
    assert within <= {title.lower() for title in TITLES.chosen_films}


def test_plots_have_two_to_four_paragraphs_without_open_placeholders() -> None:
    for film in invent_films(2024, 12):
        assert 2 <= len(film.plot) <= 4
        assert not re.search(r"[\[\]{}|]", " ".join(film.plot))


def test_plots_of_the_held_out_years_are_mostly_new_sentences() -> None:
    sentences: dict[bool, set[str]] = {True: set(), False: set()}
    for film in invent_films(2024, 12):
        sentences[film.year >= 2023].update(re.split(r"(?<=[.:]) ", " ".join(film.plot)))
    assert len(sentences[True] & sentences[False]) < 0.5 * len(sentences[True])


def test_the_same_seed_gives_the_same_text_posters_and_music_in_any_process(corpus: Corpus, tmp_path: Path) -> None:
    films = invent_films(2024, 1)
    write_export(tmp_path / "again.xml.bz2", [*(article(film, films) for film in films), *distractor_pages(films)])
    assert (tmp_path / "again.xml.bz2").read_bytes() == corpus.export.read_bytes()
    for film in films[:5]:
        save_poster(tmp_path / film.poster, film)
        assert (tmp_path / film.poster).read_bytes() == (corpus.images / film.poster).read_bytes()
    for track in plan_tracks(films, [])[:3]:
        make_track(tmp_path, track)
        assert (tmp_path / track.path).read_bytes() == (corpus.music / track.path).read_bytes()


def test_another_seed_gives_other_films() -> None:
    one, other = ({film.plot for film in invent_films(seed, 2)} for seed in (1, 2))
    assert not one & other


def test_a_complete_corpus_is_reused_and_a_partial_one_completed(corpus: Corpus) -> None:
    folder = corpus.export.parent
    track = next(corpus.music.rglob("*.opus"))
    written, started = track.stat().st_mtime_ns, time.monotonic()
    write_corpus(folder, films_per_year=1)
    assert time.monotonic() - started < 1.0
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, "complete": False}))
    lost = next(corpus.music.rglob("*.m4a"))
    lost.unlink()
    write_corpus(folder, films_per_year=1)
    assert lost.exists()
    assert track.stat().st_mtime_ns == written


def test_an_unusable_folder_is_an_input_error(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="another seed"):
        write_corpus(corpus.export.parent, seed=7, films_per_year=1)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="name a folder"):
        write_corpus(tmp_path / "file", films_per_year=1)


def test_every_format_decodes_to_its_length_and_tags(corpus: Corpus) -> None:
    films = invent_films(2024, 1)
    seen = set()
    for track in plan_tracks(films, plotless_films(films)):
        if track.defect or track.audio_format in seen:
            continue
        seen.add(track.audio_format)
        with av.open(str(corpus.music / track.path)) as container:
            stream = container.streams.audio[0]
            tags = {**container.metadata, **stream.metadata}
            samples = sum(frame.samples for frame in container.decode(stream))
            assert samples / stream.rate == pytest.approx(track.seconds, abs=0.1)
        assert {name.lower(): value for name, value in tags.items()}["album"] == track.album
    assert seen == {OPUS, M4A, MP3, OGG}


def test_posters_are_portraits_in_the_colours_of_the_mood_shown(corpus: Corpus) -> None:
    with Image.open(next(corpus.images.glob("*.jpg"))) as poster:
        assert poster.size == (400, 600)
    films = invent_films(2024, 4)
    colours = [np.asarray(draw_poster(film).resize((4, 6)), float).ravel() for film in films]
    assert _nearest_share(np.array(colours), [film.shown.name for film in films]) > 0.8


def test_music_of_one_mood_sounds_alike() -> None:
    films = invent_films(2024, 4)
    features = np.array([_profile(film) for film in films])
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    assert _nearest_share(features, [film.main.name for film in films]) > 5 / len(MOODS)


def test_posters_show_the_light_of_a_mood_and_no_more() -> None:
    films = invent_films(2024, 12)
    assert all(film.shown.light == film.main.light for film in films)
    assert 0.3 < np.mean([film.shown is film.main for film in films]) < 0.5


def _profile(film: Film) -> np.ndarray:
    """Return the loudness of 40 logarithmic bands and its mean change: what a mel-spectrogram would show."""
    mono = perform(compose(film, 1, 12.0), 22_050).mean(axis=0)
    frames = mono[: len(mono) // 1024 * 1024].reshape(-1, 1024) * np.hanning(1024)
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = np.unique(np.geomspace(1, 512, 41).astype(int))
    bands = np.log(np.add.reduceat(power, edges[:-1], axis=1) + 1e-6)
    return np.concatenate([bands.mean(axis=0), np.abs(np.diff(bands, axis=0)).mean(axis=0)])


def _nearest_share(features: np.ndarray, kinds: list[str]) -> float:
    """Return the share of items whose nearest other item is of the same kind."""
    distances = np.linalg.norm(features[:, None] - features[None], axis=-1)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argmin(axis=1)
    return float(np.mean([kinds[one] == kinds[other] for one, other in enumerate(nearest)]))


def test_the_library_has_an_album_per_mood_and_a_catalogue_of_its_files(tmp_path: Path) -> None:
    catalogue = write_library(tmp_path / "library", albums=1)
    rows = list(csv.DictReader(catalogue.open(encoding="utf-8", newline="")))
    assert len(rows) == 3
    assert all(row["licence"] and row["composer"] and row["publisher"] for row in rows)
    for row in rows:
        with av.open(str(catalogue.parent / row["path"])) as container:
            assert container.duration / av.time_base > 30
    made = {path: path.stat().st_mtime_ns for path in catalogue.parent.rglob("*.*") if path != catalogue}
    write_library(tmp_path / "library", albums=1)
    assert made == {path: path.stat().st_mtime_ns for path in made}


def test_the_library_has_all_moods_and_no_music_of_the_corpus() -> None:
    library = plan_library(2024, len(MOODS))
    assert {track.film.main.name for track in library} == {mood.name for mood in MOODS}
    assert not {track.film.seed for track in library} & {film.seed for film in invent_films(2024, 12)}
