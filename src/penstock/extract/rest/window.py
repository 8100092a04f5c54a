"""Which rows are wanted: interval and cursor as query parameters, and the filter that holds the server to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ConfigurationError, DataError, PenstockError
from penstock.extract.port import Request
from penstock.extract.rest.options import RestOptions, TimeParameters
from penstock.model.interval import Interval, parse_moment

_DAY = timedelta(days=1)


def parameters(request: Request, options: RestOptions) -> dict[str, Any]:
    """Return the query parameters that ask for the interval and from the position.

    Raises:
        ConfigurationError: An interval is asked for and the source does not say how to ask.
    """
    found: dict[str, Any] = {}
    if request.interval is not None:
        if options.interval is None:
            raise ConfigurationError(
                f"Source {request.source.table!r} is read by interval, and does not say which parameters ask for one",
                remedy='Add interval = {"start": …, "end": …} to its options',
            )
        found.update(_interval(request.interval, options.interval))
    start = resume_from(request)
    if start is not None and options.since is not None:
        found[options.since.start] = _spelt(start, options.since) if isinstance(start, datetime) else start
    return found


def resume_from(request: Request) -> Any:
    """Return the cursor value from which to read, lag subtracted; None reads all. Times come back as datetime."""
    source, position = request.source, request.position
    if source.cursor is None or position is None or "cursor" not in position:
        return None
    value = position["cursor"]
    if isinstance(value, str):
        try:
            return parse_moment(value) - source.lag
        except OverflowError:
            return datetime.min.replace(tzinfo=UTC)
        except PenstockError:
            pass
    if source.lag:
        raise ConfigurationError(
            f"Source {source.table!r} has a lag, and its cursor {source.cursor!r} holds no times", value=value
        )
    return value


@dataclass(slots=True)
class RowFilter:
    """Leaves out rows that were not asked for, and counts them.

    Attributes:
        request: What is asked for.
        unit: ``epoch`` or ``epoch_ms``: what a number in the interval column counts.
        outside: Rows outside the interval.
        before: Rows before the cursor's position.
        undated: Rows without a value in the interval column.
    """

    request: Request
    unit: str = "epoch"
    outside: int = 0
    before: int = 0
    undated: int = 0

    def keep(self, table: pa.Table, *, where: str) -> pa.Table:
        """Return the rows that were asked for."""
        interval, column = self.request.interval, self.request.source.interval
        if interval is not None and column is not None:
            table = self._inside(table, column, interval, where)
        start = resume_from(self.request)
        if start is not None and self.request.source.cursor is not None:
            table = self._after(table, self.request.source.cursor, start, where)
        return table

    def notes(self) -> list[str]:
        """Return what was left out, as sentences."""
        said = []
        table = self.request.source.table
        if self.outside:
            said.append(f"{self.outside} rows of {table!r} lay outside the interval that was asked for; left out")
        if self.undated:
            said.append(f"{self.undated} rows of {table!r} have no {self.request.source.interval!r}; left out")
        if self.before:
            said.append(f"{self.before} rows of {table!r} lay before the position that was asked for; left out")
        return said

    def _inside(self, table: pa.Table, name: str, interval: Interval, where: str) -> pa.Table:
        column = _column(table, name, where)
        if pa.types.is_null(column.type):
            self.undated += len(table)
            return table.slice(0, 0)
        start = self._bound(column.type, interval.start, name, where)
        end = self._bound(column.type, interval.end, name, where)
        inside = pc.and_(pc.greater_equal(column, start), pc.less(column, end))
        kept = table.filter(inside)
        self.undated += column.null_count
        self.outside += len(table) - len(kept) - column.null_count
        return kept

    def _after(self, table: pa.Table, name: str, start: Any, where: str) -> pa.Table:
        column = _column(table, name, where)
        if pa.types.is_string(column.type) or pa.types.is_null(column.type):
            return table
        bound = self._bound(column.type, start, name, where) if isinstance(start, datetime) else start
        try:
            wanted = pc.fill_null(pc.greater_equal(column, pa.scalar(bound)), True)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise DataError(
                f"Cursor {name!r} of {where} changed its type to {column.type}", value=self.request.position
            ) from error
        kept = table.filter(wanted)
        self.before += len(table) - len(kept)
        return kept

    def _bound(self, type_: pa.DataType, moment: datetime, name: str, where: str) -> Any:
        """Return a moment as a scalar comparable to a column; a date counts as its midnight."""
        if pa.types.is_timestamp(type_):
            return pa.scalar(moment if type_.tz else moment.replace(tzinfo=None), type_)
        if pa.types.is_date(type_):
            return pa.scalar(_ceiling(moment), type_)
        if pa.types.is_integer(type_) or pa.types.is_floating(type_):
            seconds = moment.timestamp()
            return pa.scalar(seconds * 1000 if self.unit == "epoch_ms" else seconds, pa.float64())
        raise DataError(
            f"Column {name!r} of {where} holds no times but {type_}",
            valid="ISO 8601 times with or without a zone, dates, or seconds since 1970",
        )


class Greatest:
    """The greatest value of the cursor so far.

    Args:
        name: The cursor column; None: there is none.
    """

    def __init__(self, name: str | None) -> None:
        self._name = name
        self._value: Any = None
        self.missing = 0

    def add(self, table: pa.Table, *, where: str) -> None:
        """Look at further rows.

        Raises:
            ConfigurationError: The column is not there, or its texts are numbers, whose order would be wrong.
        """
        if self._name is None or len(table) == 0:
            return
        column = _column(table, self._name, where)
        self.missing += column.null_count
        if pa.types.is_string(column.type) and pc.any(pc.match_substring_regex(column, r"^-?\d+(\.\d+)?$")).as_py():
            raise ConfigurationError(
                f"Cursor {self._name!r} of {where} holds numbers as text, which sort wrongly ('10' before '9')",
                remedy=f'Declare its type: types = {{"{self._name}": "BIGINT"}}',
            )
        if pa.types.is_nested(column.type) or pa.types.is_boolean(column.type):
            raise ConfigurationError(f"Cursor {self._name!r} of {where} cannot be one", value=str(column.type))
        value = pc.max(column).as_py()
        try:
            if value is not None and (self._value is None or value > self._value):
                self._value = value
        except TypeError as error:
            raise DataError(f"Cursor {self._name!r} of {where} changed its type while it was read") from error

    def position(self) -> Mapping[str, Any] | None:
        """Return the position as JSON; None where no row had a value."""
        if self._value is None:
            return None
        value = self._value
        if isinstance(value, datetime):
            return {"cursor": value.isoformat()}
        if isinstance(value, date):
            return {"cursor": value.isoformat()}
        return {"cursor": value if isinstance(value, (int, float, str)) else str(value)}


def _interval(interval: Interval, how: TimeParameters) -> dict[str, Any]:
    found = {how.start: _spelt(interval.start, how)}
    if how.end is not None:
        end: datetime = interval.end
        if how.format == "date":
            day = _ceiling(end)
            end = datetime.combine(day - _DAY if how.inclusive else day, time(), UTC)
        found[how.end] = _spelt(end, how)
    return found


def _spelt(moment: datetime, how: TimeParameters) -> Any:
    utc = moment.astimezone(UTC)
    if how.format == "date":
        return utc.date().isoformat()
    if how.format == "iso":
        return utc.isoformat().replace("+00:00", "Z")
    milliseconds = (utc - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    return milliseconds if how.format == "epoch_ms" else milliseconds // 1000


def _ceiling(moment: datetime) -> date:
    """Return the first day whose midnight is not before a moment."""
    day = moment.astimezone(UTC)
    return day.date() if day.time() == time() else day.date() + _DAY


def _column(table: pa.Table, name: str, where: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise ConfigurationError(
            f"There is no column {name!r} in the records of {where}",
            valid=table.column_names,
            remedy="Check the source",
        )
    return table.column(name)
