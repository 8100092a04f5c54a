"""Columns of texts: which type all values of one have, and texts as values of a type; DuckDB does both.

A column takes a type only where no value changes by it: ``007`` stays a text. Types are found over the first 64 MB of a
file; what becomes of a later value that is not of its column's type is for the format to say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from penstock.errors import ConfigurationError
from penstock.extract.files.formats.port import Asked
from penstock.names import unknown
from penstock.queries.text import identifier, literal
from penstock.stores.engine import LocalEngine
from penstock.values import dataclass

LOOKED_AT = 64 * 2**20
"""How many bytes of a file types are found over."""
_MEMORY = 256 * 2**20
_TEXT = "VARCHAR"
_FRACTION = r"(\.\d{1,15}([eE][-+]?\d{1,2})?)"
_DAY, _CLOCK = r"\d{4}-\d\d-\d\d", r"\d\d:\d\d:\d\d(\.\d{1,6})?"
_PATTERNS = {
    "BIGINT": r"0|-?[1-9]\d{0,17}",
    "DOUBLE": rf"-?[1-9]\d{{0,14}}{_FRACTION}?|0{_FRACTION}?|-0{_FRACTION}",
    "BOOLEAN": "true|false|True|False|TRUE|FALSE",
    "DATE": _DAY,
    "TIMESTAMP": rf"{_DAY}[ T]{_CLOCK}",
    "TIMESTAMP WITH TIME ZONE": rf"{_DAY}[ T]{_CLOCK} ?(Z|[-+]\d\d(:?\d\d)?)",
    "TIME": _CLOCK,
}
"""What the texts of a type look like that it gives back as they are, but for zeros at the end of fractions."""
_DIGITS = r"regexp_replace(regexp_replace({}, '[eE].*', ''), '[-.]', '', 'g')"


@dataclass(frozen=True, slots=True)
class Rows:
    """Texts of rows in columns, and the line that each is from."""

    columns: pa.RecordBatch
    lines: pa.Array


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user says of types.

    Attributes:
        types: Column to DuckDB type.
        times: Column to a format as ``%d/%b/%Y:%H:%M:%S %z``.
        texts: Columns that stay texts, in lower case: the personal ones.
    """

    types: Mapping[str, str]
    times: Mapping[str, str]
    texts: frozenset[str] = frozenset()


def wishes(asked: Asked) -> Wishes:
    """Return what is said in the options ``types`` and ``times``.

    Raises:
        ConfigurationError: One is no table of columns.
    """
    found = {}
    for name in ("types", "times"):
        given = asked.options.get(name) or {}
        if not isinstance(given, Mapping) or not all(isinstance(value, str) for value in given.values()):
            raise ConfigurationError(
                f"The option {name} of {asked.file.key} must name columns", value=given, valid="a table of texts"
            )
        found[name] = dict(given)
    return Wishes(found["types"], found["times"], frozenset(name.lower() for name in asked.personal))


class Evidence:
    """Which types all texts of each column have so far."""

    def __init__(self, session: duckdb.DuckDBPyConnection) -> None:
        self._session = session
        self._open: dict[str, list[str]] = {}
        self._met: set[str] = set()

    def look(self, name: str, values: pa.Array) -> None:
        """Look at more texts of a column."""
        if name not in self._open:
            self._open[name] = list(_PATTERNS)
        still = self._open[name]
        if not still or values.null_count == len(values):
            return
        self._met.add(name)
        self._session.register("_texts", pa.table({"v": values}))
        tests = ", ".join(f"bool_and({_test(type_, 'v')})" for type_ in still)
        answers = self._session.execute(f"SELECT {tests} FROM _texts WHERE v IS NOT NULL").fetchall()[0]
        self._session.unregister("_texts")
        self._open[name] = [type_ for type_, fits in zip(still, answers, strict=True) if fits]

    def type(self, name: str) -> str:
        """Return the narrowest type of a column; one without a value is text."""
        still = self._open.get(name, [])
        return still[0] if still and name in self._met else _TEXT


def _test(type_: str, column: str) -> str:
    test = f"regexp_full_match({column}, {literal(_PATTERNS[type_])})"
    if type_ == "DOUBLE":
        return f"{test} AND length({_DIGITS.format(column)}) <= 15"
    return test if type_ in ("BIGINT", "BOOLEAN") else f"{test} AND TRY_CAST({column} AS {type_}) IS NOT NULL"


@contextmanager
def session() -> Iterator[duckdb.DuckDBPyConnection]:
    """Lend a DuckDB for the types of one file."""
    engine = LocalEngine(memory=_MEMORY, threads=1)
    try:
        with engine.session() as lent:
            yield lent
    finally:
        engine.close()


def conversion(column: str, type_: str, form: str | None = None) -> str:
    """Return the SQL that gives a text column as a type, and null for what is no such value."""
    name = identifier(column)
    if form is None:
        return name if type_ == _TEXT else f"TRY_CAST({name} AS {type_})"
    parsed = f"try_strptime({name}, {literal(form)})"
    return parsed if any(f"%{part}" in form for part in "HIMSfpzsgncX") else f"CAST({parsed} AS DATE)"


def answer(session: duckdb.DuckDBPyConnection, sql: str, key: str, wanted: object) -> pa.Table:
    """Return what a conversion gives.

    Raises:
        ConfigurationError: A type or format that there is not; ``wanted`` is shown.
    """
    try:
        found: pa.Table = session.sql(sql).to_arrow_table()
    except (duckdb.CatalogException, duckdb.BinderException, duckdb.ParserException, duckdb.InvalidInputException):
        raise ConfigurationError(
            f"A type or time format of {key} is not known",
            value=wanted,
            valid="types that DuckDB knows, as BIGINT, DECIMAL(12,2), VARCHAR; formats as %Y%m%d",
        ) from None
    return found


@dataclass(frozen=True, slots=True)
class Typed:
    """Rows of types.

    Attributes:
        batch: The rows; a text that is not of its column's type is null.
        rows: What they were made of.
        failed: Whether a row has such a text; None for none.
        column: The first column that has one.
        wanted: What it should be, in words.
    """

    batch: pa.RecordBatch
    rows: Rows
    failed: Any = None
    column: str = ""
    wanted: str = ""


def typed(asked: Asked, cut: Callable[[], Iterator[Rows]], said: Wishes) -> Iterator[Typed]:
    """Yield texts as rows of the types that their columns have.

    Args:
        asked: The file.
        cut: Gives its rows as texts; asked a second time for a file that is not held between.
        said: What the user says of types.

    Raises:
        ConfigurationError: A type or column that there is not.
    """
    with session() as lent:
        evidence = Evidence(lent)
        held: list[Rows] | None = []
        seen = 0
        for rows in cut():
            seen += rows.columns.nbytes
            for name, values in zip(rows.columns.schema.names, rows.columns.columns, strict=True):
                if name not in said.types and name not in said.times and name.lower() not in said.texts:
                    evidence.look(name, values)
            if held is not None:
                held.append(rows)
                held = held if seen <= asked.batch_bytes else None
            if seen > LOOKED_AT:
                break
        converted: _Converted | None = None
        for rows in held if held is not None else cut():
            if converted is None:
                converted = _Converted(lent, evidence, said, asked.file.key, rows.columns.schema.names)
            yield converted.typed(rows)


class _Converted:
    """Turns rows of texts into rows of types."""

    def __init__(
        self,
        session: duckdb.DuckDBPyConnection,
        evidence: Evidence,
        said: Wishes,
        key: str,
        names: Sequence[str],
    ) -> None:
        for name in (*said.types, *said.times):
            if name not in names:
                raise unknown("column", name, names, where=f"types of {key}")
        self._session = session
        self._key = key
        self._types = {name: said.types.get(name) or evidence.type(name) for name in names}
        self._times = said.times
        self._sql = ", ".join(
            f"{conversion(name, type_, said.times.get(name))} AS {identifier(name)}"
            for name, type_ in self._types.items()
        )

    def typed(self, rows: Rows) -> Typed:
        self._session.register("_rows", pa.Table.from_batches([rows.columns]))
        try:
            table = answer(self._session, f"SELECT {self._sql} FROM _rows", self._key, {**self._types, **self._times})
        finally:
            self._session.unregister("_rows")
        found = table.combine_chunks().to_batches()
        batch = found[0] if found else pa.RecordBatch.from_pylist([], schema=table.schema)
        failed, column = None, ""
        for name in self._types:
            before, after = rows.columns.column(name), batch.column(name)
            if after.null_count > before.null_count:
                here = pc.and_(before.is_valid(), after.is_null())
                failed = here if failed is None else pc.or_(failed, here)
                column = column or name
        form = self._times.get(column)
        wanted = f"in the form {form}" if form else f"of type {self._types[column]}" if column else ""
        return Typed(batch, rows, failed, column, wanted)
