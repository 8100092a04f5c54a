"""The words of expectations that several kinds share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any


def spanned(least: Any, most: Any, show: Callable[[Any], str] = "{:,}".format) -> str:
    """Return a range, either side of which may be open (None): ``at least 3``, ``3 to 5``."""
    if most is None:
        return f"at least {show(least)}"
    return f"at most {show(most)}" if least is None else f"{show(least)} to {show(most)}"


def either(names: Sequence[str]) -> str:
    """Return names joined by ``or``."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def shortened(text: str) -> str:
    """Return a text for a sentence: on one line, cut after 60 characters."""
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59] + "…"
