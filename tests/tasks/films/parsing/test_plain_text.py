"""Wikitext to plain paragraphs: markup is removed, words stay, and unclosed markup hides nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.films.parsing.plain_text import paragraphs

CASES = {
    "apostrophes after titles in italics": (
        "The ''Enterprise''{{'s}} crew and the ''Reliant''{{'s}} crew, ''Orca''&#39;s and ''Falcon''&apos;s hull.",
        ["The Enterprise's crew and the Reliant's crew, Orca's and Falcon's hull."],
    ),
    "an apostrophe next to bold and italics": (
        "'''Bold''' John boards the ''Falcon''{{'s}} deck. ''A''<nowiki>'</nowiki>s and ''B''{{'}}s men.",
        ["Bold John boards the Falcon's deck. A's and B's men."],
    ),
    "amounts of other countries": (
        "{{SGD|5}} {{MX$|5}} {{₱|5}} {{NT$|5}} {{R$|5}} {{IDR|5}} {{৳|5}} {{ILS|5}} {{₩|5}}",
        ["S$5 MX$5 ₱5 NT$5 R$5 Rp 5 ৳5 ₪5 ₩5"],
    ),
    "amounts and signs": (
        "{{CAN$|5}} {{HK$|5}} {{RMB|5}} {{SEK|5}} {{currency|5|USD}} {{GBPConvert|5|m}} {{half}} {{°}} {{No.|1}}",
        ["CA$5 HK$5 CN¥5 SEK 5 US$5 £5 million ½ ° No. 1"],
    ),
    "an amount that only the wiki can calculate": (
        "It cost $5 (equivalent to ${{Inflation|US|5|1950}} in {{Inflation-year|US}}) and {{gaps|1|000}} days.",
        ["It cost $5 and 1000 days."],
    ),
    "dashes and hyphens": ("A{{--}}B{{–}}C{{—}}D{{hyphen}}E{{nbhyph}}F goes on.", ["A–B–C—D-E-F goes on."]),
    "dates and numbers": (
        "{{ordinal|3}} {{as of|2010|7|5|lc=y}} {{start date|2001|9|11}} {{formatnum:10000}} {{circa|1920|1930}}.",
        ["3rd as of 5 July 2010 September 11, 2001 10,000 c. 1920 – c. 1930."],
    ),
    "a quotation with its side, a script, a verse": (
        "{{rquote|right|He lived.|Bob}} {{script|Cyrl|слово}} of {{bibleverse||John|3:16}}.",
        ["He lived.", "слово of John 3:16."],
    ),
    "a sentence in italics that begins like a hatnote": (
        "''For a long time, he was alone.''\n''For the song, see [[X]].''",
        ["For a long time, he was alone."],
    ),
    "links": ("[[Paris]], [[Paris|the city]], [[Foo (film)|]] and [[#Cast|them]].", ["Paris, the city, Foo and them."]),
    "quote marks": ("'''''A''''' and ''B'''s '90s ''rock 'n' roll''.", ["A and B's '90s rock 'n' roll."]),
    "references": (
        'He<ref name="a>b" /> goes.<ref>{{cite\n\n|a=b}}</ref> He<ref name=x group=n/> stays.',
        ["He goes. He stays."],
    ),
    "a reference by tag function": ("Holland{{#tag:ref|His {{sfn|x}} name|group=n}} left.", ["Holland left."]),
    "an unclosed reference": ("A.<ref name=x>{{cite web|title=y}} B.\n\nC.", ["A. B.", "C."]),
    "an unclosed reference of prose": ("A.<ref>Some note\n\nB.<ref>c</ref> D.", ["A.", "B. D."]),
    "notes": (
        "He goes{{efn|a note}} home{{sfn|Smith|2000|p=3}}{{rp|12}}{{citation needed|date=May 2020}}.",
        ["He goes home."],
    ),
    "comments": ("A <!-- no\n\n==Plot== --> B. <!-- open", ["A B."]),
    "a file with links in its caption": ("[[File:A.jpg|thumb|A [[b]] {{nowrap|c}} [[d|e]]]] He goes.", ["He goes."]),
    "an unclosed file": ("[[File:A.jpg|thumb|A [[b]] c\n\nHe goes.", ["He goes."]),
    "a gallery": ("A.\n<gallery mode=packed>\nFile:x.jpg|cap\n</gallery>\nB.", ["A.", "B."]),
    "nested tables": ("A.\n{| class=x\n| b\n{|\n| c\n|}\n|}\nB.", ["A.", "B."]),
    "an unclosed table": ("A.\n{| class=x\n! h\n| b || c\n|-\n\nB goes on.", ["A.", "B goes on."]),
    "an HTML table": ("A. <table><tr><td>x</td></tr></table>B.", ["A. B."]),
    "a list of scenes, without its credits": (
        "Four stories:\n* ''One'': a man walks into a bar where nobody is.\n* [[Tom Hanks]] as Bob",
        ["Four stories:", "One: a man walks into a bar where nobody is."],
    ),
    "hatnotes": ("{{main|X}}\n{{Plot|date=May 2020}}\n:''For the other film, see [[Y]].''\nHe goes.", ["He goes."]),
    "line breaks": ("One.<br><br />Two.<br>Still two.", ["One.", "Two. Still two."]),
    "HTML paragraphs": ("<p>One.</p><p class=x>Two.</p>", ["One.", "Two."]),
    "entities and odd spaces": ("A&nbsp;&ndash; B\u200b &amp; C\u00a0D&#8212;E", ["A – B & C D—E"]),
    "words in templates": (
        "{{nowrap|[[C-3PO]]}} and {{lang|fr|café}}, {{lang-de|ja}}, {{langx|es|sí}}, {{transl|ja|neko}}.",
        ["C-3PO and café, ja, sí, neko."],
    ),
    "nihongo": ("She is {{nihongo|Sen|千|sen}}, he {{nihongo||豚|Buta}}.", ["She is Sen, he Buta."]),
    "measures": (
        "{{convert|10|mi|km|0}}, {{convert|3|to|5|km}}, {{convert|6|ft|2|in|m}}, {{frac|5|1|2}}, {{US$|5 million}}.",
        ["10 mi, 3 to 5 km, 6 ft 2 in, 5 1/2, US$5 million."],
    ),
    "money and units of India": (
        "He pays {{INRConvert|5|c}}, {{INRConvert|20|l}} and {{INR}}300 for {{val|5|u=km}}.",
        ["He pays ₹5 crore, ₹20 lakh and ₹300 for 5 km."],
    ),
    "foreign words and what they mean": (
        "{{lang|hi|राम}} ({{IAST|Rāma}}), vita ({{literal translation|life}}), {{nihongo3|Bright|明|Akari}}.",
        ["राम (Rāma), vita (lit. 'life'), Akari."],
    ),
    "words put in by an editor": (
        "His {{interp|old}} {{font|text=big|size=3}} {{H:title|a dog|hound}} of {{date|2010-05-04|DMY}}.",
        ["His [old] big hound of 2010-05-04."],
    ),
    "dashes and marks": (
        "He{{snd}}she{{mdash}}it, the dog{{'s}} {{USS|Nimitz|CVN-68}}.",
        ["He – she—it, the dog's USS Nimitz."],
    ),
    "links to other languages": ("{{ill|Jean|fr}} and {{ill|X|de|lt=Mr. X}} [[fr:Foo]]met.", ["Jean and Mr. X met."]),
    "templates in templates": ("{{small|{{nowrap|'''[[A|b {{lang|fr|c}}]]'''}}}} d.", ["b c d."]),
    "several images": ("{{multiple image|image1=A.jpg|caption1=a [[b]]}}\nHe goes.", ["He goes."]),
    "collapsed lists": ("{{collapse top|x}}\n* A\n* B\n{{collapse bottom}}\nHe goes.", ["He goes."]),
    "quotations": (
        "He says:\n{{quote|I am who I am.|Him}}\nand leaves.",
        ["He says:", "I am who I am.", "and leaves."],
    ),
    "an unclosed template": (
        "He meets {{nowrap|John and leaves.\n\nShe stays.",
        ["He meets John and leaves.", "She stays."],
    ),
    "a template closed by half": ("He leaves.{{citation needed|date=May} She stays.", ["He leaves. She stays."]),
    "an unclosed note": ("He meets John.{{efn|A note on John\n\nShe stays.", ["He meets John.", "She stays."]),
    "magic words": ("__NOTOC__ He {{#if:x|y}}goes to {{formatnum:1000}} places ~~~~.", ["He goes to 1,000 places."]),
    "language variants": ("He -{zh-hans:A; zh-hant:B}- and -{C}- -{H|zh:x}-go.", ["He A and C go."]),
    "nowiki": ("A <nowiki>''b'' [[c]]</nowiki> d''e''<nowiki/>s.", ["A b c des."]),
    "formulas, code and struck words": ("A <math>x^2</math><del>b</del> c <small>d</small> <u>e</u>.", ["A c d e."]),
    "what only looks like markup": (
        "If x < y and 3 <5, he [she] goes [sic] (or not).",
        ["If x < y and 3 <5, he [she] goes [sic] (or not)."],
    ),
    "brackets that markup emptied": (
        "Foo ({{IPAc-en|f}}; born 1999) and Bar ({{lang-fr}}) go , too.",
        ["Foo (born 1999) and Bar go, too."],
    ),
    "addresses": ("See [http://x.org the site] and [http://y.org].", ["See the site and."]),
    "a rule": ("A goes.\n----\nB goes.", ["A goes.", "B goes."]),
    "text for inclusion": (
        "<noinclude>A.</noinclude><includeonly>B.</includeonly><onlyinclude> C.</onlyinclude>",
        ["A. C."],
    ),
    "a single line break": ("One line\nand its end.", ["One line and its end."]),
    "a stray table row": ("|-\n|}\nHe goes.", ["He goes."]),
    "a short sentence in a list": ("* He goes.\n* She\n:He stays!", ["He goes.", "He stays!"]),
    "ruby": ("<ruby>本<rp>(</rp><rt>hon</rt><rp>)</rp></ruby> is read.", ["本 is read."]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_words_stay_and_markup_is_removed(case: str) -> None:
    wikitext, expected = CASES[case]
    assert paragraphs(wikitext) == expected


PIECES = [
    "[[", "]]", "{{", "}}", "|", "''", "'''", "<ref>", "</ref>", "<!--", "-->", "{|", "|}", "\n", "\n\n", "==", "* ",
    "File:A.jpg|thumb|", "<nowiki>", "</nowiki>", "nowrap|", "efn|", "<br>", "&lt;", "a word ", "Another. ", "-{", "}-",
    "[http://x y",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_mixture_of_markup_leaves_none(pieces: list[str]) -> None:
    for paragraph in paragraphs("".join(pieces)):
        assert not re.search(r"\{\{|\[\[|''|<ref|\|thumb\|", paragraph)
        assert paragraph == " ".join(paragraph.split())
