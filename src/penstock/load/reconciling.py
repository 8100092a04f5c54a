"""Comparing the warehouse with the raw zone, within the transaction that loads: what was written is what landed.

The cost is in proportion to the loads: their rows lie together at the end of the table and are found by its row
groups' bounds on ``_load``; raw files are read again only where rows were set aside or lost a merge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from penstock import names
from penstock.errors import DataError
from penstock.load.change import Change, prepare
from penstock.load.columns import served_names
from penstock.load.deletes import means_deletion
from penstock.load.merge import tally, winning
from penstock.load.missing import given
from penstock.load.rows import parts, union
from penstock.load.spec import RESERVED, AcceptedLoad, reserved
from penstock.model.figures import Figures, compare, figures
from penstock.model.specs import Reconcile, WriteMode
from penstock.names import LOAD
from penstock.queries.text import identifier
from penstock.stores.measures import Measured, aggregates

_REMEDY = "The load was undone. Run again; if it stays so, see penstock doctor"


def reconcile(change: Change) -> str:
    """Compare the rows of the new loads with those of the raw zone; return ``reconciled``, or nothing if not asked to.

    Snapshots are compared one by one, each when it is taken, before it removes what it lacks.

    Raises:
        DataError: A row was lost, doubled or changed; the transaction must be rolled back.
    """
    execute, source = change.ports.transaction.execute, change.spec.source
    there = change.ports.transaction.columns(change.spec.table)
    if source.write is WriteMode.SCD2:
        # A row that says nothing new makes no version: there is nothing to compare it with.
        return ""
    if source.by_snapshot and not change.last:
        return "reconciled" if source.reconcile is not Reconcile.OFF else ""
    if source.reconcile is Reconcile.OFF or not there or all(column.name in RESERVED for column in there):
        return ""
    if change.dead:
        (stale,) = execute(f"SELECT count(*) FROM {change.table} WHERE {LOAD} IN ({_listed(change.dead)})")[0]
        if stale:
            raise DataError(f"{stale} rows of superseded loads are still in {change.spec.table}", remedy=_REMEDY)
    if not change.new:
        return "reconciled"
    columns = _columns(change, {column.name.lower(): column.type for column in there})
    found = _grouped(change, columns, change.table)
    expected = _expected(change, columns)
    for load in change.new:
        number = load.entry.number
        wanted = expected.get(number, Figures(rows=0))
        differences = compare(wanted, found.get(number, Figures(rows=0)))[1]
        if differences:
            first = differences[0].sentence("the raw zone holds", "the warehouse")
            raise DataError(
                f"Load {number} does not stand in the warehouse table {change.spec.table} as it landed: {first}",
                remedy=_REMEDY,
            )
    return "reconciled"


def _columns(change: Change, types: Mapping[str, str]) -> list[Measured]:
    """Return the columns of the warehouse table that the loads have, named in lower case."""
    source = change.spec.source
    if change.spec.prepare is not None:
        # What a preparation makes of a personal column cannot be told from the others.
        wanted = [] if source.personal else [name for name in types if name not in RESERVED]
    else:
        wanted = list(dict.fromkeys(name for load in change.new for name in _names(load, change).values()))
        if source.write is WriteMode.MERGE:
            # Of a column that a load lacks, a merged row keeps what the table had.
            had = [given(load, source, change.ports.layout) for load in change.new]
            wanted = [name for name in wanted if all(name in known for known in had)]
    return [Measured(name, types[name], identifier(name)) for name in wanted if name in types]


def _grouped(change: Change, columns: Sequence[Measured], relation: str) -> dict[int, Figures]:
    """Return the figures of a relation by load, for the new loads."""
    source = change.spec.source
    ends = {name.lower() for name in source.ends}
    asked = aggregates(columns, source.reconcile, ends)
    numbers = [load.entry.number for load in change.new]
    listed = "".join(f", {each.sql}" for each in asked)
    rows = change.ports.transaction.execute(
        f"SELECT {LOAD}, count(*){listed} FROM {relation} "
        f"WHERE {LOAD} BETWEEN {min(numbers)} AND {max(numbers)} GROUP BY {LOAD}"
    )
    return {int(row[0]): figures(asked, row[1:]) for row in rows}


def _expected(change: Change, columns: Sequence[Measured]) -> dict[int, Figures]:
    """Return the figures that the new loads must have: those of their manifests, where every row of them counts."""
    spec, transaction = change.spec, change.ports.transaction
    changed = spec.prepare is not None or any(load.quarantine for load in change.new)
    if spec.source.write is WriteMode.MERGE:
        repeated, lost, doubled = tally(transaction)
        if doubled:
            raise DataError(f"{doubled} keys stood more than once in {spec.table}", remedy=_REMEDY)
        if spec.source.deletes is not None and spec.source.deletes.column is not None:
            prepared = prepare(change, change.new)
            gone = means_deletion(change, prepared, "x") if prepared else "false"
            return _grouped(change, columns, f"(SELECT * FROM {winning()} x WHERE NOT {gone})")
        if changed or repeated or lost:
            return _grouped(change, columns, winning())
    elif spec.prepare is not None:
        return _prepared(change, columns)
    elif changed:
        types = {column.name.lower(): column.type for column in transaction.columns(spec.table) or ()}
        rows = union(parts(change.new, None, change.ports, located=False), types)
        return {} if rows is None else _grouped(change, columns, f"({rows})")
    return {load.entry.number: _of_manifest(load, change) for load in change.new}


def _prepared(change: Change, columns: Sequence[Measured]) -> dict[int, Figures]:
    """Return the figures of what the preparation made, which still lies in temporary tables."""
    execute = change.ports.transaction.execute
    found: dict[int, Figures] = {}
    for load in change.new:
        number = load.entry.number
        made = f"penstock_load_prepared_{number}"
        there = {str(row[0]).lower() for row in execute(f"DESCRIBE {made}")}
        some = [column for column in columns if column.name in there]
        listed = "".join(f", CAST({c.expression} AS {c.type}) AS {c.expression}" for c in some)
        found |= _grouped(change, some, f"(SELECT {number} AS {LOAD}{listed} FROM {made})")
    return found


def _of_manifest(load: AcceptedLoad, change: Change) -> Figures:
    reconciliation = load.entry.reconciliation
    if reconciliation is None:
        return Figures(rows=load.entry.rows)
    return reconciliation.landed.renamed(_names(load, change))


def _names(load: AcceptedLoad, change: Change) -> dict[str, str]:
    """Return stored name to warehouse name in lower case, of the columns of which figures may be told."""
    columns = [column for column in load.entry.schema if column.name.lower() not in names.RESERVED]
    personal = change.spec.source.is_personal
    shown = {column.name for column in columns if column.personal is None and not personal(column.at_source)}
    return {
        stored: name.lower()
        for stored, name in served_names(columns, reserved(change.spec.source)).items()
        if stored in shown
    }


def _listed(numbers: Mapping[int, object]) -> str:
    return ", ".join(str(number) for number in sorted(numbers))
