"""From SQL Server's types to Arrow: what each column is selected as, and what its values become.

Moments, decimals and money come as texts of a fixed style, which Arrow reads to the last digit; the session's language
and date format and the driver's own conversions have no part in it.
"""

from __future__ import annotations

import re

import pyarrow as pa

from penstock.extract.database.dialect import DatabaseColumn
from penstock.values import dataclass

_SPELT = re.compile(r"(?P<base>\w+)(?:\((?P<first>\w+)(?:,\s*(?P<second>\d+))?\))?")
_INTEGERS = {"tinyint": pa.uint8(), "smallint": pa.int16(), "int": pa.int32(), "bigint": pa.int64()}
_MONEY = {"money": pa.decimal128(19, 4), "smallmoney": pa.decimal128(10, 4)}
_NARROW, _WIDE = ("char", "varchar", "text"), ("nchar", "nvarchar", "ntext", "sysname")
_BYTES = ("binary", "varbinary", "image")
_SHAPES = ("geography", "geometry")
_NANOSECONDS = ("1677-09-22", "2262-04-11")
"""Days between which 64 bits count nanoseconds."""
_FINEST = 6
"""Digits of a second that a microsecond has."""

_MOMENT_LENGTH = 27


@dataclass(frozen=True, slots=True)
class Field:
    """A column as ``sys.dm_exec_describe_first_result_set`` describes it; ``spelt`` is its ``system_type_name``."""

    name: str
    spelt: str

    @property
    def base(self) -> str:
        """Return its type without what stands in parentheses."""
        return self.spelt.partition("(")[0].strip().lower()

    @property
    def arguments(self) -> tuple[str, ...]:
        """Return what stands in parentheses."""
        matched = _SPELT.fullmatch(self.spelt)
        return tuple(part for part in matched.group("first", "second") if part) if matched else ()


def column(field: Field, quoted: str) -> DatabaseColumn:
    """Plan how a column is read; ``quoted`` is its name in SQL."""
    base = field.base
    if base in (*_INTEGERS, "bit", "real", "float", "timestamp", "rowversion"):
        return _number(field, quoted)
    if base in ("decimal", "numeric"):
        precision, scale = map(int, field.arguments)
        return _plain(field, f"CONVERT(varchar(41), {quoted})", pa.decimal128(precision, scale), "decimal")
    if base in _MONEY:
        return _plain(field, f"CONVERT(varchar(30), {quoted}, 2)", _MONEY[base], "decimal")
    if base in ("date", "datetime", "smalldatetime", "datetime2", "datetimeoffset", "time"):
        return _moment(field, quoted)
    if base in (*_NARROW, *_WIDE):
        return _text(field, quoted)
    if base in _BYTES:
        return _plain(field, f"CAST({quoted} AS varbinary(max))" if base == "image" else quoted, pa.binary(), None)
    if base == "uniqueidentifier":
        digits = f"REPLACE(CONVERT(char(36), {quoted}), '-', '')"
        return _plain(field, f"CONVERT(binary(16), {digits}, 2)", pa.uuid(), None)
    return _other(field, quoted)


def _number(field: Field, quoted: str) -> DatabaseColumn:
    base = field.base
    if base in _INTEGERS:
        return _plain(field, quoted, _INTEGERS[base], "integer")
    if base == "bit":
        return _plain(field, quoted, pa.bool_(), None)
    if base in ("timestamp", "rowversion"):
        return _plain(field, f"CONVERT(bigint, {quoted})", pa.int64(), "integer")
    return _plain(field, quoted, pa.float32() if base == "real" else pa.float64(), "real")


def _plain(field: Field, expression: str, target: pa.DataType, cursor: str | None) -> DatabaseColumn:
    return DatabaseColumn(name=field.name, spelt=field.spelt, expression=expression, target=target, cursor=cursor)


def _text(field: Field, quoted: str) -> DatabaseColumn:
    if field.base in ("nchar", "nvarchar", "sysname"):
        return _plain(field, quoted, pa.string(), "text")
    # Whatever code page the column has, the server itself turns it into Unicode.
    length = field.arguments[0] if field.arguments else "max"
    wide = length if length.isdigit() and int(length) <= 4000 else "max"
    large = field.base in ("text", "ntext")
    return _plain(field, f"CAST({quoted} AS nvarchar({wide}))", pa.string(), None if large else "text")


def _moment(field: Field, quoted: str) -> DatabaseColumn:
    base = field.base
    if base == "date":
        return _plain(field, f"CONVERT(char(10), {quoted}, 23)", pa.date32(), "date")
    if base in ("datetime", "smalldatetime"):
        return _plain(field, f"CONVERT(varchar(23), {quoted}, 121)", pa.timestamp("us"), "timestamp")
    digits = int(field.arguments[0]) if field.arguments else 7
    unit = "us" if digits <= _FINEST else "ns"
    if base == "time":
        return _plain(field, f"'1970-01-01 ' + CONVERT(varchar(16), {quoted}, 121)", pa.time64(unit), None)
    zoned = base == "datetimeoffset"
    utc = f"CAST(SWITCHOFFSET({quoted}, '+00:00') AS datetime2({digits}))" if zoned else quoted
    text = f"CONVERT(varchar({_MOMENT_LENGTH}), {utc}, 121)" + (" + 'Z'" if zoned else "")
    early, late = _NANOSECONDS
    return DatabaseColumn(
        name=field.name,
        spelt=field.spelt,
        expression=text,
        target=pa.timestamp(unit, "UTC" if zoned else None),
        cursor="timestamptz" if zoned else "timestamp",
        guard=f"({utc} < '{early}' OR {utc} >= '{late}')" if unit == "ns" else "",
        text=f"CONVERT(varchar(34), {quoted}, 121)" if zoned else text,
        odd="a moment before 1678 or after 2262, with digits finer than a microsecond",
        note=f"{field.name} ({field.spelt}) is read as the moment in UTC, without its offset" if zoned else "",
    )


def _other(field: Field, quoted: str) -> DatabaseColumn:
    base = field.base
    if base == "xml":
        return _plain(field, f"CAST({quoted} AS nvarchar(max))", pa.string(), None)
    if base == "json":
        return _plain(field, f"CAST({quoted} AS nvarchar(max))", pa.json_(), None)
    if base in _SHAPES:
        note = f"{field.name} ({base}) is read as well-known binary, without its reference system"
        return DatabaseColumn(
            name=field.name, spelt=field.spelt, expression=f"{quoted}.AsBinaryZM()", target=pa.binary(), note=note
        )
    expression = {"hierarchyid": f"{quoted}.ToString()", "sql_variant": _variant(quoted)}.get(
        base, f"CAST({quoted} AS nvarchar(max))"
    )
    note = f"{field.name} ({field.spelt}) is read as text"
    return DatabaseColumn(name=field.name, spelt=field.spelt, expression=expression, target=pa.string(), note=note)


def _variant(quoted: str) -> str:
    """Return a variant as text, each base type in a style that loses no digit."""
    styles = [
        ("'float', 'real'", f"CONVERT(nvarchar(max), CAST({quoted} AS float), 3)"),
        ("'money', 'smallmoney'", f"CONVERT(nvarchar(max), CAST({quoted} AS money), 2)"),
        ("'datetime', 'smalldatetime'", f"CONVERT(nvarchar(max), CAST({quoted} AS datetime), 121)"),
        ("'datetime2', 'date'", f"CONVERT(nvarchar(max), CAST({quoted} AS datetime2(7)), 121)"),
        ("'datetimeoffset'", f"CONVERT(nvarchar(max), CAST({quoted} AS datetimeoffset(7)), 121)"),
        ("'time'", f"CONVERT(nvarchar(max), CAST({quoted} AS time(7)), 121)"),
        ("'binary', 'varbinary'", f"CONVERT(nvarchar(max), CAST({quoted} AS varbinary(8000)), 1)"),
    ]
    kind = f"CONVERT(nvarchar(128), SQL_VARIANT_PROPERTY({quoted}, 'BaseType'))"
    cases = " ".join(f"WHEN {kind} IN ({names}) THEN {text}" for names, text in styles)
    return f"CASE {cases} ELSE CAST({quoted} AS nvarchar(max)) END"
