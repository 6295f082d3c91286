"""Time codes at the rates of film and video, drop-frame and not, against values of SMPTE ST 12-1."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needledrop.cues.timecode import DROP_FRAME_RATES, RATES, Timebase, open_timebase
from storage.errors import InputError

TIMEBASES = [Timebase(name) for name in RATES] + [Timebase(name, drop_frame=True) for name in DROP_FRAME_RATES]


@pytest.mark.parametrize(
    ("fps", "frame", "label"),
    [
        ("29.97", 1799, "00:00:59;29"),
        ("29.97", 1800, "00:01:00;02"),
        ("29.97", 17981, "00:09:59;29"),
        ("29.97", 17982, "00:10:00;00"),
        ("29.97", 107892, "01:00:00;00"),
        ("29.97", 2589407, "23:59:59;29"),
        ("59.94", 3599, "00:00:59;59"),
        ("59.94", 3600, "00:01:00;04"),
        ("59.94", 35964, "00:10:00;00"),
        ("59.94", 215784, "01:00:00;00"),
    ],
)
def test_drop_frame_leaves_out_the_labels_that_smpte_names(fps: str, frame: int, label: str) -> None:
    timebase = open_timebase(fps, drop_frame=True)
    assert timebase.label(frame) == label
    assert timebase.frames(label) == frame
    assert timebase.frames(label.replace(";", ":")) == frame


@pytest.mark.parametrize(
    ("fps", "frame", "label"),
    [
        ("24", 86400, "01:00:00:00"),
        ("25", 24, "00:00:00:24"),
        ("29.97", 107892, "00:59:56:12"),
        ("60", 59, "00:00:00:59"),
    ],
)
def test_other_time_codes_leave_nothing_out(fps: str, frame: int, label: str) -> None:
    timebase = open_timebase(fps)
    assert timebase.label(frame) == label
    assert timebase.frames(label) == frame


@pytest.mark.parametrize("timebase", TIMEBASES, ids=str)
def test_the_last_label_of_a_day_is_the_one_before_midnight(timebase: Timebase) -> None:
    last = timebase.label(timebase.day - 1)
    assert last == f"23:59:59{';' if timebase.drop_frame else ':'}{round(RATES[timebase.name]) - 1}"
    assert timebase.frames(last) == timebase.day - 1


@given(st.sampled_from(TIMEBASES), st.data())
def test_every_frame_has_a_label_of_its_own(timebase: Timebase, data: st.DataObject) -> None:
    frame = data.draw(st.integers(0, timebase.day - 1))
    label = timebase.label(frame)
    assert timebase.frames(label) == frame
    assert re.fullmatch(r"[0-9]{2}:[0-9]{2}:[0-9]{2}[;:][0-9]{2}", label)
    assert (";" in label) is timebase.drop_frame


@given(st.sampled_from(DROP_FRAME_RATES), st.integers(0, 5178815))
def test_drop_frame_shows_real_time(fps: str, frame: int) -> None:
    timebase = Timebase(fps, drop_frame=True)
    frame %= timebase.day
    hours, minutes, seconds, frames = map(int, re.split("[:;]", timebase.label(frame)))
    shown = 3600 * hours + 60 * minutes + seconds + frames / round(RATES[fps])
    assert shown == pytest.approx(timebase.seconds(frame), abs=0.15)


@given(st.sampled_from(TIMEBASES), st.floats(0, 80000))
def test_a_second_becomes_its_nearest_frame(timebase: Timebase, seconds: float) -> None:
    assert abs(timebase.seconds(timebase.nearest_frame(seconds)) - seconds) <= 0.5 / timebase.rate + 1e-9
    assert timebase.seconds(timebase.whole_frames(seconds)) <= seconds + 1e-9


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("00:00:10:12", 262),
        ("1:2:3:4", 93079),
        ("00:01:30.5", 2263),
        ("00:00:01,500", 38),
        ("1:30", 2250),
        ("12.5", 313),
        (" 90 s", 2250),
        ("01:00:00", 90000),
    ],
)
def test_times_are_read_as_people_write_them(text: str, frame: int) -> None:
    assert open_timebase("25").frames(text) == pytest.approx(frame, abs=1)


@pytest.mark.parametrize(
    ("fps", "text", "reason"),
    [
        ("25", "00:00:00:25", "frames end at 24"),
        ("24", "00:60:00:00", "minutes and seconds at 59"),
        ("24", "24:00:00:00", "hours end at 23"),
        ("24", "23:59:59:23:00", "is no time code"),
        ("25", "00:01:00;00", "which there is not at 25 fps"),
        ("29.97", "00:01:00;01", "does not exist in drop-frame"),
        ("59.94", "00:09:00;03", "does not exist in drop-frame"),
        ("24", "25:00:00", "after 24 hours"),
        ("24", "-5", "is no time code"),
        ("24", "soon", "is no time code"),
        ("24", "", "is no time code"),
    ],
)
def test_what_is_no_time_code_is_a_sentence(fps: str, text: str, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        open_timebase(fps).frames(text)


@given(st.text(max_size=20), st.sampled_from(TIMEBASES))
def test_any_text_is_a_frame_of_the_day_or_a_sentence(text: str, timebase: Timebase) -> None:
    try:
        frame = timebase.frames(text)
    except InputError:
        return
    assert 0 <= frame < timebase.day


@pytest.mark.parametrize(
    ("typed", "name"), [("23.98", "23.976"), ("24000/1001", "23.976"), ("30.0", "30"), (" 25", "25")]
)
def test_a_rate_is_known_by_its_usual_names(typed: str, name: str) -> None:
    assert open_timebase(typed).name == name


@pytest.mark.parametrize("typed", ["26", "0", "-24", "1/0", "fast", "", "nan", "inf", "1e400"])
def test_another_rate_is_an_error_that_names_the_rates(typed: str) -> None:
    with pytest.raises(InputError, match=r"give one of 23\.976, 24, 25"):
        open_timebase(typed)


@pytest.mark.parametrize("fps", ["24", "25", "30", "60"])
def test_drop_frame_at_another_rate_is_an_error(fps: str) -> None:
    with pytest.raises(InputError, match=r"29\.97 and 59\.94 fps only"):
        open_timebase(fps, drop_frame=True)
