"""The names of types in the option ``types``, as DuckDB spells them, and their Arrow types."""

from __future__ import annotations

import re

import pyarrow as pa

from penstock.names import unknown

_TYPES = {
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "UBIGINT": pa.uint64(),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "DATE": pa.date32(),
    "TIMESTAMP": pa.timestamp("us"),
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", "UTC"),
    "TIMESTAMPTZ": pa.timestamp("us", "UTC"),
}
_DECIMAL = re.compile(r"DECIMAL\((\d{1,2}),\s*(\d{1,2})\)")


def arrow_type(name: str, *, column: str) -> pa.DataType:
    """Return the Arrow type of a DuckDB type name.

    Raises:
        ConfigurationError: It is none of those that can be declared.
    """
    wanted = name.strip().upper()
    decimal = _DECIMAL.fullmatch(wanted)
    if decimal and 1 <= int(decimal[1]) <= 38 and int(decimal[2]) <= int(decimal[1]):
        return pa.decimal128(int(decimal[1]), int(decimal[2]))
    if wanted not in _TYPES:
        raise unknown("type", name, [*_TYPES, "DECIMAL(p,s)"], where=f"types of column {column!r}")
    return _TYPES[wanted]
