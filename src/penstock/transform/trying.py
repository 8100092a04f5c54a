"""Trying a transform on small rows: computed by the real engine, compared with the rows that are expected."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import duckdb

from penstock.errors import ConfigurationError, PenstockError
from penstock.model.specs import TransformSpec
from penstock.model.testing import CaseResult, TransformCase
from penstock.names import unknown
from penstock.queries.text import file_literal, identifier, literal
from penstock.stores.port import Warehouse
from penstock.transform.computing import Transforming, TransformPorts, compute

MOST = 50
"""Rows of a difference that are kept."""
_WANTED = "_penstock_expected"


def try_case(transform: TransformSpec, case: TransformCase, warehouse: Warehouse) -> CaseResult:
    """Compute a transform over the rows of a test and compare; nothing is kept.

    Args:
        transform: With ``inputs`` filled in.
        case: The test.
        warehouse: An empty one.

    Returns:
        What came; a transform that fails is a test that fails, with its sentence.
    """
    names = {name: f"given_{name}" for name in (*transform.inputs, *transform.children)}
    try:
        for name in names:
            if name.lower() not in {given.lower() for given in case.given}:
                raise ConfigurationError(
                    f"The test gives no rows for {name!r}, which {transform.table!r} reads",
                    remedy=f"Give them, if only a heading: {name} = 'id'",
                )
        spelt = {name.lower(): table for name, table in names.items()}
        with warehouse.writing() as transaction:
            for name, text in case.given.items():
                if name.lower() not in spelt:
                    raise unknown("table", name, names, where=f"given of the test {case.name!r}")
                _make(transaction.connection, spelt[name.lower()], text, f"{name} of the test {case.name!r}")
            spec = Transforming(transform=transform, names=names, interval=case.interval)
            found = compute(spec, TransformPorts(transaction))
            return _compared(transaction.connection, found.relation, case, found.rows)
    except PenstockError as error:
        return CaseResult(table=case.table, name=case.name, file=case.file, passed=False, error=error.sentence())


def _make(connection: duckdb.DuckDBPyConnection, table: str, text: str, what: str, *, plain: bool = False) -> list[str]:
    """Make a table of CSV text; an empty field is NULL, ``""`` an empty text. Returns its columns.

    Args:
        connection: Where.
        table: Its name.
        text: The rows, below a heading of names, each with a type after a colon if need be.
        what: What it is, for messages.
        plain: All columns are texts, whatever is said.
    """
    heading, _, rows = text.strip("\n").partition("\n")
    columns = [part.strip().partition(":") for part in next(csv.reader(io.StringIO(heading)), [])]
    names = [name for name, _, _ in columns]
    if not names or not all(names):
        raise ConfigurationError(f"The rows of {what} have no heading", valid="id:BIGINT,name,price")
    types = {name: "VARCHAR" if plain else type_ for name, _, type_ in columns if type_ or plain}
    spelt = ", ".join(f"{literal(name)}: {literal(type_)}" for name, type_ in types.items())
    with tempfile.TemporaryDirectory(prefix="penstock-") as folder:
        file = Path(folder) / "rows.csv"
        file.write_text(rows.strip("\n") + "\n" if rows.strip() else "", encoding="utf-8")
        listed = ", ".join(literal(name) for name in names)
        if rows.strip():
            select = (
                f"SELECT * FROM read_csv({file_literal(str(file))}, header=false, delim=',', quote='\"', escape='\"', "
                f"names=[{listed}]{f', types={{{spelt}}}' if spelt else ''}, nullstr='', allow_quoted_nulls=false)"
            )
        else:
            select = (
                "SELECT "
                + ", ".join(f"CAST(NULL AS {types.get(name, 'VARCHAR')}) AS {identifier(name)}" for name in names)
                + " WHERE false"
            )
        try:
            connection.execute(f"CREATE OR REPLACE {'TEMP ' if plain else ''}TABLE {identifier(table)} AS {select}")
        except duckdb.Error as error:
            reason = str(error).partition("\n")[0]
            raise ConfigurationError(f"The rows of {what} cannot be read", value=reason) from error
    return names


def _compared(connection: duckdb.DuckDBPyConnection, relation: str, case: TransformCase, rows: int) -> CaseResult:
    wanted = _make(connection, _WANTED, case.expected, f"expected of the test {case.name!r}", plain=True)
    made = {
        str(name).lower(): (str(name), str(type_))
        for name, type_, *_ in connection.execute(f"DESCRIBE {identifier(relation)}").fetchall()
    }
    for name in wanted:
        if name.lower() not in made:
            raise unknown("column", name, [each for each, _ in made.values()], where=f"the result of {case.table!r}")
    columns = [made[name.lower()] for name in wanted]
    came = ", ".join(_text(identifier(name), type_, case.digits) for name, type_ in columns)
    expected = ", ".join(
        _text(f"CAST({identifier(name)} AS {type_})", type_, case.digits)
        for name, (_, type_) in zip(wanted, columns, strict=True)
    )
    queries = (f"SELECT {expected} FROM {_WANTED}", f"SELECT {came} FROM {identifier(relation)}")
    try:
        missing = _rows(connection, f"{queries[0]} EXCEPT ALL {queries[1]}")
        unexpected = _rows(connection, f"{queries[1]} EXCEPT ALL {queries[0]}")
    except duckdb.ConversionException as error:
        reason = str(error).partition("\n")[0]
        raise ConfigurationError(
            f"What the test {case.name!r} expects is of no type that {case.table!r} gives", value=reason
        ) from error
    return CaseResult(
        table=case.table,
        name=case.name,
        file=case.file,
        passed=not missing and not unexpected,
        rows=rows,
        columns=tuple(name for name, _ in columns),
        missing=missing,
        unexpected=unexpected,
    )


def _text(value: str, type_: str, digits: int) -> str:
    """Return SQL for a value as text; floating numbers are rounded, and a negative zero is zero."""
    rounded = f"round({value}, {digits}) + 0.0" if type_ in ("DOUBLE", "FLOAT") else value
    return f"coalesce(CAST({rounded} AS VARCHAR), 'NULL')"


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[tuple[str, ...], ...]:
    found: Sequence[tuple[str, ...]] = connection.execute(
        f"SELECT * FROM ({query}) ORDER BY ALL LIMIT {MOST}"
    ).fetchall()
    return tuple(found)
