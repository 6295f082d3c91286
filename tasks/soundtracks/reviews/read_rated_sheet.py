"""Read a rated sheet, and record its answers: all of a file or, when a line of it is wrong, none.

A sheet may come back from a spreadsheet: with a byte-order mark, semicolons or tabs, columns in another order, and
ratings in any obvious spelling. What cannot be read exactly as it was meant ends with a sentence that names the line.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.records.review_answers_and_agreement import NO, UNSURE, YES, album_of_track, record_new_rows, sampled_pairs
from storage.tables import tables
from storage.tables.schemas import ALBUM_REVIEWS, RATINGS
from tasks.soundtracks.reviews.write_rating_sheet import ANSWER_COLUMNS, SHOWN_COLUMNS

RATER = "rater"
REQUIRED = ("pair", "rating")
COLUMNS = (*SHOWN_COLUMNS, *ANSWER_COLUMNS, RATER)
_SPELLINGS = {
    YES: "yes y true t 1 1.0 1,0 right correct match ok ✓ ✔ ✅ ja j oui si sí sì sim evet tak да はい 是 예 네",
    NO: "no n false f 0 0.0 0,0 wrong incorrect ✗ ✘ ❌ nein nee nej non não hayır nie нет いいえ 否 아니오 아니요",
    UNSURE: "unsure u ? ?? maybe unclear unknown unsicher",
}
_ANSWERS = {spelling: answer for answer, spellings in _SPELLINGS.items() for spelling in spellings.split()}
_TRUE, _FALSE = (
    "wahr vrai vero verdadero verdadeiro waar prawda истина doğru",
    "falsch faux falso onwaar fałsz ложь yanlış",
)
"""What spreadsheets make of TRUE and FALSE in other languages."""
_ANSWERS |= dict.fromkeys(_TRUE.split(), YES) | dict.fromkeys(_FALSE.split(), NO)
_ANSWERS |= dict.fromkeys(("not sure", "don't know", "do not know"), UNSURE) | {"no match": NO, "not a match": NO}


@dataclass(frozen=True)
class Imported:
    """What an import recorded: answers that are new or changed, and how many of the file's rows have none yet."""

    raters: tuple[str, ...]
    answers: Mapping[str, int]
    """How often the file says yes, no and unsure."""
    recorded: int
    albums: int
    unrated: int
    unrated_notes: tuple[int, ...]
    """The lines that have a note and no rating; a note is recorded only with an answer."""


@dataclass(frozen=True)
class _Rated:
    """One rated line of a sheet."""

    line: int
    film_id: str
    track_id: str
    rater: str
    answer: str
    note: str
    is_for_album: bool


def import_ratings(lake: Lake, path: Path, rater: str | None, run_id: str) -> Imported:
    """Record the answers of a rated sheet under the rater's name; the same file again changes nothing.

    Without `rater` the name is that in the sheet, or else the file's name, and recorded answers are not replaced: two
    people's files of one name would be taken for one person's.

    Raises `InputError`, which names the line, for anything that cannot be read; then nothing is recorded.
    """
    name = _check_name(rater, "--rater") if rater is not None else None
    rows = list(_read_rows(path))
    pairs = sampled_pairs(lake)
    if not pairs:
        raise InputError("This lake has no sample yet; draw one with `needledrop review sample --taken`")
    named = {row[RATER].strip() for _line, row in rows} - {""}
    if name is not None and len(named) > 1:
        raise InputError(f"{path} names {len(named)} raters, {', '.join(sorted(named))}; leave out --rater")
    spelled = _raters(lake)
    rated = []
    for line, row in rows:
        rater_name = " ".join((name or row[RATER].strip() or path.stem).split())
        one = _read_rating(line, row, spelled.setdefault(rater_name.casefold(), rater_name), pairs)
        rated += [one] if one is not None else []
    if not rated:
        raise InputError(f"{path} has no answer in the column rating; write yes, no or unsure there")
    _check_repeated(rated)
    ratings = list(_rating_rows(rated))
    albums = list(_album_rows(lake, rated))
    if name is None and not named:
        _check_unchanged(lake, ratings, path)
    recorded = record_new_rows(lake, RATINGS, ratings, run_id)
    return Imported(
        tuple(sorted({one.rater for one in rated})),
        Counter(one.answer for one in rated),
        recorded,
        record_new_rows(lake, ALBUM_REVIEWS, albums, run_id),
        len(rows) - len(rated),
        tuple(line for line, row in rows if row["note"] and not row["rating"]),
    )


def _raters(lake: Lake) -> dict[str, str]:
    """Return the names of raters by their lower case: "Anna" and "anna" are one person, who agrees with herself."""
    names = tables.latest(lake, RATINGS, ["rater"])["rater"].to_pylist()
    return {name.casefold(): name for name in sorted(names)}


def _check_name(name: str, where: str) -> str:
    if not name.strip():
        raise InputError(f"{where} is empty; give the rater's name")
    return name.strip()


def _read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a sheet with the number of the line where each begins."""
    reader = csv.reader(io.StringIO(text := _read_text(path), newline=""), delimiter=_delimiter(text), strict=True)
    columns: list[str] = []
    before = 0
    try:
        for cells in reader:
            line, before = before + 1, reader.line_num
            if not any(cell.strip() for cell in cells) or (not columns and re.fullmatch(r"(?i)sep=.?", "".join(cells))):
                continue
            if not columns:
                columns = _read_header(path, line, cells)
            else:
                yield line, _named_cells(line, columns, cells)
    except csv.Error as error:
        raise InputError(
            f"Line {reader.line_num} of {path} is not CSV ({error}); save the sheet as CSV again"
        ) from error
    if not columns:
        raise InputError(f"{path} is empty; give a sheet of `needledrop review sample` with ratings")


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise InputError(f"There is no file {path}; give a rated sheet of `needledrop review sample`") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not in UTF-8; save it from the spreadsheet as “CSV UTF-8”") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a rated sheet as a CSV file") from error


def _delimiter(text: str) -> str:
    header = next((line for line in text.splitlines() if line.strip() and not line.lower().startswith("sep=")), "")
    return max(",;\t", key=header.count)


def _read_header(path: Path, line: int, cells: list[str]) -> list[str]:
    columns = [cell.strip().casefold().replace(" ", "_") for cell in cells]
    while columns and not columns[-1]:
        columns.pop()
    for name in REQUIRED:
        if name not in columns:
            raise InputError(f"Line {line} of {path} has no column {name}; keep the header of the sheet as it was")
    for name, count in Counter(columns).items():
        if name not in COLUMNS:
            raise InputError(
                f"Line {line} of {path} has the column {name!r}, which no sheet has; its columns are "
                f"{', '.join(COLUMNS)}"
            )
        if count > 1:
            raise InputError(f"Line {line} of {path} has the column {name} twice; keep one")
    return columns


def _named_cells(line: int, columns: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) < len(columns) or any(cell.strip() for cell in cells[len(columns) :]):
        raise InputError(f"Line {line} has {len(cells)} cells for {len(columns)} columns; save the sheet as CSV again")
    return dict.fromkeys(COLUMNS, "") | {name: cell.strip() for name, cell in zip(columns, cells, strict=False)}


def _read_rating(
    line: int, row: Mapping[str, str], rater: str, pairs: Mapping[str, Mapping[str, Any]]
) -> _Rated | None:
    """Return the answer of a row, or None if it has none yet."""
    pair = row["pair"]
    if pair not in pairs:
        raise InputError(f"Line {line}: no sample of this lake has the pair {pair!r}; restore the column pair")
    for column in ("film", "track"):
        if row[column] and not _may_be_same(row[column], pairs[pair][column]):
            raise InputError(
                f"Line {line}: the {column} of pair {pair} is {pairs[pair][column]!r}, not {row[column]!r}; "
                "rows were mixed up, as when one column is sorted alone: copy the ratings into the sheet as it was"
            )
    answer = _read_answer(line, "rating", row["rating"])
    is_for_album = _read_answer(line, "whole_album", row["whole_album"]) == YES
    if is_for_album and answer not in (YES, NO):
        raise InputError(f"Line {line}: whole_album is yes, so rating must be yes or no, not {row['rating']!r}")
    if answer is None:
        return None
    film_id, track_id = pair.split("/", 1)
    return _Rated(line, film_id, track_id, rater, answer, row["note"], is_for_album)


def _read_answer(line: int, column: str, text: str) -> str | None:
    """Return yes, no or unsure as a cell says in any spelling, None for an empty one."""
    spelled = " ".join(text.replace("\ufe0f", "").casefold().strip(" .!'\"").split())
    if not spelled:
        return None
    if spelled not in _ANSWERS:
        raise InputError(f"Line {line}: {column} is {text!r}; write yes, no or unsure")
    return _ANSWERS[spelled]


def _may_be_same(shown: str, stored: str | None) -> bool:
    """Return whether a cell may be a text as a spreadsheet gave it back: "7-11" comes back as a date."""
    return _letters(shown) == _letters(stored) or not any(letter.isalpha() for letter in stored or "")


def _letters(text: str | None) -> str:
    """Return the letters and digits of a text: a spreadsheet may change the rest."""
    return re.sub(r"[\W_]+", "", (text or "").casefold())


def _check_repeated(rated: list[_Rated]) -> None:
    """Raise `InputError` for a pair that a rater answered twice, differently."""
    first: dict[tuple[str, str, str], _Rated] = {}
    for one in rated:
        other = first.setdefault((one.film_id, one.track_id, one.rater), one)
        if other.answer != one.answer:
            raise InputError(
                f"Line {one.line} says {one.answer} to a pair to which line {other.line} says {other.answer}; keep one"
            )


def _rating_rows(rated: list[_Rated]) -> Iterator[dict[str, Any]]:
    """Yield one row per pair and rater; a pair that a sheet has twice keeps the notes of both lines."""
    by_key: dict[tuple[str, str, str], list[_Rated]] = {}
    for one in rated:
        by_key.setdefault((one.film_id, one.track_id, one.rater), []).append(one)
    for (film_id, track_id, rater), lines in by_key.items():
        note = "; ".join(dict.fromkeys(one.note for one in lines if one.note))
        yield {"film_id": film_id, "track_id": track_id, "rater": rater, "answer": lines[0].answer, "note": note}


def _album_rows(lake: Lake, rated: list[_Rated]) -> Iterator[dict[str, Any]]:
    """Yield the `album_reviews` rows of the answers that hold for a whole album."""
    answers: dict[tuple[str, str, str], _Rated] = {}
    for one in rated:
        if not one.is_for_album:
            continue
        album = _album_of(lake, one)
        other = answers.setdefault((one.film_id, album["album"], one.rater), one)
        if other.answer != one.answer:
            raise InputError(
                f"Line {one.line} says {one.answer} to an album to which line {other.line} says {other.answer}; "
                "keep one"
            )
        key = {"film_id": one.film_id, "album": album["album"], "rater": one.rater}
        yield {**key, "album_title": album["album_title"], "is_match": one.answer == YES, "note": one.note}


def _album_of(lake: Lake, one: _Rated) -> dict[str, str]:
    album = album_of_track(lake, one.film_id, one.track_id)
    if album is None:
        raise InputError(f"Line {one.line}: this recording has no album, so whole_album must be empty")
    return album


def _check_unchanged(lake: Lake, ratings: list[dict[str, Any]], path: Path) -> None:
    """Raise `InputError` if another answer is recorded under the name that the file gave its rater."""
    stored = {
        (row["film_id"], row["track_id"], row["rater"]): row["answer"]
        for row in tables.latest(lake, RATINGS, ["film_id", "track_id", "rater", "answer"]).to_pylist()
    }
    for row in ratings:
        answer = stored.get((row["film_id"], row["track_id"], row["rater"]), row["answer"])
        if answer != row["answer"]:
            raise InputError(
                f"{row['rater']} has said {answer} to {row['film_id']}/{row['track_id']} before, and {path} says "
                f"{row['answer']}; give --rater with the name of whoever rated this file, the same to replace answers"
            )
