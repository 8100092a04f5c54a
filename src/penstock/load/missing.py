"""Columns that a load does not have: a merge leaves what the table has of them, for missing is not null.

The value of such a column is that of the greatest older row of the key whose load has it, whatever the order
in which loads are applied. Where the new loads lack it alike, that is the value that the table had; else it is looked
up in the live loads, for the keys that need it alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penstock.load.change import Change
from penstock.load.columns import served
from penstock.load.flattening import flat
from penstock.load.layout import Kind, Layout
from penstock.load.merge import ROWS, Merging
from penstock.load.rows import parts, union
from penstock.load.spec import AcceptedLoad, LoadPorts, reserved
from penstock.model.entries import Column
from penstock.model.specs import SourceSpec
from penstock.names import LOAD, ORDER
from penstock.queries.text import identifier, identifiers
from penstock.values import dataclass

_PRIOR = "penstock_load_prior"
_KEYS = "penstock_load_keys"
_NEEDING = "penstock_load_needing"
_FOUND = "penstock_load_found"


@dataclass(frozen=True, slots=True)
class Missing:
    """The columns that some live loads lack.

    Attributes:
        merging: The table.
        ports: What the loading works through.
        live: All live loads, the new ones among them.
        lacking: Column to the numbers of the live loads that lack it.
        simple: The columns that all new loads lack, where no load is taken out.
        dead: The loads that are taken out.
        reserved: The columns that the table has beside the source's own.
    """

    merging: Merging
    ports: LoadPorts
    live: tuple[AcceptedLoad, ...]
    lacking: Mapping[str, frozenset[int]]
    simple: frozenset[str]
    dead: tuple[AcceptedLoad, ...]
    reserved: tuple[str, ...]

    def remember(self) -> None:
        """Keep what the table has of the columns for the keys of ``ROWS``, before they are merged."""
        if not self.simple:
            return
        merging = self.merging
        names = ", ".join(f"t.{identifier(name)}" for name in (*merging.key, *sorted(self.simple)))
        merging.transaction.execute(
            f"CREATE OR REPLACE TEMP TABLE {_PRIOR} AS SELECT {names} FROM {identifier(merging.table)} t "
            f"SEMI JOIN {ROWS} r ON {merging.same_key('t', 'r')}"
        )

    def fill(self, types: Mapping[str, str]) -> None:
        """Give the merged rows the values of the columns that their loads lack.

        Args:
            types: Column in lower case to its type in the table.
        """
        merging = self.merging
        self._touch(types)
        for column, loads in self.lacking.items():
            name = identifier(column)
            if column in self.simple:
                merging.transaction.execute(
                    f"UPDATE {identifier(merging.table)} AS t SET {name} = p.{name} FROM {_PRIOR} p "
                    f"WHERE {merging.same_key('t', 'p')} AND t.{LOAD} IN (SELECT unnest(?::BIGINT[])) "
                    f"AND p.{name} IS NOT NULL",
                    [sorted(loads)],
                )
            elif self._needing(loads):
                if self.dead:
                    # What a load gave that is taken out goes with it, also where it stands in rows of others.
                    merging.transaction.execute(
                        f"UPDATE {identifier(merging.table)} AS t SET {name} = NULL FROM {_NEEDING} n "
                        f"WHERE {merging.same_key('t', 'n')} AND t.{LOAD} IN (SELECT unnest(?::BIGINT[]))",
                        [sorted(loads)],
                    )
                self._look_up(column, loads, types)

    def _touch(self, types: Mapping[str, str]) -> None:
        """Find the keys whose rows may need values: those of the new rows and of what is taken out."""
        keys = identifiers(self.merging.key)
        rows = union(parts(self.dead, None, self.ports, reserved=self.reserved), types) if self.dead else None
        dead = f" UNION SELECT {keys} FROM ({rows})" if rows is not None else ""
        self.merging.transaction.execute(
            f"CREATE OR REPLACE TEMP TABLE {_KEYS} AS SELECT DISTINCT {keys} FROM {ROWS}{dead}"
        )

    def _needing(self, loads: frozenset[int]) -> bool:
        """Make the table of the touched rows whose load lacks a column; False if there is none."""
        merging = self.merging
        names = ", ".join(f"t.{identifier(name)}" for name in merging.key)
        merging.transaction.execute(
            f"CREATE OR REPLACE TEMP TABLE {_NEEDING} AS SELECT {names}, t.{ORDER} FROM {identifier(merging.table)} t "
            f"SEMI JOIN {_KEYS} r ON {merging.same_key('t', 'r')} WHERE t.{LOAD} IN (SELECT unnest(?::BIGINT[]))",
            [sorted(loads)],
        )
        return merging.transaction.execute(f"SELECT count(*) FROM {_NEEDING}") != [(0,)]

    def _look_up(self, column: str, loads: frozenset[int], types: Mapping[str, str]) -> None:
        merging, name = self.merging, identifier(column)
        having = [load for load in self.live if load.entry.number not in loads]
        rows = union(parts(having, None, self.ports, reserved=self.reserved), types) if having else None
        keys = ", ".join(f"o.{identifier(key)}" for key in merging.key)
        if rows is None:
            return
        merging.transaction.execute(
            f"CREATE OR REPLACE TEMP TABLE {_FOUND} AS SELECT {keys}, "
            f"max_by({{'value': o.{name}}}, {merging.rank(merging.order('o'))}).value AS value FROM ({rows}) o "
            f"JOIN {_NEEDING} n ON {merging.same_key('o', 'n')} "
            f"WHERE {merging.rank(merging.order('o'))} < {merging.rank(f'n.{ORDER}')} GROUP BY {keys}"
        )
        merging.transaction.execute(
            f"UPDATE {identifier(merging.table)} AS t SET {name} = f.value FROM {_FOUND} f "
            f"WHERE {merging.same_key('t', 'f')} AND t.{LOAD} IN (SELECT unnest(?::BIGINT[]))",
            [sorted(loads)],
        )


def missing(change: Change, merging: Merging, live: Sequence[AcceptedLoad]) -> Missing | None:
    """Return what the live loads lack of the table's columns; None where each has all.

    Args:
        change: The new loads, and those that are taken out.
        merging: The table, which has all columns of the new rows.
        live: All live loads, the new ones among them.
    """
    ports, source = change.ports, change.spec.source
    new = {load.entry.number for load in change.new}
    # Most loads have the columns of the one before.
    shapes = {_shape(load): load for load in live}
    names = {shape: given(load, source, ports.layout) for shape, load in shapes.items()}
    had = {load.entry.number: names[_shape(load)] for load in live}
    # The rows of a child table belong to one row of one load, and cannot go over to another.
    fields = ports.layout.tables[0].fields if ports.layout is not None else ()
    aside = {*reserved(source), *(field.name for field in fields if field.kind is Kind.LENGTH)}
    present = [column.name for column in ports.transaction.columns(merging.table) or () if column.name not in aside]
    lacking = {
        name: frozenset(number for number, columns in had.items() if name.lower() not in columns)
        for name in present
        if name not in merging.key
    }
    lacking = {name: numbers for name, numbers in lacking.items() if numbers}
    if not lacking:
        return None
    simple = frozenset(name for name, numbers in lacking.items() if new <= numbers and not change.dead)
    dead = tuple(AcceptedLoad(ports.lake_table.entry(number)) for number in sorted(change.dead))
    merging = merging.with_nulls(True) if dead else merging
    return Missing(merging, ports, tuple(live), lacking, simple, dead, reserved(source))


def _shape(load: AcceptedLoad) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    return load.entry.schema, load.entry.change.vanished if load.entry.change else ()


def given(load: AcceptedLoad, source: SourceSpec, layout: Layout | None) -> frozenset[str]:
    """Return the warehouse names, in lower case, of the columns that a load has."""
    vanished = set(load.entry.change.vanished) if load.entry.change else set()
    columns = served(load.entry.schema, reserved(source))
    there = [column for column in columns if column.source_name not in vanished]
    return frozenset(column.name.lower() for column in (there if layout is None else flat(there, layout.tables[0])))
