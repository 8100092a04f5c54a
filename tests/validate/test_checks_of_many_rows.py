"""What is decided in another way where there are many rows, against the same rule written in plain Python."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pytest

from penstock import checks

ROWS = 120_000


def repeated(values: list[Any]) -> set[int]:
    """Return the positions of the rows whose key came before."""
    seen, found = set(), set()
    for position, value in enumerate(values):
        if value is None:
            continue
        if value in seen:
            found.add(position)
        seen.add(value)
    return found


def _with_repeats(number: int) -> int:
    return number - 1 if number % 997 == 5 else number


KEYS: dict[str, Callable[[int], Any]] = {
    "in order": lambda i: i - 60_000,
    "in order, some repeat": _with_repeats,
    "in order, with nulls": lambda i: None if i % 7 == 3 else _with_repeats(i) // 2,
    "the last is below the first": lambda i: -1 if i == ROWS - 1 else _with_repeats(i),
    "the last repeats the first": lambda i: 0 if i == ROWS - 1 else i,
    "two rows in order one after the other": lambda i: i % 60_000,
    "downwards": lambda i: ROWS - i,
    "in no order": lambda i: random.Random(i).randrange(10**6),
    "all alike": lambda _: 7,
    "half of them alike": lambda i: min(i, 60_000),
    "none": lambda _: None,
    "texts in order": lambda i: f"T{_with_repeats(i):08}",
    "texts in no order": lambda i: f"T{_with_repeats(i)}",
    "days": lambda i: date(1900, 1, 1) + timedelta(days=_with_repeats(i) // 3),
    "reals": lambda i: float("nan") if i > 119_000 else _with_repeats(i) / 2,
}


@pytest.mark.parametrize("kind", KEYS)
def test_keys_in_whatever_order_repeat_as_often_as_python_says(bench: Any, kind: str) -> None:
    values = [KEYS[kind](position) for position in range(ROWS)]
    type_ = pa.int64() if kind == "none" else None
    landed = bench.land(pa.table({"k": pa.array(values, type_)}), [70_000, 50_000])
    # In Arrow's tables NaN is a value like any other, and so it is to DuckDB.
    expected = repeated(["NaN" if str(value) == "nan" else value for value in values])
    failures = landed.check(checks.unique("k")).report.failures
    assert [failure.count for failure in failures] == ([len(expected)] if expected else [])
    receipt = landed.check(checks.unique("k", severity="quarantine"))
    assert set(landed.set_aside(receipt)) == expected


@pytest.mark.parametrize(
    ("own", "known"),
    [
        ("INTEGER", [*range(500), *range(700, 1000)]),
        ("BIGINT", [-5, -4, 0, 3, 900]),
        ("BIGINT", [-(2**63), 2**63 - 1, 5]),
        ("BIGINT", [2**63 - 1, 2**63 - 200]),
        ("TINYINT", [-128, 127, 0]),
        ("UINTEGER", [2**32 - 1, 2**32 - 7]),
        ("UBIGINT", [2**64 - 1, 1]),
        ("DECIMAL(5,1)", [1, 2, 3]),
        ("INTEGER", [None, None]),
        ("INTEGER", [None, 4]),
    ],
)
@pytest.mark.parametrize("theirs", ["BIGINT", "HUGEINT", "VARCHAR"])
def test_references_are_found_missing_as_python_says(bench: Any, own: str, known: list[Any], theirs: str) -> None:
    if theirs == "BIGINT" and any(value is not None and value >= 2**63 for value in known):
        theirs = "UBIGINT"
    low, high = bench.connection.execute(f"SELECT min(v), max(v) FROM ({_edges(own)}) t(v)").fetchall()[0]
    values = [low, high, None, *(v for v in known if v is not None and low <= v <= high)]
    drawn = random.Random(own)
    values += [drawn.choice(values) for _ in range(6_000)] + [
        min(max(drawn.randint(-1000, 1000), low), high) for _ in range(6_000)
    ]
    texts = pa.table({"v": pa.array([None if value is None else str(value) for value in values])})
    table = bench.connection.from_arrow(texts).project(f"CAST(v AS {own}) AS v").to_arrow_table()
    # In the order of the values, and as the type writes them: 1 as 1.0.
    values = table["v"].to_pylist()
    listed = ", ".join("NULL" if value is None else f"CAST('{value}' AS {theirs})" for value in known)
    given = {"t": f"(SELECT unnest(CAST([{listed}] AS {theirs}[])) AS k)"}
    there = {str(value) if theirs == "VARCHAR" else value for value in known if value is not None}
    missing = sum(value is not None and (str(value) if theirs == "VARCHAR" else value) not in there for value in values)
    failures = bench.land(table).check(checks.references("v", "t.k"), tables=given).report.failures
    assert [failure.count for failure in failures] == ([missing] if missing else [])


def _edges(type_: str) -> str:
    edges = {
        "INTEGER": (-(2**31), 2**31 - 1),
        "BIGINT": (-(2**63), 2**63 - 1),
        "TINYINT": (-128, 127),
        "UINTEGER": (0, 2**32 - 1),
        "UBIGINT": (0, 2**64 - 1),
        "DECIMAL(5,1)": (-9999, 9999),
    }[type_]
    return "VALUES " + ", ".join(f"({edge}::HUGEINT)" for edge in edges)


@pytest.mark.parametrize("scanned", [False, True])
def test_missing_values_are_counted_as_often_alone_as_beside_checks_of_each_row(bench: Any, *, scanned: bool) -> None:
    values = [None if i % 1000 == 999 else i for i in range(30_000)]
    landed = bench.land(pa.table({"a": values, "b": list(range(30_000))}), [20_000, 10_000])
    beside = [checks.expression("a <> 5"), checks.expression("b >= 0")] if scanned else []
    found = landed.check(checks.not_null("a"), checks.not_null("b"), *beside).report.failures
    assert [(failure.check, failure.count) for failure in found][:1] == [("not_null(a)", 30)]
    assert len(found) == 1 + scanned
    assert [one["_origin"] for one in found[0].examples] == [
        f"flights.csv, row {number:,}" for number in (1000, 2000, 3000, 4000, 5000)
    ]
