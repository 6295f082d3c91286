"""Alternative titles from an article's first sentence and infobox, and the IMDb id from its links."""

from __future__ import annotations

import pytest

from tasks.films.parsing.alternative_titles_and_imdb_id import alternative_titles, imdb_id
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


LINKS = (
    "'''X''' is a film.\n==Sequel==\n{{IMDb title|0803038|Mei and the Kitten Bus|(2002)}}\n==External links==\n* %s\n"
)


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("{{IMDb title|0096283}}", "tt0096283"),
        ("{{IMDb title|id=83511|title=48 Hrs.}}", "tt0083511"),
        ("{{IMDB title| id = tt9399168 }}", "tt9399168"),
        ("{{imdb title|10872600|Spider-Man: No Way Home}} {{IMDb title|1}}", "tt10872600"),
        ("{{Imdb|film|0060176|Blow-Up}}", "tt0060176"),
        ("[https://www.imdb.com/title/tt0110912/ Pulp Fiction]", "tt0110912"),
        ("{{IMDb name|0001348}}", "tt0803038"),
        ("{{Imdb|nome|0001348}}", "tt0803038"),
        ("{{IMDb title}}", "tt0803038"),
    ],
)
def test_the_imdb_id_is_the_one_of_the_external_links(link: str, expected: str) -> None:
    assert imdb_id(LINKS % link) == expected


def test_of_several_titles_linked_in_the_text_none_is_taken() -> None:
    assert imdb_id("{{IMDb title|0000001}} {{IMDb title|0000002}}") is None
    assert imdb_id("{{IMDb title|0000001}} {{IMDb title|0000002}}", "0000003") == "tt0000003"
