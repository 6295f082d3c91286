"""Find the films of a year on a wiki: the articles in the category "YYYY films" and its sub-categories.

The tree is walked to a maximum depth, each category once (categories may contain each other), and category redirects
are followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from storage.errors import InputError
from tasks.films.wiki.api_client import Wikipedia, listed, pages_of
from tasks.films.wiki.fetch_articles import IDS_PER_QUERY, wikitext_of

MAX_DEPTH = 3
"""Levels below "2022 films": by genre, by country and genre, and one more. Deeper ones are about other subjects."""
_ABOUT_FILMS = re.compile(r"\bfilms?\b|\bmovies?\b", re.IGNORECASE)
_CATEGORY_REDIRECT = re.compile(
    r"\{\{\s*(?:category ?redirect|cat ?redirect|cat ?redir|catredirect|seecat|soft category redirect)\s*\|"
    r"\s*(?:1\s*=\s*)?:?(?:category:)?\s*([^|{}\n]+)",
    re.IGNORECASE,
)


def films_of_years(client: Wikipedia, years: Iterable[int]) -> dict[int, str]:
    """Return the articles in the category trees of these years: page id -> title.

    Raises `InputError` if the wiki has no article in any of them.
    """
    requested = sorted(set(years))
    members: dict[int, str] = {}
    seen: set[str] = set()
    level = [f"Category:{year} films" for year in requested]
    for depth in range(MAX_DEPTH + 1):
        below, empty = _walk_level(client, level, seen, members)
        targets = redirect_targets(client, empty) if empty else []
        if targets:
            more, _ = _walk_level(client, targets, seen, members)
            below.extend(more)
        level = below if depth < MAX_DEPTH else []
        if not level:
            break
    if not members:
        raise InputError(
            f"{client.api_url} lists no film of {', '.join(map(str, requested))}; check the years and --wiki"
        )
    return members


def _walk_level(
    client: Wikipedia, categories: Sequence[str], seen: set[str], members: dict[int, str]
) -> tuple[list[str], list[str]]:
    """List each category that is not in `seen`; return the sub-categories, and the empty categories."""
    below, empty = [], []
    for category in categories:
        if category in seen:
            continue
        seen.add(category)
        count = 0
        for part in client.query(
            list="categorymembers", cmtitle=category, cmtype="page|subcat", cmprop="ids|title|type", cmlimit="max"
        ):
            for member in listed(part, "categorymembers", type=str, title=str, ns=int, pageid=int):
                count += 1
                title = member.get("title", "")
                if member.get("type") == "subcat" and _ABOUT_FILMS.search(title):
                    below.append(title)
                elif member.get("type") == "page" and member.get("ns") == 0 and member.get("pageid"):
                    members[member["pageid"]] = title
        if count == 0:
            empty.append(category)
    return below, empty


def redirect_targets(client: Wikipedia, categories: Sequence[str]) -> list[str]:
    """Return the categories that empty categories redirect to with `{{Category redirect|…}}`."""
    targets: list[str] = []
    for start in range(0, len(categories), IDS_PER_QUERY):
        titles = "|".join(categories[start : start + IDS_PER_QUERY])
        for part in client.query(prop="revisions", titles=titles, rvprop="content", rvslots="main"):
            for page in pages_of(part):
                text = wikitext_of(page) or ""
                targets.extend(f"Category:{match.strip()}" for match in _CATEGORY_REDIRECT.findall(text))
    return targets
