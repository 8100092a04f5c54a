"""Child tables: they hold the lists of objects of the rows that stand in the source's table, and of no other row.

After the source's table was changed, in whatever way, the rows of child tables whose parent is gone are deleted, and
the lists of parents that have no rows yet are unnested from the raw zone, one statement for each child table. So the
write modes need not know of children, and the same loads give the same tables in any order. All of it happens in the
transaction of the loads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence

from penstock.errors import BugError, DataError
from penstock.load.change import Change
from penstock.load.columns import ServedColumn, fit, served
from penstock.load.flattening import Value, fields_of, typed, unnested
from penstock.load.layout import INDEX, KEY, PARENT, ROW_ID, Kind, Layout, Limits, TableLayout, layout, unite
from penstock.load.ledger import SCHEMA
from penstock.load.rows import ORDER_LOAD, POSITION, Part, parts, told, union, wanted
from penstock.load.spec import AcceptedLoad, Loading, LoadPorts, reserved
from penstock.model.entries import Entry
from penstock.model.specs import Nested, Reconcile, SourceSpec, WriteMode
from penstock.names import CREATED, LOAD
from penstock.queries.text import identifier
from penstock.schema import Type, parse, spell
from penstock.stores.port import WarehouseTransaction
from penstock.values import dataclass

_RECORD = f"{SCHEMA}.nested"
_PARENTS = "penstock_load_parents"
"""The names of parents whose lists are to be unnested."""


def children(transaction: WarehouseTransaction, table: str) -> tuple[str, ...]:
    """Return the child tables of a source's table; works when the warehouse is open for reading too."""
    made = transaction.execute(
        "SELECT 1 FROM duckdb_tables() WHERE database_name = current_database() "
        "AND schema_name || '.' || table_name = ?",
        [_RECORD],
    )
    rows = transaction.execute(f"SELECT children FROM {_RECORD} WHERE table_name = ?", [table]) if made else []
    return tuple(name for (listed,) in rows for name in json.loads(listed))


def child_tables(source: SourceSpec, loads: Iterable[Entry]) -> tuple[str, ...]:
    """Return what the child tables of a source add to the name of its table, by the schemas of its loads."""
    if source.nested is not Nested.TABLES:
        return ()
    return tuple(child.suffix for child in _layout(_united({}, loads, source), source).children)


def _layout(types: dict[str, Type], source: SourceSpec) -> Layout:
    return layout(types, source.nested, Limits(source.max_depth, source.max_child_tables))


def _united(types: dict[str, Type], loads: Iterable[Entry], source: SourceSpec) -> dict[str, Type]:
    found = dict(types)
    known = {name.lower(): name for name in found}
    for schema in dict.fromkeys(load.schema for load in loads):
        for column in served(schema, reserved(source)):
            name = known.setdefault(column.name.lower(), column.name)
            type_ = typed(column).type
            found[name] = unite(found[name], type_) if name in found else type_
    return found


@dataclass(frozen=True, slots=True)
class Nesting:
    """What is known of the nested values of a source, and of its child tables.

    Attributes:
        spec: The loading.
        ports: What it works through.
    """

    spec: Loading
    ports: LoadPorts

    @property
    def _asked(self) -> bool:
        return self.spec.source.nested is not Nested.COLUMNS

    def outgrown(self, loads: Sequence[AcceptedLoad]) -> bool:
        """Say whether loads bring types by which values that the table has must go to other columns or tables."""
        if not self._asked or self._replaced(loads):
            return False
        recorded = self._recorded()
        if recorded is None:
            return False
        types = recorded[0]
        return not self._layout(self._united(types, loads)).extends(self._layout(types))

    def settle(self, loads: Sequence[AcceptedLoad]) -> tuple[Layout | None, tuple[str, ...]]:
        """Record the types of loads and return the layout, with a sentence about what it leaves as JSON since now."""
        if not self._asked:
            return None, ()
        recorded = self._recorded()
        types, children = recorded or ({}, ())
        if self._replaced(loads):
            types = {}
        former = self._layout(types)
        found = self._layout(united := self._united(types, loads))
        self._record(united, children)
        fresh = [name for name in found.left if name not in former.left]
        if not fresh:
            return found, ()
        source = self.spec.source
        shown = ", ".join(fresh[:8]) + (f" and {len(fresh) - 8} more" if len(fresh) > 8 else "")
        return found, (
            f"{self.spec.table}: {shown} stays JSON, beyond {source.max_child_tables} child tables or "
            f"{source.max_depth} levels (max_child_tables, max_depth)",
        )

    def drop(self) -> None:
        """Drop the child tables, and forget the types, of a table that is made anew."""
        for child in (self._recorded() or ({}, ()))[1]:
            self.ports.transaction.execute(f"DROP TABLE IF EXISTS {identifier(child)}")
        if self._recorded() is not None:
            self.ports.transaction.execute(f"DELETE FROM {_RECORD} WHERE table_name = ?", [self.spec.table])

    def bring(self, change: Change) -> None:
        """Make the child tables hold the lists of the rows that the source's table has now."""
        found = self.ports.layout
        if found is None:
            return
        types, children = self._recorded() or ({}, ())
        if self._replaced(change.new):
            for child in children:
                self.ports.transaction.execute(f"DROP TABLE IF EXISTS {identifier(child)}")
            children = ()
        self._claim(found, children)
        self._take_out(change, found)
        here = tuple(self._name(child) for child in found.children)
        if change.new or change.dead:
            self._put_in(change, found)
        self._record(types, tuple(dict.fromkeys((*children, *here))))

    def _name(self, child: TableLayout) -> str:
        return self.spec.table + child.suffix

    def _replaced(self, loads: Iterable[AcceptedLoad]) -> bool:
        """Say whether loads replace the table; rows that are replayed are added to it."""
        return self.spec.source.write is WriteMode.REPLACE and any(load.entry.taken is None for load in loads)

    def _recorded(self) -> tuple[dict[str, Type], tuple[str, ...]] | None:
        execute = self.ports.transaction.execute
        execute(f"CREATE TABLE IF NOT EXISTS {_RECORD} (table_name VARCHAR, types VARCHAR, children VARCHAR)")
        rows = execute(f"SELECT types, children FROM {_RECORD} WHERE table_name = ?", [self.spec.table])
        if not rows:
            return None
        types = {name: parse(type_) for name, type_ in json.loads(rows[0][0]).items()}
        return types, tuple(json.loads(rows[0][1]))

    def _record(self, types: dict[str, Type], children: Sequence[str]) -> None:
        execute = self.ports.transaction.execute
        execute(f"DELETE FROM {_RECORD} WHERE table_name = ?", [self.spec.table])
        spelled = json.dumps({name: spell(type_) for name, type_ in types.items()})
        execute(f"INSERT INTO {_RECORD} VALUES (?, ?, ?)", [self.spec.table, spelled, json.dumps(list(children))])

    def _layout(self, types: dict[str, Type]) -> Layout:
        return _layout(types, self.spec.source)

    def _united(self, types: dict[str, Type], loads: Iterable[AcceptedLoad]) -> dict[str, Type]:
        return _united(types, (load.entry for load in loads), self.spec.source)

    def _claim(self, found: Layout, children: Sequence[str]) -> None:
        """Refuse a child table whose name somebody else's table has."""
        own = {name.lower() for name in children}
        for child in found.children:
            name = self._name(child)
            if name.lower() not in own and self.ports.transaction.columns(name) is not None:
                raise DataError(
                    f"The child table {name} of {self.spec.table} would take the name of another table",
                    remedy="Rename that table or source, or give this source nested='columns'",
                )

    def _take_out(self, change: Change, found: Layout) -> None:
        """Delete the rows whose parents are gone."""
        execute = self.ports.transaction.execute
        mode = self.spec.source.write
        above = {(): self.spec.table} | {child.lists: self._name(child) for child in found.children}
        for child in found.children:
            name = self._name(child)
            if self.ports.transaction.columns(name) is None:
                continue
            if mode is WriteMode.MERGE:
                execute(
                    f"DELETE FROM {identifier(name)} AS _penstock_child WHERE NOT EXISTS (SELECT 1 "
                    f"FROM {identifier(above[child.lists[:-1]])} p "
                    f"WHERE p.{ROW_ID} = _penstock_child.{PARENT} AND p.{LOAD} = _penstock_child.{LOAD})"
                )
            elif change.dead:
                dead = "SELECT unnest(?::BIGINT[])"
                execute(f"DELETE FROM {identifier(name)} WHERE {LOAD} IN ({dead})", [sorted(change.dead)])

    def _put_in(self, change: Change, found: Layout) -> None:
        whole = self.spec.source.write is not WriteMode.MERGE
        new = {load.entry.number: load for load in change.new}
        for top in (child for child in found.children if len(child.lists) == 1):
            branch = [child for child in found.children if child.lists[0] == top.lists[0]]
            loads = list(change.new) if whole else self._lacking(change, found, top, new)
            read = parts(loads, None, self.ports, reserved=reserved(self.spec.source)) if loads else ()
            for child in branch:
                brought = [part for each in read if (part := self._part(each, child, whole=whole)) is not None]
                self._insert(change, child, brought)
        if whole or change.in_order:
            self._agree(found, sorted(new))

    def _lacking(
        self, change: Change, found: Layout, top: TableLayout, new: dict[int, AcceptedLoad]
    ) -> list[AcceptedLoad]:
        """Collect the parents that stand in the table and have no rows in a child table; return their loads."""
        execute, table, name = self.ports.transaction.execute, identifier(self.spec.table), self._name(top)
        length = next(f.name for f in found.tables[0].fields if f.kind is Kind.LENGTH and f.path == top.lists[0])
        if change.in_order:
            values, condition = [sorted(new)], f"{LOAD} IN (SELECT unnest(?::BIGINT[]))"
        else:
            values, condition = [], f"{identifier(length)} > 0"
            if self.ports.transaction.columns(name) is not None:
                condition += (
                    f" AND NOT EXISTS (SELECT 1 FROM {identifier(name)} c WHERE c.{PARENT} = _penstock_parent.{ROW_ID})"
                )
        columns = {column.name.lower() for column in self.ports.transaction.columns(self.spec.table) or ()}
        if length.lower() not in columns:
            return []
        execute(
            f"CREATE OR REPLACE TEMP TABLE {_PARENTS} AS SELECT {ROW_ID}, {LOAD} "
            f"FROM {table} _penstock_parent WHERE {condition}",
            values,
        )
        numbers = {number for (number,) in execute(f"SELECT DISTINCT {LOAD} FROM {_PARENTS}")}
        older = numbers - new.keys()
        live = {load.entry.number: load for load in self.ports.live()} if older and self.ports.live else {}
        missing = sorted(older - live.keys())
        if missing:
            raise DataError(
                f"The child table {name} needs rows of load {missing[0]}, which is not at hand",
                remedy="Run penstock doctor to see which loads of the lake are accepted",
            )
        return [(new | live)[number] for number in sorted(numbers)]

    def _part(self, part: Part, child: TableLayout, *, whole: bool) -> Part | None:
        """Return the rows of a child table that lie within rows which are read alike."""
        if not part.relation:
            return None
        first = next((each for each in part.nested if each.name.lower() == child.lists[0][0].lower()), None)
        if first is None:
            return None
        name = next(column.expression for column in part.columns if column.name == ROW_ID)
        keys = [self._key(part, column) for column in self.spec.source.key]
        carried = [("parent", name), ("load", part.load)]
        carried += [(f"key{place}", key.expression) for place, key in enumerate(keys)]
        condition = "" if whole else f" WHERE {name} IN (SELECT {ROW_ID} FROM {_PARENTS})"
        rows = unnested(typed(first), child, part.relation + condition, carried)
        if rows is None:
            return None
        columns = (
            ServedColumn(PARENT, "VARCHAR", "r.parent", PARENT),
            ServedColumn(INDEX, "BIGINT", "r.place", INDEX),
            ServedColumn(ROW_ID, "VARCHAR", "r.parent || '-' || r.place", ROW_ID),
            *(
                ServedColumn(KEY + key.name, key.type, f"r.key{place}", KEY + key.name)
                for place, key in enumerate(keys)
            ),
            *fields_of(Value("r.element", rows.element), child),
        )
        return Part(f"({rows.query}) r", columns, "r.load", "NULL::TIMESTAMPTZ", "NULL::BIGINT", "r.load", part.loads)

    def _key(self, part: Part, column: str) -> ServedColumn:
        name = part.column(column)
        found = next((each for each in part.columns if each.name == name), None)
        if found is None:
            raise BugError(f"The key column {column!r} is missing in {part.where} of {self.spec.table}")
        return found

    def _insert(self, change: Change, child: TableLayout, brought: Sequence[Part]) -> None:
        name = self._name(child)
        own = [(PARENT, "VARCHAR"), (INDEX, "BIGINT"), (ROW_ID, "VARCHAR")]
        columns = wanted(brought, self.ports) if brought else own
        lake = told(brought, self.spec.prepare, self.ports)
        types = fit(self.ports.transaction, name, [*columns, (LOAD, "BIGINT")], change.where, lake)
        rows = union(brought, types)
        if rows is not None:
            kept = f"SELECT * EXCLUDE ({POSITION}, {ORDER_LOAD}, {CREATED}) FROM ({rows})"
            self.ports.transaction.execute(f"INSERT INTO {identifier(name)} BY NAME {kept}")

    def _agree(self, found: Layout, loads: Sequence[int]) -> None:
        """Check that every element of every list of the new loads has its row."""
        if self.spec.source.reconcile is Reconcile.OFF:
            return
        execute = self.ports.transaction.execute
        above = {table.lists: table for table in found.tables}
        for child in found.children:
            upper = above[child.lists[:-1]]
            length = next(f.name for f in upper.fields if f.kind is Kind.LENGTH and f.path == child.lists[-1])
            table = self.spec.table + upper.suffix
            if length.lower() not in {column.name.lower() for column in self.ports.transaction.columns(table) or ()}:
                continue
            chosen = f"WHERE {LOAD} IN (SELECT unnest(?::BIGINT[]))"
            ((told,),) = execute(
                f"SELECT coalesce(sum({identifier(length)}), 0)::BIGINT FROM {identifier(table)} {chosen}", [loads]
            )
            ((rows,),) = execute(f"SELECT count(*) FROM {identifier(self._name(child))} {chosen}", [loads])
            if rows != told:
                raise DataError(
                    f"The lists of {table} hold {told} elements, their child table {self._name(child)} {rows}",
                    remedy="The load was undone. Run again; if it stays so, see penstock doctor",
                )
