"""Where the plot stands: headings under many names, several sections, sub-sections, broken pages."""

from __future__ import annotations

import pytest

from tasks.films.parsing.article import read_article
from tasks.films.parsing.plot import plot_paragraphs

TALE = "A tale of at least five words."
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
    ],
)  # fmt: skip
def test_a_heading_of_a_plot_is_known(heading: str) -> None:
    assert plot_paragraphs(f"Lead.\n\n{heading}\n{TALE}\n\n== Cast ==\n* A as B") == [TALE]


@pytest.mark.parametrize(
    "heading",
    [
        "Cast",
        "Production",
        "Plot device",
        "Story development",
        "Story and screenplay",
        "Overview",
        "Reception",
        "Plotting",
        "Plot twist",
        "Plot and production",
        "Story and production",
        "Historical background",
    ],
)
def test_a_heading_of_something_else_is_not(heading: str) -> None:
    assert plot_paragraphs(f"Lead.\n\n== {heading} ==\n{TALE}") == []


def test_sub_sections_tell_on_and_asides_do_not() -> None:
    text = f"==Plot==\n===Part I===\n{TALE}\n===Cast===\nSomebody as the king of all.\n===Part II===\n{MORE}\n==Cast=="
    assert plot_paragraphs(text) == [TALE, MORE]


def test_the_longest_of_differently_named_sections_wins() -> None:
    text = f"==Synopsis==\n{TALE}\n==Plot summary==\n{MORE}\n\n{MORE}\n==Cast=="
    assert plot_paragraphs(text) == [MORE, MORE]


def test_sections_of_one_name_are_joined() -> None:
    assert plot_paragraphs(f"==Plot (part one)==\n{TALE}\n==Plot (part two)==\n{MORE}") == [TALE, MORE]


def test_a_premise_counts_only_without_a_plot() -> None:
    assert plot_paragraphs(f"==Premise==\n{TALE} {TALE}\n==Plot==\n{MORE}") == [MORE]


def test_a_plot_of_another_work_further_down_does_not_count() -> None:
    assert plot_paragraphs(f"==Plot==\n{TALE}\n==Novel==\n===Plot===\n{MORE} {MORE} {MORE}") == [TALE]


@pytest.mark.parametrize("line", ["'''Plot'''", "'''Plot:'''", "'''Synopsis''':", "; Plot", ";Story"])
def test_a_bold_line_stands_for_a_heading_where_there_is_none(line: str) -> None:
    assert plot_paragraphs(f"Lead.\n\n{line}\n{TALE}\n\n'''Cast'''\n* A as B\n\n==Notes==\nMore.") == [TALE]


def test_an_empty_section_is_no_plot() -> None:
    assert plot_paragraphs("==Plot ==\n{{expand section|date=October 2015}}\n\n== Cast ==\n* A") == []
    assert plot_paragraphs("==Plot==\nTo be added.\n==Cast==") == []


def test_markup_left_open_before_the_plot_does_not_hide_it() -> None:
    text = (
        f"{{{{Infobox film|a={{{{b\n}}}}\n<ref>{{{{cite|title=''X' (18)}}}}</ref> '''X''\n\n==Plot==\n{TALE}\n==Cast=="
    )
    assert plot_paragraphs(text) == [TALE]


def test_the_last_section_runs_to_the_end() -> None:
    assert plot_paragraphs(f"==Cast==\n* A\n==Plot==\n{TALE}") == [TALE]


def test_windows_line_ends_change_nothing() -> None:
    text = f"{{{{Infobox film}}}}\r\n\r\n==Plot==\r\n{TALE}\r\n\r\n==Cast==\r\n"
    assert read_article("X", text).plot == (TALE,)
