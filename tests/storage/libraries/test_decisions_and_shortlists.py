"""Keeps, rejects and shortlists are rows: the newest counts, and SQL reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.errors import InputError
from storage.lake.lake import Lake
from storage.libraries.decisions_and_shortlists import (
    REMOVED,
    AskedQuery,
    Decision,
    change_shortlist,
    find_shortlist,
    make_shortlist,
    put_track,
    read_decisions,
    read_shortlists,
    record_decision,
    record_query,
    remove_track,
    shortlist_tracks,
)
from storage.metrics.database import connect_metrics
from storage.tables.tables import open_tables
from storage.views.lake_views import define_lake_views

QUERY = AskedQuery(plot=("A chase.",), tags=("Thriller films",), image=b"jpeg")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_tables(str(tmp_path / "lake"))


def test_the_same_query_has_the_same_id_and_another_one_has_not() -> None:
    again = AskedQuery(plot=("A chase.",), tags=("Thriller films",), image=b"jpeg", like_weight=0.9)
    assert again.query_id == QUERY.query_id  # the weight of no reference says nothing
    others = [
        AskedQuery(plot=("A chase.",)),
        AskedQuery(plot=("A chase.",), likes=("t",)),
        AskedQuery(tags=("A chase.",)),
    ]
    assert len({QUERY.query_id, *(other.query_id for other in others)}) == 4


def test_a_later_decision_replaces_an_earlier_one_about_the_same_query(lake: Lake) -> None:
    query_id = record_query(lake, QUERY, "test")
    for decision in ("keep", "reject"):
        record_decision(lake, Decision(query_id, "mine", "t1", decision, "run-1", "mean", 3, 0.5), "test")  # type: ignore[arg-type]
    record_decision(lake, Decision("another", "mine", "t1", "keep"), "test")
    [row] = read_decisions(lake, query_id)
    assert (row["decision"], row["model_run"], row["rank"]) == ("reject", "run-1", 3)
    assert len(read_decisions(lake)) == 2
    record_decision(lake, Decision(query_id, "mine", "t1", "undecided"), "test")
    assert read_decisions(lake, query_id) == []


def test_sql_joins_decisions_with_what_was_asked(lake: Lake) -> None:
    for _ in range(2):
        record_query(lake, QUERY, "test")
    record_decision(lake, Decision(QUERY.query_id, "mine", "t1", "keep", "run-1"), "test")
    with connect_metrics(lake) as connection:
        define_lake_views(connection, lake, temporary=True)
        joined = "library_decisions JOIN library_queries USING (query_id)"
        query = f"SELECT plot, tags, track_id, decision, model_run FROM {joined}"
        assert connection.execute(query).fetchall() == [(["A chase."], ["Thriller films"], "t1", "keep", "run-1")]


def test_a_shortlist_keeps_its_tracks_and_notes(lake: Lake) -> None:
    made = make_shortlist(lake, "  Scene 12,\n the chase ", "test")["shortlist_id"]
    put_track(lake, made, ("mine", "t1"), "test", {"title": "One", "from_second": 9.92, "note": "loud"})
    put_track(lake, made, ("mine", "t2"), "test", {"title": "Two"})
    put_track(lake, made, ("mine", "t1"), "test", {"note": "louder"})
    [one, two] = shortlist_tracks(Lake(lake.root), made)
    assert (one["title"], one["from_second"], one["note"], two["note"]) == ("One", 9.92, "louder", "")
    [shown] = read_shortlists(lake)
    assert (shown["name"], shown["tracks"]) == ("Scene 12, the chase", 2)
    remove_track(lake, made, ("mine", "t1"), "test")
    assert [row["track_id"] for row in shortlist_tracks(lake, made)] == ["t2"]


def test_a_shortlist_is_renamed_and_removed(lake: Lake) -> None:
    made = make_shortlist(lake, "One", "test")["shortlist_id"]
    change_shortlist(lake, made, "test", {"name": "Two", "note": "for the trailer"})
    assert (find_shortlist(lake, made)["name"], find_shortlist(lake, made)["note"]) == ("Two", "for the trailer")
    change_shortlist(lake, made, "test", {"state": REMOVED})
    assert read_shortlists(lake) == []
    with pytest.raises(InputError, match="no such shortlist"):
        put_track(lake, made, ("mine", "t1"), "test", {})


@pytest.mark.parametrize("name", ["", "   ", "x" * 101, "taken", "TAKEN"])
def test_a_name_that_is_empty_too_long_or_taken_is_refused(lake: Lake, name: str) -> None:
    make_shortlist(lake, "Taken", "test")
    with pytest.raises(InputError):
        make_shortlist(lake, name, "test")


def test_a_note_that_is_too_long_is_refused_and_not_cut(lake: Lake) -> None:
    made = make_shortlist(lake, "One", "test")["shortlist_id"]
    with pytest.raises(InputError, match="2,000 characters"):
        put_track(lake, made, ("mine", "t1"), "test", {"note": "x" * 2001})
    assert shortlist_tracks(lake, made) == []


def test_a_track_that_is_not_on_the_list_can_not_be_taken_off(lake: Lake) -> None:
    made = make_shortlist(lake, "One", "test")["shortlist_id"]
    with pytest.raises(InputError, match="not on the shortlist"):
        remove_track(lake, made, ("mine", "t1"), "test")
