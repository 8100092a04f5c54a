"""Durations as people write them: ``26h``, ``7d``, ``90m``, ``1h30m``."""

from __future__ import annotations

import re
from datetime import timedelta

from penstock.errors import ConfigurationError

_MILLISECONDS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(ms|[wdhms])\s*")
_VALID = "numbers with w, d, h, m, s or ms, each once and the largest first, as 26h, 7d or 1h30m"


def parse_duration(text: str | timedelta) -> timedelta:
    """Read a duration; a timedelta is returned as it is.

    Args:
        text: As ``26h``, ``7d``, ``90m``, ``1h30m``, ``0.5s``; zero is ``0s``, never negative.

    Raises:
        ConfigurationError: If it is no duration.
    """
    if isinstance(text, timedelta):
        if text < timedelta(0):
            raise ConfigurationError("A duration cannot be negative", value=str(text), valid=_VALID)
        return text
    parts = _PART.findall(text) if isinstance(text, str) and _PART.sub("", text.strip()) == "" else []
    sizes = [_MILLISECONDS[unit] for _, unit in parts]
    if not parts or sizes != sorted(set(sizes), reverse=True):
        raise ConfigurationError("This is not a duration", value=text, valid=_VALID)
    try:
        return timedelta(milliseconds=sum(float(number) * size for (number, _), size in zip(parts, sizes, strict=True)))
    except OverflowError:
        raise ConfigurationError("This duration is too long", value=text, valid="under 999,999,999 days") from None


def show_duration(duration: timedelta) -> str:
    """Return a duration in the form that ``parse_duration`` reads: ``26h`` is ``1d2h``, zero is ``0s``."""
    left = round(abs(duration) / timedelta(milliseconds=1))
    shown = "-" if duration < timedelta(0) and left else ""
    for unit in ("d", "h", "m", "s", "ms"):
        count, left = divmod(left, _MILLISECONDS[unit])
        shown += f"{count}{unit}" if count else ""
    return shown or "0s"
