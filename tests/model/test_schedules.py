"""When a schedule is due: time zones, nights in which the clock is set, intervals, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock import Pipeline, sources
from penstock.errors import ConfigurationError
from penstock.model.interval import Interval
from penstock.model.schedules import Timetable, timetables

BERLIN = ZoneInfo("Europe/Berlin")


def table(schedule: str, timezone: str = "UTC", **more: Any) -> Timetable:
    spec = Pipeline(name="p", schedule=schedule, timezone=timezone, **more).spec
    return timetables({"p": spec})["p"]


def dues(found: Timetable, after: datetime, until: datetime) -> list[datetime]:
    listed, at = [], found.following(after)
    while at is not None and at <= until:
        listed.append(at)
        at = found.following(at)
    return listed


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    ("schedule", "first", "second"),
    [
        ("@hourly", utc(2026, 3, 4, 6), utc(2026, 3, 4, 7)),
        ("@daily", utc(2026, 3, 5), utc(2026, 3, 6)),
        ("@weekly", utc(2026, 3, 8), utc(2026, 3, 15)),
        ("@monthly", utc(2026, 4, 1), utc(2026, 5, 1)),
        ("every 15m", utc(2026, 3, 4, 5, 45), utc(2026, 3, 4, 6)),
        ("every 1h30m", utc(2026, 3, 4, 6), utc(2026, 3, 4, 7, 30)),
        ("30 6 * * MON-FRI", utc(2026, 3, 4, 6, 30), utc(2026, 3, 5, 6, 30)),
        ("0 12 L * *", utc(2026, 3, 31, 12), utc(2026, 4, 30, 12)),
    ],
)
def test_what_a_schedule_names(schedule: str, first: datetime, second: datetime) -> None:
    found = table(schedule)
    at = utc(2026, 3, 4, 5, 31, 7)
    assert found.following(at) == first
    assert found.following(first) == second
    assert found.newest(second) == second
    assert found.newest(second - timedelta(microseconds=1)) == first


def test_a_time_that_the_clock_skips_is_due_once_when_it_is_set() -> None:
    found = table("30 2 * * *", "Europe/Berlin")
    listed = dues(found, utc(2026, 3, 27, 12), utc(2026, 3, 31, 12))
    assert listed == [utc(2026, 3, 28, 1, 30), utc(2026, 3, 29, 1), utc(2026, 3, 30, 0, 30), utc(2026, 3, 31, 0, 30)]


def test_a_time_that_the_clock_shows_twice_is_due_once_the_first_time() -> None:
    found = table("30 2 * * *", "Europe/Berlin")
    listed = dues(found, utc(2026, 10, 24, 12), utc(2026, 10, 26, 12))
    assert listed == [utc(2026, 10, 25, 0, 30), utc(2026, 10, 26, 1, 30)]


def test_every_hour_goes_on_through_the_night() -> None:
    found = table("15 * * * *", "Europe/Berlin")
    for start in (utc(2026, 3, 28, 22), utc(2026, 10, 24, 22)):
        listed = dues(found, start, start + timedelta(hours=8))
        assert len(listed) == 8
        assert {later - earlier for earlier, later in pairwise(listed)} == {timedelta(hours=1)}


ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Asia/Kolkata", "Africa/Cairo"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    zone=st.sampled_from(ZONES),
    hour=st.integers(0, 23),
    minutes=st.sets(st.sampled_from([0, 10, 30, 59]), min_size=1),
    first=st.dates(date(2024, 1, 1), date(2027, 12, 1)),
)
def test_each_local_time_is_due_exactly_once(zone: str, hour: int, minutes: set[int], first: date) -> None:
    """Against a walk over every day: the first moment at which the clock has come to the time, each time once."""
    found = table(f"{','.join(map(str, sorted(minutes)))} {hour} * * *", zone)
    start = datetime(first.year, first.month, first.day, tzinfo=ZoneInfo(zone)).astimezone(UTC) - timedelta(days=1)
    listed = dues(found, start, start + timedelta(days=260))
    expected = set()
    for number in range(-2, 264):
        day = first + timedelta(days=number)
        for minute in minutes:
            shown = datetime.combine(day, time(hour, minute))
            at = shown.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
            if at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != shown:
                # The clock skips it: the minute before which it still shows less, and at which it shows more.
                at -= timedelta(hours=3)
                while at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) < shown:
                    at += timedelta(minutes=1)
            if start < at <= start + timedelta(days=260):
                expected.add(at)
    assert listed == sorted(expected)
    for at in listed[:: max(1, len(listed) // 7)]:
        assert found.newest(at) == at


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    zone=st.sampled_from(ZONES),
    expression=st.sampled_from(
        ["0 * * * *", "*/20 * * * *", "5,55 * * * 1-5", "0 0 1 * *", "30 1,2,3 * * *", "@daily"]
    ),
    days=st.integers(0, 1500),
    seconds=st.integers(0, 86_399),
)
def test_newest_and_following_are_each_others_mirror(zone: str, expression: str, days: int, seconds: int) -> None:
    at = utc(2024, 1, 1) + timedelta(days=days, seconds=seconds)
    found = table(expression, zone)
    newest, following = found.newest(at), found.following(at)
    assert newest is not None
    assert following is not None
    assert newest <= at < following
    assert found.following(newest) == following
    assert found.newest(following - timedelta(microseconds=1)) == newest


def test_intervals_end_when_they_are_due() -> None:
    rows = sources.sql("ops", table="t", interval="at", cursor="at")
    found = table("every 15m", start="2026-01-01", end="2026-01-01T01:00:00", sources=[rows], delay="5m")
    assert found.following(utc(2020, 1, 1)) == utc(2026, 1, 1, 0, 15)
    assert found.following(utc(2026, 1, 1, 1)) is None
    assert found.newest(utc(2030, 1, 1)) == utc(2026, 1, 1, 1)
    assert found.newest(utc(2026, 1, 1)) is None
    assert found.interval(utc(2026, 1, 1), utc(2026, 1, 1, 0, 45)) == Interval(utc(2026, 1, 1), utc(2026, 1, 1, 0, 45))
    assert found.count(utc(2026, 1, 1), utc(2026, 1, 1, 1)) == 4


def test_a_pipeline_after_another_is_due_with_it() -> None:
    before = Pipeline(name="before", schedule="30 6 * * *", timezone="Europe/Berlin", delay="10m").spec
    after = Pipeline(name="after", after="before", delay="5m").spec
    found = timetables({"after": after, "before": before})["after"]
    assert found.following(utc(2026, 7, 1)) == utc(2026, 7, 1, 4, 30)
    assert found.delay == timedelta(minutes=15)
    assert found.shown == "after before"


BY_INTERVAL = [sources.sql("ops", table="t", interval="at", cursor="at")]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"schedule": "@dayly"}, ("@dayly", "@daily")),
        ({"schedule": "@yearly"}, ("@yearly", "@monthly")),
        ({"schedule": "61 * * * *"}, ("bad minute", "61 * * * *")),
        ({"schedule": "* * * *"}, ("five fields",)),
        ({"schedule": "0 0 0 * * *"}, ("five fields",)),
        ({"schedule": "0 0 31 2 *"}, ("0 0 31 2 *",)),
        ({"schedule": "0 0 30 2 *"}, ("schedule of pipeline 'p'",)),
        ({"schedule": "L/2 0 * * *"}, ("schedule of pipeline 'p'",)),
        ({"schedule": "every"}, ("every",)),
        ({"schedule": "every moon"}, ("moon",)),
        ({"schedule": "every 5ms"}, ("too dense",)),
        ({"schedule": ""}, ("schedule of pipeline 'p'",)),
        ({"schedule": "@daily", "timezone": "Europe/Berlín"}, ("Europe/Berlín", "Europe/Berlin")),
        ({"schedule": "@daily", "timezone": "../../etc/passwd"}, ("time zone",)),
        ({"schedule": "@daily", "timezone": ""}, ("time zone",)),
        ({"schedule": "@daily", "catch_up": "some"}, ("some", "latest")),
        ({"schedule": "@daily", "delay": "soon"}, ("soon",)),
        ({"delay": "1h"}, ("delay", "schedule")),
        ({"timezone": "Europe/Berlin"}, ("timezone", "schedule")),
        (
            {"schedule": "0 6 * * *", "start": "2026-01-01", "sources": BY_INTERVAL},
            ("no fixed length", "0 6 * * *", "delay"),
        ),
        ({"schedule": "@monthly", "start": "2026-01-01", "sources": BY_INTERVAL}, ("no fixed length",)),
        (
            {"schedule": "@daily", "start": "2026-01-01", "timezone": "Europe/Berlin", "sources": BY_INTERVAL},
            ("intervals are those of UTC", "Europe/Berlin"),
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(given: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Pipeline(name="p", **given)
    for word in words:
        assert word in refused.value.sentence()


def test_a_cycle_is_refused_by_name() -> None:
    specs = {
        name: Pipeline(name=name, schedule="@daily", after=after).spec
        for name, after in (("a", "c"), ("b", "a"), ("c", ["b"]), ("d", ()))
    }
    with pytest.raises(ConfigurationError, match="'a' after 'c' after 'b' after 'a'"):
        timetables(specs)


def test_what_comes_before_must_be_there_and_due() -> None:
    lone = Pipeline(name="lone").spec
    with pytest.raises(ConfigurationError, match="lonely"):
        timetables({"p": Pipeline(name="p", schedule="@daily", after="lonely").spec, "lone": lone})
    with pytest.raises(ConfigurationError, match="'p' runs after 'lone', which has no schedule"):
        timetables({"p": Pipeline(name="p", schedule="@daily", after="lone").spec, "lone": lone})
