"""Which columns of a result are personal, by the names that nested personal values have once they are taken apart."""

from __future__ import annotations

import re
from collections.abc import Iterable

from penstock.model.entries import Column
from penstock.values import dataclass

_SEPARATOR = "__"
_WITHIN = re.compile(r"([^:()]+): (.+)")
"""A mark of a field within a column: its dotted path, and how it is protected; see ``Shield.mark``."""


@dataclass(frozen=True, slots=True)
class Marks:
    """Names to marks.

    Attributes:
        names: Of columns, in lower case.
        beginnings: Of columns that hold what lies within a personal value: ``customer__``.
    """

    names: dict[str, str]
    beginnings: dict[str, str]

    def __bool__(self) -> bool:
        """Say whether anything is personal."""
        return bool(self.names)

    def of(self, name: str) -> str | None:
        """Return the mark of a column; None where it is not personal."""
        folded = name.lower()
        within = (mark for beginning, mark in self.beginnings.items() if folded.startswith(beginning))
        return self.names.get(folded) or next(within, None)


def inherited(columns: Iterable[Column], *, children: bool) -> Marks:
    """Return the marks of a result, by the columns of what it was made from.

    A column inherits by its own name, and by that of a nested value taken apart: ``customer__email`` of ``customer``.

    Args:
        columns: Of all inputs.
        children: Child tables are read too, whose columns lack the beginnings of their paths: ``email`` of
            ``people.email``.
    """
    found = Marks({}, {})
    for column in columns:
        if not column.personal:
            continue
        own = column.name.lower()
        found.names[own] = column.personal
        within = [match.groups() for part in column.personal.split(", ") if (match := _WITHIN.fullmatch(part))]
        if not within:
            found.beginnings[own + _SEPARATOR] = column.personal
        for path, mark in within:
            steps = [own, *path.lower().split(".")]
            for first in range(len(steps) if children else 1):
                name = _SEPARATOR.join(steps[first:])
                found.names.setdefault(name, mark)
                found.beginnings.setdefault(name + _SEPARATOR, mark)
    return found
