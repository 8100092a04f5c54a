"""From what the user asked for to SQL: a check bound to the columns of the rows, before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from penstock.errors import ConfigurationError
from penstock.model.entries import Column
from penstock.model.specs import CheckSpec, Severity
from penstock.names import unknown
from penstock.validate.bound import Bound
from penstock.validate.functions import frame_of
from penstock.validate.kinds import by_row, figures, references
from penstock.validate.kinds.wording import shortened
from penstock.validate.rows import Scope

if TYPE_CHECKING:
    from penstock.validate.expressions import Condition


def bind(spec: CheckSpec, scope: Scope, *, sets_aside: bool = True) -> Bound:
    """Bind one check.

    Args:
        spec: The check.
        scope: The rows and tables it may name.
        sets_aside: Whether a quarantine will be written, so that rows need a place.

    Raises:
        ConfigurationError: It names a column or table that is not there, or compares what cannot be compared.
    """
    rows = scope.rows
    place = f"check {spec.name!r} of {rows.table}"
    if sets_aside and spec.severity is Severity.QUARANTINE and not rows.located:
        raise ConfigurationError(
            f"The {place} cannot set rows aside: only rows that stand in lake files have a place to be left out from",
            value=spec.severity.value,
            valid="warn, error",
        )
    columns = tuple(rows.column(name, where=place) for name in spec.columns)
    names = tuple(column.name for column in columns)
    text = spec.parameters.get("where")
    given = None if text is None else _condition(text, scope, f"the where of {place}")
    where = None if given is None else given.sql
    reads = names if given is None else (*names, *given.columns) if given.complete else None
    when = "false" if needs_interval(spec) and scope.interval is None else _when(spec, scope, place)
    check = Bound(spec, names, reads, where=where, when=when)
    return _kind(check, columns, scope, place)


def _kind(check: Bound, columns: Sequence[Column], scope: Scope, place: str) -> Bound:
    spec = check.spec
    match spec.kind:
        case "expression":
            return _expression(check, scope, place)
        case "unique":
            return _unique(check, columns, scope)
        case "fresh" | "statistic" | "correlation" | "no_outliers":
            return replace(check, figure=_figure(check, columns, place))
        case "no_near_duplicates":
            return replace(check, expectation=f"{check.columns[0]} is nearly the same as another one")
        case "increasing" | "no_gaps":
            return _ordered(check, columns[0], scope, place)
        case "reconciles" | "query" | "aggregate":
            return _asked(check, scope, place)
        case "function" | "validator":
            call = spec.function if spec.kind == "function" else spec.function.validate
            return replace(check, reads=None, frame=frame_of(call, place))
    if spec.kind in _OF_NO_COLUMN:
        return check
    expectation, fails = _by_row(columns, spec, scope, place)
    return replace(check, expectation=expectation, fails=fails)


def _unique(check: Bound, columns: Sequence[Column], scope: Scope) -> Bound:
    known = references.known(columns, scope) if check.says("against") == "table" else None
    counted = f"approx_count_distinct(hash({check.keys})) FILTER (WHERE {check.looked})"
    figure = counted if check.says("approximate") else ""
    return replace(check, expectation=f"{', '.join(check.columns)} repeats", known=known, figure=figure)


def _figure(check: Bound, columns: Sequence[Column], place: str) -> str:
    match check.spec.kind:
        case "fresh":
            return figures.fresh(columns[0], place, check.where)
        case "statistic":
            return figures.statistic(columns[0], check.spec, place, check.where)
        case "correlation":
            return figures.correlation(columns[0], columns[1], place, check.where)
    # Outliers are judged row by row once the others are known; here it is seen to that the column has numbers.
    figures.finite(columns[0], place)
    return ""


def needs_interval(spec: CheckSpec) -> bool:
    """Say whether a check names the interval of the rows, so that it is skipped for rows that are of none."""
    texts = (spec.parameters.get(name) for name in ("sql", "where", "when", "ours"))
    return any(isinstance(text, str) and (":interval_start" in text or ":interval_end" in text) for text in texts)


def _when(spec: CheckSpec, scope: Scope, place: str) -> str | None:
    from penstock.validate.expressions import aggregate

    text = spec.parameters.get("when")
    return None if text is None else aggregate(text, scope, scope.rows.bare(), where=f"the when of {place}")


def _condition(text: str, scope: Scope, where: str) -> Condition:
    from penstock.validate.expressions import condition

    return condition(text, scope, where=where)


def _expression(check: Bound, scope: Scope, place: str) -> Bound:
    found = _condition(check.says("sql"), scope, place)
    reads = None if check.reads is None or not found.complete else (*check.reads, *found.columns)
    return replace(
        check,
        columns=found.columns,
        reads=reads,
        expectation=f"{shortened(check.says('sql'))} does not hold",
        fails=f"NOT CAST({found.sql} AS BOOLEAN)",
    )


def _ordered(check: Bound, column: Column, scope: Scope, place: str) -> Bound:
    """Bind what looks at rows in an order, so that it also reads the columns of the order and of the series."""
    beside = [*check.says("per", ()), *([check.says("order_by")] if check.says("order_by") else [])]
    others = tuple(scope.rows.column(name, where=place).name for name in beside)
    reads = None if check.reads is None else (*check.reads, *others)
    if check.spec.kind == "no_gaps":
        figures.moment(column, place)
        return replace(check, reads=reads)
    if not scope.rows.located and not check.says("order_by"):
        raise ConfigurationError(
            f"The {place} needs an order: these rows stand in no files of the lake, so they have landed in none",
            remedy=f"Add order_by= to increasing({column.name!r})",
        )
    return replace(check, reads=reads, expectation=f"{column.name} is below one that came before it")


def _asked(check: Bound, scope: Scope, place: str) -> Bound:
    """Bind what the user wrote as a query, or as figures of two tables."""
    from penstock.validate.expressions import aggregate, selection

    if check.spec.kind == "query":
        return replace(check, reads=None, query=selection(check.says("sql"), scope, where=place))
    if check.spec.kind == "aggregate":
        figure = aggregate(check.says("sql"), scope, scope.rows.bare(), where=place)
        return replace(check, reads=None, figure=f"TRY_CAST({figure} AS DOUBLE)")
    table = check.says("table")
    relation = next((sql for name, sql in scope.tables.items() if name.lower() == table.lower()), None)
    if relation is None:
        raise unknown("table", table, scope.tables, where=place)
    theirs = aggregate(check.says("theirs"), scope, relation, where=f"the figure of {table} in {place}")
    ours = aggregate(check.says("ours"), scope, scope.rows.bare(), where=f"the figure of the new rows in {place}")
    return replace(check, reads=None, figure=ours, query=f"SELECT {theirs} FROM {relation}")


def _by_row(columns: Sequence[Column], spec: CheckSpec, scope: Scope, place: str) -> tuple[str, str]:
    """Return what a failing row is, in words and in SQL, for the kinds that look at its columns only."""
    match spec.kind:
        case "not_null":
            return by_row.not_null(columns)
        case "between":
            return by_row.between(columns[0], spec, place)
        case "in_set":
            return by_row.in_set(columns[0], spec, place)
        case "matches":
            return by_row.matches(columns[0], spec, scope.connection, place)
        case "length":
            return by_row.length(columns[0], spec, place)
        case "parses":
            return by_row.parses(columns[0], spec)
        case "references":
            return references.references(columns, spec, scope, place)
    raise unknown("kind of check", spec.kind, _KINDS, where=place)


_OF_NO_COLUMN = ("row_count", "volume", "arrives", "schema", "quarantined")
_KINDS = (
    *("not_null", "between", "in_set", "matches", "length", "parses", "references", "expression", "no_outliers"),
    *("unique", "no_near_duplicates", "increasing", "no_gaps", "fresh", "statistic", "correlation", "reconciles"),
    *("aggregate", "query", "function", "validator", *_OF_NO_COLUMN),
)
