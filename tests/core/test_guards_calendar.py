"""Windows and freezes: by the clocks on the wall, also where those are set, and over midnight."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from driftd.core.guards import written
from driftd.core.guards.calendar import ALWAYS, WORK_HOURS, Calendar, Freeze, Window, moment

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def at(text: str, zone=UTC, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold).astimezone(UTC)


def nights(days: str = "daily", zone=BERLIN, *freezes: str) -> Calendar:
    frozen = tuple(written.freeze(text) for text in freezes)
    return Calendar((written.window(f"{days} 22:00-04:00"),), zone, frozen, chosen=True)


@pytest.mark.parametrize(
    ("calendar", "now", "is_open", "opens"),
    [
        (WORK_HOURS, at("2026-11-18 09:00"), True, None),
        (WORK_HOURS, at("2026-11-18 15:59:59"), True, None),
        (WORK_HOURS, at("2026-11-18 16:00"), False, at("2026-11-19 09:00")),
        (WORK_HOURS, at("2026-11-19 16:00"), False, at("2026-11-23 09:00")),
        (WORK_HOURS, at("2026-11-20 12:00"), False, at("2026-11-23 09:00")),
        (ALWAYS, at("2026-11-21 03:00"), True, None),
        (nights("sun"), at("2026-11-23 03:59", BERLIN), True, None),
        (nights("sun"), at("2026-11-22 03:59", BERLIN), False, at("2026-11-22 22:00", BERLIN)),
        (nights("sun"), at("2026-11-23 04:00", BERLIN), False, at("2026-11-29 22:00", BERLIN)),
        # A freeze takes its own days, so that a night is cut at midnight.
        (nights("daily", BERLIN, "2026-12-24"), at("2026-12-23 23:59", BERLIN), True, None),
        (nights("daily", BERLIN, "2026-12-24"), at("2026-12-24 00:00", BERLIN), False, at("2026-12-25 00:00", BERLIN)),
        (nights("daily", BERLIN, "2026-12-24"), at("2026-12-24 22:30", BERLIN), False, at("2026-12-25 00:00", BERLIN)),
        (
            nights("thu", BERLIN, "2026-12-24..2027-01-01"),
            at("2026-12-24 22:30", BERLIN),
            False,
            at("2027-01-07 22:00", BERLIN),
        ),
    ],
)
def test_when_it_is_open_and_when_it_opens(calendar, now, is_open, opens):
    assert calendar.is_open(now) is is_open
    assert calendar.opens_at(now) == (opens or now)


def test_winter_and_summer_are_told_apart():
    work = Calendar((Window(),), BERLIN)
    assert work.is_open(at("2026-11-18 08:00"))
    assert not work.is_open(at("2026-06-17 06:59"))
    assert work.is_open(at("2026-06-17 07:00"))


def test_a_time_that_the_clocks_skip_is_the_moment_of_the_change():
    spring = date(2026, 3, 29)  # 02:00 becomes 03:00 in Berlin
    change = at("2026-03-29 01:00")
    assert [moment(spring, time(hour, 30), BERLIN) for hour in (1, 2, 3)] == [
        change - 30 * MINUTE,
        change,
        change + 30 * MINUTE,
    ]
    short = Calendar((written.window("sun 02:15-03:10"),), BERLIN)
    assert short.opens_at(at("2026-03-29 00:00")) == change
    assert not short.is_open(change - MINUTE)
    assert short.is_open(change + 9 * MINUTE)
    assert not short.is_open(change + 10 * MINUTE)


def test_a_time_that_comes_twice_is_the_first_of_the_two():
    autumn = date(2026, 10, 25)  # 03:00 becomes 02:00 in Berlin
    assert moment(autumn, time(2, 30), BERLIN) == at("2026-10-25 02:30", BERLIN, fold=0)
    early = Calendar((written.window("sun 02:30-04:00"),), BERLIN)
    assert early.is_open(at("2026-10-25 02:29", BERLIN, fold=1)), "it has begun, and stays open"
    assert early.is_open(at("2026-10-25 03:59", BERLIN))


def test_who_is_frozen_for_ever_is_told_so():
    assert Calendar((Window(),), UTC, (Freeze(date(2026, 1, 1), date(2099, 1, 1)),)).opens_at(at("2026-02-01")) is None
    assert Calendar((), UTC, (Freeze(date(2026, 1, 1), date(2026, 1, 2)),)).opens_at(at("2026-01-01 05:00")) == at(
        "2026-01-03"
    )


zones = st.sampled_from(
    [UTC, BERLIN, ZoneInfo("America/New_York"), ZoneInfo("Australia/Lord_Howe"), ZoneInfo("Asia/Kolkata")]
)
windows = st.builds(
    Window,
    st.frozensets(st.integers(0, 6), min_size=1),
    st.times().map(lambda one: one.replace(second=0, microsecond=0)),
    st.times().map(lambda one: one.replace(second=0, microsecond=0)),
)
days = st.dates(date(2026, 1, 1), date(2027, 12, 31))
calendars = st.builds(
    Calendar,
    st.lists(windows, max_size=3).map(tuple),
    zones,
    st.lists(st.builds(lambda day, more: Freeze(day, day + more * DAY), days, st.integers(0, 9)), max_size=3).map(
        tuple
    ),
)
moments = st.integers(0, 730 * 86400).map(lambda seconds: at("2026-01-01") + timedelta(seconds=seconds))


@settings(deadline=None)
@given(calendars, moments)
def test_the_next_opening_is_open_and_nothing_before_it_is(calendar, now):
    opens = calendar.opens_at(now)
    if opens is None:
        return
    assert opens >= now
    assert calendar.is_open(opens)
    for part in range(40):
        before = now + (opens - now) * part / 40
        assert before == opens or not calendar.is_open(before)
    if opens > now:
        assert not calendar.is_open(opens - timedelta(microseconds=1))


@settings(deadline=None)
@given(calendars, moments)
def test_far_from_a_change_of_the_clocks_it_is_what_the_wall_says(calendar, now):
    local = now.astimezone(calendar.zone)
    if len({(now + shift * HOUR).astimezone(calendar.zone).utcoffset() for shift in (-30, 0, 30)}) > 1:
        return
    clock, today, yesterday = local.time(), local.weekday(), (local.weekday() - 1) % 7
    by_the_wall = not calendar.windows or any(
        (today in one.days and one.start <= clock and (clock < one.end or one.end <= one.start))
        or (yesterday in one.days and one.end <= one.start and clock < one.end)
        for one in calendar.windows
    )
    frozen = any(one.holds(local.date()) for one in calendar.freezes)
    assert calendar.is_open(now) is (by_the_wall and not frozen)


@given(windows)
def test_a_window_is_written_as_it_is_read(window):
    assert written.window(str(window)) == window


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mon-thu", "is not a window"),
        ("mon-thu 9:00-16:00", "write it like 'mon-thu 09:00-16:00'"),
        ("mon 09:00-25:00", "names no time of the day: 25:00"),
        ("mo 09:00-10:00", "names no day: 'mo'; the days are mon"),
        (9, "is not a window"),
        (None, "is not a window"),
    ],
)
def test_what_is_no_window_is_refused_with_the_remedy(text, said):
    with pytest.raises(ValueError, match=said):
        written.window(text)


@pytest.mark.parametrize("text", ["24.12.2026", "2026-12-24..", "2026-12-24..2026-12-01", "", "2026-02-30", None, 5])
def test_what_is_no_freeze_is_refused(text):
    with pytest.raises(ValueError, match=r"is not a day|ends before it begins"):
        written.freeze(text)


@pytest.mark.parametrize("text", ["20", "20 %", "101%", "-1%", "", True, 101, None, "1000%"])
def test_what_is_no_percentage_is_refused(text):
    with pytest.raises(ValueError, match="write it like 20%"):
        written.percent(text)


def test_days_run_over_the_weekend():
    assert written.window("fri-mon 00:00-24:00").days == {4, 5, 6, 0}
    assert str(written.window("fri-mon,wed 00:00-24:00")) == "mon,wed,fri-sun 00:00-00:00"
