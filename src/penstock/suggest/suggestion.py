"""A check that is suggested, and how it is written as code."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from penstock.values import dataclass

TRIED = (0.5, 0.75)
"""Of how many of the loads suggestions are tried on the rest."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A call of a function of ``penstock.checks``.

    Attributes:
        kind: The function.
        arguments: What it is called with.
        keywords: The same by name.
        reason: Why: what the recent loads show.
    """

    kind: str
    arguments: tuple[Any, ...] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""

    def code(self) -> str:
        """Return the call as Python."""
        parts = [_written(argument) for argument in self.arguments]
        parts += [f"{name}={_written(value)}" for name, value in self.keywords.items()]
        return f"checks.{self.kind}({', '.join(parts)})"


def module(table: str, suggestions: Sequence[Suggestion]) -> str:
    """Return the checks of a table as a dict to paste into a pipeline, the reason beside each."""
    lines = ["from penstock import checks", "", "CHECKS = {", f"    {_written(table)}: ["]
    for suggestion in suggestions:
        lines += [f"        # {line}" for line in suggestion.reason.splitlines()]
        lines.append(f"        {suggestion.code()},")
    return "\n".join([*lines, "    ],", "}", ""])


def rounded(value: float, digits: int = 6, *, up: bool | None = None) -> float | int:
    """Return a number with few digits; ``up`` says to which side it may move, None: to either.

    Whole numbers come as ``int``.
    """
    if value == 0 or not math.isfinite(value):
        return 0 if value == 0 else value
    place = digits - 1 - math.floor(math.log10(abs(value)))
    scaled = value * 10.0**place
    moved = round(scaled) if up is None else math.ceil(scaled - 1e-6) if up else math.floor(scaled + 1e-6)
    found = moved / 10.0**place
    return int(found) if found == int(found) and abs(found) < 2**53 else found


def _written(value: Any) -> str:
    if isinstance(value, str):
        # Double quotes, as the formatters write them, unless the text has some.
        return repr(value) if '"' in value or "\\" in value or not value.isprintable() else f'"{value}"'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_written(key)}: {_written(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_written, value)) + "]"
    return repr(value)
