"""Half-open intervals of time in UTC."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta

from penstock.errors import ConfigurationError
from penstock.values import dataclass

SCHEDULES = {"@hourly": timedelta(hours=1), "@daily": timedelta(days=1), "@weekly": timedelta(days=7)}
"""Schedule to the length of one interval."""


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """The moments from ``start`` (inside) to ``end`` (outside), both aware and in UTC."""

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ConfigurationError("An interval needs moments with a time zone", value=f"{self.start} – {self.end}")
        if self.start >= self.end:
            raise ConfigurationError("An interval must end after it starts", value=f"{self.start} – {self.end}")

    @property
    def label(self) -> str:
        """Return the shortest true name: ``2013-01-05`` for a whole day, else both ends."""
        midnight = self.start.time() == datetime.min.time()
        if midnight and self.end - self.start == timedelta(days=1):
            return self.start.date().isoformat()
        return f"{_short(self.start)}/{_short(self.end)}"

    @property
    def path(self) -> str:
        """Return the name used in partition paths, free of colons."""
        return f"{_short(self.start)}_{_short(self.end)}".replace(":", "-")

    def overlaps(self, other: Interval) -> bool:
        """Say whether the two share a moment."""
        return self.start < other.end and other.start < self.end

    def split(self, step: timedelta) -> Iterator[Interval]:
        """Yield consecutive intervals of one ``step`` each that cover this one; the last may be shorter."""
        start = self.start
        while start < self.end:
            end = min(start + step, self.end)
            yield Interval(start, end)
            start = end

    @classmethod
    def parse(cls, text: str) -> Interval:
        """Read ``2013-01-05`` (that day) or ``START/END`` of ISO dates or times; naive means UTC."""
        start, slash, end = text.partition("/")
        first = parse_moment(start)
        return cls(first, parse_moment(end) if slash else first + timedelta(days=1))


def parse_moment(text: str) -> datetime:
    """Read an ISO date or time; without a zone it is taken as UTC."""
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ConfigurationError(
            "This is not a date or time", value=text, valid="ISO 8601, as 2013-01-05 or 2013-01-05T06:00:00+00:00"
        ) from None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def midnight(day: date) -> datetime:
    """Return the start of a day in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _short(at: datetime) -> str:
    return at.date().isoformat() if at.time() == datetime.min.time() else at.isoformat().replace("+00:00", "Z")
