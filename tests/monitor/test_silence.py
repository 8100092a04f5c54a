"""What is usual is learned from when things came: outages, weekends and irregular sources included."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from penstock.monitor.silence import LEAST_KEPT, WINDOW, Usual, learn, thinned

MONDAY = datetime(2026, 9, 21, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)


def daily(days: int, *, hour: int = 2, jitter: int = 0, rest: tuple[int, ...] = ()) -> list[datetime]:
    drawn = random.Random(7)
    found = []
    for day in range(days):
        at = MONDAY + day * DAY + hour * HOUR + drawn.randint(-jitter, jitter) * MINUTE
        if (MONDAY + day * DAY).weekday() not in rest:
            found.append(at)
    return found


def usual(moments: list[datetime]) -> Usual:
    found = learn(thinned(moments), moments[-1])
    assert found is not None
    return found


def test_a_daily_source_is_missed_a_good_hour_after_it_should_have_come() -> None:
    found = usual(daily(40, jitter=5))
    assert abs(found.gap - DAY) < 15 * MINUTE
    assert DAY + 30 * MINUTE < found.limit < DAY + 2 * HOUR


@pytest.mark.parametrize(("last", "least", "most"), [(4, 3 * DAY, 3.3 * DAY), (1, DAY, 1.2 * DAY)])
def test_a_source_that_rests_each_weekend_is_waited_for_until_monday_and_no_longer(
    last: int, least: timedelta, most: timedelta
) -> None:
    """Counted from Friday it may rest for three days, counted from Tuesday for one."""
    found = usual(daily(35 + last + 1, rest=(5, 6)))
    assert least < found.limit < most
    assert "time of the week" in found.how


def test_business_hours_are_learned() -> None:
    moments = [MONDAY + day * DAY + hour * HOUR for day in range(33) if day % 7 < 5 for hour in range(9, 18)]
    evening = usual(moments)
    assert moments[-1].strftime("%a %H") == "Fri 17"
    assert 64 * HOUR < evening.limit < 72 * HOUR
    noon = usual([at for at in moments if at <= moments[-1] - 5 * HOUR])
    assert HOUR < noon.limit <= 2 * HOUR


def test_one_outage_of_days_makes_no_one_wait_longer() -> None:
    moments = daily(50)
    del moments[20:24]
    assert usual(moments).limit < 1.2 * DAY


def test_an_irregular_source_is_given_half_as_much_again_as_its_longest_rest() -> None:
    drawn = random.Random(3)
    moments = [MONDAY]
    while moments[-1] < MONDAY + 50 * DAY:
        moments.append(moments[-1] + drawn.randint(1, 120) * HOUR)
    found = usual(moments)
    kept = thinned(moments)
    assert found.limit == max(later - earlier for earlier, later in pairwise(kept)) * 1.5


@pytest.mark.parametrize("moments", [[], [MONDAY], daily(5), daily(13)])
def test_a_short_history_says_nothing(moments: list[datetime]) -> None:
    assert learn(thinned(moments), moments[-1] if moments else MONDAY) is None


def test_many_loads_of_one_morning_are_no_history() -> None:
    moments = [MONDAY + 2 * n * MINUTE for n in range(200)]
    assert learn(thinned(moments), moments[-1]) is None


def test_monthly_and_weekly_things_are_kept_long_enough_to_be_learned() -> None:
    monthly = [MONDAY + 30 * n * DAY for n in range(20)]
    assert len(thinned(monthly)) == LEAST_KEPT
    found = usual(monthly)
    assert found.gap == 30 * DAY
    assert found.limit < 33 * DAY
    assert usual([MONDAY + 7 * n * DAY for n in range(9)]).limit < 8 * DAY


def test_what_is_kept_is_bounded_however_often_things_come() -> None:
    moments = [MONDAY + n * MINUTE for n in range(120 * 24 * 60)]
    kept = thinned(moments)
    assert kept[-1] - kept[0] <= WINDOW
    assert len(kept) <= WINDOW / (30 * MINUTE) + 1
    assert thinned(kept) == kept


@pytest.mark.parametrize("minutes", [1, 10, 45, 120])
def test_a_source_that_comes_more_or_less_punctually_is_given_as_much_room(minutes: int) -> None:
    """By what history shows of it: two hours earlier or later each day raise no alarm, and a whole day does."""
    drawn = random.Random(minutes)
    alarms = waits = 0
    for _ in range(30):
        moments = sorted(MONDAY + day * DAY + timedelta(minutes=drawn.gauss(0, minutes)) for day in range(120))
        for place in range(30, len(moments) - 1, 3):
            found = learn(thinned(moments[: place + 1]), moments[place])
            assert found is not None
            assert found.limit < 2 * DAY
            waits += 1
            alarms += moments[place + 1] - moments[place] > found.limit
    assert alarms <= waits / 300


def test_nights_are_no_outages_before_there_are_weeks_enough_to_learn_them() -> None:
    hours = [MONDAY + day * DAY + hour * HOUR for day in range(19) if day % 7 < 5 for hour in range(8, 19)]
    for last, following in pairwise(hours):
        kept = [at for at in hours if at <= last]
        found = learn(thinned(kept), last)
        assert found is None or following - last <= found.limit


def test_hundreds_of_sources_that_go_on_as_they_do_raise_no_alarm() -> None:
    """Sources of several rhythms over 20 weeks; each wait is judged by what came before it."""
    drawn = random.Random(11)
    alarms = waits = 0
    for number in range(60):
        rest = ((), (5, 6), (6,))[number % 3]
        moments = daily(140, hour=number % 24, rest=rest)
        moments = [at + timedelta(minutes=drawn.gauss(0, 10)) for at in moments]
        for place in range(30, len(moments) - 1, 5):
            found = learn(thinned(moments[: place + 1]), moments[place])
            waits += 1
            alarms += found is not None and moments[place + 1] - moments[place] > found.limit
    assert waits > 1000
    assert alarms == 0
