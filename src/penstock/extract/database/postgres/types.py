"""From PostgreSQL's types to Arrow: what each column is selected as, and what its values become.

The driver (ADBC 1.13, tried) reads most types exactly. What it does not is asked for in another form: ``numeric`` as a
scaled integer or text, and all that has no equal (ranges, addresses, composites …) as PostgreSQL's own text. Values
that no Arrow type holds (NaN in numeric, infinity in times, arrays of two dimensions) turn their column into text for
the load; a guard condition finds them before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa

from penstock.queries.text import identifier, literal
from penstock.values import dataclass

FREE = pa.decimal128(38, 9)
"""What ``numeric`` without precision becomes where every value fits; else text."""
_WHOLE_DIGITS = 18

_DIRECT = {
    "bool", "int2", "int4", "int8", "float4", "float8", "text", "varchar", "bpchar", "name", "bytea", "uuid", "jsonb",
}  # fmt: skip
_TEXT_WITHOUT_NOTE = {"xml", "citext", "char"}
_HALF = r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
_PAIR = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_LONE_SURROGATE = f"({{0}}::text ~ '{_HALF}' AND regexp_replace({{0}}::text, '{_PAIR}', '', 'g') ~ '{_HALF}')"
"""Half of a pair of escapes, which ``json`` admits, and ``jsonb`` and readers of JSON do not."""
_TIMES = {"date", "timestamp", "timestamptz"}
_FAR = "290000-01-01"
"""Beyond this, microseconds since 1970 leave 64 bits."""
_FAR_HOURS = 2_500_000
"""Beyond this, the hours of an interval leave 64 bits of nanoseconds."""

_LOOKUP = """
WITH RECURSIVE wanted AS (
    SELECT place, oid, typmod FROM unnest(%s::int[], %s::oid[], %s::int[]) AS w(place, oid, typmod)
), chain AS (
    SELECT w.place, w.oid AS type, w.typmod, format_type(w.oid, w.typmod) AS spelt FROM wanted w
    UNION ALL
    SELECT c.place, t.typbasetype, t.typtypmod, c.spelt
    FROM chain c JOIN pg_type t ON t.oid = c.type WHERE t.typtype = 'd'
)
SELECT c.place, c.spelt, t.typname, t.typtype::text, c.typmod, e.typname, e.typtype, e.typmod
FROM chain c JOIN pg_type t ON t.oid = c.type
LEFT JOIN LATERAL (
    WITH RECURSIVE down AS (
        SELECT t.typelem AS type, c.typmod WHERE t.typcategory = 'A' AND t.typelem <> 0
        UNION ALL
        SELECT d.typbasetype, d.typtypmod FROM down JOIN pg_type d ON d.oid = down.type WHERE d.typtype = 'd'
    )
    SELECT p.typname, p.typtype::text, down.typmod FROM down JOIN pg_type p ON p.oid = down.type WHERE p.typtype <> 'd'
) e ON true
WHERE t.typtype <> 'd' ORDER BY c.place
"""


@dataclass(frozen=True, slots=True)
class Column:
    """How a column is read.

    Attributes:
        name: Its name.
        spelt: Its type as PostgreSQL spells it.
        base: The name of its type beneath domains; ``_`` before the element's of an array.
        expression: What is selected.
        target: The Arrow type its values are given after they came; None keeps that of the driver.
        scale: Of numbers that come as integers: the power of ten they were multiplied with.
        guard: The condition of a value that the target cannot hold; empty for none.
        note: Why it is text, where that may surprise.
    """

    name: str
    spelt: str
    base: str
    expression: str
    target: pa.DataType | None = None
    scale: int | None = None
    guard: str = ""
    note: str = ""

    def as_text(self) -> Column:
        """Return the column read as PostgreSQL's text, for a load with a value that its type cannot hold."""
        quoted = identifier(self.name)
        text = f"to_json({quoted})::text" if self.base.startswith("_") else f"{quoted}::text"
        odd = _ODD.get(self.base, _ODD_LIST)
        form = "JSON text" if self.base.startswith("_") else "text"
        note = f"{self.name} ({self.spelt}) holds {odd}; it is read as {form}"
        return replace(self, expression=text, target=pa.string(), scale=None, guard="", note=note)


_ODD = {
    "numeric": "NaN, infinity or more digits than a decimal of 38",
    "date": "infinity",
    "timestamp": "infinity or a year past 290000",
    "timestamptz": "infinity or a year past 290000",
    "time": "24:00",
    "interval": "a time of more than 285 years",
    "json": "half of a surrogate pair",
}
_ODD_LIST = "several dimensions, subscripts that do not begin at 1, or values without an equal"


def columns(connection: Any, found: list[tuple[str, int, int]]) -> list[Column]:
    """Plan columns.

    Args:
        connection: A psycopg connection.
        found: Name, type id and type modifier of each.
    """
    places = list(range(len(found)))
    rows = connection.execute(_LOOKUP, (places, [oid for _, oid, _ in found], [mod for _, _, mod in found])).fetchall()
    planned = []
    for place, spelt, base, kind, typmod, element, element_kind, element_modifier in rows:
        name = found[place][0]
        if element is not None and base.startswith("_"):
            plain = Column(name, spelt, "_" + element, identifier(name))
            planned.append(_array(plain, element_kind, element_modifier, cast=base != "_" + element))
        else:
            planned.append(_scalar(name, spelt, base, kind, typmod))
    return planned


def convert(array: pa.Array, column: Column) -> pa.Array:
    """Give values that came from the driver their target type."""
    if column.target is None:
        return array
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if column.scale is not None:
        return array.view(pa.decimal64(_WHOLE_DIGITS, column.scale)).cast(column.target)
    return array if array.type.equals(column.target) else array.cast(column.target)


def _scalar(name: str, spelt: str, base: str, kind: str, typmod: int) -> Column:
    quoted = identifier(name)
    plain = Column(name, spelt, base, quoted)
    if base in _DIRECT:
        return plain
    if base == "numeric":
        return _numeric(plain, typmod)
    if base == "date":
        return replace(plain, guard=f"{quoted} IN ('infinity', '-infinity')")
    if base in _TIMES:
        return replace(plain, guard=f"({quoted} >= '{_FAR}' OR {quoted} = '-infinity')")
    if base == "time":
        return replace(plain, guard=f"{quoted} = '24:00'")
    if base == "interval":
        return replace(plain, guard=f"abs(extract(hour FROM {quoted})) > {_FAR_HOURS}")
    if base == "oid":
        return replace(plain, expression=f"{quoted}::int8")
    if base == "json":
        return replace(plain, guard=_LONE_SURROGATE.replace("{0}", quoted))
    if base == "money":
        # Its text depends on the server's locale.
        return replace(plain, expression=f"{quoted}::numeric::text", target=FREE)
    quiet = kind == "e" or base in _TEXT_WITHOUT_NOTE
    note = "" if quiet else f"{name} ({spelt}) is kept as PostgreSQL's text"
    return replace(plain, expression=f"{quoted}::text", target=pa.string(), note=note)


def _numeric(column: Column, typmod: int) -> Column:
    quoted = identifier(column.name)
    if typmod < 4:
        limit = 10 ** (FREE.precision - FREE.scale)
        return replace(
            column,
            expression=f"{quoted}::text",
            target=FREE,
            guard=f"(abs({quoted}) >= {limit} OR scale({quoted}) > {FREE.scale})",
            note=f"{column.name} is numeric without precision; it is read as DECIMAL({FREE.precision},{FREE.scale})",
        )
    precision, scale = _modifier(typmod)
    if scale < 0:
        precision, scale = precision - scale, 0
    precision = max(precision, scale)
    if precision > 38:
        note = f"{column.name} ({column.spelt}) has more digits than a decimal holds; it is read as text"
        return replace(column, expression=f"{quoted}::text", target=pa.string(), note=note)
    target = pa.decimal128(precision, scale)
    guard = f"{quoted} = 'NaN'"
    if precision <= _WHOLE_DIGITS:
        # An integer travels and converts faster than digits; within 18 of them it is exact.
        return replace(column, expression=f"({quoted} * {10**scale})::int8", target=target, scale=scale, guard=guard)
    return replace(column, expression=f"{quoted}::text", target=target, guard=guard)


def _array(column: Column, kind: str, typmod: int, *, cast: bool) -> Column:
    """Plan an array: a list of what its elements are read as, where the driver or a cast gives just that.

    Args:
        column: The array, named by its element's type beneath domains.
        kind: The kind of the element's type.
        typmod: The element's modifier.
        cast: Whether the elements are of a domain.
    """
    quoted, element = column.expression, column.base[1:]
    shape = f"array_ndims({quoted}) > 1 OR array_lower({quoted}, 1) <> 1"
    plain = replace(column, guard=f"({shape})", expression=f"{quoted}::{element}[]" if cast else quoted)
    if element in _DIRECT:
        return plain
    if element == "oid":
        return replace(plain, expression=f"{quoted}::int8[]")
    if element in ("numeric", "money"):
        return _numbers(plain, shape, typmod)
    odd = _ODD_ELEMENT.get(element)
    if odd is not None:
        found = f"EXISTS (SELECT FROM unnest({quoted}) AS e(e) WHERE {odd})"
        return replace(plain, guard=f"({shape} OR {found})")
    note = "" if kind == "e" else f"{column.name} ({column.spelt}) is kept as a list of PostgreSQL's texts"
    return replace(plain, expression=f"{quoted}::text[]", note=note)


_ODD_ELEMENT = {
    "date": "e IN ('infinity', '-infinity')",
    "timestamp": f"e >= '{_FAR}' OR e = '-infinity'",
    "timestamptz": f"e >= '{_FAR}' OR e = '-infinity'",
    "time": "e = '24:00'",
    "interval": f"abs(extract(hour FROM e)) > {_FAR_HOURS}",
    "json": _LONE_SURROGATE.replace("{0}", "e"),
}
"""Conditions of an element ``e`` that no Arrow type holds."""


def _numbers(column: Column, shape: str, typmod: int) -> Column:
    """Plan an array of decimals; their texts are converted, since the driver gives no decimals."""
    whole = identifier(column.name)
    numbers = f"{whole}::numeric[]" if column.base == "_money" else whole
    single = _numeric(replace(column, name="e", guard=""), typmod if column.base == "_numeric" else -1)
    if single.target == pa.string():
        return replace(column, expression=f"{numbers}::text[]", note=single.note.replace("e ", f"{column.name} ", 1))
    odd = single.guard.replace('"e"', "e")
    note = single.note.replace("e is", f"{column.name} is", 1) if column.base == "_numeric" else ""
    return replace(
        column,
        expression=f"{numbers}::text[]",
        target=pa.list_(single.target),
        guard=f"({shape} OR EXISTS (SELECT FROM unnest({numbers}) AS e(e) WHERE {odd}))",
        note=note,
    )


def _modifier(typmod: int) -> tuple[int, int]:
    """Return precision and scale of a numeric (numeric.c, numeric_typmod_precision and numeric_typmod_scale)."""
    packed = typmod - 4
    return (packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024


def bound(value: Any, cursor_type: str) -> str:
    """Return a cursor value of a position as a SQL constant of its own type."""
    types = {
        "integer": "int8",
        "real": "float8",
        "decimal": "numeric",
        "date": "date",
        "timestamp": "timestamp",
        "timestamptz": "timestamptz",
        "uuid": "uuid",
    }
    text = literal(str(value))
    return f'{text} COLLATE "C"' if cursor_type == "text" else f"CAST({text} AS {types[cursor_type]})"
