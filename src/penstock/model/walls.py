"""Moments that cron expressions name on the clock of a place, over the nights in which that clock is set.

``cronsim`` finds the times that fit an expression; it is asked for times without a zone, and what follows says which
moments these are.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from penstock.values import dataclass

_SECOND = timedelta(seconds=1)
_LARGEST_SHIFT = timedelta(hours=3)
_FAR = (timedelta(hours=1), *(timedelta(days=days) for days in (1, 8, 32, 367, 3000, 18_300)))


@dataclass(frozen=True, slots=True)
class Wall:
    """Each time that the expression names, exactly once.

    One that the clock skips is due when it is set; one that it shows twice is due the first time.
    """

    expression: str
    zone: ZoneInfo

    def following(self, at: datetime) -> datetime | None:
        """Return the first that is later."""
        for shown in _Fits(self.expression, at.astimezone(self.zone).replace(tzinfo=None)):
            found = _moment(shown, self.zone)
            if found > at:
                return found
        return None

    def newest(self, at: datetime) -> datetime | None:
        """Return the last that is not later."""
        late = at.astimezone(self.zone).replace(tzinfo=None) + _LARGEST_SHIFT
        for shown in _Fits(self.expression, late, reverse=True):
            found = _moment(shown, self.zone)
            if found <= at:
                return found
        return None


@dataclass(frozen=True, slots=True)
class Elapsed:
    """The moments at which the clock shows a time that the expression names, of one that means every hour.

    The hour that is shown twice is two hours, and one that is skipped is none, so that the time between two of them
    stays the same.
    """

    expression: str
    zone: ZoneInfo

    def following(self, at: datetime) -> datetime | None:
        """Return the first that is later."""
        offset = self._offset(at)
        while True:
            shown = next(_Fits(self.expression, (at + offset).replace(tzinfo=None)), None)
            if shown is None:
                return None
            found = shown.replace(tzinfo=UTC) - offset
            if self._offset(found) == offset:
                return found
            change = _change(at, found, self.zone)
            at, offset = change - _SECOND, self._offset(change)

    def newest(self, at: datetime) -> datetime | None:
        """Return the last that is not later."""
        for far in _FAR:
            found, following = None, self.following(at - far)
            while following is not None and following <= at:
                found, following = following, self.following(following)
            if found is not None:
                return found
        return None

    def _offset(self, at: datetime) -> timedelta:
        return at.astimezone(self.zone).utcoffset() or timedelta(0)


class _Fits:
    """The times without a zone that fit an expression, later or earlier than one.

    Raises:
        ValueError: It is no expression of five fields.
    """

    def __init__(self, expression: str, at: datetime, *, reverse: bool = False) -> None:
        from cronsim import CronSim, CronSimError

        try:
            self._found = CronSim(expression, at, reverse=reverse)
        except (CronSimError, AssertionError, TypeError) as error:
            raise ValueError(str(error).lower() or "it cannot be read") from None

    def __iter__(self) -> _Fits:
        return self

    def __next__(self) -> datetime:
        return next(self._found)


def _moment(shown: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment at which a clock shows a time first; of one that it skips, the moment at which it is set."""
    found = shown.replace(tzinfo=zone).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == shown:
        return found
    return _change(shown.replace(tzinfo=zone, fold=1).astimezone(UTC) - _SECOND, found, zone)


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """Return the moment between two at which the clock is set, to the second."""
    was = before.astimezone(zone).utcoffset()
    before, after = before.replace(microsecond=0), after.replace(microsecond=0)
    while after - before > _SECOND:
        middle = before + (after - before) // 2
        middle = middle.replace(microsecond=0)
        if middle.astimezone(zone).utcoffset() == was:
            before = middle
        else:
            after = middle
    return after
