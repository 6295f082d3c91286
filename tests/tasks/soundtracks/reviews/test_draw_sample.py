"""The sample and its sheet: strata, weights, what raters see and what they do not."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.records.review_answers_and_agreement import record_review, sampled_pairs
from storage.takedown_list_and_erasure import record_takedown
from tasks.soundtracks.candidate_recordings import Decision
from tasks.soundtracks.reviews.draw_sample import Sample, divide_places, draw_sample, weights_of
from tasks.soundtracks.reviews.write_rating_sheet import csv_sheet, html_sheet, write_sheet

if TYPE_CHECKING:
    from tests.lakes import SmallLake


def pairs(sample: Sample) -> list[tuple[str, str]]:
    return [(row["film_id"], row["track_id"]) for row in sample.rows]


def test_a_small_lake_is_sampled_whole_and_shuffled(sample: Sample) -> None:
    assert len(set(pairs(sample))) == 24 and {row["weight"] for row in sample.rows} == {1.0}
    assert pairs(sample) != sorted(pairs(sample))


def test_the_same_lake_and_seed_give_the_same_sample(reviewed: Lake, sample: Sample) -> None:
    assert draw_sample(reviewed, Decision.TAKEN, 50, 0, "again") == sample
    assert pairs(draw_sample(reviewed, Decision.TAKEN, 50, 1, "again")) != pairs(sample)


def test_each_band_has_its_places_and_the_weights_add_up_to_the_lake(reviewed: Lake) -> None:
    rows = draw_sample(reviewed, Decision.TAKEN, 5, 3, "run").rows
    assert sorted(row["band"] for row in rows) == ["0.7–0.8"] * 5 + ["0.9–1.0"] * 5
    assert {row["kind"] for row in rows} == {"official_album", "delivery", "search"}
    assert {row["language"] for row in rows} <= {"English", "Tamil", "unknown"}
    assert sum(row["weight"] for row in rows) == pytest.approx(24)


def test_decades_have_their_share_of_each_stratum(sample: Sample, reviewed: Lake) -> None:
    rows = draw_sample(reviewed, Decision.TAKEN, 8, 5, "run").rows
    strata = {(row["band"], row["kind"]) for row in rows}
    for stratum in strata:
        all_here, here = ([row for row in of if (row["band"], row["kind"]) == stratum] for of in (sample.rows, rows))
        for decade in {row["decade"] for row in all_here}:
            share = sum(row["decade"] == decade for row in all_here) * len(here) / len(all_here)
            assert abs(sum(row["decade"] == decade for row in here) - share) < 1


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["low", "high"]), st.sampled_from("abcdef")), st.integers(1, 10**6), min_size=1
    ),
    st.integers(1, 200),
)
def test_places_and_weights_fit_any_lake(sizes: dict[tuple[str, str], int], per_band: int) -> None:
    places = divide_places(sizes, per_band)
    weights = weights_of(sizes, places)
    for band in {band for band, _kind in sizes}:
        total = sum(size for stratum, size in sizes.items() if stratum[0] == band)
        here = {stratum: count for stratum, count in places.items() if stratum[0] == band}
        assert sum(here.values()) == min(per_band, total)
        assert all(count <= sizes[stratum] for stratum, count in here.items())
        assert sum(count * weights[s] for s, count in here.items() if count) == pytest.approx(total)


def test_what_was_taken_down_or_refused_is_not_shown(reviewed: Lake) -> None:
    for item in ("wiki-03", "folder:4-0", "channel:channel0"):
        record_takedown(reviewed, item, "asked", "run")
    record_review(reviewed, "wiki-05", "folder:5-1", is_match=False, note="", run_id="run")
    drawn = pairs(draw_sample(reviewed, Decision.TAKEN, 50, 0, "run"))
    gone = {("wiki-03", "folder:3-0"), ("wiki-04", "folder:4-0"), ("wiki-00", "folder:0-0"), ("wiki-05", "folder:5-1")}
    assert len(drawn) == 19 and not gone & set(drawn)


def test_what_is_left_for_review_is_sampled_without_taken(small_lake: SmallLake) -> None:
    small_lake.tracks["wiki-03", "folder:3-0"] |= {"decision": "review", "segments": None, "score": 0.62}
    sample = draw_sample(small_lake.committed(), Decision.REVIEW, 50, 0, "run")
    assert pairs(sample) == [("wiki-03", "folder:3-0")] and sample.rows[0]["band"] == "0.6–0.7"


def test_a_lake_without_recordings_is_refused(small_lake: SmallLake) -> None:
    small_lake.tracks.clear()
    with pytest.raises(InputError, match="nothing to sample"):
        draw_sample(small_lake.committed(), Decision.TAKEN, 50, 0, "run")


def test_the_sheets_show_neither_score_nor_decision_nor_reason(sample: Sample) -> None:
    [header] = list(csv.reader(io.StringIO(csv_sheet(sample))))[:1]
    assert not {"score", "decision", "reason", "band", "kind", "weight"} & set(header)
    for text in (csv_sheet(sample), html_sheet(sample)):
        assert not re.search(r"0\.75|\btaken\b|\bmatched\b|official_album", text)


def test_the_sheets_have_every_pair_once_with_its_links(reviewed: Lake, sample: Sample) -> None:
    rows = list(csv.DictReader(io.StringIO(csv_sheet(sample))))
    assert {row["pair"] for row in rows} == set(sampled_pairs(reviewed))
    assert rows[0]["length"] == "0:31" and rows[0]["plot"] == "A beginning. An end."
    page = html_sheet(sample)
    assert all(f'data-pair="{row["pair"]}"' in page and f'href="{row["listen"]}"' in page for row in rows)


def test_hostile_titles_are_escaped_and_never_formulas(sample: Sample) -> None:
    hostile = {"film": '=HYPERLINK("x")', "track": '"><script>alert(1)</script>', "listen": "javascript:alert(1)"}
    changed = replace(sample, shown=({**sample.shown[0], **hostile},))
    assert next(csv.DictReader(io.StringIO(csv_sheet(changed))))["film"].startswith("'=")
    page = html_sheet(changed)
    assert page.count("<script") == 1 and 'href="javascript' not in page


def test_the_page_allows_only_its_own_script_and_style(sample: Sample) -> None:
    page = html_sheet(sample)
    policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)[0]
    assert "default-src 'none'" in policy and "unsafe" not in policy
    for tag in ("script", "style"):
        [text] = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert not re.search(r"\s(?:style|on\w+|src)=", page)


def test_a_sheet_with_ratings_is_not_overwritten(sample: Sample, tmp_path: Path) -> None:
    csv_path, _html = write_sheet(sample, tmp_path)
    assert write_sheet(sample, tmp_path)[0] == csv_path
    csv_path.write_text("rated")
    with pytest.raises(InputError, match="name another folder with --out"):
        write_sheet(sample, tmp_path)
    assert csv_path.read_text() == "rated"
