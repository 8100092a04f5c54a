"""The stage: checks and profile over new rows, in as few passes as there can be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import datetime

import duckdb

from penstock.errors import ConfigurationError, DataError, PenstockError, TransientError
from penstock.model.entries import CheckReport, Column, DataFile, Origin
from penstock.model.events import Advance
from penstock.model.interval import Interval
from penstock.model.receipts import CheckReceipt
from penstock.model.specs import CheckSpec
from penstock.stores.port import Answerer, Objects, ScaleOut
from penstock.validate.binding import bind
from penstock.validate.bound import Bound
from penstock.validate.elsewhere import answerable
from penstock.validate.findings import Reporter
from penstock.validate.judging import Circumstances, Judge
from penstock.validate.kinds.outliers import settled
from penstock.validate.kinds.references import by_bits
from penstock.validate.kinds.whole import PastLoad
from penstock.validate.measuring import Measured, measure
from penstock.validate.rows import Scope, opened
from penstock.validate.spreading import spread_profile
from penstock.values import dataclass


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
        history: The loads or versions before, newest first, for ``volume`` and ``arrives``.
        interval: What the rows cover, if they are those of an interval.
        stored: Name to DuckDB type of the relation's columns in order, ``FILE`` and ``ROW`` among them, where that is
            known; else the relation is asked.
        profiled: Whether to take the profile.
        sketch_path: Where the whole profile goes, below the lake root; None keeps none. Asks for ``profiled``.
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
    history: tuple[PastLoad, ...] = ()
    interval: Interval | None = None
    stored: Mapping[str, str] | None = None
    profiled: bool = True
    sketch_path: str | None = None

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
        scale_out: Who judges the rows in the place of ``connection``, which then only binds the checks, takes the
            glance by which a profile is measured, and writes the rows that are set aside. Asks for rows in files.
    """

    connection: duckdb.DuckDBPyConnection
    objects: Objects
    advance: Advance | None = None
    scale_out: ScaleOut | None = None


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
        if ports.scale_out is None:
            return _check(spec, ports, None)
        with ports.scale_out.asked(ports.connection) as asked:
            return _check(spec, ports, asked)
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


def _check(spec: Checking, ports: CheckPorts, asked: Answerer | None) -> CheckReceipt:
    here = opened(ports.connection, spec.table, spec.relation, spec.columns, spec.files, spec.origins, spec.stored)
    rows = here if asked is None else replace(here, asked=asked)
    scope = Scope(rows, spec.tables, spec.now, ports.connection, spec.interval)
    sets_aside = spec.quarantine_path is not None
    checks = _named([bind(item, scope, sets_aside=sets_aside) for item in spec.checks], spec.table)
    if asked is not None:
        answerable(rows, checks, asked)
    else:
        checks = [by_bits(check, scope) for check in checks]
    checks = [settled(check, rows) if check.spec.kind == "no_outliers" else check for check in checks]
    hidden, sketched = tuple(spec.hidden), spec.sketch_path is not None
    if asked is None:
        measured = measure(rows, checks, hidden, profiled=spec.profiled, sketched=sketched)
    else:
        measured = measure(rows, checks, hidden, profiled=False)
        if spec.profiled:
            taken, sketches = spread_profile(rows, hidden)
            measured = replace(measured, profile=taken, sketches=sketches)
        _see_all(spec, measured)
    if ports.advance is not None:
        ports.advance(measured.rows, 0)
    circumstances = Circumstances(spec.now, spec.history, spec.interval)
    judge = Judge(rows, measured, Reporter(rows, spec.hidden, spec.examples), circumstances)
    found = judge.judge_all(checks)
    path = spec.quarantine_path
    quarantined = judge.set_aside(ports.objects, path, spec.replayed) if judge.failing and path else 0
    limits = [check for check in checks if check.spec.kind == "quarantined"]
    found |= {check.spec.name: judge.overflowing(check, quarantined) for check in limits}
    skipped = tuple(checks[index].spec.name for index in sorted(measured.skipped))
    report = CheckReport(
        rows=measured.rows,
        passed=tuple(name for name, failure in found.items() if failure is None and name not in skipped),
        failures=tuple(failure for failure in found.values() if failure is not None),
        skipped=skipped,
        tolerated=judge.tolerated,
        quarantined=quarantined,
    )
    if spec.sketch_path is not None and measured.sketches is not None:
        # No committed entry names it yet: what a crashed attempt left is replaced.
        ports.objects.replace(spec.sketch_path, measured.sketches.encode())
    return CheckReceipt(
        table=spec.table,
        report=report,
        quarantine=path if quarantined else None,
        profile=measured.profile,
        sketches=spec.sketch_path,
    )


def _see_all(spec: Checking, measured: Measured) -> None:
    """See to it that an engine that reads the files by itself, maybe elsewhere, read all of them."""
    counted = [] if measured.broken else [measured.rows]
    counted += [] if measured.sketches is None else [measured.sketches.rows]
    landed = sum(file.rows for file in spec.files) if spec.files else counted[0] if counted else 0
    for rows in counted:
        if rows != landed:
            raise TransientError(f"Spark read {rows:,} rows of {spec.table}, where {landed:,} landed")


def _named(checks: Sequence[Bound], table: str) -> Sequence[Bound]:
    names = [check.spec.name for check in checks]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(
                f"Two checks of {table} have the same name", value=name, remedy="Give one of them another name="
            )
    return checks


def _line(error: Exception) -> str:
    line = str(error).strip().partition("\n")[0]
    return line if len(line) <= 200 else line[:199] + "…"
