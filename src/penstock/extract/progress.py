"""How far one reading came: the greatest cursor value that may move the position, and what stood in its way.

A position never passes the clock of the source. A row that is dated ahead of it is read, and read again until its time
has come (landing drops what was landed before); so a wrong clock, a wrong zone or a 2099 hides no row to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ConfigurationError, DataError
from penstock.extract import cursor_values, cursors
from penstock.model.specs import OnNullCursor, SourceSpec
from penstock.values import dataclass

_ZONE = r"(?:Z|[+-]\d\d(?::?\d\d)?)$"
_SINCE_2000 = 946_684_800
_DAY = len("2000-01-01")


@dataclass(frozen=True, slots=True)
class Clock:
    """The clock of a source.

    Attributes:
        now: Its moment, with a zone.
        offset: How far the local time of the source is ahead of UTC; times without a zone may be written in it.
    """

    now: datetime
    offset: timedelta = timedelta(0)

    def limit(self, *, zoned: bool, dated: bool = False) -> datetime:
        """Return the greatest moment that is not ahead, with or without a zone as the values have one.

        Args:
            zoned: Whether they have a zone.
            dated: Whether they are days: the earlier one, here or in UTC, then. It costs little, the rows of a day that
                are read again until it is over in both.
        """
        if zoned:
            return self.now.astimezone(UTC)
        chosen = min if dated else max
        return self.now.astimezone(UTC).replace(tzinfo=None) + chosen(self.offset, timedelta(0))

    def ahead(self, value: Any, by: timedelta = timedelta(0)) -> bool:
        """Say whether an ISO text is a moment ahead of the clock, by more than a time."""
        at = cursors.moment(value)
        dated = isinstance(value, str) and len(value) == _DAY
        return at is not None and at > self.limit(zoned=at.tzinfo is not None, dated=dated) + by


def local_clock(now: datetime | None = None) -> Clock:
    """Return the clock of this machine, for sources that have none of their own."""
    here = (now or datetime.now(UTC)).astimezone()
    return Clock(here, here.utcoffset() or timedelta(0))


class Progress:
    """Follows the cursor column of one reading, batch by batch.

    Args:
        source: What is read; its cursor may be None, and then nothing is followed.
        where: What is read, for messages.
        clock: The clock of the source.
        zones: Times as text are compared as moments, so that they may have several offsets from UTC.
    """

    def __init__(self, source: SourceSpec, where: str, clock: Clock, *, zones: bool = False) -> None:
        self._column = source.cursor or ""
        self._where = where
        self._clock = clock
        self._compare_moments = zones
        self._zones: set[str] = set()
        self._epoch: cursors.Form | None = None
        self._asked_for_epoch = False
        self._far = 0
        self._dated = False
        self._odd = 0
        self._lengths: set[int] | None = set()
        self.value: pa.Scalar | None = None
        self.nulls = 0

    def add(self, column: pa.Array) -> None:
        """Look at the cursor values of further rows.

        Raises:
            ConfigurationError: Times as text with several offsets from UTC, whose order as text is not that of time.
        """
        self.nulls += column.null_count
        if column.null_count == len(column):
            return
        if cursors_are_texts(column.type):
            self._raise(self._greatest_text(column))
        else:
            self._raise(self._greatest(column))

    def notes(self) -> list[str]:
        """Return what was met, as sentences."""
        said = []
        if self.nulls:
            said.append(
                f"{self.nulls} rows of {self._where} have no {self._column}; such rows are read by each load, "
                "and those that were landed before are left out"
            )
        if self._far:
            said.append(
                f"{self._far} rows of {self._where} have a {self._column} over a day in the future; "
                "they were read, and will be read again, but do not move the cursor"
            )
        if self._lengths is not None and len(self._lengths) > 1:
            said.append(
                f"The cursor {self._column} of {self._where} holds numbers as text, "
                "compared letter by letter: '9' comes after '10'"
            )
        if self._odd:
            said.append(
                f"{self._odd} rows of {self._where} have a {self._column} that is no time, unlike the others; "
                "they were read, but do not move the cursor"
            )
        return said

    def _greatest(self, column: pa.Array) -> pa.Scalar | None:
        top = cursor_values.greatest(column)
        limits = None if top is None else self._limits(column)
        if top is None or limits is None:
            return top
        limit, far = limits
        if not pc.greater(top, limit).as_py():
            return top
        self._far += pc.sum(pc.greater(column, far)).as_py() or 0
        return cursor_values.greatest(column.filter(pc.less_equal(column, limit)))

    def _limits(self, column: pa.Array) -> tuple[pa.Scalar, pa.Scalar] | None:
        """Return the greatest value that may move the position, and the one past which a row is told of."""
        type_ = column.type
        if pa.types.is_timestamp(type_) or pa.types.is_date(type_):
            zoned = getattr(type_, "tz", None) is not None
            at = self._clock.limit(zoned=zoned, dated=pa.types.is_date(type_))
            limit, far = (cursor_values.decode(each.isoformat(), type_) for each in (at, at + cursors.AHEAD))
            return limit, far
        if not pa.types.is_integer(type_):
            return None
        if not self._asked_for_epoch:
            self._asked_for_epoch = True
            self._epoch = _epoch(column, self._clock)
        if self._epoch is None:
            return None
        limit, far = (
            pa.scalar(int(at.timestamp()) * self._epoch.unit, pa.int64())
            for at in (self._clock.now, self._clock.now + cursors.AHEAD)
        )
        return limit, far

    def _greatest_text(self, column: pa.Array) -> pa.Scalar | None:
        column = self._of_times(column.cast(pa.large_string()).drop_null())
        top = cursor_values.greatest(column)
        if top is None or not self._dated:
            self._look_at_digits(column)
            return top
        self._look_at_zones(column)
        if not self._compare_moments and not self._clock.ahead(top.as_py()):
            return top
        values = column.to_pylist()
        self._far += sum(self._clock.ahead(value, cursors.AHEAD) for value in values)
        kept = [value for value in values if not self._clock.ahead(value)]
        if self._compare_moments:
            kept = [value for value in kept if cursors.moment(value) is not None]
        found = max(kept, key=self._rank, default=None)
        return None if found is None else pa.scalar(found, column.type)

    def _of_times(self, column: pa.Array) -> pa.Array:
        """Leave out of a column of times what is none: a text such as ``unknown`` is greater than all times."""
        times = pc.match_substring_regex(column, r"^\d{4}-\d\d-\d\d")
        found = pc.sum(times).as_py() or 0
        self._dated = self._dated or 2 * found > len(column)
        if not self._dated or found == len(column):
            return column
        self._odd += len(column) - found
        return column.filter(times)

    def _look_at_digits(self, column: pa.Array) -> None:
        if len(column) and self._lengths is not None:
            numbers = pc.all(pc.match_substring_regex(column, r"^\d+$")).as_py()
            self._lengths = self._lengths | set(pc.unique(pc.utf8_length(column)).to_pylist()) if numbers else None

    def _look_at_zones(self, column: pa.Array) -> None:
        if self._compare_moments:
            return
        zoned = column.filter(pc.match_substring_regex(column, rf":\d\d(?:[.,]\d+)?{_ZONE}"))
        found = pc.unique(pc.extract_regex(zoned, rf"(?P<zone>{_ZONE})").field("zone")).to_pylist()
        self._zones |= {"+00:00" if zone in ("+0000", "+00", "-00:00") else zone for zone in found if zone}
        if len(self._zones) > 1:
            raise ConfigurationError(
                f"The cursor {self._column!r} of {self._where} holds texts of times with several offsets from UTC, "
                "whose order is not that of time",
                value=", ".join(sorted(self._zones)),
                remedy="Read a query that writes them all in UTC, or casts them to a time with a zone",
            )

    def _rank(self, value: Any) -> Any:
        if not self._compare_moments:
            return value
        at = cursors.moment(value)
        return None if at is None else at if at.tzinfo else at.replace(tzinfo=UTC)

    def _raise(self, top: pa.Scalar | None) -> None:
        if top is None:
            return
        if self.value is None or self._rank(top.as_py()) > self._rank(self.value.as_py()):
            self.value = top


class Gate:
    """Lets the rows of a batch through that a reading by cursor wants, where the source cannot choose them itself.

    Args:
        source: What is read.
        where: What is read, for messages.

    Attributes:
        without: How many rows without a value were left out.
    """

    def __init__(self, source: SourceSpec, where: str) -> None:
        self._policy = source.on_null_cursor
        self._column = source.cursor or ""
        self._where = where
        self.without = 0

    def wanted(self, column: Any, since: pa.Scalar | None) -> Any:
        """Return which rows are wanted: those from a bound on, and those without a value as the source says.

        Raises:
            DataError: There are rows without a value, and the source refuses them.
        """
        if self._policy is OnNullCursor.RAISE and column.null_count:
            raise null_refused(column.null_count, self._column, self._where)
        excluding = self._policy is OnNullCursor.EXCLUDE
        if since is None:
            known = pc.is_valid(column) if excluding else pc.if_else(pc.is_valid(column), True, True)
        else:
            known = pc.fill_null(pc.greater_equal(column, since), not excluding)
        if excluding:
            self.without += column.null_count
        return known

    def notes(self) -> list[str]:
        """Return what was left out, as sentences."""
        return [null_excluded(self.without, self._column, self._where)] if self.without else []


def null_refused(rows: int, column: str, where: str) -> DataError:
    """Return the error for rows without a cursor value where the source refuses them."""
    return DataError(
        f"{rows} rows of {where} have no {column}, by which it is read",
        remedy="Mend the rows, or set on_null_cursor to 'include' or 'exclude'",
    )


def null_excluded(rows: int, column: str, where: str) -> str:
    """Return the sentence about rows without a cursor value that were left out."""
    return f"{rows} rows of {where} have no {column}; they were left out, as on_null_cursor says"


def in_no_interval(rows: int, column: str, where: str) -> str:
    """Return the sentence about rows without a moment by which a source is read interval by interval."""
    return f"{rows} rows of {where} have no moment in {column} and belong to no interval; they are not read"


def cursors_are_texts(type_: pa.DataType) -> bool:
    """Say whether an Arrow type is one of texts."""
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def encoded(progress: Progress, column: str, kind: str | None = None) -> Mapping[str, Any] | None:
    """Return a reading's position as JSON; None where no value moved it."""
    if progress.value is None:
        return None
    return {
        "column": column,
        "cursor": cursor_values.encode(progress.value),
        "cursor_type": kind or cursor_values.kind(progress.value.type),
    }


def _epoch(column: pa.Array, clock: Clock) -> cursors.Form | None:
    """Tell whether whole numbers count seconds since 1970: most lie between 2000 and tomorrow."""
    sample = sorted(value for value in column.slice(0, 1000).to_pylist() if value is not None)
    form = cursors.form_of(sample)
    if form is None or form.kind != "epoch":
        return None
    middle = sample[len(sample) // 2] / form.unit
    return form if _SINCE_2000 <= middle <= (clock.now + cursors.AHEAD).timestamp() else None
