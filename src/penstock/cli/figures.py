"""Figures for people: rows, bytes, times, moments."""

from __future__ import annotations

from datetime import UTC, datetime


def count(number: int | None) -> str:
    """Return a number with its thousands apart: ``336,776``; a dash for None."""
    return "–" if number is None else f"{number:,}"


def plural(number: int, noun: str, several: str | None = None) -> str:
    """Return ``1 row`` or ``2 rows``."""
    return f"{number:,} {noun if number == 1 else several or noun + 's'}"


def size(number: float | None) -> str:
    """Return bytes in decimal units: ``12.3 MB``."""
    if number is None:
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if number < 999.5:
            return f"{number:.0f} {unit}" if unit == "B" or number >= 99.95 else f"{number:.1f} {unit}"
        number /= 1000
    return f"{number:.1f} TB"


def rate(rows: int, seconds: float) -> str:
    """Return rows per second: ``35.2k rows/s``; nothing where time or rows are too few to tell."""
    if seconds < 0.05 or rows < 1000:
        return ""
    speed = rows / seconds
    for unit in ("", "k", "M"):
        if speed < 999.5:
            return f"{speed:.0f}{unit} rows/s" if not unit or speed >= 99.95 else f"{speed:.1f}{unit} rows/s"
        speed /= 1000
    return f"{speed:.1f}G rows/s"


def duration(seconds: float) -> str:
    """Return a time: ``0.8 s``, ``42 s``, ``3 min 05 s``, ``2 h 10 min``."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def moment(at: datetime | None) -> str:
    """Return a UTC moment to the second: ``2026-11-21 02:30:54``; a dash for None."""
    return "–" if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
