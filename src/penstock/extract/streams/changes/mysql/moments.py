"""Dates, times and moments as the binary log has them, and addresses and ids that it has as bytes."""

from __future__ import annotations

import ipaddress
import uuid
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from penstock.extract.streams.changes.mysql.images import Bytes, Flags
from penstock.extract.streams.changes.mysql.shapes import Column

Numbers = npt.NDArray[np.int64]
_DAY = 86_400_000_000
_UTC = pa.timestamp("us", "UTC")


def dates(data: Bytes, digits: int, nulls: Flags) -> pa.Array:  # noqa: ARG001 - one shape for all
    """Return dates; as texts where one lacks its day, month or year."""
    packed = _big(data[:, ::-1])
    year, month, day = packed >> 9, (packed >> 5) & 15, packed & 31
    odd = ((year == 0) | (month == 0) | (day == 0)) & ~nulls
    if odd.any():
        return _texts(lambda at: f"{year[at]:04}-{month[at]:02}-{day[at]:02}", nulls)
    return pa.array(_days(year, month, day).astype(np.int32), pa.date32(), mask=nulls)


def datetimes(data: Bytes, digits: int, nulls: Flags) -> pa.Array:
    """Return moments without a zone; as texts where one lacks its day, month or year."""
    packed = _big(data[:, :5]) - 0x8000000000
    days, clock, micros = packed >> 17, packed & 0x1FFFF, _fraction(data[:, 5:])
    year, month, day = (days >> 5) // 13, (days >> 5) % 13, days & 31
    hour, minute, second = clock >> 12, (clock >> 6) & 63, clock & 63
    odd = ((year == 0) | (month == 0) | (day == 0)) & ~nulls
    if odd.any():
        return _texts(
            lambda at: (
                f"{year[at]:04}-{month[at]:02}-{day[at]:02} {hour[at]:02}:{minute[at]:02}:{second[at]:02}"
                + _behind(int(micros[at]), digits)
            ),
            nulls,
        )
    seconds = (hour * 60 + minute) * 60 + second
    return pa.array(_days(year, month, day) * _DAY + seconds * 1_000_000 + micros, pa.timestamp("us"), mask=nulls)


def timestamps(data: Bytes, digits: int, nulls: Flags) -> pa.Array:
    """Return moments in UTC; as texts where one is zero."""
    seconds, micros = _big(data[:, :4]), _fraction(data[:, 4:])
    if ((seconds == 0) & (micros == 0) & ~nulls).any():
        whole = seconds.astype("datetime64[s]").astype(str)

        def text(at: int) -> str:
            moment = whole[at].replace("T", " ") if seconds[at] or micros[at] else "0000-00-00 00:00:00"
            return str(moment) + _behind(int(micros[at]), digits)

        return _texts(text, nulls)
    return pa.array(seconds * 1_000_000 + micros, _UTC, mask=nulls)


def times(data: Bytes, digits: int, nulls: Flags) -> pa.Array:
    """Return times of a day; as texts where one is before its beginning or behind its end."""
    size = data.shape[1]
    packed = _big(data) - (0x800000 << (8 * (size - 3)))
    negative, packed = packed < 0, np.abs(packed)
    width = 8 * (size - 3)
    clock, rest = packed >> width, packed & ((1 << width) - 1)
    micros = rest * {0: 0, 1: 10_000, 2: 100, 3: 1}[size - 3]
    hour, minute, second = (clock >> 12) & 1023, (clock >> 6) & 63, clock & 63
    odd = (negative | (hour > 23)) & ~nulls
    if odd.any():
        return _texts(
            lambda at: (
                "-" * bool(negative[at])
                + f"{hour[at]:02}:{minute[at]:02}:{second[at]:02}"
                + _behind(int(micros[at]), digits)
            ),
            nulls,
        )
    return pa.array(((hour * 60 + minute) * 60 + second) * 1_000_000 + micros, pa.time64("us"), mask=nulls)


def address(value: bytes, column: Column) -> str:
    """Return what bytes of an id or an address mean."""
    if column.declared == "uuid":
        return str(uuid.UUID(bytes=value.ljust(16, b"\0")))
    if column.declared == "inet4":
        return str(ipaddress.IPv4Address(value.ljust(4, b"\0")))
    found = ipaddress.IPv6Address(value.ljust(16, b"\0"))
    return f"::ffff:{found.ipv4_mapped}" if found.ipv4_mapped else str(found)


def _big(data: Bytes) -> Numbers:
    """Return numbers whose highest byte comes first."""
    found = np.zeros(len(data), np.int64)
    for place in range(data.shape[1]):
        found = (found << 8) | data[:, place]
    return found


def _fraction(data: Bytes) -> Numbers:
    """Return microseconds."""
    return _big(data) * {0: 0, 1: 10_000, 2: 100, 3: 1}[data.shape[1]]


def _behind(micros: int, digits: int) -> str:
    return f".{micros:06}"[: digits + 1] if digits else ""


def _days(year: Numbers, month: Numbers, day: Numbers) -> Numbers:
    """Return days since 1970: months are counted from March on, so that a leap day is the last of its year."""
    year = year - (month <= 2)
    era = year // 400
    of_era = year - era * 400
    of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    found: Numbers = era * 146_097 + of_era * 365 + of_era // 4 - of_era // 100 + of_year - 719_468
    return found


def _texts(text: Callable[[int], str], nulls: Flags) -> pa.Array:
    return pa.array([None if null else text(at) for at, null in enumerate(nulls.tolist())], pa.string())
