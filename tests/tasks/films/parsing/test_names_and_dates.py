"""Names, languages and dates that an article's parameters give."""

from __future__ import annotations

import pytest

from tasks.films.parsing.infobox import languages_in
from tasks.films.parsing.names_and_dates import iso_date, names_in


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("[[A. R. Rahman]]", ["A. R. Rahman"]),
        ("[[Vangelis]]", ["Vangelis"]),
        ("[[Peter Hobbs (composer)|Peter Hobbs]]<ref>{{cite|title=A, B}}</ref>", ["Peter Hobbs"]),
        ("[[Prince (musician)]]", ["Prince"]),
        ("{{ubl|[[Emon Saha]]|[[Akassh]] (songs)|Naved Parbez}}", ["Emon Saha", "Akassh", "Naved Parbez"]),
        ("{{Plainlist|\n* [[G. Auric]]\n* Victor Young {{small|(uncredited)}}\n}}", ["G. Auric", "Victor Young"]),
        ("{{br separated entries|[[G. Auric]]|2=[[Victor Young]]}}", ["G. Auric", "Victor Young"]),
        ("{{plainlist|1=\n* {{avoid wrap|[[G. Auric]]}}\n* {{nowrap|1=Mr. Young}}\n}}", ["G. Auric", "Mr. Young"]),
        ("{{indented plainlist|\n* [[G. Auric]]\n* {{no bold|Victor Young}}\n}}", ["G. Auric", "Victor Young"]),
        ("{{hlist|[[Trent Reznor]] and [[Atticus Ross]]}}", ["Trent Reznor", "Atticus Ross"]),
        ("[[Gene de Paul]]<br />[[Johnny Mercer]]<BR>Saul Chaplin", ["Gene de Paul", "Johnny Mercer", "Saul Chaplin"]),
        ("'''Songs:'''<br>[[Pritam]]<br>'''Background score:'''<br>[[Hitesh Sonik]]", ["Pritam", "Hitesh Sonik"]),
        ("Score: [[Hans Zimmer]]; Songs by [[Elton John]]", ["Hans Zimmer", "Elton John"]),
        ("'''''Music:'''''<br>[[Jerome Kern]]<br>'''''Lyrics:'''''<br>{{ubl|[[P. G. Wodehouse]]}}", ["Jerome Kern"]),
        ("Elton John, Tim Rice (lyrics)", ["Elton John"]),
        ("[[Simon & Garfunkel]], [[Earth, Wind & Fire]]", ["Simon & Garfunkel", "Earth, Wind & Fire"]),
        ("[[Nicola Piovani]] e [[Ennio Morricone]]", ["Nicola Piovani", "Ennio Morricone"]),
        ("[[Shankar–Ehsaan–Loy]] & [[Salim-Sulaiman]]", ["Shankar–Ehsaan–Loy", "Salim-Sulaiman"]),
        ("Sammy Davis, Jr. and R.E.M.", ["Sammy Davis, Jr.", "R.E.M."]),
        ("Eric Prydz (feat. Rob Swire)", ["Eric Prydz", "Rob Swire"]),
        ("Tony Martin/Lena Horne, AC/DC", ["Tony Martin", "Lena Horne", "AC/DC"]),
        ("{{lang|ja|久石譲}} ([[Joe Hisaishi]])", ["久石譲"]),
        ("{{ill|Anna Muster|de}}", ["Anna Muster"]),
        ("All music composed by [[Michael Giacchino]], except where noted", ["Michael Giacchino"]),
        ("[[A]], [[a]], [[A]]", ["A"]),
        ("{{sortname|Ida|Lund}}, {{longitem|[[Per Holm]]}}", ["Ida Lund", "Per Holm"]),
        ("Conducted by:<br>[[Con Ductor]]<br>Music by:<br>[[Ida Lund]]", ["Ida Lund"]),
        ("Music supervisor:<br>[[Su Pervisor]]<br>Score:<br>[[Ida Lund]]", ["Ida Lund"]),
        ("Music director:<br>[[Ida Lund]]<br>Orchestrations:<br>[[Or Chest]]", ["Ida Lund"]),
        ("{{ubl|'''Songs'''|[[Ida Lund]]|'''Score'''|[[Per Holm]]{{efn|x}}}}", ["Ida Lund", "Per Holm"]),
        ("Score by<br>[[Ida Lund]]<br>Songs by<br>[[Bo Ek]] and [[Cy Dahl]]", ["Ida Lund", "Bo Ek", "Cy Dahl"]),
        ("None credited", []),
        ("Stock music", []),
        ("''See [[#Soundtrack|Soundtrack]]''", []),
        ("Various artists", []),
        ("N/A", []),
        ("{{unclosed|[[A", ["A"]),
        ("", []),
    ],
)  # fmt: skip
def test_a_parameter_is_split_into_the_names_that_a_reader_sees(value: str, names: list[str]) -> None:
    assert list(names_in(value)) == names


def test_languages_are_named_without_the_word_language() -> None:
    value = "[[English language|English]], [[Hindi language]] and [[Italian language|Italian]]<br>inglese"
    assert languages_in(value) == ("English", "Hindi", "Italian", "Inglese")


@pytest.mark.parametrize(
    ("value", "date"),
    [
        ("{{Start date|2018|06|16|df=y}}", "2018-06-16"),
        ("{{start date and age|1994|9}}", "1994-09"),
        ("{{Film date|df=yes|2001|2|31}}", "2001-02"),
        ("15 May 1994<ref>1999</ref>", "1994-05-15"),
        ("June 14, 2011 (digital)<br>July 2, 2011 (CD)", "2011-06-14"),
        ("3rd [[Sept 2004]]", "2004-09-03"),
        ("October [[1987]]", "1987-10"),
        ("1994-05-15", "1994-05-15"),
        ("2019.05.06", "2019-05-06"),
        ("2019. 5. 6. (Seoul)", "2019-05-06"),
        ("2019/05/06", "2019-05-06"),
        ("6.5.2019", "2019-05-06"),
        ("2019年5月6日", "2019-05-06"),
        ("2019년 5월", "2019-05"),
        ("5/6/2019", "2019"),
        ("2019.13.06", "2019"),
        ("c. 1972", "1972"),
        ("1972 (LP), 5 May 1998 (CD)", "1972"),
        ("TBA", None),
        ("", None),
    ],
)
def test_a_release_date_is_as_precise_as_its_source(value: str, date: str | None) -> None:
    assert iso_date(value) == date
