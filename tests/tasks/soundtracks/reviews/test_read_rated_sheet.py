"""Reading rated sheets: spellings, two raters, albums, and files that are refused as a whole."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.records.review_answers_and_agreement import read_reviews, record_review
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import ALBUM_REVIEWS, RATINGS
from storage.views.lake_views import define_lake_views
from tasks.soundtracks.candidate_recordings import Decision
from tasks.soundtracks.reviews.draw_sample import Sample, draw_sample
from tasks.soundtracks.reviews.read_rated_sheet import Imported, import_ratings
from tasks.soundtracks.reviews.write_rating_sheet import csv_sheet

if TYPE_CHECKING:
    from tests.lakes import SmallLake

Sheet = Callable[..., Path]


def read(lake: Lake, path: Path, rater: str | None = None) -> Imported:
    return import_ratings(lake, path, rater, "run")


def rows(lake: Lake, query: str) -> list[dict[str, Any]]:
    with duckdb_connection.connect(lake) as connection:
        define_lake_views(connection, lake, temporary=True)
        return duckdb_connection.fetch_rows(connection, query)


def pair(sample: Sample, number: int) -> tuple[str, str]:
    return sample.rows[number]["film_id"], sample.rows[number]["track_id"]


def test_answers_are_read_in_obvious_spellings(reviewed: Lake, sheet: Sheet) -> None:
    spelled = {0: "Y", 1: "TRUE", 2: " Yes. ", 3: "N", 4: "false", 5: "0", 6: "?", 7: "not sure", 8: ""}
    imported = read(reviewed, sheet(spelled))
    assert (imported.answers["yes"], imported.answers["no"], imported.answers["unsure"]) == (18, 3, 2)
    assert imported.unrated == 1


def test_answers_are_read_as_spreadsheets_of_other_languages_give_them_back(reviewed: Lake, sheet: Sheet) -> None:
    noes = ["FALSCH", "FAUX", "0.0", "0,0", "нет", "いいえ", "Hayır", "não", "❌"]
    spelled = dict(enumerate(["WAHR", "Vrai", "1.0", "1,0", "да", "はい", "sim", "✔️", *noes]))
    imported = read(reviewed, sheet(spelled))
    assert (imported.answers["yes"], imported.answers["no"]) == (24 - len(noes), len(noes))


def test_the_same_file_again_changes_nothing(reviewed: Lake, sheet: Sheet) -> None:
    path = sheet({3: "no"})
    assert read(reviewed, path).recorded == 24
    parts = tables.parts(reviewed, RATINGS)
    assert read(reviewed, path).recorded == 0 and tables.parts(reviewed, RATINGS) == parts


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_sheet_from_a_spreadsheet_is_read(reviewed: Lake, sheet: Sheet, separator: str) -> None:
    path = sheet({3: "no"})
    text = path.read_text().replace(",", separator).replace("\n", "\r\n")
    path.write_text(f"\ufeffsep={separator}\r\n{text}")
    assert read(reviewed, path).recorded == 24


def _change_line(number: int, old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        lines = text.splitlines()
        assert old in lines[number - 1]
        lines[number - 1] = lines[number - 1].replace(old, new, 1)
        return "\n".join(lines)

    return change


BAD_SHEETS = {
    "foreign pair": (_change_line(3, "wiki-", "other-"), "Line 3: no sample of this lake has the pair 'other-"),
    "foreign track": (_change_line(5, "/folder:", "/youtube:"), "Line 5: no sample"),
    "bad value": (_change_line(5, ",yes,", ",yess,"), "Line 5: rating is 'yess'; write yes, no or unsure"),
    "missing column": (_change_line(1, "rating,", "note2,"), "no column rating"),
    "wrong column": (_change_line(1, "artist", "singer"), "column 'singer', which no sheet has"),
    "column twice": (_change_line(1, "artist", "album"), "column album twice"),
    "short line": (lambda text: text + "\nwiki-01/folder:1-0,yes\n", "cells for 14 columns"),
    "other film": (_change_line(6, ",Film ", ",Other "), "Line 6: the film of pair"),
    "two answers": (
        lambda text: text + text.splitlines()[1].replace(",yes,", ",no,"),
        "says no to a pair to which line 2",
    ),
    "empty": (lambda text: "", "is empty"),
    "header only": (lambda text: text.splitlines()[0], "no answer in the column rating"),
    "quote": (lambda text: text + '"wiki', "is not CSV"),
}


@pytest.mark.parametrize("fault", BAD_SHEETS)
def test_a_bad_sheet_is_a_sentence_and_nothing_is_stored(reviewed: Lake, sheet: Sheet, fault: str) -> None:
    change, message = BAD_SHEETS[fault]
    path = sheet({2: "no"}, albums=(0,))
    path.write_text(change(path.read_text()))
    with pytest.raises(InputError, match=message):
        read(reviewed, path)
    assert tables.latest(reviewed, RATINGS).num_rows == tables.latest(reviewed, ALBUM_REVIEWS).num_rows == 0


def test_a_sheet_in_another_encoding_or_of_another_lake_is_refused(
    reviewed: Lake, sheet: Sheet, copy_of_empty_lake: Callable[[], Lake], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no sample yet"):
        read(copy_of_empty_lake(), sheet())
    (tmp_path / "latin.csv").write_bytes("pair,rating,note\nwiki-00/folder:0-0,yes,é\n".encode("cp1252"))
    with pytest.raises(InputError, match="CSV UTF-8"):
        read(reviewed, tmp_path / "latin.csv")


def test_two_raters_are_kept_apart_and_a_file_of_one_name_is_not_taken_for_the_same_person(
    reviewed: Lake, sheet: Sheet
) -> None:
    path = sheet()
    read(reviewed, path)
    sheet({0: "no"})
    with pytest.raises(InputError, match="give --rater"):
        read(reviewed, path)
    read(reviewed, path, "ben")
    assert rows(reviewed, "SELECT rater, count(*) AS n FROM ratings GROUP BY ALL ORDER BY ALL") == [
        {"rater": "anna", "n": 24},
        {"rater": "ben", "n": 24},
    ]
    sheet()
    assert read(reviewed, path, "ben").recorded == 1


def test_a_rater_is_the_same_person_however_the_name_is_written(reviewed: Lake, sheet: Sheet) -> None:
    read(reviewed, sheet(), "Anna  B")
    assert read(reviewed, sheet({0: "no"}), "anna b").recorded == 1
    assert rows(reviewed, "SELECT DISTINCT rater FROM ratings") == [{"rater": "Anna B"}]


def test_a_pair_that_is_in_a_sheet_twice_is_recorded_once(reviewed: Lake, sheet: Sheet) -> None:
    path = sheet()
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, f"{lines[1]}heard twice"]))
    assert (read(reviewed, path).recorded, read(reviewed, path).recorded) == (24, 0)


def test_a_pair_that_is_in_a_sheet_twice_keeps_both_notes(reviewed: Lake, sheet: Sheet) -> None:
    path = sheet()
    lines = path.read_text().splitlines()
    path.write_text("\n".join([lines[0], f"{lines[1]}strings", *lines[2:], f"{lines[1]}heard twice", lines[1]]))
    read(reviewed, path)
    assert rows(reviewed, "SELECT note FROM ratings WHERE note <> ''") == [{"note": "strings; heard twice"}]


def test_the_lines_of_notes_without_a_rating_are_named(reviewed: Lake, sheet: Sheet) -> None:
    path = sheet({1: "", 4: ""})
    lines = path.read_text().splitlines()
    path.write_text("\n".join(f"{line}Which take?" if n in (2, 3, 5) else line for n, line in enumerate(lines)))
    imported = read(reviewed, path)
    assert (imported.unrated, imported.unrated_notes) == (2, (3, 6))


def test_a_title_that_a_spreadsheet_took_for_a_date_is_not_mixed_up(small_lake: SmallLake, tmp_path: Path) -> None:
    for row in small_lake.tracks.values():
        row |= {"source": "youtube", "title": "7-11", "score": 1.0, "score_parts": {"official": 1.0}}
    lake = small_lake.committed()
    text = csv_sheet(draw_sample(lake, Decision.TAKEN, 50, 0, "run")).replace(",7-11,", ",07. Nov,")
    path = tmp_path / "anna.csv"
    path.write_text("\n".join(f"{line[:-2]}yes,," if "Nov" in line else line for line in text.splitlines()))
    assert read(lake, path).recorded == 24


def test_kappa_is_cohens(reviewed: Lake, sheet: Sheet) -> None:
    read(reviewed, sheet(dict.fromkeys(range(6), "no")), "anna")
    read(reviewed, sheet(dict.fromkeys(range(4, 8), "no") | {23: "unsure"}), "ben")
    [row] = rows(reviewed, "FROM review_agreement")
    by_chance = (17 * 19 + 6 * 4) / 23**2
    assert (row["both_yes"], row["both_no"], row["yes_and_no"], row["no_and_yes"], row["unsure"]) == (15, 2, 2, 4, 1)
    assert row["kappa"] == pytest.approx((17 / 23 - by_chance) / (1 - by_chance))


def test_kappa_of_raters_who_only_say_yes_is_null(reviewed: Lake, sheet: Sheet) -> None:
    read(reviewed, sheet(), "anna")
    read(reviewed, sheet(), "ben")
    [row] = rows(reviewed, "FROM review_agreement")
    assert (row["agreement"], row["kappa"]) == (1.0, None)


def test_precision_has_wilsons_interval(reviewed: Lake, sheet: Sheet) -> None:
    read(reviewed, sheet(dict.fromkeys(range(3), "no")))
    [row] = rows(reviewed, "FROM review_precision WHERE slice_by = 'all'")
    n, share, z = 24, 21 / 24, 1.959964
    centre, half = share + z * z / 2 / n, z * math.sqrt(share * (1 - share) / n + z * z / 4 / n**2)
    assert row["precision"] == pytest.approx(share)
    assert (row["low"], row["high"]) == pytest.approx(
        ((centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n))
    )


def test_precision_is_weighted_by_what_each_pair_represents(reviewed: Lake, sample: Sample, sheet: Sheet) -> None:
    low = [number for number, row in enumerate(sample.rows) if row["band"] == "0.7–0.8"]
    read(reviewed, sheet(dict.fromkeys(low, "no") | {n: "" for n in range(24) if n not in low[:2] and n % 2}))
    found = {row["slice"]: row for row in rows(reviewed, "FROM review_precision WHERE slice_by IN ('all', 'band')")}
    assert found["0.7–0.8"]["precision"] == 0 and found["0.9–1.0"]["precision"] == 1
    assert found["all"]["rated"] < 24 and found["all"]["precision"] == pytest.approx(16 / 24)


def test_a_no_of_either_rater_counts_until_somebody_decides(reviewed: Lake, sample: Sample, sheet: Sheet) -> None:
    read(reviewed, sheet({0: "no", 1: "unsure"}), "anna")
    read(reviewed, sheet(), "ben")
    assert [row["pair"] for row in rows(reviewed, "FROM review_disagreements")] == ["/".join(pair(sample, 0))]
    answers = read_reviews(reviewed)
    assert answers[pair(sample, 0)] is False and answers[pair(sample, 1)] is True
    record_review(reviewed, *pair(sample, 0), is_match=True, note="", run_id="run")
    assert read_reviews(reviewed)[pair(sample, 0)] is True and not rows(reviewed, "FROM review_disagreements")


def test_an_answer_for_a_whole_album_counts_for_its_other_tracks(reviewed: Lake, sample: Sample, sheet: Sheet) -> None:
    number = next(n for n, row in enumerate(sample.rows) if row["kind"] == "delivery")
    read(reviewed, sheet(dict.fromkeys(range(24), "") | {number: "no"}, albums=(number,)))
    film_id, track_id = pair(sample, number)
    refused = {one for one, is_match in read_reviews(reviewed).items() if not is_match and one[1].startswith("folder:")}
    assert (film_id, track_id) in refused and {one[0] for one in refused} == {film_id}
