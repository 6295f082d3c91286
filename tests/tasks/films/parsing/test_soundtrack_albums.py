"""The albums that articles list: templates, boxes, lists and tables, and the linked article about the album."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.films.parsing.article import parse_article
from tasks.films.parsing.soundtrack_albums import Soundtrack, album_page, parse_soundtrack
from tasks.films.parsing.track_lists import ListedTrack, seconds_of

BOX = (
    "{{Infobox album\n| name = Ember (Original Score)\n| artist = [[Ida Lund]]\n| released = {{Start date|2019|5|6}}\n"
)
BOX += "| label = {{ubl|[[Lakeshore Records]]|Milan}}\n| producer = [[Per Holm]]\n}}\n"


def _listing(*titles: str, **more: str) -> str:
    rows = [f"| title{n} = {title}\n| length{n} = {n}:0{n}\n" for n, title in enumerate(titles, 1)]
    return "{{Track listing\n" + "".join(f"| {key} = {value}\n" for key, value in more.items()) + "".join(rows) + "}}\n"


def _titles(soundtrack: Soundtrack) -> list[tuple[str, list[str]]]:
    return [(album.title, [track.title for track in album.tracks]) for album in soundtrack.listings]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("3:05", 185), ("1:02:03", 3723), ("03:05", 185), ("65:10", 3910), (" 3:05 min", 185), ("3.05", 185),
        ("{{Duration|m=3|s=5}}", 185), ("{{duration|h=1|m=0|s=7}}", 3607), ("{{hms|0|3|5}}", 185),
        ("3:05<ref>x</ref>", 185),
        ("3'05\"", 185), ("3:05.5", 185.5), ("3:5", None), ("3:75", None), ("", None), ("—", None), ("N/A", None),
        ("4m 3s", 243), ("4 min 3 s", 243), ("4 minutes, 3 seconds", 243), ("1h 2m 3s", 3723), ("04’03’’", 243),
        ("4:03 <small>(edit)</small>", 243), ("4:03 (4:10 on CD)", None), ("4 min", None), ("{{nowrap|4:03}}", 243),
        ("{{Durée|3|05}}", 185),
        ("0:00", None), ("99:99:99", None), ("3:05 / 4:10", None), ("{{duration|}}", None), ("three minutes", None),
    ],
)  # fmt: skip
def test_a_length_is_read_or_is_none(value: str, seconds: float | None) -> None:
    assert seconds_of(value) == seconds


def test_a_listing_gives_titles_lengths_and_artists() -> None:
    text = "==Soundtrack==\n{{Tracklist\n| extra_column = Singer(s)\n| all_music = [[Ida Lund]]\n"
    text += (
        '| title1 = "[[Coal (song)|Coal]]"<ref>x</ref>\n| extra1 = [[Ann]], [[Bo]]\n| length1 = 3:05\n| title2 = Ash\n'
    )
    text += "| note2 = Female version\n| music2 = Per Holm\n| length2 = 3:5\n| title3 = \n| title4 = Tin\n"
    text += "| note4 = sung by [[Cy]]\n}}"
    assert parse_soundtrack("Ember (2019 film)", text).listings[0].tracks == (
        ListedTrack("Coal", 185.0, ("Ann", "Bo", "Ida Lund")),
        ListedTrack("Ash (Female version)", None, ("Per Holm", "Ida Lund")),
        ListedTrack("Tin", None, ("Cy", "Ida Lund")),
    )


_HEAD = "{|\n! %s !! %s !! Singer !! Time\n|-\n"
PARTS = {
    "credit in brackets": '# "Coal" – 1:00\n# "Ash" (feat. [[Bo Ek|Bo]]) – 2:00',
    "numbers in bullets": '*1. "Coal" (1:00)\n*2. "Ash" – [[Bo]] (2:00)',
    "numbers under Track": _HEAD % ("Track", "Song") + "| 1 || Coal || || 1:00\n|-\n| 2 || Ash || Bo || 2:00\n|}",
    "numbers before": _HEAD % ("No.", "Track title") + "| 1. || Coal || || 1:00\n|-\n| 2. || Ash || Bo || 2:00\n|}",
    "numbers by hand": '1. "Coal" – 1:00<br />\n2. "Ash" – [[Bo]] (2:00)',
    "indented": ';Disc\n:1) "Coal" – 1:00\n:2) "Ash" – [[Bo]] (2:00)',
    "numbers as template": '{{Ordered list|start=1\n|"Coal" – 1:00<ref name=a>x</ref>\n|2="Ash" – [[Bo|Bo]] (2:00)\n}}',
    "bullets as template": '{{bulleted list|"Coal" – 1:00|"Ash" – [[Bo]] (2:00)}}',
    "singer first": '# "Coal" – 1:00\n# [[Bo Ek|Bo]] – "Ash" (2:00)',
    "columns": "{{div col}}\n# Coal – 1:00\n# Ash – Bo – 2:00\n{{div col end}}",
    "heads": '{|\n! Title\n! Singer\n! Length\n|-\n! scope="row" | "Coal"\n|\n| 1:00\n|-\n! "Ash"\n| Bo\n| 2:00\n|}',
    "spelled lengths": "{{Track listing|title1=Coal|length1=1m 0s|title2=Ash|extra2=Bo|length2=2:00 (edit)}}",
}


@pytest.mark.parametrize("form", PARTS)
def test_lists_and_tables_are_read_as_their_editors_write_them(form: str) -> None:
    [album] = parse_soundtrack("Ember (film)", f"==Soundtrack==\n{PARTS[form]}\n").listings
    assert album.tracks == (ListedTrack("Coal", 60.0), ListedTrack("Ash", 120.0, ("Bo",)))


def test_a_heading_that_repeats_the_name_of_a_box_is_not_added_to_it() -> None:
    text = f"==Music==\n{BOX}{_listing('Coal')}===Score===\n{{{{Infobox album|name=Ember: Score}}}}\n{_listing('Ash')}"
    assert _titles(parse_soundtrack("Ember", text)) == [("Ember (Original Score)", ["Coal"]), ("Ember: Score", ["Ash"])]


def test_the_box_of_an_album_in_a_film_article_describes_the_listing_after_it() -> None:
    soundtrack = parse_soundtrack("Ember (film)", f"{{{{Infobox film}}}}\n==Music==\n{BOX}{_listing('Coal', 'Ash')}")
    [album] = soundtrack.listings
    assert (album.title, album.artists, album.release_date) == ("Ember (Original Score)", ("Ida Lund",), "2019-05-06")
    assert (album.record_label, len(album.tracks)) == ("Lakeshore Records", 2)
    assert (soundtrack.labels, soundtrack.producers) == (("Lakeshore Records", "Milan"), ("Per Holm",))


def test_a_box_without_a_track_is_an_album_without_tracks() -> None:
    [album] = parse_soundtrack("Ember", f"==Music==\n{BOX}").listings
    assert (album.title, album.tracks) == ("Ember (Original Score)", ())


def test_discs_sides_and_bonus_tracks_are_one_album() -> None:
    text = "==Soundtrack==\n" + _listing("Coal", "Ash", headline="Disc one") + _listing("Tin", headline="Disc 2")
    text += _listing("Ash", "Lead", headline="Deluxe edition bonus tracks")
    assert _titles(parse_soundtrack("Ember", text)) == [("Ember", ["Coal", "Ash", "Tin", "Lead"])]


def test_numbers_that_continue_are_one_album() -> None:
    more = "{{Track listing\n| title3 = Tin\n| title4 = Lead\n}}"
    text = "==Soundtrack==\n" + _listing("Coal", "Ash", headline="Songs") + more
    assert _titles(parse_soundtrack("Ember", text)) == [("Ember", ["Coal", "Ash", "Tin", "Lead"])]


def test_versions_in_other_languages_and_the_score_are_albums_of_their_own() -> None:
    text = "==Soundtrack==\n===Tamil===\n" + _listing("Coal", headline="Track listing")
    text += _listing("Koyla", headline="Telugu version") + "===Score===\n" + _listing("Main Title")
    assert _titles(parse_soundtrack("Ember (film)", text)) == [
        ("Ember", ["Coal"]), ("Ember (Telugu version)", ["Koyla"]), ("Ember (Score)", ["Main Title"]),
    ]  # fmt: skip


def test_a_headline_with_the_name_of_the_film_is_the_title() -> None:
    text = "==Music==\n" + _listing("Coal", headline="''Ember: Original Motion Picture Soundtrack'' track listing")
    assert parse_soundtrack("Ember", text).listings[0].title == "Ember: Original Motion Picture Soundtrack"


def test_a_numbered_list_is_a_listing() -> None:
    text = '==Soundtrack==\nProse.\n# "[[Coal]]" – [[Simon & Garfunkel]] (3:05)\n'
    text += '# "Ash" (Remix) - Ann (feat. Bo)\n# Tin - Cy\n'
    assert parse_soundtrack("Ember", text).listings[0].tracks == (
        ListedTrack("Coal", 185.0, ("Simon & Garfunkel",)),
        ListedTrack("Ash (Remix)", None, ("Ann", "Bo")),
        ListedTrack("Tin", None, ("Cy",)),
    )


def test_a_length_that_may_be_two_is_no_artist() -> None:
    text = '==Soundtrack==\n# "Coal" – 3:5\n# Ash (4:7)\n# Psalm 3:5\n'
    assert parse_soundtrack("Ember", text).listings[0].tracks == (
        ListedTrack("Coal", None), ListedTrack("Ash", None), ListedTrack("Psalm 3:5", None),
    )  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "==Soundtrack==\n* The score was recorded in Oslo.\n* It won a prize.\n",
        '==Music==\n* "Coal", a waltz\n* "Ash", a polka\n',
        "==Plot==\n# Coal\n# Ash\n",
        "==Music==\n===Critical reception===\n# Coal\n# Ash\n",
        "==Soundtrack==\n# " + "word " * 40 + "\n# Ash\n# " + "word " * 40,
    ],
)
def test_a_list_that_may_be_anything_else_is_none(text: str) -> None:
    assert parse_soundtrack("Ember", text).listings == ()


def test_a_table_with_a_column_of_titles_is_a_listing() -> None:
    text = "==Songs==\n{| class=wikitable\n! # !! Song !! style='x' | Singer(s) !! Duration (m:ss)\n|-\n"
    text += '| 1 || "Coal" || rowspan=2 | [[Ann]]'
    text += ' || 3:05\n|-\n| 2\n| "Ash" (F)\n| 4:00\n|-\n| colspan=3 | Total length || 7:05\n|}'
    assert parse_soundtrack("Ember", text).listings[0].tracks == (
        ListedTrack("Coal", 185.0, ("Ann",)), ListedTrack("Ash (F)", 240.0, ("Ann",)),
    )  # fmt: skip


def test_the_article_of_an_album_gives_its_own_listings() -> None:
    page = (
        BOX
        + "'''Ember''' is an album.\n==Track listing==\n"
        + _listing("Coal")
        + "==Deluxe==\n"
        + _listing("Tin", headline="Bonus tracks")
    )
    assert _titles(parse_soundtrack("Ember (soundtrack)", page)) == [("Ember (Original Score)", ["Coal", "Tin"])]


@pytest.mark.parametrize(
    ("text", "page"),
    [
        ("==Soundtrack==\n{{Main|Ember (soundtrack)}}", "Ember (soundtrack)"),
        ("==Music==\n{{main article|Ember: The Movie Soundtrack#Songs|l1=x}}", "Ember: The Movie Soundtrack"),
        ("==Music==\n{{See also|Ember (album)|Ember (score)}}", "Ember (album)"),
        ("==Music==\n{{Main|Ember (score){{!}}''Ember'' (score)}}", "Ember (score)"),
        ("==Music==\n{{Main|1=Ember: The Album}}", "Ember: The Album"),
        ("==Music==\n{{See also|[[ember (soundtrack)]]}}", "Ember (soundtrack)"),
        ("A [[Ember (soundtrack)|soundtrack]] came out.", "Ember (soundtrack)"),
        ("A [[Ember: Original Motion Picture Soundtrack]].", "Ember: Original Motion Picture Soundtrack"),
        ("As in [[Coal (soundtrack)]] and [[soundtrack album]].", None),
        ("==Cast==\n{{Main|List of Ember characters}}", None),
        ("==Songs==\n{{See also|List of songs in Ember}}", None),
        ("==Soundtrack==\n{{Main|#Score}}", None),
    ],
)
def test_the_article_about_the_album_is_the_one_that_is_linked(text: str, page: str | None) -> None:
    assert album_page("Ember (2019 film)", text) == page


def test_a_film_has_the_evidence_of_whose_music_is_in_it() -> None:
    text = "{{Infobox film\n| name = Ember\n| music = {{ubl|[[Ida Lund]]|[[Bo]]}}\n"
    text += "| language = English<br>[[Tamil language|Tamil]]\n}}\n"
    text += f"'''Ember''' is a film.\n==Soundtrack==\n{BOX}{_listing('Coal')}\n==External links==\n"
    text += "{{IMDb title|0123456}}"
    article = parse_article("Ember (film)", text)
    assert (article.composers, article.languages, article.imdb_id) == (
        ("Ida Lund", "Bo"),
        ("English", "Tamil"),
        "tt0123456",
    )
    assert (article.song_producers, article.record_labels) == (("Per Holm",), ("Lakeshore Records", "Milan"))
    assert [len(album.tracks) for album in article.listings] == [1]


MARKUP = (
    "{{",
    "}}",
    "[[",
    "]]",
    "|",
    "=",
    "\n",
    "{|",
    "|}",
    "|-",
    "''",
    "#",
    "*",
    "<ref",
    "</ref>",
    "9" * 30,
    "\x00",
    "title1",
)


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 12), st.sampled_from(MARKUP)), max_size=12))
@settings(max_examples=120, deadline=None)
def test_damaged_markup_loses_tracks_at_most(damage: list[tuple[int, int, str]]) -> None:
    text = f"{{{{Infobox film|music=[[A]]}}}}\n==Songs==\n{BOX}{_listing('Coal', 'Ash', headline='Disc 1')}"
    text += '# "Tin" – B (3:05)\n{|\n! Title !! Length\n|-\n| rowspan=2 | Lead || 3:05\n|}\n==External links==\n'
    text += "{{IMDb title|1}}"
    for start, length, markup in damage:
        text = text[:start] + markup + text[start + length :]
    soundtrack = parse_soundtrack("Ember", text)
    assert all(track.title for album in soundtrack.listings for track in album.tracks)
    assert isinstance(parse_article("Ember", text).composers, tuple)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "text",
    [
        "{{Infobox film|music=" + "music and " * 2_000 + "}}",
        "==Songs==\n" + '# "' + "[[a]]" * 4_000 + "\n# b",
        "==Songs==\n" + "{|\n! Title\n" * 4_000,
        "==Songs==\n" + "{{Track listing|title1=a" * 2_000,
        "{{infobox album|name=x" * 2_000,
    ],
)
def test_a_vandalised_article_is_parsed_in_seconds(text: str) -> None:
    assert parse_article("Ember (film)", text + "\n[[Category:2019 films]]").year == 2019
