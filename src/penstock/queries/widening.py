"""Types that meet: the narrowest that holds all values of two, and SQL that converts without changing a value."""

from __future__ import annotations

import json

from penstock.errors import DataError
from penstock.queries.text import literal
from penstock.schema import Type, parse, spell

LOSSY = "penstock cannot keep a value of column "
"""How the message begins with which a conversion in SQL stops by ``error()``; the column's name follows."""
UNTYPED = '"NULL"'
"""The type of a column that has held nothing but nulls."""

_INTEGERS = {
    "TINYINT": (3, True),
    "UTINYINT": (3, False),
    "SMALLINT": (5, True),
    "USMALLINT": (5, False),
    "INTEGER": (10, True),
    "UINTEGER": (10, False),
    "BIGINT": (19, True),
    "UBIGINT": (20, False),
    "HUGEINT": (38, True),
}
"""Decimal digits, and whether there is a sign."""
_FLOATS = ("FLOAT", "DOUBLE")
NUMBERS = frozenset({*_INTEGERS, *_FLOATS})
_MOMENTS = ("DATE", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP", "TIMESTAMP_NS")
_CLOCK = r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6}0*)?)?"
_SPELT = {
    "TIMESTAMP": _CLOCK,
    "TIMESTAMP WITH TIME ZONE": _CLOCK + r" ?(Z|[+-]\d{2}(:\d{2})?)",
}
"""How texts spell moments by ISO 8601: which of its forms was written is no part of the value, but a zone is."""
_NULL = ('"NULL"', "NULL")
_MOST_DIGITS = 38


def widest(one: str, other: str) -> str | None:
    """Return the DuckDB type to which values of both can be converted, or None where they are of different kinds.

    Whole and floating numbers meet in DOUBLE, where the conversion still refuses a number that would change. Numbers
    and texts never meet.
    """
    if one == other or other in _NULL:
        return one
    if one in _NULL:
        return other
    try:
        met = _widest(parse(one), parse(other))
    except ValueError:
        return None
    return None if met is None else spell(met)


def grown(one: str, other: str) -> str | None:
    """Return a nested type with the members that only the other has; None where it has none, or anything differs more.

    What a table has as one type can get members, but no member another type.
    """
    try:
        first, second = parse(one), parse(other)
    except ValueError:
        return None
    met = _widest(first, second) if first.members else None
    return None if met is None or met == first or not _within(first, met) else spell(met)


def grows(one: str, other: str) -> bool:
    """Say whether a type is another one with more members, so that files of both are read as one."""
    met = grown(one, other)
    return met is not None and met == spell(parse(other))


def lacks(one: str, other: str) -> bool:
    """Say whether a type is another one but for nested members that it lacks, so that no value changes by a cast."""
    return widest(other, one) == spell(parse(other)) and grown(one, other) is not None if "(" in one else False


def _within(one: Type, other: Type) -> bool:
    """Say whether a type is another one but for members that it lacks."""
    if one.name != other.name or (one.name != "STRUCT" and len(one.members) != len(other.members)):
        return False
    if one.name != "STRUCT":
        pairs = [(first, second) for (_, first), (_, second) in zip(one.members, other.members, strict=True)]
        return one.arguments == other.arguments and all(_within(first, second) for first, second in pairs)
    return all(_within(first, second) for (_, first), (_, second) in zip(one.members, other.members, strict=False))


def convert(expression: str, type_: str, wanted: str, column: str, table: str) -> str:
    """Return SQL that turns an expression into another type, and stops at the first value that would change.

    Raises:
        DataError: If no value of the one type is one of the other.
    """
    if type_ == wanted:
        return expression
    if type_ == UNTYPED:
        return f"CAST(NULL AS {wanted})"
    if lacks(type_, wanted):
        return f"CAST({expression} AS {wanted})"
    if wanted == "JSON" and (type_.startswith(("STRUCT(", "MAP(")) or type_.endswith("]")):
        return f"to_json({expression})"
    if type_ == "JSON" and wanted.startswith("STRUCT("):
        return of_empty(expression, wanted, column)
    if not comparable(type_, wanted):
        text = (
            "" if _nested(type_ + wanted) else f"; or keep it as text: contract={{'each': {{{column!r}: 'VARCHAR'}}}}"
        )
        raise DataError(
            f"The column {column!r} of {table} changed its type: it was {wanted} and now comes as {type_}",
            remedy=f"Mend the source, cast the column in the source's query, or give it another name there{text}",
        )
    return (
        f"CASE WHEN {expression} IS NULL THEN NULL WHEN {_same(expression, type_, wanted)} "
        f"THEN TRY_CAST({expression} AS {wanted}) "
        f"ELSE error({literal(f'{LOSSY}{column}')}) END"
    )


def of_empty(expression: str, wanted: str, column: str) -> str:
    """Return the SQL of objects, of which a source that infers types knows no key: all their members are null."""
    return (
        f"CASE WHEN {expression} IS NULL OR json_type({expression}) = 'NULL' THEN NULL "
        f"WHEN json_type({expression}) = 'OBJECT' AND len(json_keys({expression})) = 0 "
        f"THEN from_json({expression}, {literal(json.dumps(wanted))}) ELSE error({literal(f'{LOSSY}{column}')}) END"
    )


def fitting(expression: str, type_: str, wanted: str) -> tuple[str, str]:
    """Return SQL that turns an expression into another type, null where its value would change, and SQL that says so.

    Returns:
        The converted value; the condition that a value that is not null would change.
    """
    if type_ == wanted:
        return expression, "false"
    if type_ == UNTYPED:
        return f"CAST(NULL AS {wanted})", "false"
    if lacks(type_, wanted):
        return f"CAST({expression} AS {wanted})", "false"
    if not comparable(type_, wanted):
        return f"CAST(NULL AS {wanted})", f"{expression} IS NOT NULL"
    same = _same(expression, type_, wanted)
    return (
        f"CASE WHEN {same} THEN TRY_CAST({expression} AS {wanted}) END",
        f"({expression} IS NOT NULL AND NOT ({same}))",
    )


def comparable(type_: str, wanted: str) -> bool:
    """Say whether some values of one type may be values of another: of one kind, or plain ones and texts."""
    if widest(type_, wanted) is not None or {_bare(type_), _bare(wanted)} <= {*NUMBERS, "DECIMAL"}:
        return True
    return "VARCHAR" in (type_, wanted) and not _nested(type_ + wanted)


def _nested(types: str) -> bool:
    return any(mark in types for mark in ("STRUCT(", "MAP(", "[", "BLOB"))


def _bare(type_: str) -> str:
    return type_.partition("(")[0] if type_.endswith(")") else type_


def _same(expression: str, type_: str, wanted: str) -> str:
    # What cannot go back, as 2 to the 64 as a DOUBLE, is null then.
    back = f"TRY_CAST(TRY_CAST({expression} AS {wanted}) AS {type_}) IS NOT DISTINCT FROM {expression}"
    if type_ != "VARCHAR" or wanted not in _SPELT:
        return back
    spelt = f"regexp_full_match({expression}, {literal(_SPELT[wanted])})"
    return f"({back} OR (TRY_CAST({expression} AS {wanted}) IS NOT NULL AND {spelt}))"


def _widest(one: Type, other: Type) -> Type | None:
    if one == other or other.name == "NULL":
        return one
    if one.name == "NULL":
        return other
    names = {one.name, other.name}
    if names <= {"LIST", "ARRAY"}:
        inner = _widest(one.members[0][1], other.members[0][1])
        return None if inner is None else Type("LIST", "", (("element", inner),))
    if names == {"STRUCT"}:
        return _struct(one, other)
    if names == {"MAP"}:
        return _zipped(one, other)
    return _scalar(one, other, names)


def _scalar(one: Type, other: Type, names: set[str]) -> Type | None:
    if names <= set(_INTEGERS):
        return Type(_integer(one.name, other.name))
    if names <= NUMBERS:
        return Type("DOUBLE")
    if "DECIMAL" in names and names <= {*_INTEGERS, "DECIMAL"}:
        return _decimal(one, other)
    if names <= set(_MOMENTS):
        return Type(max(one.name, other.name, key=_MOMENTS.index))
    return Type("VARCHAR") if names == {"JSON", "VARCHAR"} else None


def _integer(one: str, other: str) -> str:
    (digits, signed), (others, other_signed) = _INTEGERS[one], _INTEGERS[other]
    if signed == other_signed:
        return one if digits >= others else other
    unsigned = others if signed else digits
    with_sign = digits if signed else others
    # A signed type holds an unsigned one only if it is the next greater.
    for name, (size, has_sign) in _INTEGERS.items():
        if has_sign and size >= with_sign and size > unsigned:
            return name
    return "HUGEINT"


def _decimal(one: Type, other: Type) -> Type | None:
    (width, scale), (others, other_scale) = _digits(one), _digits(other)
    most = max(scale, other_scale)
    whole = max(width - scale, others - other_scale)
    return Type("DECIMAL", f"{min(whole + most, _MOST_DIGITS)},{most}") if most <= _MOST_DIGITS else None


def _digits(type_: Type) -> tuple[int, int]:
    if type_.name != "DECIMAL":
        return _INTEGERS[type_.name][0], 0
    width, _, scale = (type_.arguments or "18,3").partition(",")
    return int(width), int(scale or 0)


def _struct(one: Type, other: Type) -> Type | None:
    """Fields are matched by name; a field that only one has is null in the other."""
    rest = {name.lower(): (name, member) for name, member in other.members}
    members = []
    for name, member in one.members:
        twin = rest.pop(name.lower(), None)
        met = member if twin is None else _widest(member, twin[1])
        if met is None:
            return None
        members.append((name, met))
    return Type("STRUCT", "", (*members, *rest.values()))


def _zipped(one: Type, other: Type) -> Type | None:
    members = []
    for (name, member), (_, twin) in zip(one.members, other.members, strict=True):
        met = _widest(member, twin)
        if met is None:
            return None
        members.append((name, met))
    return Type("MAP", "", tuple(members))
