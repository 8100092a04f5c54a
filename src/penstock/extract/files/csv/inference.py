"""Types of columns that DuckDB's own inference leaves as text.

They have spellings of missing values, or stand beside rows that do not fit. A type is given only where it holds every
value of the column just as it was written.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import duckdb

from penstock.extract.files.csv.cells import BOOLEAN, DATE, INTEGER, MOMENT, NULLS, REAL, ZONED, is_null
from penstock.extract.files.csv.records import Record
from penstock.queries.text import identifier, literal
from penstock.values import dataclass

_TYPES = (
    ("BIGINT", INTEGER),
    ("DOUBLE", REAL),
    ("DATE", DATE),
    ("TIMESTAMP", MOMENT),
    ("TIMESTAMP WITH TIME ZONE", ZONED),
    ("BOOLEAN", BOOLEAN),
)
_PATTERNS = {type_: re.compile(pattern) for type_, pattern in _TYPES}
_PATTERN = dict(_TYPES)
_LONGEST_EXACT = 15
"""Digits that a DOUBLE carries."""
_MOSTLY = 0.9
_FEW_FOREIGN, _FOREIGN = 5, 0.02


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


def likely(records: Sequence[Record], width: int, places: Iterable[int]) -> dict[int, str]:
    """Return column place to the type that nearly all cells of a sample have, for columns that may have one.

    Args:
        records: The sample.
        width: How many cells a row has.
        places: The columns to look at.
    """
    rows = [record.cells for record in records if len(record.cells) == width]
    found: dict[int, str] = {}
    for place in places:
        cells = [cell for row in rows if (cell := row[place].strip()) and not is_null(cell)]
        if not cells:
            continue
        # Every value is looked at later; in a small sample one may be that of a row that is none.
        fewest = min(_MOSTLY * len(cells), len(cells) - 1)
        counts = {type_: _fitting(cells, type_, len(cells) - fewest) for type_ in _PATTERNS}
        # A whole number is a DOUBLE, too: the first type that all have is the narrowest.
        best = max(counts, key=lambda type_: counts[type_])
        if 2 * counts[best] > len(cells) and counts[best] >= fewest:
            found[place] = best
    return found


def _fitting(cells: Sequence[str], type_: str, allowed: float) -> int:
    """Return how many cells have a type; 0 as soon as more than are allowed have not."""
    missed = 0
    for cell in cells:
        if not exact(cell, type_):
            missed += 1
            if missed > allowed:
                return 0
    return len(cells) - missed


def exact(cell: str, type_: str) -> bool:
    """Say whether a type holds a text without losing anything of it."""
    if not _PATTERNS[type_].fullmatch(cell):
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
    asked = []
    for name, type_ in columns.items():
        value = _value(name, spellings)
        tests = [f"count(*) FILTER ({_misfit(name, each, spellings)})" for each in _wider(type_)]
        asked += [
            f"count(*) FILTER ({value})",
            f"[{', '.join(tests)}]",
            f"histogram({identifier(name)}) FILTER ({_missing(name, spellings)})",
        ]
    row = session.execute(f"SELECT {', '.join(asked)} FROM {relation}").fetchone() or ()
    for place, (name, type_) in enumerate(columns.items()):
        values, misfits, nulls = row[3 * place : 3 * place + 3]
        found[name] = _decided(type_, int(values), [int(count) for count in misfits], dict(nulls or {}))
    return found


def without_foreign(
    session: duckdb.DuckDBPyConnection,
    relation: str,
    looked: Mapping[str, Typed],
    header: Mapping[str, str],
    spellings: bool,
) -> dict[str, Typed]:
    """Give columns their types where only foreign rows hinder that: rows of another table, or the header again.

    Such a row fits none of the columns that it has values in, at least two, or repeats the header. A scan with these
    types sets it aside, for one value of it at least cannot be read.

    Args:
        session: A DuckDB to ask.
        relation: All columns as text.
        looked: What ``infer`` said.
        header: Column to what the header says of it.
        spellings: Whether the usual spellings of a missing value are believed.
    """
    nearly = {name: typed for name, typed in looked.items() if typed.misfits}
    hard = {name: typed.nearly for name, typed in nearly.items() if not typed.nulls}
    if not hard:
        return {}
    failing = [
        f"({_value(name, spellings)} AND TRY_CAST({identifier(name)} AS {type_}) IS NULL)::INT"
        for name, type_ in hard.items()
    ]
    filled = [f"({_value(name, spellings)})::INT" for name in hard]
    again = " AND ".join(f"trim({identifier(name)}) = {literal(text)}" for name, text in header.items() if text)
    foreign = f"coalesce(({' + '.join(failing)}) >= 2 AND ({' + '.join(failing)}) = ({' + '.join(filled)}), false)"
    if again:
        foreign = f"({foreign} OR coalesce({again} AND ({' + '.join(failing)}) >= 1, false))"
    tests = [
        f"[{', '.join(f'count(*) FILTER (NOT {foreign} AND {_misfit(name, each, spellings)})' for each in _wider(to))}]"
        for name, to in ((name, typed.nearly) for name, typed in nearly.items())
    ]
    row = session.execute(
        f"SELECT count(*), count(*) FILTER ({foreign}), {', '.join(tests)} FROM {relation}"
    ).fetchone()
    if row is None or not row[1] or row[1] > max(_FEW_FOREIGN, _FOREIGN * row[0]):
        return {}
    found = {}
    for (name, typed), misfits in zip(nearly.items(), row[2:], strict=True):
        fits = next((to for to, count in zip(_wider(typed.nearly), misfits, strict=True) if not count), None)
        # A foreign row is one that cannot be read as the type that was nearly right: a wider one may take it.
        if fits == typed.nearly:
            found[name] = Typed(fits, typed.nulls)
    return found


def converted(name: str, typed: Typed) -> str:
    """Return the SQL that gives a column of text its type; spellings of a missing value become null."""
    column = identifier(name)
    listed = ", ".join(literal(text) for text in typed.nulls)
    empty = f"trim({column}) = ''"
    return f"CAST(CASE WHEN {column} IN ({listed}) OR {empty} THEN NULL ELSE {column} END AS {typed.type}) AS {column}"


def _decided(type_: str, values: int, misfits: Sequence[int], nulls: Mapping[str, int]) -> Typed:
    wider = _wider(type_)
    if not values:
        return Typed("VARCHAR", {})
    for each, count in zip(wider, misfits, strict=True):
        if not count:
            return Typed(each, nulls)
    least = min(misfits)
    return Typed("VARCHAR", nulls, least, wider[list(misfits).index(least)])


def _wider(type_: str) -> tuple[str, ...]:
    return ("BIGINT", "DOUBLE") if type_ in ("BIGINT", "DOUBLE") else (type_,)


def _missing(name: str, spellings: bool) -> str:
    listed = ", ".join(literal(text) for text in NULLS)
    return f"(trim({identifier(name)}) IN ({listed}))" if spellings else "false"


def _value(name: str, spellings: bool) -> str:
    column = identifier(name)
    return f"({column} IS NOT NULL AND trim({column}) <> '' AND NOT {_missing(name, spellings)})"


def _misfit(name: str, type_: str, spellings: bool) -> str:
    return f"({_value(name, spellings)} AND NOT ({_holds(f'trim({identifier(name)})', type_)}))"


def _holds(cell: str, type_: str) -> str:
    matches = f"regexp_full_match({cell}, {literal(_PATTERN[type_])})"
    if type_ == "DOUBLE":
        digits = f"length(regexp_replace({cell}, '[^0-9]', '', 'g')) <= {_LONGEST_EXACT}"
        return f"{matches} AND {digits} AND TRY_CAST({cell} AS DOUBLE) IS NOT NULL"
    if type_ in ("BIGINT", "BOOLEAN"):
        return matches
    return f"{matches} AND TRY_CAST({cell} AS {type_}) IS NOT NULL"
