"""From Oracle's types to Arrow: what each column is selected as, and what its values become.

Numbers and moments come as texts of a form that is written out, so that neither the session's language nor the driver's
own conversions have a part in it. An empty text is a null in Oracle, and is read as one.
"""

from __future__ import annotations

import pyarrow as pa

from penstock.extract.database.dialect import DatabaseColumn
from penstock.values import dataclass

_MOST_DIGITS = 38
_PLACES = 9
"""Places of a NUMBER that was declared without any; one that has more is read as text for that load."""
_FINEST = 6
_UNSET = -127
_POINT = "'NLS_NUMERIC_CHARACTERS=''.,'''"
_DAY = "YYYY-MM-DD HH24:MI:SS"
_TEXTS = ("VARCHAR", "NVARCHAR", "CHAR", "NCHAR")
_LOBS = ("CLOB", "NCLOB", "LONG", "LONG_NVARCHAR")
_AS_TEXT = {
    "ROWID": "ROWIDTOCHAR({})", "UROWID": "ROWIDTOCHAR({})", "INTERVAL_DS": "TO_CHAR({})", "INTERVAL_YM": "TO_CHAR({})",
    "XMLTYPE": "XMLSERIALIZE(CONTENT {} AS CLOB)", "VECTOR": "VECTOR_SERIALIZE({} RETURNING CLOB)",
}  # fmt: skip
_SPELT = {
    "VARCHAR": "VARCHAR2", "NVARCHAR": "NVARCHAR2", "TIMESTAMP_TZ": "TIMESTAMP({}) WITH TIME ZONE",
    "TIMESTAMP_LTZ": "TIMESTAMP({}) WITH LOCAL TIME ZONE", "TIMESTAMP": "TIMESTAMP({})",
    "INTERVAL_DS": "INTERVAL DAY TO SECOND", "INTERVAL_YM": "INTERVAL YEAR TO MONTH", "LONG_RAW": "LONG RAW",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Field:
    """A result column as the driver describes it.

    Attributes:
        name: Its name.
        kind: The name of the driver's type, without ``DB_TYPE_``.
        precision: Digits of a number; 0 for none declared.
        scale: Its places; of a moment the digits of its seconds; -127 for none declared.
        size: Bytes or characters of a text.
    """

    name: str
    kind: str
    precision: int = 0
    scale: int = 0
    size: int = 0

    @property
    def spelt(self) -> str:
        """Return its type as Oracle spells it."""
        if self.kind == "NUMBER":
            if self.scale == _UNSET:
                return f"FLOAT({self.precision})" if self.precision else "NUMBER"
            return f"NUMBER({self.precision or _MOST_DIGITS},{self.scale})" if self.declared else "NUMBER"
        name = _SPELT.get(self.kind, self.kind).format(self.scale)
        return f"{name}({self.size})" if self.kind in (*_TEXTS, "RAW") and self.size else name

    @property
    def declared(self) -> bool:
        """Say whether a number has digits and places of its own."""
        return bool(self.precision) and self.scale != _UNSET


def readable(field: Field) -> bool:
    """Say whether a column is of a type that can be read."""
    return field.kind not in ("OBJECT", "BFILE", "CURSOR", "UNKNOWN")


def column(field: Field, quoted: str) -> DatabaseColumn:
    """Plan how a column is read; ``quoted`` is its name in SQL."""
    kind = field.kind
    if kind in ("NUMBER", "BINARY_INTEGER"):
        return _number(field, quoted)
    if kind in ("BINARY_FLOAT", "BINARY_DOUBLE"):
        return _plain(field, quoted, pa.float32() if kind == "BINARY_FLOAT" else pa.float64(), "real")
    if kind in ("DATE", "TIMESTAMP", "TIMESTAMP_TZ", "TIMESTAMP_LTZ"):
        return _moment(field, quoted)
    if kind in _TEXTS:
        return _plain(field, quoted, pa.string(), "text")
    if kind in ("RAW", "BLOB", "LONG_RAW"):
        return _plain(field, quoted, pa.binary(), None)
    if kind in _LOBS:
        return _plain(field, quoted, pa.string(), None)
    if kind == "BOOLEAN":
        return _plain(field, quoted, pa.bool_(), None)
    if kind == "JSON":
        return _plain(field, f"JSON_SERIALIZE({quoted} RETURNING CLOB)", pa.json_(), None)
    expression = _AS_TEXT.get(kind, "TO_CHAR({})").format(quoted)
    note = "" if kind in ("ROWID", "XMLTYPE") else f"{field.name} ({field.spelt}) is read as text"
    return DatabaseColumn(name=field.name, spelt=field.spelt, expression=expression, target=pa.string(), note=note)


def _plain(field: Field, expression: str, target: pa.DataType, cursor: str | None) -> DatabaseColumn:
    return DatabaseColumn(name=field.name, spelt=field.spelt, expression=expression, target=target, cursor=cursor)


def _number(field: Field, quoted: str) -> DatabaseColumn:
    text = f"TO_CHAR({quoted}, 'TM9', {_POINT})"
    if not field.declared:
        digits = f"{quoted} <> ROUND({quoted}, {_PLACES}) OR ABS({quoted}) >= 1e{_MOST_DIGITS - _PLACES}"
        return DatabaseColumn(
            name=field.name, spelt=field.spelt, expression=text, target=pa.decimal128(_MOST_DIGITS, _PLACES),
            cursor="decimal", guard=f"({digits})", text=text, odd=f"a number of more than {_PLACES} places",
        )  # fmt: skip
    precision = max(field.precision, field.scale) if field.scale >= 0 else field.precision - field.scale
    if precision > _MOST_DIGITS:
        note = f"{field.name} ({field.spelt}) has more digits than a decimal of 38; it is read as text"
        return DatabaseColumn(name=field.name, spelt=field.spelt, expression=text, target=pa.string(), note=note)
    return _plain(field, text, pa.decimal128(precision, max(0, field.scale)), "decimal")


def _moment(field: Field, quoted: str) -> DatabaseColumn:
    zoned = field.kind in ("TIMESTAMP_TZ", "TIMESTAMP_LTZ")
    utc = f"SYS_EXTRACT_UTC({quoted})" if zoned else quoted
    digits = 0 if field.kind == "DATE" else field.scale
    unit = "us" if digits <= _FINEST else "ns"
    form = _DAY + (f".FF{max(1, digits)}" if field.kind != "DATE" else "")
    text = f"TO_CHAR({utc}, '{form}')" + (" || 'Z'" if zoned else "")
    early, late = ("1677-09-22", "2262-04-11") if unit == "ns" else ("0001-01-01", "")
    guard = f"{utc} < DATE '{early}'" + (f" OR {utc} >= DATE '{late}'" if late else "")
    offset = field.kind == "TIMESTAMP_TZ"
    return DatabaseColumn(
        name=field.name,
        spelt=field.spelt,
        expression=text,
        target=pa.timestamp(unit, "UTC" if zoned else None),
        cursor="timestamptz" if zoned else "timestamp",
        guard=f"({guard})",
        text=f"TO_CHAR({quoted}, 'S{form}{' TZH:TZM' if offset else ''}')",
        odd="a moment before Christ"
        if unit == "us"
        else "a moment before 1678 or after 2262, finer than a microsecond",
        note=f"{field.name} ({field.spelt}) is read as the moment in UTC, without its offset" if offset else "",
    )
