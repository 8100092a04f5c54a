"""Types and values as Spark writes them: which types of DuckDB it has, and constants to their last digit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from penstock.schema import Type, parse, storage

ZONED = "TIMESTAMP WITH TIME ZONE"
INTEGERS = {"TINYINT": 3, "SMALLINT": 5, "INTEGER": 10, "BIGINT": 19, "HUGEINT": 39}
"""Whole numbers that Spark holds as such, and the decimal digits of each."""
FAITHFUL = frozenset(
    {"UBIGINT", "UINTEGER", "USMALLINT", "UTINYINT", "UUID", "TIME", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS"}
)
"""Types that Spark lacks, whose stored forms are equal, less and greater just as the values are."""
_NAMES = {
    "BOOLEAN": "BOOLEAN",
    "TINYINT": "TINYINT",
    "SMALLINT": "SMALLINT",
    "INTEGER": "INT",
    "BIGINT": "BIGINT",
    "HUGEINT": "DECIMAL(38,0)",
    "FLOAT": "FLOAT",
    "DOUBLE": "DOUBLE",
    "VARCHAR": "STRING",
    "BLOB": "BINARY",
    "DATE": "DATE",
    # Spark's TIMESTAMP is a moment; the one without a zone has a name of its own.
    "TIMESTAMP": "TIMESTAMP_NTZ",
    ZONED: "TIMESTAMP",
}
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - differences only
_MICROSECOND = timedelta(microseconds=1)


def spark_type(type_: str) -> str | None:
    """Return the type of Spark whose values are those of a DuckDB type, or None where it has none."""
    try:
        return _named(parse(type_))
    except ValueError:
        return None


def carried(type_: str) -> str | None:
    """Return the type of Spark in which values of a DuckDB type are carried: its own, or that of the stored form."""
    how = storage(type_)
    return spark_type(type_) or (None if how is None else spark_type(how.stored))


def decimal_places(type_: str) -> tuple[int, int] | None:
    """Return the digits before and after the point of an exact number's type, or None if it is another."""
    if type_ in INTEGERS:
        return INTEGERS[type_], 0
    found = parse(type_) if type_.startswith("DECIMAL(") else None
    if found is None:
        return None
    width, scale = (int(part) for part in found.arguments.split(","))
    return width - scale, scale


def text(value: str) -> str:
    """Return a text as a literal: what Spark would read as an escape or a variable is escaped."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("$", "\\u0024")
    return "'" + "".join(f"\\u{ord(each):04x}" if ord(each) < 32 else each for each in escaped) + "'"


def name(identifier: str) -> str:
    """Return a quoted identifier."""
    return "`" + identifier.replace("`", "``") + "`"


def names(identifiers: Sequence[str]) -> str:
    """Return the parts of a name, quoted and joined by points."""
    return ".".join(name(each) for each in identifiers)


def constant(value: Any, type_: str) -> str | None:  # noqa: C901 - one case for each kind of value
    """Return a value as a literal of its type, or None where it cannot be written.

    Args:
        value: As DuckDB's Python client gives it.
        type_: The DuckDB type.
    """
    known = spark_type(type_) if type_ != '"NULL"' else "VOID"
    if known is None:
        return None
    if value is None:
        return "NULL" if known == "VOID" else f"CAST(NULL AS {known})"
    match value:
        case bool():
            return "true" if value else "false"
        case int() if type_ != "HUGEINT" or abs(value) < 10**38:
            return f"CAST('{value}' AS {known})"
        case float():
            shown = repr(value) if math.isfinite(value) else "NaN" if math.isnan(value) else f"{value}inity"
            return f"CAST('{shown.replace('infinity', 'Infinity')}' AS {known})"
        case Decimal():
            return f"CAST('{value:f}' AS {known})"
        case str():
            return text(value)
        case bytes():
            return f"X'{value.hex()}'"
        case datetime():
            plain = value.replace(tzinfo=None) - (value.utcoffset() or timedelta(0))
            moment = f"timestamp_micros(CAST('{(plain - _EPOCH) // _MICROSECOND}' AS BIGINT))"
            return moment if type_ == ZONED else f"CAST({moment} AS TIMESTAMP_NTZ)"
        case date():
            return f"date_from_unix_date({(value - _EPOCH.date()).days})"
    return None


def _named(found: Type) -> str | None:
    if found.name == "DECIMAL":
        return f"DECIMAL({found.arguments})" if found.arguments else None
    parts = [_named(member) for _, member in found.members]
    if any(part is None for part in parts):
        return None
    if found.name == "LIST":
        return f"ARRAY<{parts[0]}>"
    if found.name == "MAP":
        return f"MAP<{parts[0]}, {parts[1]}>"
    if found.name == "STRUCT":
        listed = zip(found.members, parts, strict=True)
        return "STRUCT<" + ", ".join(f"{name(label)}: {part}" for (label, _), part in listed) + ">"
    return None if found.arguments else _NAMES.get(found.name)
