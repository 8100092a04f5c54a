"""Figures of rows: by them two places are compared that should hold the same, without reading one beside the other.

Every place computes them with its own engine (``Aggregate`` says how) and gives them as canonical text: numbers exact
and without trailing zeros, moments as ISO 8601 in UTC, long texts cut and hashed. Figures of a kind that only one side
has are passed over.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from datetime import UTC, date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any

from penstock.values import dataclass

_EXACT = Context(prec=400)
_LONGEST = 80
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MOST_DIFFERENCES = 20

ROWS = "rows"
"""The measure that belongs to no column."""
WORDS = {
    ROWS: "rows",
    "values": "values that are not null",
    "least": "the least value",
    "greatest": "the greatest value",
    "sum": "the sum",
    "days": "the sum of its days",
    "true": "values that are true",
    "bytes": "bytes of text",
    "nans": "values that are NaN",
    "moments": "the sum of its microseconds",
    "hash": "the hash of its values",
}
"""Each measure, as a message says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What is told of some rows.

    Attributes:
        rows: How many there are.
        columns: Column to measure (see ``WORDS``) to value, as canonical text.
        families: Column to what its values were measured as: ``number``, ``text``, ``moment`` … A column that two
            places measured as different families is compared by its number of values alone.
    """

    rows: int
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    families: Mapping[str, str] = field(default_factory=dict)

    def renamed(self, names: Mapping[str, str]) -> Figures:
        """Return the figures of the columns in ``names``, under the names that stand there."""
        return Figures(
            rows=self.rows,
            columns={names[name]: found for name, found in self.columns.items() if name in names},
            families={names[name]: found for name, found in self.families.items() if name in names},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One figure that two places do not agree on.

    Attributes:
        column: The column; empty for the number of rows.
        measure: Which figure.
        expected: What the first place says.
        found: What the second says.
    """

    column: str = ""
    measure: str
    expected: str
    found: str

    def sentence(self, first: str, second: str) -> str:
        """Return the difference in words, given those for the two places."""
        what = WORDS.get(self.measure, self.measure)
        where = f"{what} of {self.column}" if self.column else what
        return f"{where}: {first} {self.expected}, {second} {self.found}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciliation:
    """How a load was compared with what it was read from; part of the load.

    Attributes:
        mode: What was measured: ``counts``, ``sums`` or ``hashes``.
        source: True where the source itself gave figures; else only the rows that it handed over were counted.
        snapshot: True where source and load saw one moment, so that any difference is a fault.
        compared: How many figures were compared.
        read: Rows read.
        known: Rows of them that were landed before and were left out.
        landed: The figures of the rows that were kept; the warehouse is compared with these.
        differences: Figures of the source, and what the files hold instead; at most 20.
    """

    mode: str
    source: bool = False
    snapshot: bool = True
    compared: int = 0
    read: int = 0
    known: int = 0
    landed: Figures
    differences: tuple[Difference, ...] = ()

    @property
    def rejects(self) -> bool:
        """Say whether something was lost, doubled or changed on the way."""
        return self.snapshot and bool(self.differences)

    @property
    def word(self) -> str:
        """Return the outcome in one or two words."""
        if self.differences:
            return "differs" if self.snapshot else "source changed"
        return "reconciled" if self.source else "counted"

    def sentence(self, table: str) -> str:
        """Return what differs, in one sentence; empty where nothing does."""
        if not self.differences:
            return ""
        shown = "; ".join(each.sentence("the source says", "the files hold") for each in self.differences[:3])
        more = len(self.differences) - 3
        tail = f"; and {more} figures more" if more > 0 else ""
        if self.snapshot:
            return f"{table} does not hold what the source gave: {shown}{tail}"
        return f"{table} may have changed while it was read: {shown}{tail}"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One figure of one column, to be asked of a database.

    Attributes:
        column: The column.
        measure: Which figure.
        family: What the column is measured as.
        sql: The aggregate expression in the dialect of that database.
        kind: What its result is: ``number``, ``text``, ``day`` or ``moment`` (days, microseconds since 1970).
        weight: A number is multiplied with this, and added to other parts of the same figure.
    """

    column: str
    measure: str
    family: str
    sql: str
    kind: str = "number"
    weight: Decimal = Decimal(1)


def figures(aggregates: Sequence[Aggregate], row: Sequence[Any]) -> Figures:
    """Return the figures from one row of results: the count of rows, then each aggregate's; a null is no figure."""
    numbers: dict[tuple[str, str], Decimal] = {}
    columns: dict[str, dict[str, str]] = {}
    for aggregate, value in zip(aggregates, row[1:], strict=True):
        if value is None:
            continue
        key = aggregate.column, aggregate.measure
        if aggregate.kind == "number" and not isinstance(value, float):
            part = _EXACT.multiply(Decimal(value), aggregate.weight)
            numbers[key] = _EXACT.add(numbers[key], part) if key in numbers else part
            text = _number(numbers[key])
        else:
            text = _text(aggregate.kind, value)
        columns.setdefault(aggregate.column, {})[aggregate.measure] = text
    families = {aggregate.column: aggregate.family for aggregate in aggregates}
    return Figures(rows=int(row[0]), columns=columns, families=families)


def compare(expected: Figures, found: Figures) -> tuple[int, tuple[Difference, ...]]:
    """Return how many figures both have, and which of them differ: rows first, then column by column; at most 20."""
    pairs = [("", ROWS, str(expected.rows), str(found.rows))]
    for column, measures in expected.columns.items():
        other = found.columns.get(column)
        if other is None:
            continue
        # Without any value one engine says a sum is null, another 0.
        alike = expected.families.get(column) == found.families.get(column)
        empty = "0" in (measures.get("values"), other.get("values"))
        names = list(measures) if alike and not empty else ["values"]
        pairs += [(column, name, measures[name], other[name]) for name in names if name in measures and name in other]
    different = [
        Difference(column=column, measure=name, expected=one, found=two)
        for column, name, one, two in pairs
        if one != two
    ]
    return len(pairs), tuple(different[:_MOST_DIFFERENCES])


def query(aggregates: Iterable[Aggregate], relation: str) -> str:
    """Return the query whose one row ``figures`` reads; ``relation`` is all that follows FROM."""
    return f"SELECT {', '.join(['count(*)', *(aggregate.sql for aggregate in aggregates)])} FROM {relation}"


def _number(value: Decimal) -> str:
    text = format(value, "f")
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in ("-0", "") else text


def _text(kind: str, value: Any) -> str:
    if kind == "day":
        return _day(int(value))
    if kind == "moment":
        return _moment(int(value))
    if isinstance(value, float):
        # 0.0 and -0.0 are equal, and which of them is the least is chance.
        return repr(value + 0.0)
    text = str(value)
    if len(text) <= _LONGEST:
        return text
    return f"{text[:32]}… (sha256 {hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()[:16]})"


def _day(days: int) -> str:
    try:
        return (date(1970, 1, 1) + timedelta(days=days)).isoformat()
    except OverflowError:
        return f"{days} days since 1970"


def _moment(micros: int) -> str:
    try:
        return (_EPOCH + timedelta(microseconds=micros)).replace(tzinfo=None).isoformat()
    except OverflowError:
        return f"{micros} microseconds since 1970"
