"""From what the user asked for to SQL: a check bound to the columns of the rows, before anything is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import duckdb

from penstock.errors import ConfigurationError
from penstock.model.durations import show_duration
from penstock.model.entries import Column
from penstock.model.specs import CheckSpec, Severity
from penstock.names import RAW_PREFIX, unknown
from penstock.queries.text import identifier
from penstock.validate.functions import frame_of
from penstock.validate.rows import Rows, Scope, described
from penstock.validate.values import comparisons, family, quoted

if TYPE_CHECKING:
    from penstock.validate.expressions import Condition

_SHOWN_VALUES = 6


@dataclass(frozen=True, slots=True)
class Bound:
    """A check that can be run.

    Attributes:
        spec: What was asked for.
        columns: The columns it reads, as the lake names them.
        reads: All columns that its SQL names; None where that cannot be told.
        expectation: What a failing row is, for the sentence: ``is outside 1 to 12``.
        fails: SQL that is true for failing rows, for kinds that judge a row by itself.
        where: SQL of the rows that it looks at; None: all.
        known: For ``unique`` against the table: SQL that is true for a key that the table holds.
        measure: For ``fresh``: SQL of the moment.
        frame: For functions: what they are given.
    """

    spec: CheckSpec
    columns: tuple[str, ...]
    reads: tuple[str, ...] | None = None
    expectation: str = ""
    fails: str | None = None
    where: str | None = None
    known: str | None = None
    measure: str = ""
    frame: str = ""

    @property
    def guarded(self) -> str:
        """SQL that is true for failing rows among those it looks at; CASE keeps DuckDB from judging the others."""
        return f"({self.fails})" if self.where is None else f"(CASE WHEN {self.where} THEN {self.fails} ELSE false END)"

    @property
    def keys(self) -> str:
        """The quoted columns, comma-separated."""
        return ", ".join(identifier(name) for name in self.columns)


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
    match spec.kind:
        case "expression":
            found = _condition(spec.parameters["sql"], scope, place)
            fails = f"NOT CAST({found.sql} AS BOOLEAN)"
            reads = None if reads is None or not found.complete else (*reads, *found.columns)
            expectation = f"{_short(spec.parameters['sql'])} does not hold"
            return Bound(spec, found.columns, reads, expectation, fails, where)
        case "unique":
            known = _known(columns, scope) if spec.parameters.get("against") == "table" else None
            return Bound(spec, names, reads, f"{', '.join(names)} repeats", where=where, known=known)
        case "fresh":
            return Bound(spec, names, reads, where=where, measure=_moment(columns[0], place))
        case "row_count":
            return Bound(spec, (), reads, where=where)
        case "function" | "validator":
            call = spec.function if spec.kind == "function" else spec.function.validate
            return Bound(spec, names, where=where, frame=frame_of(call, place))
    return Bound(spec, names, reads, *_by_row(columns, spec, scope, place), where)


def _condition(text: str, scope: Scope, where: str) -> Condition:
    from penstock.validate.expressions import condition

    return condition(text, scope, where=where)


def _by_row(columns: Sequence[Column], spec: CheckSpec, scope: Scope, place: str) -> tuple[str, str]:
    """Return what a failing row is, in words and in SQL, for the kinds that look at its columns only."""
    match spec.kind:
        case "not_null":
            names = [column.name for column in columns]
            return f"{_either(names)} is missing", " OR ".join(f"{identifier(name)} IS NULL" for name in names)
        case "between":
            return _between(columns[0], spec, place)
        case "in_set":
            return _in_set(columns[0], spec, place)
        case "matches":
            return _matches(columns[0], spec, scope.connection, place)
        case "references":
            return _references(columns, spec, scope, place)
    raise unknown("kind of check", spec.kind, _KINDS, where=place)


_KINDS = (
    *("not_null", "unique", "between", "in_set", "matches", "references", "row_count", "fresh", "expression"),
    *("function", "validator"),
)


def _between(column: Column, spec: CheckSpec, place: str) -> tuple[str, str]:
    low, high = spec.parameters.get("low"), spec.parameters.get("high")
    if family(column.type) in ("boolean", "uuid", "other"):
        raise ConfigurationError(f"The {place} needs a column with an order", value=f"{column.name} {column.type}")
    holds, left = [], ""
    for bound, operator in ((low, ">="), (high, "<=")):
        if bound is not None:
            (side,) = comparisons(column, [bound], where=f"The {place}")
            left = side.left
            holds.append(f"{left} {operator} {side.values[0]}")
    if family(column.type) == "real" or left.startswith("TRY_CAST"):
        holds.append(f"NOT isnan({left})")
    name = identifier(column.name)
    fails = f"{name} IS NOT NULL AND ({' AND '.join(holds)}) IS NOT TRUE"
    if high is None:
        return f"{column.name} is below {low}", fails
    return f"{column.name} is {f'outside {low} to' if low is not None else 'above'} {high}", fails


def _in_set(column: Column, spec: CheckSpec, place: str) -> tuple[str, str]:
    values = spec.parameters["values"]
    found = comparisons(column, values, where=f"The {place}")
    inside = " OR ".join(f"{side.left} IN ({', '.join(side.values)})" for side in found)
    shown = ", ".join(str(value) for value in values[:_SHOWN_VALUES])
    more = f" and {len(values) - _SHOWN_VALUES} more" if len(values) > _SHOWN_VALUES else ""
    expectation = f"{column.name} is not {'' if len(values) == 1 else 'one of '}{_short(shown)}{more}"
    return expectation, f"{identifier(column.name)} IS NOT NULL AND ({inside}) IS NOT TRUE"


def _matches(column: Column, spec: CheckSpec, connection: duckdb.DuckDBPyConnection, place: str) -> tuple[str, str]:
    pattern = spec.parameters["pattern"]
    try:
        connection.execute("SELECT regexp_full_match('', ?)", [pattern]).fetchall()
    except duckdb.Error as error:
        why = str(error).partition("\n")[0].removeprefix("Invalid Input Error: ")
        raise ConfigurationError(
            f"The {place} has a pattern that RE2 does not know: {why}",
            value=pattern,
            valid="RE2 syntax: no look-around, no back-references",
        ) from error
    name = identifier(column.name)
    text = name if column.type == "VARCHAR" else f"CAST({name} AS VARCHAR)"
    return f"{column.name} does not match {_short(pattern)}", f"NOT regexp_full_match({text}, {quoted(pattern)})"


def _references(columns: Sequence[Column], spec: CheckSpec, scope: Scope, place: str) -> tuple[str, str]:
    table, wanted = spec.parameters["table"], spec.parameters["columns"]
    own = table.removeprefix(RAW_PREFIX).lower() == scope.rows.table.removeprefix(RAW_PREFIX).lower()
    relation = next((sql for name, sql in scope.tables.items() if name.lower() == table.lower()), None)
    if relation is None and not own:
        raise unknown("table", table, scope.tables, where=place)
    relations = [relation] if relation is not None else []
    # A row may refer to another that comes in the same load, as an employee to a new manager.
    relations += [scope.rows.sql(columns=_own_names(wanted, scope.rows))] if own else []
    keys: list[set[Any]] = []
    listed: list[tuple[str, ...]] = []
    for number, one in enumerate(relations):
        found = described(scope.connection, one)
        spelt = {name.lower(): name for name in found}
        for name in wanted:
            if name.lower() not in spelt:
                mine = own and number == len(relations) - 1
                known = [column.name for column in scope.rows.columns] if mine else found
                raise unknown("column", name, known, where=f"{place}, table {table!r}")
        listed.append(tuple(spelt[name.lower()] for name in wanted))
        keys = keys or [set() for _ in wanted]
        for position, name in enumerate(listed[number]):
            keys[position].add(family(found[name]))
    return _semi_join(columns, relations, listed, keys, f"{table}.{', '.join(wanted)}")


def _own_names(wanted: Sequence[str], rows: Rows) -> list[str]:
    lower = {name.lower() for name in wanted}
    return [column.name for column in rows.columns if column.name.lower() in lower]


def _semi_join(
    columns: Sequence[Column],
    relations: Sequence[str],
    listed: Sequence[tuple[str, ...]],
    keys: Sequence[set[str]],
    target: str,
) -> tuple[str, str]:
    # Sides of different kinds are compared as text: DuckDB would cast one to the other and stop at the first misfit.
    as_text = [
        not (kinds | {family(column.type)} <= {"number", "real"} or kinds == {family(column.type)})
        for column, kinds in zip(columns, keys, strict=True)
    ]
    left = [_cast(column.name, text) for column, text in zip(columns, as_text, strict=True)]
    selects = []
    for relation, targets in zip(relations, listed, strict=True):
        right = [_cast(name, text) for name, text in zip(targets, as_text, strict=True)]
        given = " AND ".join(f"{identifier(name)} IS NOT NULL" for name in targets)
        selects.append(f"SELECT {_row(right)} FROM {relation} WHERE {given}")
    present = " AND ".join(f"{identifier(column.name)} IS NOT NULL" for column in columns)
    names = ", ".join(column.name for column in columns)
    return f"{names} has no match in {target}", f"{present} AND {_row(left)} NOT IN ({' UNION ALL '.join(selects)})"


def _known(columns: Sequence[Column], scope: Scope) -> str | None:
    """Return SQL that is true for a key that was accepted before, or None where the table is not there yet."""
    own = scope.rows.table.removeprefix(RAW_PREFIX).lower()
    relation = next((sql for name, sql in scope.tables.items() if name.removeprefix(RAW_PREFIX).lower() == own), None)
    if relation is None:
        return None
    found = described(scope.connection, relation)
    spelt = {name.lower(): name for name in found}
    if any(column.name.lower() not in spelt for column in columns):
        return None
    names = tuple(spelt[column.name.lower()] for column in columns)
    _, fails = _semi_join(columns, [relation], [names], [{family(found[name])} for name in names], "")
    return f"NOT ({fails})"


def _moment(column: Column, place: str) -> str:
    """Return SQL of a column's value as a moment; what is none is null. Without a zone it is taken as UTC."""
    name = identifier(column.name)
    if column.type == "TIMESTAMP WITH TIME ZONE":
        return name
    if family(column.type) == "moment":
        return f"TRY_CAST({name} AS TIMESTAMP)"
    if column.type == "VARCHAR":
        return f"TRY_CAST({name} AS TIMESTAMPTZ)"
    raise ConfigurationError(f"The {place} needs a column of dates or times", value=f"{column.name} {column.type}")


def staleness(bound: Bound) -> timedelta:
    """Return how old the newest row may be."""
    return timedelta(seconds=bound.spec.parameters["within"])


def limits(bound: Bound) -> str:
    """Return what a ``row_count`` or ``fresh`` check expects, in words."""
    if bound.spec.kind == "fresh":
        return f"at most {show_duration(staleness(bound))}"
    least, most = bound.spec.parameters.get("min"), bound.spec.parameters.get("max")
    if most is None:
        return f"at least {least:,}"
    return f"at most {most:,}" if least is None else f"{least:,} to {most:,}"


def _cast(name: str, as_text: bool) -> str:
    return f"CAST({identifier(name)} AS VARCHAR)" if as_text else identifier(name)


def _row(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"


def _either(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:59] + "…"
