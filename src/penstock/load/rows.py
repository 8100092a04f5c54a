"""The rows of accepted loads as one SQL relation: original types, the warehouse's names, and where each row stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import duckdb

from penstock.errors import ConfigurationError, DataError
from penstock.load.columns import UNKNOWN, ServedColumn, clear_of, present, served, wider
from penstock.load.flattening import flat
from penstock.load.layout import ROW_ID, Layout
from penstock.load.session import lookup
from penstock.load.spec import RESERVED, AcceptedLoad, LoadPorts
from penstock.model.entries import Column
from penstock.model.specs import Nested
from penstock.names import CREATED, LOAD
from penstock.queries.relations import FILE, ROW, accepted, set_aside
from penstock.queries.text import file_literal, identifier, literal
from penstock.values import dataclass

POSITION = "_penstock_position"
"""A row's place, from 0, in the load that decides."""

ORDER_LOAD = "_penstock_order_load"
"""The load that decides between rows of one key: the row's own, or the one that set it aside before it was replayed."""

_LOADS = "penstock_load_loads"
_FILES = "penstock_load_files"
_NEW_ROWS = "new_rows"


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that are read alike.

    Attributes:
        relation: The relation, called ``r`` below, with joins.
        columns: Its columns; their expressions are over ``r``.
        load: SQL for the number of a row's load.
        created_at: SQL for the moment of that load.
        position: SQL for a row's place in the load that decides.
        order_load: SQL for the number of the load that decides, see ``ORDER_LOAD``.
        loads: The numbers of its loads, for messages.
        nested: The columns before nested values were taken apart; empty where they are not.
    """

    relation: str
    columns: tuple[ServedColumn, ...]
    load: str
    created_at: str
    position: str
    order_load: str
    loads: tuple[int, ...]
    nested: tuple[ServedColumn, ...] = ()

    def column(self, source_name: str) -> str | None:
        """Return the warehouse name of a column, given its name in the source; None if it is not there."""
        for column in self.columns:
            if column.source_name == source_name:
                return column.name
        for column in self.columns:
            if source_name.lower() in (column.source_name.lower(), column.name.lower()):
                return column.name
        return None

    @property
    def where(self) -> str:
        """Return what it is, for messages."""
        return named(self.loads)


def parts(
    loads: Sequence[AcceptedLoad],
    prepare: str | None,
    ports: LoadPorts,
    *,
    located: bool = True,
    reserved: tuple[str, ...] = RESERVED,
) -> tuple[Part, ...]:
    """Return how the rows of loads are read: one part per schema, or per load where they are prepared.

    Args:
        loads: The loads, sorted by number.
        prepare: SQL over ``new_rows``, run once per load, so that its result does not depend on the grouping.
        ports: The transaction and the lake table.
        located: Whether the place of each row in its load is asked for; else it is null.
        reserved: The columns that the table has beside the source's own.

    Raises:
        ConfigurationError: The preparation is not valid SQL over these rows.
    """
    if prepare is not None:
        return tuple(_prepared(load, prepare, ports, reserved) for load in loads)
    groups: dict[tuple[tuple[Column, ...], str | None], list[AcceptedLoad]] = {}
    stored = ports.lake_table.columns() if loads else ()
    for load in loads:
        groups.setdefault((present(load.entry.schema, stored), load.taken), []).append(load)
    apart = ports.layout is not None and ports.layout.mode is Nested.TABLES
    found = (
        _part(tuple(group), schema, ports, reserved, located=located or apart) for (schema, _), group in groups.items()
    )
    return tuple(_flattened(part, ports.layout) for part in found)


def _flattened(part: Part, layout: Layout | None) -> Part:
    """Return rows with their nested values taken apart, and named where they may have child tables."""
    if layout is None:
        return part
    columns = flat(part.columns, layout.tables[0])
    if layout.mode is Nested.TABLES and part.columns:
        name = f"{part.order_load} || '-' || {part.position}" if part.relation else ""
        columns = (ServedColumn(ROW_ID, "VARCHAR", name, ROW_ID), *columns)
    return replace(part, columns=columns, nested=part.columns)


def wanted(found: Sequence[Part], ports: LoadPorts) -> list[tuple[str, str]]:
    """Return name and type of each data column over all parts, in order of appearance, types widened."""
    types: dict[str, tuple[str, str]] = {}
    for part in found:
        for column in part.columns:
            name, type_ = types.get(column.name.lower(), (column.name, UNKNOWN))
            joined = wider(type_, column.type, ports.transaction.connection)
            if joined is None:
                raise DataError(
                    f"Column {column.name!r} of {ports.lake_table.name} has the type {type_} in one load and "
                    f"{column.type} in {part.where}, and no type holds both without loss",
                    remedy="Mend the type at the source, or give the table another name",
                )
            types[column.name.lower()] = (name, joined)
    return list(types.values())


def union(found: Sequence[Part], types: Mapping[str, str]) -> str | None:
    """Return a query for the rows of all parts, or None where no part has a file.

    Its columns: the data columns, ``_load``, ``POSITION``, ``ORDER_LOAD`` and ``_created_at`` (the moment of the
    row's own load).

    Args:
        found: The parts.
        types: The types of the table: column in lower case to type.
    """
    selects = []
    for part in found:
        if not part.relation:
            continue
        columns = [
            f"CAST({column.expression} AS {types[column.name.lower()]}) AS {identifier(column.name)}"
            for column in part.columns
        ]
        columns += [f"{part.load} AS {LOAD}", f"{part.position} AS {POSITION}"]
        columns += [f"{part.order_load} AS {ORDER_LOAD}", f"{part.created_at} AS {CREATED}"]
        selects.append(f"SELECT {', '.join(columns)} FROM {part.relation}")
    return " UNION ALL BY NAME ".join(selects) or None


def expected(loads: Sequence[AcceptedLoad], ports: LoadPorts) -> int:
    """Return how many rows the loads have by their manifests, without the quarantined ones."""
    quarantines = [load.quarantine for load in loads if load.quarantine is not None]
    total = sum(load.entry.rows for load in loads)
    for uri in quarantines:
        total -= int(ports.transaction.execute(f"SELECT count(*) FROM read_parquet({file_literal(uri)})")[0][0])
    return total


def named(loads: Sequence[int]) -> str:
    """Return the numbers of loads for a message."""
    return f"load {loads[0]}" if len(loads) == 1 else f"one of the loads {min(loads)}–{max(loads)}"


def moment_literal(at: datetime) -> str:
    """Return a moment as SQL."""
    return f"TIMESTAMPTZ {literal(at.astimezone(UTC).isoformat())}"


def left_out(load: AcceptedLoad, ports: LoadPorts, reserved: tuple[str, ...]) -> Part | None:
    """Return how the rows of a load are read that were set aside; None where there are none."""
    if load.quarantine is None or not load.entry.files:
        return None
    files = ports.lake_table.reading(load.entry.files, load.quarantine)
    number, created = f"CAST({load.entry.number} AS BIGINT)", moment_literal(load.entry.created_at)
    columns = served(present(load.entry.schema, ports.lake_table.columns()), reserved)
    part = Part(f"{set_aside(files)} r", columns, number, created, f"r.{ROW}", number, (load.entry.number,))
    return _flattened(part, ports.layout)


def told(found: Sequence[Part], prepare: str | None, ports: LoadPorts) -> dict[str, str]:
    """Return the columns, by name in lower case, of which the lake says the type: it has tried every value."""
    if prepare is not None or not ports.lake_table.columns():
        return {}
    return {column.name.lower(): column.type for part in found for column in part.columns if column.type != UNKNOWN}


def _part(
    loads: tuple[AcceptedLoad, ...],
    schema: tuple[Column, ...],
    ports: LoadPorts,
    reserved: tuple[str, ...],
    *,
    located: bool,
) -> Part:
    """Read loads of one schema in one scan."""
    columns = served(schema, reserved)
    numbers = tuple(load.entry.number for load in loads)
    sets = [ports.lake_table.reading(load.entry.files, load.quarantine) for load in loads if load.entry.files]
    if not sets:
        return Part("", columns, "", "", "", "", numbers)
    relation = f"{accepted(sets, located=located)} r"
    number, created, position = (
        f"r.{LOAD}",
        moment_literal(loads[0].entry.created_at),
        f"r.{ROW}" if located else "NULL::BIGINT",
    )
    if len(loads) == 1:
        number = f"CAST({numbers[0]} AS BIGINT)"
    else:
        name = f"{_LOADS}_{numbers[0]}"
        moments = [(load.entry.number, load.entry.created_at) for load in loads]
        lookup(ports.transaction, name, ("number BIGINT", "created_at TIMESTAMPTZ"), moments)
        relation += f" JOIN {name} l ON l.number = r.{LOAD}"
        created = "l.created_at"
    if located and any(len(load.entry.files) > 1 for load in loads):
        name = f"{_FILES}_{numbers[0]}"
        lookup(ports.transaction, name, ("file VARCHAR", "first BIGINT"), _firsts(loads, ports))
        relation += f" JOIN {name} f ON f.file = r.{FILE}"
        position = f"f.first + r.{ROW}"
    order_load = number
    if located and loads[0].taken is not None:
        # Loads that replay are read one by one, because each has places of its own.
        relation += (
            f" JOIN read_parquet({file_literal(loads[0].taken)}, hive_partitioning=false) t ON t.position = {position}"
        )
        position, order_load = "t.order_position", "t.order_load"
    return Part(relation, columns, number, created, position, order_load, numbers)


def _firsts(loads: Sequence[AcceptedLoad], ports: LoadPorts) -> list[tuple[str, int]]:
    """Return each file with the position of its first row in its load."""
    found = []
    for load in loads:
        first = 0
        for file in load.entry.files:
            found.append((ports.lake_table.place(file.path), first))
            first += file.rows
    return found


def _prepared(load: AcceptedLoad, prepare: str, ports: LoadPorts, reserved: tuple[str, ...]) -> Part:
    """Run the preparation over one load; a row keeps its position where the query passes ``POSITION`` on."""
    schema = present(load.entry.schema, ports.lake_table.columns())
    plain = _part((load,), schema, ports, reserved, located=True)
    number = load.entry.number
    types = {column.name.lower(): "VARCHAR" if column.type == UNKNOWN else column.type for column in plain.columns}
    rows = union([plain], types)
    execute = ports.transaction.execute
    if rows is None:
        listed = ", ".join(f"NULL::{types[c.name.lower()]} AS {identifier(c.name)}" for c in plain.columns)
        rows = (
            f"SELECT {listed + ', ' if listed else ''}NULL::BIGINT AS {LOAD}, NULL::BIGINT AS {POSITION}, "
            f"NULL::BIGINT AS {ORDER_LOAD}, NULL::TIMESTAMPTZ AS {CREATED} WHERE false"
        )
    execute(f"CREATE OR REPLACE TEMP VIEW {_NEW_ROWS} AS SELECT * EXCLUDE ({ORDER_LOAD}) FROM ({rows})")
    name = f"penstock_load_prepared_{number}"
    try:
        execute(f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT * FROM ({prepare.strip().rstrip(';')})")
    except duckdb.Error as error:
        raise ConfigurationError(
            f"The prepare step of {ports.lake_table.name} failed on load {number}",
            value=str(error).splitlines()[0],
            valid=f"one SELECT over {_NEW_ROWS}, whose columns are {', '.join(c.name for c in plain.columns)}",
        ) from error
    columns = [(str(row[0]), str(row[1])) for row in execute(f"DESCRIBE {name}")]
    taken = {column.lower() for column, _ in columns} | set(reserved)
    served_as = {column: clear_of(column, taken) if column.lower() in reserved else column for column, _ in columns}
    data = [(column, type_) for column, type_ in columns if column.lower() not in (*RESERVED, POSITION)]
    located = any(column == POSITION for column, _ in columns)
    # Without positions the order is made from the values, so that it is the same in every run.
    order = ", ".join(identifier(column) for column, _ in data)
    return Part(
        f"{name} r",
        tuple(ServedColumn(served_as[column], type_, f"r.{identifier(column)}", column) for column, type_ in data),
        f"CAST({number} AS BIGINT)",
        moment_literal(load.entry.created_at),
        f"r.{POSITION}" if located else f"row_number() OVER (ORDER BY {order}) - 1",
        f"CAST({load.entry.taken.extracted if load.entry.taken else number} AS BIGINT)",
        (number,),
    )
