from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penstock.errors import ConfigurationError
from penstock.extract import cursor_values, cursors, scoping
from penstock.extract.progress import Clock, Progress
from penstock.model.specs import SourceSpec

_NOW = datetime(2026, 11, 21, tzinfo=UTC)
_MOMENTS = st.datetimes(datetime(1970, 1, 5), datetime(2200, 1, 1))  # noqa: DTZ001


@given(
    at=_MOMENTS,
    bound=_MOMENTS,
    separator=st.sampled_from("T "),
    zone=st.sampled_from(["", "Z", "+00:00"]),
    digits=st.sampled_from(["auto", "seconds", "milliseconds", "microseconds"]),
)
@settings(max_examples=300, deadline=None)
def test_the_bound_of_a_moment_parts_texts_as_it_parts_moments(
    at: datetime, bound: datetime, separator: str, zone: str, digits: str
) -> None:
    text = at.isoformat(sep=separator, timespec=digits) + zone
    value = datetime.fromisoformat(text.replace("Z", "")).replace(tzinfo=UTC)
    form = cursors.form_of([text])
    assert form is not None
    parting = bound.replace(tzinfo=UTC, microsecond=0 if zone == "Z" else bound.microsecond)
    assert (text >= form.bound(bound.replace(tzinfo=UTC))) is (value >= parting)


@pytest.mark.parametrize(
    ("sample", "kind", "unit"),
    [
        (["2013-01-05"], "date", 1),
        ([None, "2013-01-05 10:00"], "iso", 1),
        ([1357380000, 1357383600], "epoch", 1),
        ([1357380000000], "epoch", 1000),
        ([1357380000000000], "epoch", 1_000_000),
    ],
)
def test_forms_are_told_from_samples(sample: list[Any], kind: str, unit: int) -> None:
    form = cursors.form_of(sample)
    assert form is not None
    assert (form.kind, form.unit) == (kind, unit)


@pytest.mark.parametrize(
    "sample",
    [[], [None], [1, 2, 3], [20130105], ["05/01/2013"], ["2013-01-05T10:00:00", "2013-01-05 10:00:00"], [True], [b"x"]],
)
def test_forms_that_cannot_be_told_are_not_guessed(sample: list[Any]) -> None:
    assert cursors.form_of(sample) is None


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        ("2013-01-05T10:00:00", "text", "2013-01-05T09"),
        ("2013-01-05 00:30:00Z", "text", "2013-01-04 23:30"),
        ("2013-01-05T10:00:00.250000", "text", "2013-01-05T09:00:00.25"),
        ("2013-01-05T10:00:00-05:00", "text", "2013-01-05T09:00:00-05:00"),
        ("2013-01-05", "text", "2013-01-04"),
        (1357380000, "integer", 1357376400),
        (1357380000000, "integer", 1357376400000),
    ],
)
def test_a_lag_is_taken_in_the_form_of_the_value(value: Any, kind: str, expected: Any) -> None:
    assert cursors.behind(value, kind, timedelta(hours=1), "t") == expected


def test_reading_resumes_before_every_fraction_of_the_second_it_stopped_in() -> None:
    seen = max("2013-01-05T10:00:00.5Z", "2013-01-05T10:00:00Z")
    bound = cursors.behind(seen, "text", timedelta(0), "t")
    assert all(bound <= text for text in ("2013-01-05T10:00:00.5Z", "2013-01-05T10:00:00Z", "2013-01-05T10:00:00.9Z"))


def test_a_lag_on_what_is_no_time_is_refused() -> None:
    for value in (5, "N14228", "2013-13-99T00:00:00"):
        with pytest.raises(ConfigurationError, match="cannot be taken from its cursor"):
            cursors.behind(value, "text", timedelta(hours=1), "t")
        assert cursors.behind(value, "text", timedelta(0), "t") == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2099-01-01", True),
        ("2026-11-21T10:00:00", False),
        ("2026-11-21T12:00:01", True),
        ("2026-11-21T10:00:00Z", True),
        ("2026-11-21T13:59:59+14:00", False),
        ("N14228", False),
    ],
)
def test_moments_ahead_of_the_clock_are_told(value: str, expected: bool) -> None:
    assert Clock(_NOW, timedelta(hours=12)).ahead(value) is expected


@pytest.mark.parametrize(("hours", "today"), [(-5, "2026-11-20"), (0, "2026-11-21"), (12, "2026-11-21")])
def test_a_day_is_ahead_until_it_has_come_everywhere(hours: int, today: str) -> None:
    clock = Clock(datetime(2026, 11, 21, 0, 45, tzinfo=UTC), timedelta(hours=hours))
    assert not clock.ahead(today)
    assert clock.ahead((date.fromisoformat(today) + timedelta(days=1)).isoformat())


def followed(*columns: Any, now: datetime = _NOW, zones: bool = False) -> Progress:
    progress = Progress(SourceSpec(table="t", kind="sql", cursor="c"), "t", Clock(now), zones=zones)
    for column in columns:
        progress.add(column if isinstance(column, pa.Array) else pa.array(column))
    return progress


@pytest.mark.parametrize(
    ("values", "greatest", "told"),
    [
        (["2026-11-20T10:00:00Z", "2026-11-21T05:00:00Z", None], "2026-11-20T10:00:00Z", "no c"),
        (["2026-11-20", "2099-01-01", "unknown", "2026-11-19"], "2026-11-20", "that is no time"),
        ([1_795_300_000, 4_000_000_000, 1_790_000_000], 1_790_000_000, "over a day in the future"),
        ([1_000, 4_000_000_000, 2_000], 4_000_000_000, ""),
        (["10", "9"], "9", "letter by letter"),
        ([datetime(2026, 11, 20), datetime(2099, 1, 1)], datetime(2026, 11, 20), "over a day in the future"),  # noqa: DTZ001
        (
            [datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, 1, tzinfo=UTC)],
            datetime(2026, 11, 20, tzinfo=UTC),
            "",
        ),
    ],
)
def test_a_position_never_passes_the_clock_of_its_source(values: list[Any], greatest: Any, told: str) -> None:
    progress = followed(values)
    assert progress.value is not None
    assert progress.value.as_py() == greatest
    assert told in " ".join(progress.notes())
    assert bool(told) == bool(progress.notes())


def test_texts_of_times_with_several_offsets_are_refused_or_compared_as_moments() -> None:
    values = ["2026-01-05T10:00:00+00:00", "2026-01-05T09:30:00-05:00"]
    with pytest.raises(ConfigurationError, match="several offsets from UTC"):
        followed(values[:1], values[1:])
    progress = followed(values, zones=True)
    assert progress.value is not None
    assert progress.value.as_py() == values[1]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "America/New_York"])
@pytest.mark.parametrize("ticks", [0, -1, 1, 1357380000123456789, -62135596800])
def test_times_go_to_json_and_back_to_the_last_digit(unit: str, zone: str | None, ticks: int) -> None:
    if unit != "ns" and abs(ticks) > 10**12:
        ticks //= {"s": 10**9, "ms": 10**6, "us": 10**3}[unit]
    value = pa.scalar(ticks, pa.int64()).cast(pa.timestamp(unit, zone))
    assert cursor_values.decode(cursor_values.encode(value), value.type).value == ticks


@pytest.mark.parametrize(
    "value",
    [
        pa.scalar(2**62),
        pa.scalar(0.1),
        pa.scalar("é\0"),
        pa.scalar(Decimal("12345678901234567890.123456789"), pa.decimal128(38, 9)),
        pa.scalar(datetime(2013, 1, 5, tzinfo=UTC).date()),
    ],
)
def test_other_cursor_values_go_to_json_and_back(value: pa.Scalar) -> None:
    assert cursor_values.decode(cursor_values.encode(value), value.type).equals(value)


def test_the_greatest_value_passes_over_nulls_and_nan() -> None:
    assert cursor_values.greatest(pa.array([1.0, float("nan"), None, 3.0, float("inf")])).as_py() == 3.0
    assert cursor_values.greatest(pa.array([None, None], pa.int64())) is None
    assert cursor_values.greatest(pa.array(["9", "10", "é"], pa.string_view())).as_py() == "é"


def test_names_and_values_that_look_personal_are_told_and_others_are_not() -> None:
    columns = ["e_mail", "phoneNumber", "ship", "zip", "description", "user_name", "note", "card", "ticket"]
    samples = {
        "note": ["ada@example.org", "b@example.org", None],
        "ticket": ["A1", "B2"],
        "card": ["4111 1111 1111 1111"],
    }
    told = {remark.split()[0] for remark in scoping.personal(columns, samples)}
    assert told == {"e_mail", "phoneNumber", "user_name", "note", "card"}
