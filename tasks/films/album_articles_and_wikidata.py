"""Look up evidence that needs requests: the articles of soundtrack albums, and the films' Wikidata ids.

Both ask for fifty at a time and record an outcome per film of stage evidence (item `FILM_ID/KIND…`): found, or that
there is none, so that nothing is asked twice. What an answer leaves out has no outcome and is asked for again. A page
for which the wiki fails each time waits longer and longer, and the rest of its fifty does not.
"""

from __future__ import annotations

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from storage.coordination.budgets import Budget
from storage.errors import Retry, SourcePaused
from storage.lake.lake import Lake
from storage.records import outcomes
from storage.records.outcomes import Outcome, Stage, Status
from storage.tables import duckdb_connection, tables
from storage.tables.schemas import FILMS
from tasks.films.commit import commit_listings, commit_outcomes, commit_wikidata_ids, listing_rows
from tasks.films.parsing.soundtrack_albums import album_listings
from tasks.films.parsing.track_lists import AlbumListing
from tasks.films.rate_limited_http import ApiError
from tasks.films.wiki.api_client import Wikipedia
from tasks.films.wiki.failing_pages import failing_outcomes, look_up_around_failures
from tasks.films.wiki.fetch_articles import fetch_titles, fetch_wikidata_ids
from tasks.films.wiki.site_and_pages import Page, Site, film_id
from tasks.progress import ReportProgress
from tasks.run_report import RunReport

ALBUM_PAGE = "album_page"
"""The kind of listings that the article about an album has: `album_page:1`, …; and of its outcomes."""
WIKIDATA = "wikidata"
AGAIN_AFTER = timedelta(days=90)
"""When what was not there is looked for again: articles and items are written late."""
LookUp = tuple[str, int, Callable[[], RunReport]]
"""The kind of a batch, the number of its items, and what looks them up."""
_WIKIDATA_ID = re.compile(r"Q\d{1,12}", re.ASCII)
log = logging.getLogger(__name__)


def wanted_albums(lake: Lake, wiki: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return the titles of albums' articles that were not looked up yet, each with the ids of its films."""
    looked_up = outcomes.not_due(lake, Stage.EVIDENCE)
    films: defaultdict[str, list[str]] = defaultdict(list)
    for film, title in _films(lake, wiki, "film_id, album_page", "album_page IS NOT NULL"):
        if _item(film, ALBUM_PAGE, title) not in looked_up:
            films[title].append(film)
    return [(title, tuple(names)) for title, names in sorted(films.items())]


def wanted_wikidata_ids(lake: Lake, wiki: str) -> list[int]:
    """Return the page ids of films without a Wikidata id that were not looked up yet."""
    looked_up = outcomes.not_due(lake, Stage.EVIDENCE)
    rows = _films(lake, wiki, "film_id, page_id", "wikidata_id IS NULL")
    return sorted(int(page_id) for film, page_id in rows if _item(film, WIKIDATA) not in looked_up)


def look_up_within_budget(
    jobs: Sequence[LookUp], client: Wikipedia, budget: Budget, progress: ReportProgress
) -> RunReport:
    """Look up batches until the day's budget of requests is spent, the wiki pauses, or it refuses such questions."""
    report = RunReport()
    done, total, owed = 0, sum(count for _kind, count, _job in jobs), 0
    refused: set[str] = set()
    for kind, count, job in jobs:
        if kind in refused:
            continue
        before = client.calls
        try:
            budget.reserve(requests=1 + owed)
        except SourcePaused as spent:
            log.info("%s", spent)
            report.counts["evidence_for_another_day"] = total - done
            break
        done_now = job()
        report.add(done_now)
        owed = max(0, client.calls - before - 1)  # a long answer takes more than one request
        if report.paused:
            break
        if done_now.counts["evidence_refused"]:
            refused.add(kind)  # such questions as a whole
        done += count
        progress("Looking up albums and ids", done, total)
    return report


def evidence_report(look_up: Callable[[], Counter[str]]) -> RunReport:
    """Return the report of one look-up. A wiki that refuses such queries must not end the collection of films."""
    try:
        counts = look_up()
    except SourcePaused as pause:
        return RunReport(paused=pause)
    except ApiError as error:
        log.warning("%s", error)
        return RunReport(Counter(evidence_refused=1))
    return RunReport(Counter({f"evidence_{reason}": count for reason, count in counts.items()}))


def look_up_albums(
    lake: Lake, client: Wikipedia, site: Site, albums: Sequence[tuple[str, tuple[str, ...]]], run_id: str
) -> Counter[str]:
    """Fetch the articles of at most fifty albums and commit what they list; return the number of films by reason."""

    def give_up(album: tuple[str, tuple[str, ...]]) -> Counter[str]:
        items = [_item(film, ALBUM_PAGE, album[0]) for film in album[1]]
        return commit_outcomes(lake, failing_outcomes(lake, Stage.EVIDENCE, items), run_id)

    return look_up_around_failures(
        client, albums, lambda part: _look_up_albums(lake, client, site, part, run_id), give_up
    )


def _look_up_albums(
    lake: Lake, client: Wikipedia, site: Site, albums: Sequence[tuple[str, tuple[str, ...]]], run_id: str
) -> Counter[str]:
    found = fetch_titles(client, site, [title for title, _ in albums])
    rows, results = {}, []
    for title, films in albums:
        if title not in found:
            continue
        page = found[title]
        for film in films:
            reason, listings = _read_album(film, page)
            if page is not None and listings:
                rows[film] = listing_rows(film, ALBUM_PAGE, listings, page)
            results.append(evidence_outcome(_item(film, ALBUM_PAGE, title), reason, f"{title} of {film}"))
    commit_listings(lake, ALBUM_PAGE, rows, run_id)
    return commit_outcomes(lake, results, run_id)


def look_up_wikidata_ids(
    lake: Lake, client: Wikipedia, site: Site, page_ids: Sequence[int], run_id: str
) -> Counter[str]:
    """Fetch the Wikidata ids of at most fifty films and commit them; return the number of films by reason."""

    def give_up(page_id: int) -> Counter[str]:
        items = [_item(film_id(site.wiki, page_id), WIKIDATA)]
        return commit_outcomes(lake, failing_outcomes(lake, Stage.EVIDENCE, items), run_id)

    return look_up_around_failures(
        client, page_ids, lambda part: _look_up_wikidata_ids(lake, client, site, part, run_id), give_up
    )


def _look_up_wikidata_ids(
    lake: Lake, client: Wikipedia, site: Site, page_ids: Sequence[int], run_id: str
) -> Counter[str]:
    answered = fetch_wikidata_ids(client, page_ids)
    found = {film_id(site.wiki, page_id): item for page_id, item in answered.items() if _is_item(item)}
    commit_wikidata_ids(lake, {film: str(item) for film, item in found.items()}, run_id)
    return commit_outcomes(lake, wikidata_outcomes(site.wiki, answered), run_id)


def wikidata_outcomes(wiki: str, answered: Mapping[int, str | None]) -> list[Outcome]:
    """Return the outcome of each page that the wiki answered about (page id -> Wikidata id or None)."""
    return [
        evidence_outcome(
            _item(film_id(wiki, page_id), WIKIDATA),
            "ok" if _is_item(item) else "no_item",
            f"Wikidata item of page {page_id}",
        )
        for page_id, item in sorted(answered.items())
    ]


def evidence_outcome(item: str, reason: str, what: str) -> Outcome:
    """Return the outcome of one look-up; what was not there is looked for again after `AGAIN_AFTER`."""
    if reason == "ok":
        return outcomes.ok(Stage.EVIDENCE, item)
    why = {
        "missing": "there is no such article",
        "not_an_album": "the article lists no tracks and has no album's infobox",
        "no_item": "the wiki names none",
        "no_album": "MusicBrainz links no soundtrack to it",
        "odd_answer": "the answer has no known form",
    }[reason]
    again = datetime.now(UTC) + AGAIN_AFTER
    return Outcome(Stage.EVIDENCE, item, Status.SKIPPED, reason, Retry.LATER, again, f"{what}: {why}")


def _read_album(film: str, page: Page | None) -> tuple[str, tuple[AlbumListing, ...]]:
    """Return the reason and the listings of an album's article; one that leads back to the film is no album's."""
    if page is None:
        return "missing", ()
    listings = album_listings(page.title, page.wikitext) if page.film_id != film else ()
    return ("ok", listings) if listings else ("not_an_album", ())


def _is_item(item: str | None) -> bool:
    return bool(item and _WIKIDATA_ID.fullmatch(item))


def _item(film: str, kind: str, *more: str) -> str:
    return "/".join((film, kind, *more))


def _films(lake: Lake, wiki: str, columns: str, condition: str) -> list[tuple[str, ...]]:
    with duckdb_connection.connect(lake) as connection:
        newest = tables.latest_sql(lake, FILMS)
        query = f"SELECT {columns} FROM {newest} WHERE state = 'present' AND wiki = ? AND {condition}"
        return connection.execute(query, [wiki]).fetchall()
