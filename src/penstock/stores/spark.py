"""Spark as a place where checks run: a session, and a connection that takes the SQL that DuckDB takes.

A query is translated (``queries.spark``), run by Spark over the same Parquet files, and its few result rows are given
the types that DuckDB would have given them. Beside it stands a DuckDB with the same tables without rows: it binds each
query, so that names, types and mistakes are DuckDB's, whichever engine computes.
"""

from __future__ import annotations

import json
import logging
import os
import re
import secrets
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import reduce
from threading import Lock
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
from sqlglot import exp

from penstock.errors import ConfigurationError, TransientError
from penstock.queries.spark import Translated, parsed, translate
from penstock.queries.spark_scope import Call, UntranslatableError
from penstock.queries.spark_types import carried, name, spark_type, text
from penstock.queries.text import file_named, identifier
from penstock.schema import restore
from penstock.stores.port import Partial
from penstock.stores.spark_portions import PORTION_BYTES, gathered, portions, unlike
from penstock.stores.spark_session import connects, first_line, leave, reached, register, silence
from penstock.stores.spark_worker import MARK, PROBE, UNLIKE, evaluated

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SETTINGS = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "false",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.parser.escapedStringLiterals": "false",
    # Quotes are those of texts, names stand in backticks.
    "spark.sql.ansi.doubleQuotedIdentifiers": "false",
    "spark.sql.ansi.enforceReservedKeywords": "false",
    "spark.sql.variable.substitute": "false",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
}
_CONVERSIONS = ("CAST_INVALID_INPUT", "CAST_OVERFLOW", "NUMERIC_VALUE_OUT_OF_RANGE", "CANNOT_PARSE")
_RANGES = ("ARITHMETIC_OVERFLOW", "DIVIDE_BY_ZERO", "BINARY_ARITHMETIC_OVERFLOW", "DATETIME_OVERFLOW", "INTERVAL_")
_ELSEWHERE = "Leave the table out of tables below [checks] in penstock.toml, and DuckDB judges it"
_TOLD = "_penstock_told"
_PATTERN = re.compile(r"[\[\]{}*?\\]")
_OWN = re.compile(re.escape(MARK) + r'(\["\w+", "(?:[^"\\]|\\.)*"\])')


class Spark:
    """A Spark that is reached at its first use.

    Args:
        url: ``local``, ``local[4]``, ``local[*]``, or ``sc://host:port`` of Spark Connect.
        remote_lake: Whether files lie in a bucket, of which this machine holds copies that other machines do not see.
        portion: About how many bytes of files a worker reads at once of what is asked in portions.
    """

    def __init__(self, url: str, *, remote_lake: bool = False, portion: int = PORTION_BYTES) -> None:
        self._url = url
        self._portion = portion
        self._remote_lake = remote_lake
        self._lock = Lock()
        self._session: SparkSession | None = None
        self._leave: Callable[[], object] | None = None

    @contextmanager
    def asked(self, connection: duckdb.DuckDBPyConnection) -> Iterator[SparkConnection]:
        """Lend a connection to one thread; its views and functions are its own.

        Args:
            connection: DuckDB, which sees the files and tables that queries name.
        """
        # Its errors quote values, and are told by us.
        logging.getLogger("SQLQueryContextLogger").setLevel(logging.CRITICAL + 1)
        silence()
        session = self._open().newSession()
        for key, value in _SETTINGS.items():
            session.conf.set(key, value)
        asked = SparkConnection(session, connection, self._portion)
        try:
            yield asked
        finally:
            asked.close()
            if connects(self._url):
                leave(session)

    def close(self) -> None:
        """Leave Spark Connect. A Spark of this machine ends with the process, as others in it may use the same."""
        with self._lock:
            if self._leave is not None:
                self._leave()
            self._session = None

    def _open(self) -> SparkSession:
        with self._lock:
            if self._session is None:
                if self._remote_lake and connects(self._url):
                    raise ConfigurationError(
                        "Checks of a lake in a bucket cannot be judged by a Spark on other machines: it would not see "
                        "the copies of files that are here",
                        valid="local[*]",
                        remedy="Set checks.url in penstock.toml to it, or take the section [checks] out",
                    )
                self._session = reached(self._url)
                if connects(self._url):
                    self._leave = weakref.finalize(self, leave, self._session)
            return self._session


class SparkConnection:
    """What checks ask of a connection of DuckDB, answered by Spark.

    Args:
        session: Of its own: its views and functions are nobody else's.
        connection: DuckDB, which sees the files and tables that queries name.
        portion: About how many bytes of files a worker reads at once of what is asked in portions.
    """

    def __init__(
        self, session: SparkSession, connection: duckdb.DuckDBPyConnection, portion: int = PORTION_BYTES
    ) -> None:
        self._session = session
        self._shapes = connection.cursor()
        self._shapes.execute("SET TimeZone = 'UTC'")
        self._token = secrets.token_hex(4)
        self._scans: dict[str, str] = {}
        self._known: set[str] = set()
        self._values: dict[str, tuple[Any, ...]] = {}
        self._kept: dict[str, DataFrame] = {}
        self._found: duckdb.DuckDBPyConnection | None = None
        self._portion = portion
        self._dealt: dict[str, list[tuple[str, ...]]] = {}

    @property
    def description(self) -> Any:
        """The columns of what was asked last, as DuckDB describes them."""
        return None if self._found is None else self._found.description

    def execute(self, query: str) -> SparkConnection:
        """Run one statement: a query, or one that makes or drops a temporary table."""
        statement = parsed(query)
        self._found = None
        if isinstance(statement, exp.Create):
            self._make(statement)
        elif isinstance(statement, exp.Drop):
            self._drop(statement.this.name)
        else:
            self._found = self._shapes.execute(self._typed(*self._answer(statement)))
        return self

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows of what was asked last."""
        return [] if self._found is None else self._found.fetchall()

    def sql(self, query: str) -> Answered:
        """Return what a query gives, which is asked at once."""
        return Answered(self._shapes.sql(self._typed(*self._answer(parsed(query)))).to_arrow_table())

    def register(self, view_name: str, python_object: pa.Table) -> None:
        """Make a table of this process visible to queries."""
        self._shapes.register(view_name, python_object.schema.empty_table())
        self._session.createDataFrame(python_object).createOrReplaceTempView(view_name)

    def unregister(self, view_name: str) -> None:
        """Forget such a table."""
        self._shapes.unregister(view_name)
        self._session.catalog.dropTempView(view_name)

    def translatable(self, query: str) -> None:
        """See to it that a query can be asked; nothing is read.

        Raises:
            ConfigurationError: It holds what has no form in Spark that would surely mean the same.
        """
        self._translated(self._scanned(parsed(query)), native=True)

    def gathered(self, relation: str, asked: Sequence[Partial]) -> list[list[tuple[Any, ...]]]:
        """Return the rows that answer each question about the rows of a relation, which workers read in portions."""
        if relation not in self._dealt:
            self._dealt[relation] = portions(relation, self._shapes, self._portion)
        known, _ = self.value(PROBE.removeprefix("SELECT "))
        try:
            tables = gathered(self._session, self._dealt[relation], asked, known)
        except Exception as error:
            data, _ = _meant(error)
            raise (data or _failed(error)) from error
        found = []
        for table in tables:
            self._shapes.register("_penstock_answer", table)
            found.append(self._shapes.execute("SELECT * FROM _penstock_answer").fetchall())
        return found

    def close(self) -> None:
        """Forget all tables."""
        for view in list(self._kept):
            self._drop(view)
        for view in self._scans.values():
            self._session.catalog.dropTempView(view)
        self._shapes.close()

    def described(self, query: str) -> list[tuple[str, str]]:
        """Return names and DuckDB types of a query's columns."""
        found = self._shapes.execute(f"DESCRIBE {query}").fetchall()
        return [(str(label), str(type_)) for label, type_, *_ in found]

    def value(self, expression: str) -> tuple[Any, str]:
        """Return value and DuckDB type of an expression without columns."""
        if expression not in self._values:
            self._values[expression] = self._shapes.execute(
                f"SELECT it, typeof(it) FROM (SELECT {expression} AS it)"
            ).fetchall()[0]
        value, type_ = self._values[expression]
        return value, str(type_)

    def _answer(self, statement: exp.Expr) -> tuple[pa.Table, Translated]:
        statement = self._scanned(statement)
        translated = self._translated(statement, native=True)
        try:
            return self._run(translated).toArrow(), translated
        except Exception as error:
            data, own = _meant(error)
            if data is None:
                raise _failed(error) from error
            if own:
                raise data from None
        # Spark's own SQL stopped on the data. DuckDB judges each expression, and says in its words what it stops at.
        translated = self._translated(statement, native=False)
        try:
            return self._run(translated).toArrow(), translated
        except Exception as error:
            data, _ = _meant(error)
            raise (data or _failed(error)) from error

    def _run(self, translated: Translated) -> DataFrame:
        from pyspark.errors import AnalysisException, ParseException

        for call in translated.calls:
            self._known_call(call)
        try:
            return self._session.sql(translated.sql)
        except (AnalysisException, ParseException) as error:
            raise _failed(error) from error

    def _known_call(self, call: Call) -> None:
        if call.name in self._known:
            return
        register(self._session, call.name, evaluated(call.query), call.output)
        self._known.add(call.name)

    def _translated(self, statement: exp.Expr, *, native: bool) -> Translated:
        try:
            return translate(statement, self, native=native)
        except UntranslatableError as error:
            raise ConfigurationError(
                "Spark has no form of a part of this that would surely give what DuckDB gives",
                value=str(error),
                remedy=f"Write it another way. {_ELSEWHERE}",
            ) from error

    def _typed(self, answer: pa.Table, translated: Translated) -> str:
        """Return a query for an answer with DuckDB's types."""
        columns = translated.columns
        self._shapes.register("_penstock_answer", answer.rename_columns([f"c{place}" for place in range(len(columns))]))
        listed = ", ".join(
            f"{_restored(f'c{place}', type_)} AS {identifier(label)}" for place, (label, type_) in enumerate(columns)
        )
        return f"SELECT {listed} FROM _penstock_answer"

    def _make(self, statement: exp.Create) -> None:
        table, query = statement.this.name, self._scanned(statement.expression)
        self._drop(table)
        translated = self._translated(query, native=True)
        frame = self._run(translated).persist()
        try:
            frame.count()
        except Exception as error:
            frame.unpersist()
            data, _ = _meant(error)
            raise (data or _failed(error)) from error
        frame.createOrReplaceTempView(table)
        self._shapes.execute(f"CREATE OR REPLACE TEMP TABLE {identifier(table)} AS {query.sql(dialect='duckdb')}")
        self._kept[table] = frame

    def _drop(self, table: str) -> None:
        frame = self._kept.pop(table, None)
        if frame is not None:
            self._session.catalog.dropTempView(table)
            frame.unpersist()
            self._shapes.execute(f"DROP TABLE IF EXISTS {identifier(table)}")

    def _scanned(self, statement: exp.Expr) -> exp.Expr:
        """Return a statement with its scans of files replaced by views of the same."""
        for table in list(statement.find_all(exp.Table)):
            if isinstance(table.this, exp.ReadParquet):
                table.set("this", exp.to_identifier(self._view(table.this), quoted=True))
        return statement

    def _view(self, scan: exp.ReadParquet) -> str:
        sql = scan.sql(dialect="duckdb")
        if sql in self._scans:
            return self._scans[sql]
        view = f"_penstock_scan_{self._token}_{len(self._scans)}"
        files = [file_named(each.this) for each in scan.expressions[0].expressions]
        options = {each.this.name.lower(): each.expression for each in scan.expressions[1:]}
        file = options["filename"].this if "filename" in options else None
        row = "file_row_number" if "file_row_number" in options else None
        self._shapes.execute(f"CREATE TEMP TABLE {view} AS SELECT * FROM {sql} LIMIT 0")
        columns = [
            (label, type_) for label, type_ in self.described(f"SELECT * FROM {view}") if label not in (file, row)
        ]
        self._frame(files, columns, (file, row)).createOrReplaceTempView(view)
        self._scans[sql] = view
        return view

    def _frame(
        self, files: Sequence[str], columns: Sequence[tuple[str, str]], place: tuple[str | None, str | None]
    ) -> DataFrame:
        """Return the rows of files; a column that a file lacks is null."""
        _refuse(files, columns)
        schema = ", ".join(f"{name(label)} {carried(type_)}" for label, type_ in columns)
        # A folder may have a name that would be a pattern; several such files at once are read several times.
        patterns = any(_PATTERN.search(file) for file in files)
        groups = [[file] for file in files] if patterns else [list(files)]
        frames = [
            self._session.read.schema(schema)
            .option("datetimeRebaseMode", "CORRECTED")
            .option("__globPaths__", str(not patterns).lower())
            .parquet(*group)
            for group in groups
        ]
        listed = [name(label) for label, _ in columns]
        parts = []
        for frame in frames:
            # The data may have a column of the same name.
            told = frame.withColumn(_TOLD, frame.metadataColumn("_metadata"))
            own = zip(place, (_file(files), f"{_TOLD}.row_index"), strict=True)
            parts.append(told.selectExpr(*listed, *[f"{made} AS {name(label)}" for label, made in own if label]))
        return reduce(lambda all_, more: all_.unionAll(more), parts)


class Answered:
    """What a query gave."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    def to_arrow_table(self) -> pa.Table:
        """Return all of it."""
        return self._table

    def to_arrow_reader(self, batch_size: int) -> pa.RecordBatchReader:
        """Return it in batches of at most so many rows."""
        return pa.RecordBatchReader.from_batches(self._table.schema, iter(self._table.to_batches(batch_size)))


def _refuse(files: Sequence[str], columns: Sequence[tuple[str, str]]) -> None:
    for label, type_ in columns:
        if carried(type_) is None:
            raise ConfigurationError(
                "Spark cannot read a column of these files",
                value=f"{label} {type_}",
                remedy=_ELSEWHERE,
            )
    if not all(os.path.isabs(file) for file in files):
        raise ConfigurationError("Spark reads files of the lake by their whole path", value=files[0])


def _file(files: Sequence[str]) -> str:
    """Return the path of a row's file as it was given: Spark tells a URI."""
    if len(files) == 1:
        return text(files[0])
    plain = f"url_decode(replace({_TOLD}.file_path, '+', '%2B'))"
    return f"regexp_replace({plain}, '^file:/+', '/')"


def _restored(column: str, type_: str) -> str:
    if type_ == '"NULL"':
        return "NULL"
    return f"CAST({column} AS {type_})" if spark_type(type_) else restore(column, type_)


def _meant(error: Exception) -> tuple[duckdb.Error | None, bool]:
    """Return the error of DuckDB that an error of Spark stands for, if any, and whether it is DuckDB's own."""
    said = str(error)
    own = _OWN.search(said)
    if own is not None:
        kind, message = json.loads(own[1])
        found = getattr(duckdb, kind, duckdb.InvalidInputException)
        return found(message), True
    if any(mark in said for mark in _CONVERSIONS):
        return duckdb.ConversionException(first_line(error)), False
    if any(mark in said for mark in _RANGES):
        return duckdb.OutOfRangeException(first_line(error)), False
    return None, False


def _failed(error: Exception) -> Exception:
    """Return a sentence about what Spark did not do; its own text may quote values."""
    from pyspark.errors import AnalysisException, PySparkException

    other = re.search(f"{UNLIKE}([0-9A-Za-z.]+)", str(error))
    if other is not None:
        return unlike(other[1])
    if not isinstance(error, PySparkException) and type(error).__module__.partition(".")[0] not in ("py4j", "grpc"):
        return error
    kind = (error.getCondition() if isinstance(error, PySparkException) else None) or type(error).__name__
    if isinstance(error, AnalysisException):
        return ConfigurationError("Spark does not take the query of a check", value=kind, remedy=_ELSEWHERE)
    return TransientError("Spark stopped while it judged rows; its log says why", value=kind)
