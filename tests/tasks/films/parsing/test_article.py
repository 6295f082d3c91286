"""What is parsed from an article other than its plot: whether it is about a film, tags, year, image."""

from __future__ import annotations

import pytest

from tasks.films.parsing.article import looks_like_film, parse_article

BOX = "{{Infobox film\n| name = X\n%s}}\n'''X''' is a film.\n"


def _categories(*names: str) -> str:
    return "\n".join(f"[[Category:{name}]]" for name in names)


def test_tags_are_the_categories_whose_names_end_in_films() -> None:
    text = BOX % "" + "[[Category:2020 films]][[category: american_drama films |X]]\n[[Category:Demons in film]]"
    text += "[[Category:The Evil Dead (franchise) films|3]][[Category:2020 films]][[:Category:Linked films]]"
    text += "<!-- [[Category:Hidden films]] --><nowiki>[[Category:Shown films]]</nowiki>[[Category:Horror films| ]]"
    tags = ("2020 films", "American drama films", "The Evil Dead (franchise) films", "Horror films")
    assert parse_article("X", text).tags == tags


def test_categories_listed_by_the_wiki_replace_those_in_the_text() -> None:
    text = BOX % "" + _categories("2020 films")
    assert parse_article("X", text, ["2021 films", "Quiet films", "Ports"]).tags == ("2021 films", "Quiet films")


@pytest.mark.parametrize(
    ("parameter", "categories", "year"),
    [
        ("", ["2018 drama films", "2019 films"], 2019),
        ("", ["2018 drama films", "2010s films"], 2018),
        ("", ["2019 films", "2018 films"], 2018),
        ("| released = {{Film date|df=y|1961|9|1|Venice|1962|1|4}}\n", [], 1961),
        ("| released = 4 May 1985 (Berlin)<ref>{{cite|date=1999}}</ref>\n", [], 1985),
        ("| released = {{start date|2003|5|6}}\n", ["2000s films"], 2003),
        ("", ["2010s films", "Films set in 1974"], None),
    ],
)
def test_the_release_year_is_from_categories_else_from_the_infobox(
    parameter: str, categories: list[str], year: int | None
) -> None:
    assert parse_article("X", BOX % parameter + _categories(*categories)).year == year


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("X poster.jpg", "X poster.jpg"),
        ("x_poster.JPG", "X poster.JPG"),
        ("File:X.png", "X.png"),
        ("[[File:X logo.png|250px]]", "X logo.png"),
        ("[[image:X.jpeg]]<br>", "X.jpeg"),
        ("Ajay Devgn's X.jpg <!-- the first -->", "Ajay Devgn's X.jpg"),
        ("{{multiple image|image1=A.jpg|image2=B.jpg}}", "A.jpg"),
        ("{{CSS image crop|Image = A (1).webp|bSize=3}}", "A (1).webp"),
        ("X.jpg{{!}}border", "X.jpg"),
        ("", None),
        ("{{{image|}}}", None),
        ("a film poster", None),
    ],
)
def test_the_image_is_the_one_of_the_film_infobox(value: str, name: str | None) -> None:
    assert parse_article("X", BOX % f"| image = {value}\n").image == name


def test_the_image_of_another_infobox_is_ignored() -> None:
    text = "{{Infobox film\n| name = X}}\n{{Infobox album|cover=A.jpg\n| image = B.jpg}}\n" + _categories("2020 films")
    assert parse_article("X", text).image is None


def test_a_parameter_behind_a_comment_or_an_unclosed_template_is_found() -> None:
    assert parse_article("X", BOX % "<!-- {{a|b}}-->| image          = A.jpg\n").image == "A.jpg"
    assert parse_article("X", BOX % "| starring = {{plainlist|\n* A\n| image = A.jpg\n").image == "A.jpg"


FILMS = {
    "a box": ("X", BOX % ""),
    "a box by another spelling": ("X", "{{ infobox_Film|name=X}}"),
    "a cartoon": ("X", "{{Infobox Hollywood cartoon|name=X}}"),
    "a category without a box": ("X", _categories("1961 films", "Japanese drama films")),
    "a television film": ("X", "{{Infobox television|name=X}}" + _categories("1995 films", "1995 television films")),
    "a television film in its title": (
        "Foo (2010 TV film)",
        "{{Infobox television|name=X}}" + _categories("2010 television films"),
    ),
    "an animated film in its title": ("Foo (film)", "{{Infobox animanga/Header}}" + _categories("2010 anime films")),
    "a film about a list": ("List of Sins", BOX % "" + _categories("1995 films")),
    "a member of a series": ("X", BOX % "" + _categories("1995 films", "Batman film series")),
}
OTHERS = {
    "a series": ("Alpha (film series)", BOX % "" + _categories("Lionsgate films")),
    "a franchise": ("Final", BOX % "" + _categories("Film series introduced in 2000", "American film series")),
    "a programme with a film": (
        "Hercules",
        "{{Infobox television}}" + _categories("Television programs adapted into films"),
    ),
    "an animanga with a film": ("R", "{{Infobox animanga/Header}}" + _categories("1991 anime films")),
    "a person": ("W", "{{Infobox person}}{{Infobox film}}"),
    "a novel with a film in it": ("N", "{{Infobox book}}\n{{Infobox film}}" + _categories("1999 films")),
    "a list": ("List of films", _categories("2020 films", "Lists of films")),
    "a disambiguation": ("X", "X may be a film.{{Disambiguation}}" + _categories("2020 films")),
    "a village": ("V", "A village near films."),
}


@pytest.mark.parametrize("case", FILMS)
def test_an_article_about_a_film_is_recognised(case: str) -> None:
    assert parse_article(*FILMS[case]).reason == ""
    assert looks_like_film(FILMS[case][1])


@pytest.mark.parametrize("case", OTHERS)
def test_an_article_about_something_else_has_a_reason(case: str) -> None:
    article = parse_article(*OTHERS[case])
    assert article.reason == "not_a_film"
    assert OTHERS[case][0] in article.why


@pytest.mark.parametrize("text", ["#REDIRECT [[Y]]", "#redirect[[y]] x", " #Redirect: [[Y]]", "#RINVIA [[Y]]"])
def test_a_redirect_is_no_article(text: str) -> None:
    assert parse_article("X", text).reason == "redirect"
