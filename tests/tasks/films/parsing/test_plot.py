"""Finding the plot section: headings of many names, several sections, sub-sections, broken pages."""

from __future__ import annotations

import pytest

from tasks.films.parsing.article import parse_article
from tasks.films.parsing.plot import plot_paragraphs

STORY = "A tale of at least five words."
MORE = "A second part that follows the first."


@pytest.mark.parametrize(
    "heading",
    [
        "== Plot ==", "==Plot==", "==plot ==", "== PLOT ==", "==Plot summary==", "== Plot synopsis ==", "==Synopsis==",
        "== Story ==", "== Storyline ==", "==Story line==", "==Summary==", "== Premise ==", "== Plot and cast ==",
        "== Plot (spoilers) ==", "==''Plot''==", "== Plot: ==", "=Plot=", "==Plot===", "===Plot===", "<h2>Plot</h2>",
        "== Plot<ref>x</ref> ==", "=={{anchor|Story}}Plot==", "== [[Plot (narrative)|Plot]] ==",
        "== Plot&nbsp;summary ==",
        "== Plot overview ==", "== Plot outline ==", "== Film plot ==", "== Synopsis / Plot ==", "== Trama ==",
        "== The plot ==", "== Plot details ==", "==Plot==  ",
        "== Summary of plot ==", "== Story outline ==", "== Plot introduction ==", "== Official synopsis ==",
        "== Plot* ==", "== Plot summary and analysis ==", "== Background and plot ==",
        "== Cast and plot ==", "== Characters and plot ==", "== Themes and plot ==", "== Brief summary ==",
        "== Synopsis of the film ==", "== Plotlines ==", "== Contents ==", "== Sinossi ==", "== Enredo ==",
        "== Segments ==", "== Vignettes ==", "== Episodes ==", "== Overview ==", "== Description ==",
    ],
)  # fmt: skip
def test_a_plot_heading_is_recognised(heading: str) -> None:
    assert plot_paragraphs(f"Lead.\n\n{heading}\n{STORY}\n\n== Cast ==\n* A as B") == [STORY]


@pytest.mark.parametrize(
    "heading",
    [
        "Cast",
        "Production",
        "Plot device",
        "Story development",
        "Story and screenplay",
        "Reception",
        "Plotting",
        "Plot twist",
        "Plot and production",
        "Story and production",
        "Historical background",
    ],
)
def test_a_heading_of_something_else_is_no_plot(heading: str) -> None:
    assert plot_paragraphs(f"Lead.\n\n== {heading} ==\n{STORY}") == []


def test_sub_sections_are_part_of_the_plot_except_asides() -> None:
    text = f"==Plot==\n===Part I===\n{STORY}\n===Cast===\nSomebody as the king of all.\n===Part II===\n{MORE}\n==Cast=="
    assert plot_paragraphs(text) == [STORY, MORE]


@pytest.mark.parametrize("aside", ["Production notes", "Differences from the novel", "Historical accuracy", "Changes"])
def test_sub_sections_about_the_film_are_no_story(aside: str) -> None:
    assert plot_paragraphs(f"==Plot==\n{STORY}\n==={aside}===\n{MORE}\n==Cast==") == [STORY]


def test_segments_are_the_plot_only_where_nothing_else_is() -> None:
    assert plot_paragraphs(f"==Segments==\n===One===\n{STORY}\n===Two===\n{MORE}") == [STORY, MORE]
    assert plot_paragraphs(f"==Segments==\n{STORY} {STORY}\n==Premise==\n{MORE}") == [MORE]


def test_of_differently_named_sections_the_longest_is_the_plot() -> None:
    text = f"==Synopsis==\n{STORY}\n==Plot summary==\n{MORE}\n\n{MORE}\n==Cast=="
    assert plot_paragraphs(text) == [MORE, MORE]


def test_sections_of_one_name_are_joined() -> None:
    assert plot_paragraphs(f"==Plot (part one)==\n{STORY}\n==Plot (part two)==\n{MORE}") == [STORY, MORE]


def test_a_premise_is_used_only_without_a_plot() -> None:
    assert plot_paragraphs(f"==Premise==\n{STORY} {STORY}\n==Plot==\n{MORE}") == [MORE]


def test_the_plot_of_another_work_further_down_is_ignored() -> None:
    assert plot_paragraphs(f"==Plot==\n{STORY}\n==Novel==\n===Plot===\n{MORE} {MORE} {MORE}") == [STORY]


@pytest.mark.parametrize("line", ["'''Plot'''", "'''Plot:'''", "'''Synopsis''':", "; Plot", ";Story"])
def test_a_bold_line_is_a_heading_where_there_is_no_other(line: str) -> None:
    assert plot_paragraphs(f"Lead.\n\n{line}\n{STORY}\n\n'''Cast'''\n* A as B\n\n==Notes==\nMore.") == [STORY]


def test_an_empty_section_is_no_plot() -> None:
    assert plot_paragraphs("==Plot ==\n{{expand section|date=October 2015}}\n\n== Cast ==\n* A") == []
    assert plot_paragraphs("==Plot==\nTo be added.\n==Cast==") == []


def test_markup_left_open_before_the_plot_does_not_hide_it() -> None:
    text = (
        f"{{{{Infobox film|a={{{{b\n}}}}\n<ref>{{{{cite|title=''X' (18)}}}}</ref> '''X''\n\n==Plot==\n{STORY}\n==Cast=="
    )
    assert plot_paragraphs(text) == [STORY]


def test_a_plot_may_be_the_last_section() -> None:
    assert plot_paragraphs(f"==Cast==\n* A\n==Plot==\n{STORY}") == [STORY]


def test_windows_line_ends_make_no_difference() -> None:
    text = f"{{{{Infobox film}}}}\r\n\r\n==Plot==\r\n{STORY}\r\n\r\n==Cast==\r\n"
    assert parse_article("X", text).plot == (STORY,)
