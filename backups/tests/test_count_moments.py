"""When schedules are due: a year of them, clocks that change, expressions that mean nothing."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backups.moments import Cron, Every, TimingError, between, timing_of, upcoming

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
NEXT_YEAR = datetime(2027, 1, 1, tzinfo=UTC)
ZONES = {
    "Europe/Berlin": {date(2026, 3, 29): time(3, 15)},
    "America/New_York": {date(2026, 3, 8): time(3, 15)},
    "Australia/Lord_Howe": {date(2026, 10, 4): time(2, 45)},  # by half an hour
}
"""What a quarter past two becomes on the day on which there is none."""


def local(moments, zone: str) -> list[str]:
    return [f"{moment.astimezone(ZoneInfo(zone)):%d %H:%M %z}" for moment in moments]


def test_it_works():
    moments = upcoming(Cron("0 2 * * *"), datetime(2026, 5, 1, 12, tzinfo=UTC), 2)

    assert moments == [
        datetime(2026, 5, 2, 2, tzinfo=UTC),
        datetime(2026, 5, 3, 2, tzinfo=UTC),
    ]


@pytest.mark.parametrize("zone", ZONES)
def test_each_day_of_a_year_has_one_moment_whatever_the_clocks_do(zone):
    here = ZoneInfo(zone)
    first = datetime(2026, 1, 1, tzinfo=here).astimezone(UTC)
    last = datetime(2027, 1, 1, tzinfo=here).astimezone(UTC)

    moments = between(Cron("15 2 * * *", zone), first, last)

    shown = [moment.astimezone(here) for moment in moments]
    days = [date(2026, 1, 1) + timedelta(days=n) for n in range(365)]
    assert [moment.date() for moment in shown] == days
    odd = {moment.date(): moment.time() for moment in shown if moment.time() != time(2, 15)}
    assert odd == ZONES[zone]
    assert all(moment.fold == 0 for moment in shown)


@pytest.mark.parametrize("zone", ZONES)
def test_an_expression_for_every_hour_follows_real_time_through_a_year(zone):
    moments = between(Cron("*/30 * * * *", zone), NEW_YEAR, NEXT_YEAR)

    assert {late - early for early, late in pairwise(moments)} == {timedelta(minutes=30)}
    assert len(moments) == 365 * 48


def test_a_time_that_does_not_exist_runs_once_shifted():
    eve = datetime(2026, 3, 28, 12, tzinfo=UTC)

    found = upcoming(Cron("30 2 * * *", "Europe/Berlin"), eve, 2)

    assert local(found, "Europe/Berlin") == ["29 03:30 +0200", "30 02:30 +0200"]


def test_a_shifted_time_that_is_due_anyway_runs_once():
    eve = datetime(2026, 3, 28, 12, tzinfo=UTC)

    found = upcoming(Cron("15,45 2,3 * * *", "Europe/Berlin"), eve, 3)

    assert local(found, "Europe/Berlin") == ["29 03:15 +0200", "29 03:45 +0200", "30 02:15 +0200"]


def test_moments_stay_in_order_where_times_are_shifted_between_others():
    eve = datetime(2026, 3, 28, 12, tzinfo=UTC)
    cron = Cron("0,40 2,3 * * *", "Europe/Berlin")

    found = upcoming(cron, eve, 40)

    assert found == sorted(set(found))


def test_a_time_that_occurs_twice_runs_the_first_time():
    eve = datetime(2026, 10, 24, 12, tzinfo=UTC)

    found = upcoming(Cron("30 2 * * *", "Europe/Berlin"), eve, 2)

    assert local(found, "Europe/Berlin") == ["25 02:30 +0200", "26 02:30 +0100"]


@pytest.mark.parametrize("zone", ["UTC", *ZONES])
@pytest.mark.parametrize("expression", ["30 2 * * *", "*/20 * * * *", "15,45 1-3 * * *"])
@given(hours=st.floats(0, 365 * 24), width=st.floats(0.01, 72))
@settings(max_examples=8, deadline=None)
def test_the_last_moment_is_the_last_of_those_between(zone, expression, hours, width):
    cron = Cron(expression, zone)
    since = NEW_YEAR + timedelta(hours=hours)
    until = since + timedelta(hours=width)

    assert cron.last(since, until) == (between(cron, since, until) or [None])[-1]


@given(hours=st.floats(0, 365 * 24))
@settings(max_examples=15, deadline=None)
def test_where_one_begins_to_look_changes_nothing(hours):
    cron = Cron("15,45 1-3 * * *", "Australia/Lord_Howe")
    begin = NEW_YEAR + timedelta(hours=hours)
    all_of_them = between(cron, NEW_YEAR, begin + timedelta(days=2))

    assert between(cron, begin, begin + timedelta(days=2)) == [
        moment for moment in all_of_them if moment > begin
    ]


def test_an_interval_is_counted_from_its_anchor():
    anchor = datetime(2026, 1, 1, 12, 0, 7, tzinfo=UTC)
    every = Every(10, anchor)

    assert upcoming(every, anchor + timedelta(seconds=25), 2) == [
        anchor + timedelta(seconds=30),
        anchor + timedelta(seconds=40),
    ]
    assert every.last(anchor, anchor + timedelta(seconds=9)) is None
    assert every.last(anchor, anchor + timedelta(days=1, seconds=3)) == anchor + timedelta(days=1)


def test_seconds_stand_first_in_six_fields():
    found = upcoming(Cron("30 0 2 * * *"), NEW_YEAR, 1)

    assert found == [datetime(2026, 1, 1, 2, 0, 30, tzinfo=UTC)]


def test_a_leap_day_is_found_years_ahead_and_back():
    cron = Cron("0 0 29 2 *")

    assert upcoming(cron, NEW_YEAR, 1) == [datetime(2028, 2, 29, tzinfo=UTC)]
    assert cron.last(datetime(2020, 1, 1, tzinfo=UTC), NEW_YEAR) == datetime(
        2024, 2, 29, tzinfo=UTC
    )


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("0 2 * * *", "At 02:00 (UTC)"),
        ("@daily", "At 00:00 (UTC)"),
        ("30 0 2 * * 1-5", "At 02:00:30, Monday through Friday (UTC)"),
        ("*/10 * * * * *", "Every 10 seconds (UTC)"),
    ],
)
def test_an_expression_is_told_in_words(expression, words):
    assert Cron(expression).in_words() == words


def test_an_interval_is_told_in_its_largest_unit():
    told = [Every(seconds, NEW_YEAR).in_words() for seconds in (10, 90, 3600, 7200, 86400)]

    assert told == [
        "Every 10 seconds",
        "Every 90 seconds",
        "Every hour",
        "Every 2 hours",
        "Every day",
    ]


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("", "five fields"),
        ("daily", "five fields"),
        ("@reboot", "five fields"),
        ("0 0 2 * * * 2027", "five fields"),
        ("61 * * * *", "no cron expression"),
        ("0 2 * * noday", "no cron expression"),
        ("0 0 30 2 *", "never run"),
        ("R R * * *", "write numbers"),
        ("* * * * * *", "10 seconds"),
        ("0,5 0 * * * *", "10 seconds"),
    ],
)
def test_what_means_nothing_is_refused_in_a_sentence(expression, says):
    with pytest.raises(TimingError) as refused:
        Cron(expression)

    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("expression", "seconds"),
    [
        ("@every 10s", 10),
        ("@every 1h", 3600),
        ("@every 1h30m10s", 5410),
        ("@every 1.5h", 5400),
        ("  @Every   90M ", 5400),
        ("@every 12500ms", 12),
        ("@every 7d", 604_800),
    ],
)
def test_an_interval_may_be_written_as_for_the_original_daemon(expression, seconds):
    assert timing_of(expression, "Europe/Berlin", anchor=NEW_YEAR) == Every(seconds, NEW_YEAR)
    assert isinstance(timing_of("@daily", anchor=NEW_YEAR), Cron)


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("@every", "Write @every and a duration, such as @every 30m"),
        ("@every hour", "“@every hour” is no interval"),
        ("@every 1h 30m", "is no interval"),
        ("@every -1h", "is no interval"),
        (f"@every {'9' * 400}h", "is no interval"),
        ("@every 9s", "at least 10 seconds"),
        ("@every 0h", "at least 10 seconds"),
        ("@every 999999w", "a year or less"),
    ],
)
def test_an_interval_that_means_nothing_is_refused_in_a_sentence(expression, says):
    with pytest.raises(TimingError) as refused:
        timing_of(expression, anchor=NEW_YEAR)

    assert says in str(refused.value)


@pytest.mark.parametrize("zone", ["", "Mars/Base", "../../etc/passwd", "europe/../UTC"])
def test_a_time_zone_that_does_not_exist_is_refused(zone):
    with pytest.raises(TimingError, match="is no time zone"):
        Cron("0 2 * * *", zone)
