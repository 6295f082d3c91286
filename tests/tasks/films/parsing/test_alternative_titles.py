"""Alternative titles from an article's first sentence and infobox."""

from __future__ import annotations

import pytest

from tasks.films.parsing.alternative_titles import alternative_titles
from tasks.films.parsing.article import parse_article

SENTENCES = {
    "'''''Life Is Beautiful''''' ({{langx|it|La vita è bella}}) is a 1997 film.": ("La vita è bella",),
    "'''''Life Is Beautiful''''' ({{lang-it|'''La vita è bella'''|lit=x}}) is a film.": ("La vita è bella",),
    "'''''Life Is Beautiful''''', released in the UK as '''''Beautiful Life''''', is": ("Beautiful Life",),
    "'''''Life Is Beautiful''''' is a 1997 film by [[Roberto Benigni]]. '''x'''": (),
    "'''Life Is Beautiful'''<ref>'''A Reference'''</ref> (Italian: ''La vita è bella'') is a film.": (),
    "'''''Life Is Beautiful''''' ('''[[Life (film)|La vita]]''' or '''The ''Life''''') is": ("La vita", "The Life"),
    "{{Short description|'''no'''}}\n[[File:X.jpg|thumb|'''no''']]\n'''Life Is Beautiful''' is": (),
    "Plain words.\n\n== Plot ==\n'''''Not a Name''''' dies.": (),
}


@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_first_sentence_gives_alternative_titles(sentence: str) -> None:
    assert alternative_titles("Life Is Beautiful", sentence) == SENTENCES[sentence]


@pytest.mark.parametrize("value", ["La vita è bella", "{{native name|it|La vita è bella|italics=yes}}"])
def test_the_infobox_gives_the_native_name(value: str) -> None:
    box = f"{{{{Infobox film\n| name = Life\n| native_name = {value}\n}}}}\n'''''Life''''' is a film.\n"
    article = parse_article("Life (1997 film)", box + "[[Category:1997 films]]")
    assert article.names == ("La vita è bella",)


def test_an_unbalanced_first_sentence_takes_no_long_time() -> None:
    opening = "'''" + "'''a{{lang|it|" * 20_000
    assert len(alternative_titles("Life", opening)) <= 6
