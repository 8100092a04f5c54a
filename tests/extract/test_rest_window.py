from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest

from penstock.errors import ConfigurationError, DataError
from penstock.extract.port import Request
from penstock.extract.rest.source import RestSource
from penstock.model.interval import Interval
from penstock.model.specs import ConnectionSpec, SourceSpec, WriteMode
from servers.scripted_http import Scripted, scripted

JANUARY_5 = Interval.parse("2013-01-05")


class Read:
    """What one reading gave, and what was asked for."""

    def __init__(self, records: list[dict[str, Any]], **spec: Any) -> None:
        self._interval, self._position = spec.pop("during", None), spec.pop("position", None)
        self._options = {"path": "/x", **spec.pop("options", {})}
        with scripted(lambda _: {"data": records}) as server:
            self._read(server, spec)
            (call,) = server.calls
            self.asked = dict(call.query)

    def _read(self, server: Scripted, spec: dict[str, Any]) -> None:
        connection = ConnectionSpec(name="api", kind="rest", url=server.url)
        source = SourceSpec(table="things", kind="rest", connection="api", options=self._options, **spec)
        extraction = RestSource().open(
            Request(source=source, connection=connection, interval=self._interval, position=self._position)
        )
        try:
            batches = list(extraction.batches())
            self.ids = [value for batch in batches for value in batch.data.column("id").to_pylist()]
            self.notes: tuple[str, ...] = extraction.notes()
            self.position: Mapping[str, Any] | None = extraction.position()
        finally:
            extraction.close()


def at(*values: Any) -> list[dict[str, Any]]:
    return [{"id": number, "at": value} for number, value in enumerate(values)]


def of_the_day(records: list[dict[str, Any]], during: Interval = JANUARY_5, **how: Any) -> Read:
    options = {"interval": {"start": "from", "end": "to", **how}}
    return Read(records, during=during, interval="at", options=options)


@pytest.mark.parametrize(
    ("how", "asked"),
    [
        ({}, {"from": "2013-01-05T00:00:00Z", "to": "2013-01-06T00:00:00Z"}),
        ({"format": "date"}, {"from": "2013-01-05", "to": "2013-01-06"}),
        ({"format": "date", "inclusive": True}, {"from": "2013-01-05", "to": "2013-01-05"}),
        ({"format": "epoch"}, {"from": "1357344000", "to": "1357430400"}),
        ({"format": "epoch_ms"}, {"from": "1357344000000", "to": "1357430400000"}),
    ],
)
def test_how_an_interval_is_asked_for(how: dict[str, Any], asked: dict[str, str]) -> None:
    assert of_the_day([], **how).asked == asked


def test_parts_of_days_are_asked_for_as_whole_days_and_cut() -> None:
    noon = Interval.parse("2013-01-05T12:00:00/2013-01-06T12:00:00")
    times = ("2013-01-05T11:59:59Z", "2013-01-05T12:00:00Z", "2013-01-06T11:59:59Z", "2013-01-06T12:00:00Z")
    found = of_the_day(at(*times), noon, format="date")
    assert found.asked == {"from": "2013-01-05", "to": "2013-01-07"}
    assert found.ids == [1, 2]
    assert of_the_day([], noon, format="date", inclusive=True).asked == {"from": "2013-01-05", "to": "2013-01-06"}


@pytest.mark.parametrize(
    ("values", "how"),
    [
        (["2013-01-04T23:59:59Z", "2013-01-05T00:00:00Z", "2013-01-05T23:59:59.999999Z", "2013-01-06T00:00:00Z"], {}),
        (["2013-01-05T00:30+01", "2013-01-05T01:00+01", "2013-01-05T23:00-00:30", "2013-01-06T01:00+01"], {}),
        (["2013-01-04 23:59:59", "2013-01-05 00:00:00", "2013-01-05 12:00:00", "2013-01-06 00:00:00"], {}),
        (["2013-01-04", "2013-01-05", "2013-01-05", "2013-01-06"], {}),
        ([1357343999, 1357344000, 1357430399, 1357430400], {"format": "epoch"}),
        ([1357343999.9, 1357344000.0, 1357430399.9, 1357430400.1], {}),
        ([1357343999999, 1357344000000, 1357430399999, 1357430400000], {"format": "epoch_ms"}),
    ],
)
def test_rows_outside_the_interval_are_left_out_and_counted(values: list[Any], how: dict[str, Any]) -> None:
    found = of_the_day(at(*values, None), **how)
    assert found.ids == [1, 2]
    assert found.notes == (
        "2 rows of 'things' lay outside the interval that was asked for; left out",
        "1 rows of 'things' have no 'at'; left out",
    )
    assert found.position is None


def test_an_interval_needs_its_parameters_its_column_and_times() -> None:
    with pytest.raises(ConfigurationError, match="which parameters ask for one"):
        Read([], during=JANUARY_5, interval="at")
    with pytest.raises(ConfigurationError, match="There is no column 'at'"):
        of_the_day([{"id": 1}])
    with pytest.raises(DataError, match="holds no times but string"):
        of_the_day(at("soon"))


def test_a_day_without_any_time_is_empty() -> None:
    found = of_the_day(at(None, None))
    assert found.ids == []
    assert "2 rows" in found.notes[0]


def since(records: list[dict[str, Any]], cursor: Any = None, lag: timedelta = timedelta(0), **how: Any) -> Read:
    kind = {int: "integer", float: "real"}.get(type(cursor), "text")
    if kind == "text" and str(cursor)[:1].isdigit():
        kind = "timestamptz" if "T" in cursor else "date"
    position = None if cursor is None else {"column": "at", "cursor": cursor, "cursor_type": kind}
    options = {"since": {"start": "since", **how}}
    return Read(records, cursor="at", position=position, lag=lag, options=options)


T1, T2, T3 = (f"2013-01-05T0{hour}:00:00Z" for hour in (1, 2, 3))


def test_the_first_reading_asks_for_everything_and_keeps_the_greatest_value() -> None:
    found = since(at(T3, T1, None, T2))
    assert found.asked == {}
    assert found.ids == [0, 1, 2, 3]
    assert found.position == {"column": "at", "cursor": "2013-01-05T03:00:00+00:00", "cursor_type": "timestamptz"}
    assert found.notes[0].startswith("1 rows of 'things' have no at; such rows are read by each load")


def test_the_next_reading_begins_at_the_boundary_again() -> None:
    found = since(at(T1, T2, T2, T3, None), "2013-01-05T02:00:00+00:00")
    assert found.asked == {"since": T2}
    assert found.ids == [1, 2, 3, 4]
    assert "1 rows of 'things' lay before the position" in found.notes[0]


def test_a_lag_reads_further_back() -> None:
    found = since(at(T1, T2, T3), "2013-01-05T03:00:00+00:00", timedelta(hours=1), format="epoch")
    assert found.asked == {"since": "1357351200"}
    assert found.ids == [1, 2]
    far = since(at(T1), "2013-01-05T02:00:00+00:00", timedelta(days=900_000))
    assert far.ids == [0]
    assert far.asked == {}


def test_without_a_parameter_everything_is_read_and_the_rest_left_out() -> None:
    position = {"column": "at", "cursor": "2013-01-05T02:00:00+00:00", "cursor_type": "timestamptz"}
    found = Read(at(T1, T2), cursor="at", position=position)
    assert found.asked == {}
    assert found.ids == [1]


def test_numbers_dates_and_texts_as_cursors() -> None:
    assert since(at(3, 9, 10), 9).ids == [1, 2]
    assert since(at(3, 9, 10), 9).asked == {"since": "9"}
    assert since(at(3, 9.5, 10), 9).ids == [1, 2]
    assert since(at(3, 9, 10), 8.5).ids == [1, 2]
    assert since(at(2**64, 3), 2**62).ids == [0]
    assert since(at(3, 10, 9)).position == {"column": "at", "cursor": 10, "cursor_type": "integer"}
    assert since(at(1.5)).position == {"column": "at", "cursor": 1.5, "cursor_type": "real"}
    assert since(at("2013-01-05", "2013-01-07")).position == {
        "column": "at",
        "cursor": "2013-01-07",
        "cursor_type": "date",
    }
    assert since(at("2013-01-05", "2013-01-07"), "2013-01-06").ids == [1]
    assert since(at("2013-01-05", "2013-01-07"), "2013-01-06", timedelta(days=1), format="date").asked == {
        "since": "2013-01-05"
    }
    assert since(at("abc", "abd")).position == {"column": "at", "cursor": "abd", "cursor_type": "text"}
    found = since(at("abc", "abd"), "abd")
    assert found.asked == {"since": "abd"}
    assert found.ids == [1]


def test_a_value_in_the_far_future_does_not_move_the_position() -> None:
    for known, far in (
        (T1, "2099-01-01T00:00:00Z"),
        ("2013-01-05 01:00", "2099-01-01 00:00"),
        ("2013-01-05", "2099-01-01"),
    ):
        found = since(at(known, far))
        assert found.position is not None
        assert found.position["cursor"][:10] == "2013-01-05"
        assert "1 rows of 'things' have a at over a day in the future" in found.notes[0]


def test_numbers_as_text_are_refused_because_they_sort_wrongly() -> None:
    with pytest.raises(ConfigurationError, match="'10' before '9'"):
        since(at("9", "10"))
    found = Read(at("9", "10"), cursor="at", options={"types": {"at": "BIGINT"}})
    assert found.position == {"column": "at", "cursor": 10, "cursor_type": "integer"}


def test_cursors_that_cannot_be() -> None:
    with pytest.raises(ConfigurationError, match="There is no column 'at'"):
        since([{"id": 1}])
    with pytest.raises(ConfigurationError, match="has no useful order"):
        since(at({"x": 1}))
    with pytest.raises(ConfigurationError, match="cannot be taken from its cursor"):
        since(at(3), 2, timedelta(hours=1))
    with pytest.raises(ConfigurationError, match="changed its type"):
        since(at(T1), 7)
    with pytest.raises(ConfigurationError, match="changed its type"):
        since(at("soon"), T1)
    position = {"column": "id", "cursor": 3, "cursor_type": "integer"}
    with pytest.raises(ConfigurationError, match="it was last read by 'id'"):
        Read(at(T1), cursor="at", position=position)


def test_a_table_that_is_replaced_is_read_whole() -> None:
    position = {"column": "at", "cursor": T3, "cursor_type": "timestamptz"}
    found = Read(at(T1, T2), cursor="at", position=position, write=WriteMode.REPLACE, options={"since": "since"})
    assert found.asked == {}
    assert found.ids == [0, 1]


def test_no_rows_leave_the_position_standing() -> None:
    assert since([], T1).position is None
    assert since(at(None), T1).position is None
