"""Contracts: what the schema of a source's table may do, and what it did in one load."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum

from penstock.values import dataclass


class OnChange(StrEnum):
    """What happens where a load's columns or types differ from the table's.

    ``evolve`` takes the change over where nothing is lost, ``freeze`` refuses the load, ``discard`` leaves out what is
    new or does not fit, counted and kept.
    """

    EVOLVE = "evolve"
    FREEZE = "freeze"
    DISCARD = "discard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What a table's schema may do. It holds from the second load on: the first one makes the table.

    Attributes:
        columns: What new and vanished columns do.
        types: What values do that the table's type cannot hold.
        each: Column to ``evolve``, ``freeze``, ``discard``, or the DuckDB type that it always has.
    """

    columns: OnChange = OnChange.EVOLVE
    types: OnChange = OnChange.EVOLVE
    each: Mapping[str, str] = field(default_factory=dict)

    def column(self, name: str) -> OnChange:
        """Return what happens when this column appears or vanishes."""
        said = self._said(name)
        return OnChange(said) if said in _WORDS else self.columns

    def values(self, name: str) -> OnChange:
        """Return what happens to values of this column that its type cannot hold."""
        said = self._said(name)
        if said in _WORDS:
            return OnChange(said)
        # A type that was asked for does not widen.
        return OnChange.FREEZE if said and self.types is OnChange.EVOLVE else self.types

    def type(self, name: str) -> str | None:
        """Return the type that this column always has, if the contract says so."""
        said = self._said(name)
        return None if said in _WORDS else said

    def _said(self, name: str) -> str | None:
        return self.each.get(name) or {known.lower(): said for known, said in self.each.items()}.get(name.lower())


_WORDS = frozenset(word.value for word in OnChange)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retyped:
    """A column whose type changed: from which to which, as DuckDB spells them."""

    column: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Discarded:
    """What a contract left out of a table; the values stand in the column ``_discarded`` of the raw zone.

    Attributes:
        column: As the source calls it.
        type: The type in which it came.
        values: How many values that are not null.
        whole: The column is none of the table's; else these values did not fit, and their rows were set aside.
    """

    column: str
    type: str
    values: int
    whole: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChange:
    """The contract under which a load came, and what its columns did. Columns are called as the source calls them.

    Attributes:
        contract: The contract in force.
        added: Columns that are new in the table, name to type.
        vanished: Columns of the table that the load does not have; a merge leaves what the table has of them.
        partial: Columns that some batches of the load lack, with the number of rows that are null for that.
        renamed: Columns that came in another case: the table's name to the one that came.
        retyped: Columns whose type became wider, or that got their first type.
        discarded: What was left out.
    """

    contract: Contract = field(default_factory=Contract)
    added: Mapping[str, str] = field(default_factory=dict)
    vanished: tuple[str, ...] = ()
    partial: Mapping[str, int] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    retyped: tuple[Retyped, ...] = ()
    discarded: tuple[Discarded, ...] = ()
