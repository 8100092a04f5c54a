"""Numbers that a format shows as moments: days since 1900 or 1904, with Excel's own 29 February 1900."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from enum import Enum

from penstock.extract.files.formats.spreadsheets.workbook import Value, plain

_LITERALS = re.compile(r'"[^"]*"|\\.|_.|\*.')
_ELAPSED = re.compile(r"\[(h+|m+|s+)\]")
_BRACKETS = re.compile(r"\[[^\]]*\]")
_NOON = re.compile(r"am/pm|a/p")
_FIRST = {False: datetime(1899, 12, 30), True: datetime(1904, 1, 1)}  # noqa: DTZ001 - a cell has no zone
_MILLIS = 86_400_000


class Shown(Enum):
    """What a number format shows."""

    NUMBER = 0
    MOMENT = 1
    TIME = 2
    ELAPSED = 3


BUILT_IN = {
    **dict.fromkeys((*range(14, 18), 22, *range(27, 37), *range(50, 59)), Shown.MOMENT),
    **dict.fromkeys((18, 19, 20, 21, 45, 47), Shown.TIME),
    46: Shown.ELAPSED,
}
"""The formats that a workbook need not spell out, by their numbers."""


def shown(code: str) -> Shown:
    """Return what a number format's code shows, by its first section."""
    plain = _LITERALS.sub("", code.lower()).partition(";")[0]
    if _ELAPSED.search(plain):
        return Shown.ELAPSED
    plain = _BRACKETS.sub("", plain)
    if plain.strip() == "general":
        return Shown.NUMBER
    plain = _NOON.sub("h", plain)
    hours = "h" in plain or "s" in plain
    if "y" in plain or "d" in plain or ("m" in plain and not hours):
        return Shown.MOMENT
    return Shown.TIME if hours else Shown.NUMBER


def clock(span: timedelta) -> time:
    """Return the time of day that lies so long after midnight."""
    return (_FIRST[False] + span).time()


def moment(serial: float, how: Shown, *, since_1904: bool) -> Value:
    """Return a number as what its format shows, to the millisecond; a number that is no moment stays one.

    The day 60 of the calendar since 1900 is 29 February 1900, which never was; it is a text.
    """
    millis = round(serial * _MILLIS)
    if how is Shown.ELAPSED:
        return timedelta(milliseconds=millis) if abs(serial) < 999_999_999 else plain(serial)
    if how is Shown.TIME and 0 <= millis < _MILLIS:
        return clock(timedelta(milliseconds=millis))
    day, rest = divmod(millis, _MILLIS)
    if not since_1904:
        if day < 1:
            return time() if how is Shown.TIME and not millis else plain(serial)
        if day == 60:
            return f"1900-02-29 {clock(timedelta(milliseconds=rest)).isoformat()}" if rest else "1900-02-29"
        day += day < 60
    try:
        found = _FIRST[since_1904] + timedelta(days=day, milliseconds=rest)
    except OverflowError:
        return plain(serial)
    return date(found.year, found.month, found.day) if not rest and how is Shown.MOMENT else found
