"""Putting a transform's version into the warehouse: the whole table, or the rows of one interval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from penstock.errors import DataError
from penstock.load.columns import ServedColumn, created, fit, served
from penstock.load.failures import sentences
from penstock.load.ledger import VersionLedger
from penstock.load.session import clean, count, lookup
from penstock.load.spec import LoadPorts, VersionLoading
from penstock.model.entries import DataFile
from penstock.model.receipts import LoadReceipt
from penstock.names import INTERVAL
from penstock.queries.relations import FILE, parquet
from penstock.queries.text import identifier, literal

_WHOLE = ""
_INTERVALS = "penstock_load_intervals"


def apply_version(spec: VersionLoading, ports: LoadPorts) -> LoadReceipt:
    """Put a version into its table within an open transaction; a version applied before is passed over.

    A version without an interval replaces the table. One with an interval replaces the rows of that interval, which the
    column ``_interval`` names; if the table is new or was not kept by intervals, the other intervals are read from
    the lake as well. Versions of several intervals may come in any order.

    Raises:
        DataError: A column's type changed in a way that loses values; the table was made by somebody else.
    """
    with sentences(spec.table):
        ledger = VersionLedger(ports.transaction, spec.table)
        present = ports.transaction.columns(spec.table)
        if present is not None and not ledger.newest_part():
            raise DataError(
                f"The warehouse has a table {spec.table} that Penstock did not make",
                remedy="Rename it, or choose another name for the transform",
            )
        part = _WHOLE if spec.entry.interval is None else spec.entry.interval.path
        if present is not None and ledger.part(part) >= spec.entry.number:
            return _receipt(spec, (), 0, 0)
        kept = part != _WHOLE and present is not None and any(column.name == INTERVAL for column in present)
        files = _files(spec, ports, ledger, kept=kept)
        rows = _rows(spec, ports, files)
        if kept:
            deleted = _make_room(spec, ports, part)
            inserted = _insert(spec, ports, rows)
        else:
            deleted = count(ports.transaction, spec.table) if present is not None else 0
            inserted = _replace(spec, ports, rows)
        if files:
            clean(ports.transaction)
        ledger.set_part(part, spec.entry.number)
        ports.transaction.record(spec.table, spec.entry.number, {"interval": part or None})
        ports.advance(inserted, sum(file.bytes for file in spec.entry.files))
        return _receipt(spec, (spec.entry.number,), inserted, deleted)


def _files(spec: VersionLoading, ports: LoadPorts, ledger: VersionLedger, *, kept: bool) -> tuple[DataFile, ...] | None:
    """Return the files to read; None where the relation holds all the rows."""
    own = spec.entry.files if spec.files is None else spec.files
    interval = spec.entry.interval
    if interval is None and ledger.newest_part() > spec.entry.number:
        # Intervals were rebuilt since: only the lake knows the whole.
        return ports.lake_table.live()
    if interval is None or kept:
        return own if spec.relation is None else None
    others = tuple(file for file in ports.lake_table.live() if file.partition.get(INTERVAL) != interval.path)
    return own if not others and spec.relation is None else None if not others else (*others, *own)


def _make_room(spec: VersionLoading, ports: LoadPorts, part: str) -> int:
    table = identifier(spec.table)
    return int(ports.transaction.execute(f"DELETE FROM {table} WHERE {INTERVAL} = ?", [part])[0][0])


def _rows(
    spec: VersionLoading, ports: LoadPorts, files: Sequence[DataFile] | None
) -> tuple[str | None, tuple[ServedColumn, ...]]:
    """Return the relation to read, called ``r`` and with ``_interval`` where the table has it, and its columns."""
    if files is None and spec.relation is not None:
        return _related(spec)
    columns = served(spec.entry.schema, (INTERVAL,))
    if spec.entry.interval is not None or any(INTERVAL in file.partition for file in files or ()):
        columns += (ServedColumn(INTERVAL, "VARCHAR", f"r.{INTERVAL}", INTERVAL),)
    if not files:
        return None, columns
    places = ports.lake_table.places(files)
    uris = {place: file.partition.get(INTERVAL) for place, file in zip(places, files, strict=True)}
    intervals = set(uris.values())
    if intervals == {None}:
        relation = f"{parquet(list(uris))} r"
    elif len(intervals) == 1:
        relation = f"(SELECT *, {literal(str(intervals.pop()))} AS {INTERVAL} FROM {parquet(list(uris))}) r"
    else:
        lookup(ports.transaction, _INTERVALS, ("file VARCHAR", f"{INTERVAL} VARCHAR"), list(uris.items()))
        scan = parquet(list(uris), located=True)
        relation = f"(SELECT s.*, i.{INTERVAL} FROM {scan} s JOIN {_INTERVALS} i ON i.file = s.{FILE}) r"
    return relation, _present(spec, ports, relation, columns)


def _present(
    spec: VersionLoading, ports: LoadPorts, relation: str, columns: Sequence[ServedColumn]
) -> tuple[ServedColumn, ...]:
    """Return the columns; one that no file has yet (all are older than it) is null."""
    stored = {str(row[0]).lower() for row in ports.transaction.execute(f"DESCRIBE SELECT * FROM {relation}")}
    names = {column.at_source: column.name for column in spec.entry.schema}
    return tuple(
        column if names.get(column.source_name, column.name).lower() in stored else replace(column, expression="NULL")
        for column in columns
    )


def _related(spec: VersionLoading) -> tuple[str, tuple[ServedColumn, ...]]:
    """Return the rows of a relation of the session, in the order and under the names of the version's schema."""
    columns = [
        ServedColumn(column.name, column.type, f"r.{identifier(column.source_name)}", column.source_name)
        for column in served(spec.entry.schema, (INTERVAL,))
    ]
    if spec.entry.interval is not None:
        columns.append(ServedColumn(INTERVAL, "VARCHAR", literal(spec.entry.interval.path), INTERVAL))
    return f"{identifier(spec.relation or '')} r", tuple(columns)


def _replace(spec: VersionLoading, ports: LoadPorts, rows: tuple[str | None, tuple[ServedColumn, ...]]) -> int:
    """Make the table anew with these rows, in one statement; returns how many they are."""
    relation, columns = rows
    types = {column.name.lower(): created(column.type) for column in columns}
    table = f"CREATE OR REPLACE TABLE {identifier(spec.table)}"
    if relation is None:
        listed = ", ".join(f"{identifier(column.name)} {types[column.name.lower()]}" for column in columns)
        ports.transaction.execute(f"{table} ({listed})")
        return 0
    query = f"{table} AS SELECT {_listed(columns, types)} FROM {relation}"
    return int(ports.transaction.execute(query)[0][0])


def _insert(spec: VersionLoading, ports: LoadPorts, rows: tuple[str | None, tuple[ServedColumn, ...]]) -> int:
    """Add these rows to the table, which is widened to them."""
    relation, columns = rows
    wanted = [(column.name, column.type) for column in columns]
    types = fit(ports.transaction, spec.table, wanted, f"version {spec.entry.number}")
    if relation is None:
        return 0
    query = f"INSERT INTO {identifier(spec.table)} BY NAME SELECT {_listed(columns, types)} FROM {relation}"
    return int(ports.transaction.execute(query)[0][0])


def _listed(columns: Sequence[ServedColumn], types: Mapping[str, str]) -> str:
    return ", ".join(
        f"CAST({column.expression} AS {types[column.name.lower()]}) AS {identifier(column.name)}" for column in columns
    )


def _receipt(spec: VersionLoading, applied: tuple[int, ...], inserted: int, deleted: int) -> LoadReceipt:
    return LoadReceipt(table=spec.table, loads=applied, inserted=inserted, deleted=deleted)
