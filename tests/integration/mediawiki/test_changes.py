"""A wiki that changes between two runs: only what changed is fetched, and nothing gone is kept as present."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from storage.tables import tables
from storage.tables.schemas import FILMS, FLOW_RUNS, OUTCOMES


@pytest.fixture
def films(collect: Any, wiki: Any, tmp_path: Path) -> Any:
    """A lake with 2021's films; gives what the newest rows say."""
    collect(years=[2021])
    wiki.clear_log()
    lake = tables.open_tables(str(tmp_path / "lake"))

    def newest() -> dict[int, dict[str, Any]]:
        return {row["page_id"]: row for row in tables.latest(lake, FILMS).to_pylist()}

    newest.lake = lake  # type: ignore[attr-defined]
    return newest


def _texts_fetched(wiki: Any) -> list[dict[str, Any]]:
    ours = [r for r in wiki.api_requests() if r["user_agent"].startswith("Needledrop/")]
    return [r for r in ours if "content" in r["uri"] or "content" in (r["post"] or {}).get("rvprop", "")]


def test_an_edited_page_alone_is_fetched_again(films: Any, collect: Any, wiki: Any) -> None:
    page_id = wiki.page_id("Recut")
    wiki.edit("Recut", wiki.text("Recut").replace("An editor", "A patient editor"))
    collect(years=[2021])
    assert films()[page_id]["plot"][0].startswith("A patient editor")
    assert len(_texts_fetched(wiki)) == 1


def test_a_page_that_joins_the_category_is_found(films: Any, collect: Any, wiki: Any) -> None:
    text = "{{Infobox film}}\n==Plot==\nIt came late and stayed until the lamps went out.\n[[Category:2021 films]]"
    wiki.edit("Late Picture", text)
    collect(years=[2021])
    assert films()[wiki.page_id("Late Picture")]["state"] == "present"


def test_a_moved_page_keeps_its_id_under_a_new_title(films: Any, collect: Any, wiki: Any) -> None:
    page_id = wiki.page_id("Moving House")
    wiki.move("Moving House", "House Moving")
    collect(years=[2021])
    assert films()[page_id]["title"] == "House Moving"
    assert films()[page_id]["url"].endswith("/wiki/House_Moving")


def test_a_deleted_page_is_gone_with_a_reason(films: Any, collect: Any, wiki: Any) -> None:
    page_id = wiki.page_id("Doomed Picture")
    wiki.delete("Doomed Picture")
    collect(years=[2021])
    assert films()[page_id]["state"] == "gone"
    rows = tables.latest(films.lake, OUTCOMES).to_pylist()
    (reason,) = {r["reason"] for r in rows if r["stage"] == "film" and r["item"] == f"enwiki-{page_id}"}
    assert reason == "missing"


def test_a_merged_page_is_gone(films: Any, collect: Any, wiki: Any) -> None:
    page_id = wiki.page_id("Merged Picture")
    wiki.edit("Merged Picture", "#REDIRECT [[Lantern Row]]")
    collect(years=[2021])
    assert films()[page_id]["state"] == "gone"


def test_a_template_that_changes_categories_changes_tags_without_a_fetch(films: Any, collect: Any, wiki: Any) -> None:
    page_id = wiki.page_id("Evergreen")
    before = films()[page_id]
    assert "2020s adventure films" in before["tags"]
    wiki.edit("Template:Era", "<includeonly>[[Category:{{{1}}} quiet films]]</includeonly>")
    collect(years=[2021])
    after = films()[page_id]
    assert "2020s quiet films" in after["tags"] and "2020s adventure films" not in after["tags"]
    assert after["revision_id"] == before["revision_id"]
    assert _texts_fetched(wiki) == []
    wiki.edit("Template:Era", "<includeonly>[[Category:{{{1}}} adventure films]]</includeonly>")


def test_a_run_that_a_limit_cut_short_is_not_where_the_next_one_begins(films: Any, collect: Any, wiki: Any) -> None:
    for title in ("Recut", "Evergreen"):
        wiki.edit(title, wiki.text(title) + "\nLooked at again.")
    collect(years=[2021], limit=1)
    collect(years=[2021])
    rows = tables.latest(films.lake, FLOW_RUNS).to_pylist()
    begins = {json.loads(row["parameters"])["limit"]: "wiki_time" in json.loads(row["summary"]) for row in rows}
    assert begins == {1: False, None: True}


def test_an_old_last_run_leads_to_a_sweep(films: Any, collect: Any, wiki: Any) -> None:
    (row,) = tables.latest(films.lake, FLOW_RUNS).to_pylist()
    old = json.dumps({**json.loads(row["summary"]), "wiki_time": "2020-01-01T00:00:00+00:00"})
    tables.append(films.lake, FLOW_RUNS, [{**row, "summary": old}], "test")
    assert collect(years=[2021])["looked_by_sweep"] == 1


def test_pages_read_by_an_older_parser_are_read_again_from_what_was_kept(
    films: Any, collect: Any, wiki: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.films.commit.PARSER_VERSION", 99)
    counts = collect(years=[2021])
    assert counts["read_again"] == len(films())
    assert {row["parser_version"] for row in films().values()} == {99}
    assert _texts_fetched(wiki) == []
