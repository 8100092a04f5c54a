"""Kinds that judge a row by its own columns: what a failing row is, in words and in SQL."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from penstock.errors import ConfigurationError
from penstock.model.entries import Column
from penstock.model.specs import CheckSpec
from penstock.queries.text import identifier
from penstock.validate.kinds.wording import either, shortened, spanned
from penstock.validate.values import comparisons, family, quoted

_SHOWN_VALUES = 6


def not_null(columns: Sequence[Column]) -> tuple[str, str]:
    """Return what fails ``not_null``."""
    names = [column.name for column in columns]
    return f"{either(names)} is missing", " OR ".join(f"{identifier(name)} IS NULL" for name in names)


def between(column: Column, spec: CheckSpec, place: str) -> tuple[str, str]:
    """Return what fails ``between``."""
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


def in_set(column: Column, spec: CheckSpec, place: str) -> tuple[str, str]:
    """Return what fails ``in_set``."""
    values = spec.parameters["values"]
    found = comparisons(column, values, where=f"The {place}")
    inside = " OR ".join(f"{side.left} IN ({', '.join(side.values)})" for side in found)
    shown = ", ".join(str(value) for value in values[:_SHOWN_VALUES])
    more = f" and {len(values) - _SHOWN_VALUES} more" if len(values) > _SHOWN_VALUES else ""
    expectation = f"{column.name} is not {'' if len(values) == 1 else 'one of '}{shortened(shown)}{more}"
    return expectation, f"{identifier(column.name)} IS NOT NULL AND ({inside}) IS NOT TRUE"


def matches(column: Column, spec: CheckSpec, connection: duckdb.DuckDBPyConnection, place: str) -> tuple[str, str]:
    """Return what fails ``matches``."""
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
    return f"{column.name} does not match {shortened(pattern)}", f"NOT regexp_full_match({text}, {quoted(pattern)})"


def length(column: Column, spec: CheckSpec, place: str) -> tuple[str, str]:
    """Return what fails ``length``."""
    name = identifier(column.name)
    if column.type.endswith("]") or column.type.startswith("MAP("):
        measured, unit = f"len({name})" if column.type.endswith("]") else f"cardinality({name})", "elements"
    elif column.type == "BLOB":
        measured, unit = f"octet_length({name})", "bytes"
    elif family(column.type) == "text":
        measured, unit = f"length(CAST({name} AS VARCHAR))", "characters"
    else:
        raise ConfigurationError(
            f"The {place} needs a column with a length",
            value=f"{column.name} {column.type}",
            valid="a text, a binary value, a list, a map",
        )
    least, most = spec.parameters.get("min"), spec.parameters.get("max")
    sides = [f"{measured} >= {least}"] * (least is not None) + [f"{measured} <= {most}"] * (most is not None)
    wanted = spanned(least, most)
    return f"{column.name} has not {wanted} {unit}", f"{name} IS NOT NULL AND NOT ({' AND '.join(sides)})"


def parses(column: Column, spec: CheckSpec) -> tuple[str, str]:
    """Return what fails ``parses``."""
    name, type_, form = identifier(column.name), spec.parameters["type"], spec.parameters.get("format")
    if form is None:
        return f"{column.name} is no {type_}", f"{name} IS NOT NULL AND TRY_CAST({name} AS {type_}) IS NULL"
    read = f"try_strptime(CAST({name} AS VARCHAR), {quoted(form)})"
    return f"{column.name} is no {type_} written {form}", f"{name} IS NOT NULL AND {read} IS NULL"
