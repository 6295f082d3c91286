"""A wiki that changes between two runs: only what changed is fetched, and no deleted page stays present."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from storage.lake.lake import Lake
from storage.tables import tables
from storage.tables.schemas import FILMS, FLOW_RUNS, OUTCOMES
from tasks.films.parsing.article import PARSER_VERSION

if TYPE_CHECKING:
    from tests.integration.mediawiki.conftest import Wiki

Collect = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Films:
    """A lake with the films of 2021."""

    lake: Lake

    def rows(self) -> dict[int, dict[str, Any]]:
        """Return the newest row of each film by page id."""
        return {row["page_id"]: row for row in tables.latest(self.lake, FILMS).to_pylist()}


@pytest.fixture
def films(collect: Collect, wiki: Wiki, tmp_path: Path) -> Films:
    collect(years=[2021])
    wiki.clear_log()
    return Films(tables.open_tables(str(tmp_path / "lake")))


def _requests_for_text(wiki: Wiki) -> list[dict[str, Any]]:
    ours = [r for r in wiki.api_requests() if r["user_agent"].startswith("Needledrop/")]
    return [r for r in ours if "content" in r["uri"] or "content" in (r["post"] or {}).get("rvprop", "")]


def test_only_an_edited_page_is_fetched_again(films: Films, collect: Collect, wiki: Wiki) -> None:
    page_id = wiki.page_id("Recut")
    wiki.edit("Recut", wiki.text("Recut").replace("An editor", "A patient editor"))
    collect(years=[2021])
    assert films.rows()[page_id]["plot"][0].startswith("A patient editor")
    assert len(_requests_for_text(wiki)) == 1


def test_a_page_added_to_the_category_is_collected(films: Films, collect: Collect, wiki: Wiki) -> None:
    text = "{{Infobox film}}\n==Plot==\nIt came late and stayed until the lamps went out.\n[[Category:2021 films]]"
    wiki.edit("Late Picture", text)
    collect(years=[2021])
    assert films.rows()[wiki.page_id("Late Picture")]["state"] == "present"


def test_a_moved_page_keeps_its_id_under_a_new_title(films: Films, collect: Collect, wiki: Wiki) -> None:
    page_id = wiki.page_id("Moving House")
    wiki.move("Moving House", "House Moving")
    collect(years=[2021])
    assert films.rows()[page_id]["title"] == "House Moving"
    assert films.rows()[page_id]["url"].endswith("/wiki/House_Moving")


def test_a_deleted_page_is_marked_with_a_reason(films: Films, collect: Collect, wiki: Wiki) -> None:
    page_id = wiki.page_id("Doomed Picture")
    wiki.delete("Doomed Picture")
    collect(years=[2021])
    assert films.rows()[page_id]["state"] == "gone"
    rows = tables.latest(films.lake, OUTCOMES).to_pylist()
    (reason,) = {r["reason"] for r in rows if r["stage"] == "film" and r["item"] == f"enwiki-{page_id}"}
    assert reason == "missing"


def test_a_merged_page_is_marked_as_deleted(films: Films, collect: Collect, wiki: Wiki) -> None:
    page_id = wiki.page_id("Merged Picture")
    wiki.edit("Merged Picture", "#REDIRECT [[Lantern Row]]")
    collect(years=[2021])
    assert films.rows()[page_id]["state"] == "gone"


def test_a_template_that_changes_categories_changes_tags_without_a_fetch(
    films: Films, collect: Collect, wiki: Wiki
) -> None:
    page_id = wiki.page_id("Evergreen")
    before = films.rows()[page_id]
    assert "2020s adventure films" in before["tags"]
    wiki.edit("Template:Era", "<includeonly>[[Category:{{{1}}} quiet films]]</includeonly>")
    collect(years=[2021])
    after = films.rows()[page_id]
    assert "2020s quiet films" in after["tags"] and "2020s adventure films" not in after["tags"]
    assert after["revision_id"] == before["revision_id"]
    assert _requests_for_text(wiki) == []
    wiki.edit("Template:Era", "<includeonly>[[Category:{{{1}}} adventure films]]</includeonly>")


def test_a_run_that_a_limit_cut_short_records_no_time_to_start_from(films: Films, collect: Collect, wiki: Wiki) -> None:
    for title in ("Recut", "Evergreen"):
        wiki.edit(title, wiki.text(title) + "\nEdited again.")
    collect(years=[2021], limit=1)
    collect(years=[2021])
    rows = tables.latest(films.lake, FLOW_RUNS).to_pylist()
    has_time = {json.loads(row["parameters"])["limit"]: "wiki_time" in json.loads(row["summary"]) for row in rows}
    assert has_time == {1: False, None: True}


def test_after_a_long_pause_changes_are_found_by_a_sweep(films: Films, collect: Collect, wiki: Wiki) -> None:
    (row,) = tables.latest(films.lake, FLOW_RUNS).to_pylist()
    old = json.dumps({**json.loads(row["summary"]), "wiki_time": "2020-01-01T00:00:00+00:00"})
    tables.append(films.lake, FLOW_RUNS, [{**row, "summary": old}], "test")
    assert collect(years=[2021])["looked_by_sweep"] == 1


def test_pages_parsed_by_an_older_parser_are_parsed_again_without_a_fetch(
    films: Films, collect: Collect, wiki: Wiki
) -> None:
    older = [{**row, "parser_version": 0} for row in films.rows().values()]
    tables.append(films.lake, FILMS, older, "older")
    counts = collect(years=[2021])
    assert counts["read_again"] == len(older)
    assert {row["parser_version"] for row in films.rows().values()} == {PARSER_VERSION}
    assert _requests_for_text(wiki) == []
