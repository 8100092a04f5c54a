"""Types: how a DuckDB type is stored in the lake where Delta has none like it, and how it is restored.

The stored form is what a plain Delta reader sees; the original stands in the manifest's schema. Sources: the Delta
protocol's primitive types (byte, short, integer, long, float, double, decimal up to 38 digits, string, binary,
boolean, date, timestamp, timestamp_ntz), DuckDB's type list.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Storage:
    """How one type is stored.

    Attributes:
        stored: The DuckDB type of the stored form.
        store: SQL from the original ``{}`` to the stored form.
        restore: SQL from the stored form ``{}`` back to the original.
    """

    stored: str
    store: str
    restore: str


def _cast(stored: str, original: str) -> Storage:
    return Storage(stored, f"CAST({{}} AS {stored})", f"CAST({{}} AS {original})")


_STORAGE = {
    "UBIGINT": _cast("DECIMAL(20,0)", "UBIGINT"),
    "UINTEGER": _cast("BIGINT", "UINTEGER"),
    "USMALLINT": _cast("INTEGER", "USMALLINT"),
    "UTINYINT": _cast("SMALLINT", "UTINYINT"),
    "HUGEINT": _cast("VARCHAR", "HUGEINT"),
    "UHUGEINT": _cast("VARCHAR", "UHUGEINT"),
    "UUID": _cast("VARCHAR", "UUID"),
    "JSON": _cast("VARCHAR", "JSON"),
    "BIT": _cast("VARCHAR", "BIT"),
    "TIME": Storage(
        "BIGINT", "epoch_us({})", "make_time({} // 3600000000, ({} // 60000000) % 60, ({} % 60000000) / 1e6)"
    ),
    "TIME WITH TIME ZONE": _cast("VARCHAR", "TIME WITH TIME ZONE"),
    "TIMESTAMP_S": _cast("TIMESTAMP", "TIMESTAMP_S"),
    "TIMESTAMP_MS": _cast("TIMESTAMP", "TIMESTAMP_MS"),
    "TIMESTAMP_NS": Storage("BIGINT", "epoch_ns({})", "make_timestamp_ns({})"),
    "INTERVAL": Storage(
        "STRUCT(months INTEGER, days INTEGER, micros BIGINT)",
        "CASE WHEN {} IS NOT NULL THEN struct_pack(months := CAST(datepart('year', {}) * 12 + datepart('month', {}) AS INTEGER), "
        "days := CAST(datepart('day', {}) AS INTEGER), "
        "micros := CAST(datepart('hour', {}) * 3600000000 + datepart('minute', {}) * 60000000 + datepart('microsecond', {}) AS BIGINT)) END",
        "to_months({}.months) + to_days({}.days) + to_microseconds({}.micros)",
    ),
    "NULL": _cast("VARCHAR", "VARCHAR"),
    '"NULL"': _cast("VARCHAR", "VARCHAR"),
}


def storage(type_: str) -> Storage | None:
    """Return how a DuckDB type is stored, or None where Delta has it."""
    if type_.startswith("ENUM("):
        return _cast("VARCHAR", "VARCHAR")
    return _STORAGE.get(type_.upper())


def store(expression: str, type_: str) -> str:
    """Return the SQL that turns an expression of a type into its stored form."""
    how = storage(type_)
    return expression if how is None else how.store.replace("{}", expression)


def restore(expression: str, type_: str) -> str:
    """Return the SQL that turns a stored expression back into its original type."""
    how = storage(type_)
    return expression if how is None else how.restore.replace("{}", expression)
