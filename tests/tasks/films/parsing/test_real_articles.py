"""Real Wikipedia articles: properties that hold for each, and values that were checked by hand for 32 of them.

`read_by_hand.tsv` has numbers and hashes only, because the texts belong to their authors. The paragraphs were
compared with the article's section line by line; a hash is the first twelve hexadecimal digits of a SHA-256.
"""

from __future__ import annotations

import csv
import hashlib
import re
from pathlib import Path

import pytest

from tasks.films.parsing.article import Article, parse_article
from tasks.films.parsing.plot import PLOT

BY_HAND = list(csv.DictReader((Path(__file__).parent / "read_by_hand.tsv").open(encoding="utf-8"), delimiter="\t"))
MARKUP = re.compile(r"\{\{|\}\}|\[\[|\]\]|\|thumb\||<ref|''|</?[a-z]+>|&[a-z]+;|\(\s*\)| ,|\s{2}")


@pytest.fixture(scope="module")
def parsed(real_articles: dict[str, str]) -> dict[str, Article]:
    return {path: parse_article(_title(path), text) for path, text in real_articles.items()}


def _title(path: str) -> str:
    return Path(path).stem.replace("_", " ").strip()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12] if text else "-"


def test_no_markup_is_left_in_any_paragraph(parsed: dict[str, Article]) -> None:
    leftovers = [(path, p) for path, article in parsed.items() for p in article.plot if MARKUP.search(p)]
    assert leftovers == []


def test_every_plot_section_with_prose_gives_a_plot(parsed: dict[str, Article], real_articles: dict[str, str]) -> None:
    without = []
    for path, text in real_articles.items():
        bare = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
        for match in re.finditer(r"^==\s*([^=\n]+?)\s*==\s*\n(.*?)(?=^==[^=]|\Z)", bare, re.MULTILINE | re.DOTALL):
            prose = re.sub(r"\{\{.*?\}\}|<ref.*?</ref>", "", match[2], flags=re.DOTALL)
            is_plot = PLOT.fullmatch(match[1].lower()) and len(prose.split()) > 20
            if is_plot and not parsed[path].reason and not parsed[path].plot:
                without.append(path)
    assert without == []


def test_tags_are_exactly_the_categories_of_films(parsed: dict[str, Article], real_articles: dict[str, str]) -> None:
    for path, article in parsed.items():
        if article.reason:
            continue
        names = re.findall(r"\[\[[Cc]ategory: *([^]|\n]*?films) *(?:\|[^]]*)?\]\]", real_articles[path])
        assert list(article.tags) == list(dict.fromkeys(name[0].upper() + name[1:] for name in names)), path


@pytest.mark.parametrize("expected", BY_HAND, ids=[row["path"] for row in BY_HAND])
def test_values_checked_by_hand_are_parsed(expected: dict[str, str], parsed: dict[str, Article]) -> None:
    article = parsed[expected["path"]]
    assert {
        "reason": article.reason or "film",
        "year": str(article.year or "-"),
        "paragraphs": str(len(article.plot)),
        "words": str(sum(len(p.split()) for p in article.plot)),
        "tags": str(len(article.tags)),
        "image": _hash(article.image or ""),
        "plot": _hash("\n".join(article.plot)),
    } == {name: value for name, value in expected.items() if name != "path"}
