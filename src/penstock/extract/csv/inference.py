"""Types of columns that DuckDB's own inference leaves as text.

They have spellings of missing values, or stand beside rows that do not fit. A type is given only where it holds every
value of the column just as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from penstock.extract.csv.cells import BOOLEAN, DATE, INTEGER, MOMENT, NULLS, REAL, ZONED, is_null
from penstock.extract.csv.records import Record
from penstock.queries.text import identifier, literal

_TYPES = (
    ("BIGINT", INTEGER),
    ("DOUBLE", REAL),
    ("DATE", DATE),
    ("TIMESTAMP", MOMENT),
    ("TIMESTAMP WITH TIME ZONE", ZONED),
    ("BOOLEAN", BOOLEAN),
)
_PATTERNS = [(type_, re.compile(pattern)) for type_, pattern in _TYPES]
_PATTERN = dict(_TYPES)
_LONGEST_EXACT = 15
"""Digits that a DOUBLE carries."""
_MOSTLY = 0.9


@dataclass(frozen=True, slots=True)
class Typed:
    """The type of a column.

    Attributes:
        type: The DuckDB type.
        nulls: Spelling of a missing value to how often it stands there.
        misfits: How many values are not of the type that nearly all others are of; the column is text then.
        nearly: That type.
    """

    type: str
    nulls: Mapping[str, int]
    misfits: int = 0
    nearly: str = ""


def likely(records: Sequence[Record], width: int) -> dict[int, str]:
    """Return column place to the type that nearly all cells of a sample have, for columns that may have one."""
    rows = [record.cells for record in records if len(record.cells) == width]
    found: dict[int, str] = {}
    for place in range(width):
        cells = [cell for row in rows if (cell := row[place].strip()) and not is_null(cell)]
        if not cells:
            continue
        counts = {type_: sum(1 for cell in cells if exact(cell, type_)) for type_, _ in _PATTERNS}
        # A whole number is a DOUBLE, too: the first type that all have is the narrowest.
        best = max(counts, key=lambda type_: counts[type_])
        if counts[best] >= _MOSTLY * len(cells):
            found[place] = best
    return found


def exact(cell: str, type_: str) -> bool:
    """Say whether a type holds a text without losing anything of it."""
    pattern = next(found for name, found in _PATTERNS if name == type_)
    if not pattern.fullmatch(cell):
        return False
    return type_ != "DOUBLE" or (cell not in ("", "-") and sum(map(str.isdigit, cell)) <= _LONGEST_EXACT)


def infer(
    session: duckdb.DuckDBPyConnection, relation: str, columns: Mapping[str, str], spellings: bool
) -> dict[str, Typed]:
    """Look at every value of columns.

    Args:
        session: A DuckDB to ask.
        relation: All columns as text, rows that do not fit left out.
        columns: Column to the type that it is likely to have.
        spellings: Whether the usual spellings of a missing value are believed.
    """
    found: dict[str, Typed] = {}
    if not columns:
        return found
    listed = ", ".join(literal(text) for text in NULLS)
    asked = []
    for name, type_ in columns.items():
        cell = f"trim({identifier(name)})"
        missing = f"({cell} IN ({listed}))" if spellings else "false"
        value = f"{identifier(name)} IS NOT NULL AND {cell} <> '' AND NOT {missing}"
        wider = ("BIGINT", "DOUBLE") if type_ in ("BIGINT", "DOUBLE") else (type_,)
        tests = [f"count(*) FILTER ({value} AND NOT ({_holds(cell, each)}))" for each in wider]
        asked += [
            f"count(*) FILTER ({value})",
            f"[{', '.join(tests)}]",
            f"histogram({identifier(name)}) FILTER ({missing})",
        ]
    row = session.execute(f"SELECT {', '.join(asked)} FROM {relation}").fetchone() or ()
    for place, (name, type_) in enumerate(columns.items()):
        values, misfits, nulls = row[3 * place : 3 * place + 3]
        found[name] = _decided(type_, int(values), [int(count) for count in misfits], dict(nulls or {}))
    return found


def converted(name: str, typed: Typed) -> str:
    """Return the SQL that gives a column of text its type; spellings of a missing value become null."""
    column = identifier(name)
    listed = ", ".join(literal(text) for text in typed.nulls)
    empty = f"trim({column}) = ''"
    return f"CAST(CASE WHEN {column} IN ({listed}) OR {empty} THEN NULL ELSE {column} END AS {typed.type}) AS {column}"


def _decided(type_: str, values: int, misfits: Sequence[int], nulls: Mapping[str, int]) -> Typed:
    wider = ("BIGINT", "DOUBLE") if len(misfits) > 1 else (type_,)
    if not values:
        return Typed("VARCHAR", {})
    for each, count in zip(wider, misfits, strict=True):
        if not count:
            return Typed(each, nulls)
    least = min(misfits)
    return Typed("VARCHAR", {}, least, wider[list(misfits).index(least)])


def _holds(cell: str, type_: str) -> str:
    matches = f"regexp_full_match({cell}, {literal(_PATTERN[type_])})"
    if type_ == "DOUBLE":
        digits = f"length(regexp_replace({cell}, '[^0-9]', '', 'g')) <= {_LONGEST_EXACT}"
        return f"{matches} AND {digits} AND TRY_CAST({cell} AS DOUBLE) IS NOT NULL"
    if type_ in ("BIGINT", "BOOLEAN"):
        return matches
    return f"{matches} AND TRY_CAST({cell} AS {type_}) IS NOT NULL"
