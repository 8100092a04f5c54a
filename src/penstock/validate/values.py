"""Comparing a column with values of a check: as what the column is, without losing digits or failing on bad text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from penstock.errors import ConfigurationError
from penstock.model.entries import Column
from penstock.model.interval import parse_moment
from penstock.queries.text import identifier, literal
from penstock.schema import MOMENTS

_INTEGERS = {
    "TINYINT": 3,
    "SMALLINT": 5,
    "INTEGER": 10,
    "BIGINT": 19,
    "UTINYINT": 3,
    "USMALLINT": 5,
    "UINTEGER": 10,
    "UBIGINT": 20,
    "HUGEINT": 39,
    "UHUGEINT": 39,
}
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_WIDEST = 38


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two sides that can be compared: SQL of the column, SQL of the values."""

    left: str
    values: tuple[str, ...]


def family(type_: str) -> str:
    """Return what a type is: ``number``, ``real``, ``text``, ``moment``, ``boolean``, ``time``, ``uuid``, ``other``."""
    if type_ in ("DOUBLE", "FLOAT"):
        return "real"
    if type_ in _INTEGERS or type_.startswith("DECIMAL("):
        return "number"
    if type_ in MOMENTS:
        return "moment"
    return {"VARCHAR": "text", "JSON": "text", "BOOLEAN": "boolean", "TIME": "time", "UUID": "uuid"}.get(type_, "other")


def comparisons(column: Column, values: Sequence[Any], *, where: str) -> tuple[Comparison, ...]:
    """Return how a column is compared with values, one comparison for each way that it must be read.

    Args:
        column: With the type that checks see.
        values: JSON values: numbers, texts, booleans.
        where: The check, for messages.

    Raises:
        ConfigurationError: A value that cannot be compared with such a column.
    """
    name, kind = identifier(column.name), family(column.type)
    if kind == "text":
        texts = tuple(quoted(value) for value in values if isinstance(value, str))
        numbers = tuple(_number(value) for value in values if _numeric(value))
        if len(texts) + len(numbers) < len(values):
            raise _mismatch(column, next(value for value in values if isinstance(value, bool)), where)
        read = [Comparison(name if column.type == "VARCHAR" else f"CAST({name} AS VARCHAR)", texts)] if texts else []
        return (*read, Comparison(f"TRY_CAST({name} AS DOUBLE)", numbers)) if numbers else tuple(read)
    rendered = [_rendered(column, kind, value, where) for value in values]
    # A list of literals of several types would be cast to one of them, which may not hold the others.
    types = {item: item.rpartition(" AS ")[2] if item.startswith("CAST(") else "" for item in rendered}
    alike = {type_: tuple(item for item in rendered if types[item] == type_) for type_ in types.values()}
    return tuple(Comparison(name, items) for items in alike.values())


def quoted(text: str) -> str:
    """Return a text as SQL, also one that holds a NUL."""
    if "\0" not in text:
        return literal(text)
    return "(" + " || chr(0) || ".join(literal(part) for part in text.split("\0")) + ")"


def _rendered(column: Column, kind: str, value: Any, where: str) -> str:
    if kind == "boolean" and isinstance(value, bool):
        return "true" if value else "false"
    if kind in ("number", "real") and not isinstance(value, bool):
        exact = _decimal(value)
        if exact is not None:
            return _number_for(column.type, exact)
    if isinstance(value, str):
        try:
            if kind == "moment":
                return _moment(column.type, value)
            if kind == "time":
                return f"TIME {literal(time.fromisoformat(value).isoformat())}"
            if kind == "uuid":
                return f"CAST({literal(str(UUID(value)))} AS UUID)"
        except (ValueError, ConfigurationError):
            raise _mismatch(column, value, where) from None
    raise _mismatch(column, value, where)


def _number_for(type_: str, value: Decimal) -> str:
    """Return a number as a literal whose comparison with the type neither overflows nor rounds if that can be."""
    if type_ in ("FLOAT", "DOUBLE"):
        width = type_ if type_ == "DOUBLE" or abs(value) < Decimal("3e38") else "DOUBLE"
        return f"CAST({literal(str(value))} AS {width})"
    sized = _DECIMAL.fullmatch(type_)
    scale = int(sized[2]) if sized else 0
    whole = int(sized[1]) - scale if sized else _INTEGERS[type_]
    own = max(0, -int(value.as_tuple().exponent))
    if own == 0 and not sized and abs(value) < 10**_WIDEST:
        return str(int(value))
    if max(whole, value.adjusted() + 1) + max(scale, own) <= _WIDEST:
        return f"CAST({literal(format(value, 'f'))} AS DECIMAL({_WIDEST},{max(own, scale)}))"
    return f"CAST({literal(str(value))} AS DOUBLE)"


def _number(value: float) -> str:
    return f"CAST({literal(repr(value))} AS DOUBLE)"


def _decimal(value: Any) -> Decimal | None:
    try:
        found = Decimal(repr(value) if isinstance(value, float) else value)
    except (InvalidOperation, TypeError, ValueError):
        return None
    return found if found.is_finite() and abs(found.adjusted()) < 400 else None


def _moment(type_: str, text: str) -> str:
    at = parse_moment(text)
    if type_ == "TIMESTAMP WITH TIME ZONE":
        return f"TIMESTAMPTZ {literal(at.isoformat())}"
    naive = at.replace(tzinfo=None)
    if type_ == "DATE" and naive.time() == time.min:
        return f"DATE {literal(naive.date().isoformat())}"
    return f"TIMESTAMP {literal(naive.isoformat())}"


def _numeric(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _mismatch(column: Column, value: Any, where: str) -> ConfigurationError:
    return ConfigurationError(
        f"{where} compares column {column.name!r} of type {column.type} with what it cannot be",
        value=value,
        valid="an ISO date or time, taken as UTC" if family(column.type) == "moment" else f"a value of {column.type}",
    )
