"""The stage: checks and profile over new rows, in as few passes as there can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import duckdb
import pyarrow as pa

from penstock.errors import ConfigurationError, DataError, PenstockError, TransientError
from penstock.model.entries import CheckFailure, CheckReport, Column, DataFile, Origin
from penstock.model.events import Advance
from penstock.model.receipts import CheckReceipt
from penstock.model.specs import CheckSpec, Severity
from penstock.stores.port import Objects
from penstock.validate import quarantine, uniqueness
from penstock.validate.binding import Bound, bind
from penstock.validate.findings import Reporter
from penstock.validate.functions import Answer, Call, ask, positions
from penstock.validate.measuring import Measured, measure
from penstock.validate.rows import PLACES, POSITION, Rows, Scope, opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Checking:
    """What to check.

    Attributes:
        table: The table, as ``raw_flights``.
        checks: Its checks; their names must differ.
        relation: SQL of a FROM clause: the new rows. Rows of lake files have the columns ``queries.relations.FILE`` and
            ``ROW``; only such rows can be set aside.
        columns: The columns of the table.
        tables: Name to SQL of a FROM clause: what ``references`` and subqueries may name. Under the table's own name:
            the rows accepted before, without the new ones.
        now: The moment of the check, UTC, for ``fresh`` and ``:now``.
        quarantine_path: Where failing rows go, below the lake root; no committed entry refers to it yet. None sets
            nothing aside: the checks only tell.
        origins: Where the rows came from.
        replayed: Of rows that are replayed: the file of their places and origins, which goes before ``origins``.
        files: The files of the rows, in order; values of ``FILE`` end with their paths.
        personal: Columns of which no value is shown, in examples, sentences or profile, beside those that are marked.
        examples: How many failing rows are shown of each check.
        profiled: Whether to take the profile.
    """

    table: str
    checks: tuple[CheckSpec, ...]
    relation: str
    columns: tuple[Column, ...]
    now: datetime
    quarantine_path: str | None
    tables: Mapping[str, str] = field(default_factory=dict)
    origins: tuple[Origin, ...] = ()
    replayed: str | None = None
    files: tuple[DataFile, ...] = ()
    personal: tuple[str, ...] = ()
    examples: int = 5
    profiled: bool = True

    @property
    def hidden(self) -> frozenset[str]:
        """Columns of which no value is shown, in lower case."""
        marked = (column.name for column in self.columns if column.personal)
        return frozenset(name.lower() for name in (*self.personal, *marked))


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPorts:
    """What checking needs of the world.

    Attributes:
        connection: DuckDB, to which the relations are visible.
        objects: The lake root.
        advance: Told the rows that were looked at.
    """

    connection: duckdb.DuckDBPyConnection
    objects: Objects
    advance: Advance | None = None


def check(spec: Checking, ports: CheckPorts) -> CheckReceipt:
    """Check new rows, take their profile, and set aside the rows that fail a quarantine check.

    Args:
        spec: What to check.
        ports: Where.

    Raises:
        ConfigurationError: A check names what is not there or cannot be; nothing was read or written.
        TransientError: A file could not be read or written.
        DataError: The rows cannot be read as what they should be.
    """
    try:
        return _check(spec, ports)
    except PenstockError:
        raise
    except duckdb.IOException as error:
        raise TransientError(f"Checking {spec.table} failed to read or write: {_line(error)}") from error
    except duckdb.OutOfMemoryException as error:
        raise ConfigurationError(
            f"Checking {spec.table} needs more memory than the engine may hold: {_line(error)}",
            remedy="Raise memory (project.memory, or --memory of ingest), or give the spill folder more room",
        ) from error
    except duckdb.Error as error:
        conditions = [item.name for item in spec.checks if item.kind == "expression" or "where" in item.parameters]
        # DuckDB quotes the value that it stopped at.
        why = "" if spec.hidden else f": {_line(error)}"
        raise DataError(
            f"The rows of {spec.table} cannot be checked{why}",
            remedy=f"Its conditions are {', '.join(conditions)}: one may need TRY_CAST" if conditions else None,
        ) from error
    except OSError as error:
        raise TransientError(f"Checking {spec.table} failed to read or write: {error}") from error


def _check(spec: Checking, ports: CheckPorts) -> CheckReceipt:
    rows = opened(ports.connection, spec.table, spec.relation, spec.columns, spec.files, spec.origins)
    scope = Scope(rows, spec.tables, spec.now, ports.connection)
    sets_aside = spec.quarantine_path is not None
    checks = _named([bind(item, scope, sets_aside=sets_aside) for item in spec.checks], spec.table)
    measured = measure(rows, checks, tuple(spec.hidden), profiled=spec.profiled)
    if ports.advance is not None:
        ports.advance(measured.rows, 0)
    session = _Session(spec, rows, measured)
    failures = [session.judge(index, check) for index, check in enumerate(checks)]
    path = spec.quarantine_path
    quarantined = session.set_aside(ports.objects, path) if session.failing and path else 0
    report = CheckReport(
        rows=measured.rows,
        passed=tuple(check.spec.name for check, failure in zip(checks, failures, strict=True) if failure is None),
        failures=tuple(failure for failure in failures if failure is not None),
        quarantined=quarantined,
    )
    return CheckReceipt(
        table=spec.table, report=report, quarantine=path if quarantined else None, profile=measured.profile
    )


def _named(checks: Sequence[Bound], table: str) -> Sequence[Bound]:
    names = [check.spec.name for check in checks]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(
                f"Two checks of {table} have the same name", value=name, remedy="Give one of them another name="
            )
    return checks


class _Session:
    """Judges one check after the other, and remembers which SQL finds the rows to set aside."""

    def __init__(self, spec: Checking, rows: Rows, measured: Measured) -> None:
        self.failing: dict[str, str] = {}
        self._spec = spec
        self._rows = rows
        self._measured = measured
        self._reporter = Reporter(rows, spec.hidden, spec.examples)
        self._positions: dict[str, pa.Table] = {}

    def judge(self, index: int, check: Bound) -> CheckFailure | None:
        """Return what a check found, or None if it held."""
        measured, reporter = self._measured, self._reporter
        if index in measured.broken:
            return reporter.broken(check, measured.broken[index])
        of = measured.looked.get(index, measured.rows)
        match check.spec.kind:
            case "row_count":
                return reporter.counted(check, of)
            case "fresh":
                return reporter.aged(check, measured.newest[index], self._spec.now)
            case "unique":
                count = uniqueness.count(self._rows, check) if of else 0
                if count:
                    self._remember(check, f"{POSITION} IN ({uniqueness.repeated(self._rows, check)})")
                return reporter.repeating(check, count, of) if count else None
            case "function" | "validator":
                return self._call(index, check) if of else None
        count = measured.failed[index]
        if count:
            self._remember(check, check.guarded)
        return reporter.failing(check, count, of) if count else None

    def set_aside(self, objects: Objects, path: str) -> int:
        """Write the quarantine and return how many rows it holds."""
        connection = self._rows.connection
        self._rows.register()
        try:
            for name, positions in self._positions.items():
                connection.register(name, positions)
            return quarantine.write(self._rows, self.failing, objects, path, self._spec.replayed)
        finally:
            for name in (PLACES, *self._positions):
                connection.unregister(name)

    def _call(self, index: int, check: Bound) -> CheckFailure | None:
        function = check.spec.function if check.spec.kind == "function" else check.spec.function.validate
        columns = check.columns or tuple(column.name for column in self._rows.columns)
        try:
            answer: Answer = ask(Call(function, check.frame, columns, check.where), self._rows, self._spec.examples)
        except (duckdb.IOException, ConfigurationError):
            raise
        except Exception as error:
            return self._reporter.broken(check, error)
        if answer.places is not None and check.spec.severity is Severity.QUARANTINE:
            name = f"_penstock_failed_{index}"
            self._positions[name] = positions(answer.places, self._rows)
            self._remember(check, f"{POSITION} IN (SELECT {POSITION} FROM {name})")
        return self._reporter.answered(check, answer)

    def _remember(self, check: Bound, fails: str) -> None:
        if check.spec.severity is Severity.QUARANTINE:
            self.failing[check.spec.name] = fails


def _line(error: Exception) -> str:
    line = str(error).strip().partition("\n")[0]
    return line if len(line) <= 200 else line[:199] + "…"
