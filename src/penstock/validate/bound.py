"""A check bound to the columns of the rows: what the SQL of every kind of check is made into."""

from __future__ import annotations

from typing import Any

from penstock.model.specs import CheckSpec
from penstock.queries.text import identifier
from penstock.values import dataclass


@dataclass(frozen=True, slots=True)
class Bound:
    """A check that can be run.

    Attributes:
        spec: What was asked for.
        columns: The columns it is about, as the lake names them.
        reads: All columns that its SQL names; None where that cannot be told.
        expectation: What a failing row is, for the sentence: ``is outside 1 to 12``.
        fails: SQL that is true for failing rows, for kinds that judge a row by itself.
        where: SQL of the rows that it looks at; None: all.
        when: SQL aggregate of all rows; the check is skipped unless it is true.
        known: For ``unique`` against the table: SQL that is true for a key that the table holds.
        figure: For kinds that judge a figure of all rows: its SQL aggregate.
        query: For ``query``: the query over the rows; for ``reconciles``: of the other table's figure.
        frame: For functions: what they are given.
    """

    spec: CheckSpec
    columns: tuple[str, ...] = ()
    reads: tuple[str, ...] | None = None
    expectation: str = ""
    fails: str | None = None
    where: str | None = None
    when: str | None = None
    known: str | None = None
    figure: str = ""
    query: str = ""
    frame: str = ""

    @property
    def guarded(self) -> str:
        """SQL that is true for failing rows among those it looks at; CASE keeps DuckDB from judging the others."""
        return f"({self.fails})" if self.where is None else f"(CASE WHEN {self.where} THEN {self.fails} ELSE false END)"

    @property
    def keys(self) -> str:
        """The quoted columns, comma-separated."""
        return ", ".join(identifier(name) for name in self.columns)

    @property
    def looked(self) -> str:
        """SQL of the rows that it looks at and that have a value in each of its columns."""
        present = " AND ".join(f"{identifier(name)} IS NOT NULL" for name in self.columns)
        return present if self.where is None else f"{present} AND {self.where}"

    def says(self, parameter: str, default: Any = None) -> Any:
        """Return a parameter of the check."""
        return self.spec.parameters.get(parameter, default)
