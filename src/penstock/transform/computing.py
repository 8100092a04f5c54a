"""Computing a transform: SQL or a function over warehouse tables, into a temporary table of the open transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import duckdb

from penstock.errors import BugError, ConfigurationError, DataError, PenstockError, TransientError
from penstock.model.entries import Column
from penstock.model.events import Advance
from penstock.model.interval import Interval
from penstock.model.specs import TransformSpec
from penstock.names import unknown
from penstock.queries import edges
from penstock.queries.text import identifier, identifiers
from penstock.stores.port import WarehouseTransaction
from penstock.transform import keeping
from penstock.transform.columns import Shape, shape, visible
from penstock.transform.functions import call
from penstock.transform.keeping import Keyed
from penstock.values import dataclass

_MISTAKES = (duckdb.CatalogException, duckdb.BinderException, duckdb.ParserException, duckdb.SyntaxException)
_SHORTAGES = (duckdb.OutOfMemoryException, duckdb.IOException, duckdb.InterruptException)
_SOURCE = "_penstock_returned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Transforming:
    """What to compute.

    Attributes:
        transform: The transform.
        names: Input name, as the transform says it, to the warehouse table that holds it (``flights`` to
            ``raw_flights``).
        interval: The interval to compute; None computes the whole table.
        keyed: The keys to compute anew; None: all.
    """

    transform: TransformSpec
    names: Mapping[str, str]
    interval: Interval | None = None
    keyed: Keyed | None = None


@dataclass(frozen=True, slots=True)
class TransformPorts:
    """Where it happens.

    Attributes:
        transaction: The open warehouse transaction; its tables are the inputs.
        advance: Gets the rows of the result.
    """

    transaction: WarehouseTransaction
    advance: Advance | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """A result, not yet published.

    Attributes:
        relation: The temporary table in the transaction that holds it, rows in the order that the transform gave.
        columns: Its columns.
        rows: How many rows.
        content: Hash of the rows and column types, whatever the order of rows.
        keys: How many keys were computed anew; None: all there are.
    """

    relation: str
    columns: tuple[Column, ...]
    rows: int
    content: str
    keys: int | None = None


def compute(spec: Transforming, ports: TransformPorts) -> Computed:
    """Run a transform into a temporary table.

    A query sees its inputs under the names that it uses, without the columns that Penstock adds (``_load``, ``_order``,
    ``_created_at``, ``_updated_at``) unless it names one; a result never has them. A function sees them without.

    Raises:
        ConfigurationError: The query names a table or column that is not there, or makes a column that cannot be kept.
        DataError: The query fails on a value, a function raises, or rows lie outside the interval.
        TransientError: The disk or the memory is full.
    """
    connection = ports.transaction.connection
    transform = spec.transform
    what = _called(transform)
    relation = f"_penstock_result_{transform.table}"
    if spec.interval is not None and transform.interval is None:
        raise BugError(f"{what} was asked for an interval but is not made by interval")
    inputs = {name: _columns(name, table, spec, ports) for name, table in spec.names.items()}
    with sentences(what):
        keys = keeping.gather(spec.keyed, connection) if spec.keyed is not None else None
        if transform.sql is not None:
            found = _from_query(spec, inputs, connection, relation)
        elif transform.function is not None:
            found = _from_function(spec, inputs, connection, relation)
        else:
            raise ConfigurationError(f"{what} has neither a query nor a function")
        if spec.interval is not None:
            _refuse_outside(spec, found, connection, relation)
        if spec.keyed is not None:
            keeping.take_over(spec.keyed, found.columns, what, connection, relation)
        rows, content = _content(connection, relation, found.columns)
    if ports.advance is not None:
        ports.advance(rows, 0)
    return Computed(relation=relation, columns=found.columns, rows=rows, content=content, keys=keys)


def _called(transform: TransformSpec) -> str:
    return f"Transform {transform.table!r}" + (f" ({transform.origin})" if transform.origin else "")


def _columns(name: str, table: str, spec: Transforming, ports: TransformPorts) -> tuple[Column, ...]:
    columns = ports.transaction.columns(table)
    if columns is None:
        raise ConfigurationError(
            f"{_called(spec.transform)} reads {name!r}, but the warehouse has no table {table!r} yet",
            valid=ports.transaction.tables(),
            remedy=f"Load {name!r} first: run the pipeline without leaving it out",
        )
    return columns


def _from_query(
    spec: Transforming, inputs: Mapping[str, Sequence[Column]], connection: duckdb.DuckDBPyConnection, relation: str
) -> Shape:
    text, origin = spec.transform.sql or "", spec.transform.origin or spec.transform.table
    known = {name.lower() for name in spec.names}
    for table in edges.edges(text, origin=origin):
        if table.lower() not in known:
            raise unknown("table", table, spec.names, where=f"read by {_called(spec.transform)}")
    named = edges.named_columns(text, origin=origin)
    relations = {
        name: f"(SELECT {identifiers(visible(columns, named))} FROM {_rows_of(name, spec)})"
        for name, columns in inputs.items()
    }
    interval = spec.interval
    if interval is None and edges.parameters(text, origin=origin):
        raise ConfigurationError(
            f"{_called(spec.transform)} has the parameters of an interval, but is not made by interval",
            value=", ".join(f":{name}" for name in edges.parameters(text, origin=origin)),
            remedy=f'Declare it with the output column to go by: sql("{origin}", interval="COLUMN")',
        )
    values = {"interval_start": interval.start, "interval_end": interval.end} if interval is not None else {}
    # Bound first: a query without parameters is then the text that was read before, and is not read again.
    query = edges.substitute(edges.bind(text, values, origin=origin), relations, origin=origin)
    query = edges.statement(query)
    planned = connection.sql(query)
    found = shape(planned, what=_called(spec.transform), starred=edges.starred(text, origin=origin))
    body = query if found.plain else f"SELECT {found.select} FROM (\n{query}\n)"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {identifier(relation)} AS\n{body}")
    return found


def _from_function(
    spec: Transforming, inputs: Mapping[str, Sequence[Column]], connection: duckdb.DuckDBPyConnection, relation: str
) -> Shape:
    selects = {
        name: f"SELECT {identifiers(visible(columns, ()))} FROM {_rows_of(name, spec)}"
        for name, columns in inputs.items()
    }
    with call(spec.transform, selects, spec.interval, connection) as returned:
        # Whoever is given relations can change the session that they are of.
        connection.execute("SET TimeZone = 'UTC'")
        connection.register(_SOURCE, returned)
        try:
            found = shape(connection.sql(f"SELECT * FROM {_SOURCE}"), what=_called(spec.transform), starred=True)
            connection.execute(
                f"CREATE OR REPLACE TEMP TABLE {identifier(relation)} AS SELECT {found.select} FROM {_SOURCE}"
            )
        finally:
            # after a failure the transaction takes no more statements; what is registered goes with the session
            with suppress(duckdb.Error):
                connection.unregister(_SOURCE)
    return found


def _rows_of(name: str, spec: Transforming) -> str:
    """Return the rows of an input that the result is made from."""
    table = identifier(spec.names[name])
    return keeping.restricted(table, spec.keyed) if spec.keyed is not None and name in spec.keyed.inputs else table


def _refuse_outside(spec: Transforming, found: Shape, connection: duckdb.DuckDBPyConnection, relation: str) -> None:
    """Refuse rows whose interval column lies outside the interval: they would be lost or counted twice."""
    interval, wanted = spec.interval, spec.transform.interval
    assert interval is not None
    assert wanted is not None
    column = next((column for column in found.columns if column.name.lower() == wanted.lower()), None)
    known = [column.name for column in found.columns]
    if column is None:
        raise unknown("column", wanted, known, where=f"interval of {_called(spec.transform)}")
    if not column.type.startswith(("TIMESTAMP", "DATE")):
        raise ConfigurationError(
            f"The interval column {column.name!r} of {_called(spec.transform)} holds no moments",
            value=column.type,
            valid="DATE, TIMESTAMP or TIMESTAMP WITH TIME ZONE",
        )
    name = identifier(column.name)
    outside, first = connection.execute(
        f"SELECT count(*), min({name})::VARCHAR FROM {identifier(relation)} WHERE {name} IS NULL "
        f"OR {name}::TIMESTAMPTZ < ? OR {name}::TIMESTAMPTZ >= ?",
        [interval.start, interval.end],
    ).fetchall()[0]
    if outside:
        raise DataError(
            f"{_called(spec.transform)} made {outside} rows whose {column.name!r} is empty or lies outside "
            f"the interval {interval.label}",
            value=first or "NULL",
            valid=f"from {interval.start.isoformat()} until before {interval.end.isoformat()}",
            remedy=f"Filter the query: WHERE {column.name} >= :interval_start AND {column.name} < :interval_end",
        )


def _content(connection: duckdb.DuckDBPyConnection, relation: str, columns: Sequence[Column]) -> tuple[int, str]:
    """Count the rows and hash them, whatever their order: count, sum and exclusive or of the hashes of rows."""
    listed = identifiers(column.name for column in columns)
    rows, total, mixed = connection.execute(
        f"SELECT count(*), coalesce(sum(h::HUGEINT), 0)::VARCHAR, coalesce(bit_xor(h), 0)::VARCHAR "
        f"FROM (SELECT hash({listed}) AS h FROM {identifier(relation)})"
    ).fetchall()[0]
    types = [(column.name, column.type) for column in columns]
    return int(rows), hashlib.sha256(repr((types, rows, total, mixed)).encode()).hexdigest()[:32]


@contextmanager
def sentences(what: str) -> Iterator[None]:
    """Turn DuckDB's errors into ours."""
    try:
        yield
    except PenstockError:
        raise
    except duckdb.Error as error:
        reason = str(error).split("\n\nLINE")[0].replace("\n", " ").strip()
        if isinstance(error, _SHORTAGES):
            raise TransientError(f"{what} ran out of memory or disk", value=reason) from error
        if isinstance(error, _MISTAKES):
            raise ConfigurationError(f"{what} cannot be run", value=reason) from error
        raise DataError(f"{what} failed", value=reason) from error
