# ruff: noqa: DTZ001 - moments without a zone are among what is checked
"""Every kind of check over random rows, against the same rule written in plain Python."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock import checks
from penstock.model.specs import CheckSpec, Severity

Row = dict[str, Any]
SCHEMA = pa.schema(
    [
        ("i", pa.int32()),
        ("x", pa.float64()),
        ("s", pa.string()),
        ("moment", pa.timestamp("us")),
        ("d", pa.decimal128(12, 2)),
        ("b", pa.bool_()),
        ("u", pa.uint64()),
    ]
)
TEXTS = ["", "a", "A", "ab", "it's", '"q"', "7", "7.5", "NA", "nan", " 3 ", "é\n", "%", "a\0b", "1e400", "😀"]
MOMENTS = [datetime(2013, 1, 1) + timedelta(hours=6 * step) for step in range(6)]
rows_of = st.lists(
    st.fixed_dictionaries(
        {
            "i": st.none() | st.integers(-3, 3) | st.sampled_from([2**31 - 1, -(2**31)]),
            "x": st.none() | st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 0.1, 1.0, 2.0, 1e300]),
            "s": st.none() | st.sampled_from(TEXTS),
            "moment": st.none() | st.sampled_from(MOMENTS),
            "d": st.none()
            | st.sampled_from([Decimal("0.10"), Decimal("0.20"), Decimal("-5.00"), Decimal("9999999999.99")]),
            "b": st.none() | st.booleans(),
            "u": st.none() | st.sampled_from([0, 1, 2**64 - 1]),
        }
    ),
    max_size=25,
)
number = st.sampled_from([-5, -1, 0, 0.1, 0.10000001, 1, 1.5, 2, 3, 2**40, 10**30, 1e20, -1e308])
KNOWN: list[Row] = [{"k": 1, "t": "a"}, {"k": 2, "t": "ab"}, {"k": None, "t": None}, {"k": 2, "t": "it's"}]
TABLES = {"known": "(SELECT unnest([1, 2, NULL, 2]) AS k, unnest(['a', 'ab', NULL, 'it''s']) AS t)"}

Fails = Callable[[Row, list[Row]], bool]
Case = tuple[CheckSpec, Fails]


def compared(value: Any, bound: Any) -> int:
    """Compare exactly; NaN is above everything, as nothing lets it pass."""
    left = value if isinstance(value, float) else Decimal(value)
    if isinstance(left, float):
        if math.isnan(left):
            return 2
        right = float(bound)
        return (left > right) - (left < right)
    exact = Decimal(repr(bound)) if isinstance(bound, float) else Decimal(bound)
    return (left > exact) - (left < exact)


def outside(value: Any, low: Any, high: Any) -> bool:
    if value is None:
        return False
    if isinstance(value, float) and math.isnan(value):
        return True
    return (low is not None and compared(value, low) < 0) or (high is not None and compared(value, high) > 0)


def as_number(text: str | None) -> float | None:
    """Read as DuckDB's TRY_CAST does, for the texts used here."""
    try:
        found = float(text) if text is not None else None
    except ValueError:
        return None
    return None if found is not None and math.isinf(found) else found


@st.composite
def between(draw: st.DrawFn) -> Case:
    column = draw(st.sampled_from(["i", "x", "d", "u"]))
    low, high = draw(st.none() | number), draw(st.none() | number)
    if low is None and high is None:
        low = 0
    if low is not None and high is not None and low > high:
        low, high = high, low
    return checks.between(column, low, high), lambda row, _: outside(row[column], low, high)


@st.composite
def between_moments(draw: st.DrawFn) -> Case:
    low, high = sorted(draw(st.tuples(st.sampled_from(MOMENTS), st.sampled_from(MOMENTS))))
    shown = draw(st.sampled_from([(low, high), (low.isoformat(), f"{high.isoformat()}+00:00")]))
    return checks.between(
        "moment", *shown
    ), lambda row, _: row["moment"] is not None and not low <= row["moment"] <= high


@st.composite
def between_texts(draw: st.DrawFn) -> Case:
    if draw(st.booleans()):
        low, high = sorted(draw(st.tuples(st.sampled_from(TEXTS), st.sampled_from(TEXTS))), key=str.encode)
        return checks.between(
            "s", low, high
        ), lambda row, _: row["s"] is not None and not low.encode() <= row["s"].encode() <= high.encode()
    return checks.between(
        "s", 1, 7
    ), lambda row, _: row["s"] is not None and (as_number(row["s"]) is None or not 1 <= (as_number(row["s"]) or 0) <= 7)


@st.composite
def in_set(draw: st.DrawFn) -> Case:
    column = draw(st.sampled_from(["i", "x", "d", "s", "b", "u"]))
    if column == "s":
        values: list[Any] = draw(st.lists(st.sampled_from([*TEXTS, 7, 7.5]), min_size=1))
    elif column == "b":
        values = draw(st.lists(st.booleans(), min_size=1))
    else:
        values = draw(st.lists(number, min_size=1))

    def fails(row: Row, _: list[Row]) -> bool:
        value = row[column]
        if value is None:
            return False
        if column == "s":
            numbers = [item for item in values if not isinstance(item, str)]
            return value not in values and as_number(value) not in numbers
        if column == "b":
            return value not in values
        return all(compared(value, item) != 0 for item in values)

    return checks.in_set(column, values), fails


@st.composite
def matches(draw: st.DrawFn) -> Case:
    pattern = draw(
        st.sampled_from(["a.*", "[a-z]*", "it's", r"\d+(\.\d+)?", "", "A|ab", "é.", "a.b", "%"])
        | st.sampled_from([re.escape("'")])
    )
    pattern = pattern or "()"
    return checks.matches("s", pattern), lambda row, _: row["s"] is not None and re.fullmatch(pattern, row["s"]) is None


@st.composite
def not_null(draw: st.DrawFn) -> Case:
    columns = draw(st.lists(st.sampled_from(SCHEMA.names), min_size=1, max_size=3, unique=True))
    return checks.not_null(*columns), lambda row, _: any(row[name] is None for name in columns)


@st.composite
def unique(draw: st.DrawFn) -> Case:
    columns = draw(st.lists(st.sampled_from(SCHEMA.names), min_size=1, max_size=2, unique=True))
    against = draw(st.sampled_from(["new", "table"])) if columns == ["i"] else "new"

    def key(row: Row) -> tuple[Any, ...] | None:
        found = [row[name] for name in columns]
        if None in found:
            return None
        return tuple("nan" if isinstance(item, float) and math.isnan(item) else item for item in found)

    def fails(row: Row, rows: list[Row]) -> bool:
        mine = key(row)
        if mine is None:
            return False
        held = against == "table" and mine in {(1,), (2,)}
        before = rows[: next(index for index, other in enumerate(rows) if other is row)]
        return held or mine in [key(other) for other in before]

    return checks.unique(*columns, against=against), fails


@st.composite
def references(draw: st.DrawFn) -> Case:
    columns, targets = draw(
        st.sampled_from([(["i"], ["k"]), (["s"], ["t"]), (["i", "s"], ["k", "t"]), (["x"], ["k"]), (["s"], ["k"])])
    )
    as_text = columns == ["s"] and targets == ["k"]
    held = [tuple(row[name] for name in targets) for row in KNOWN]
    held = [tuple(str(item) if as_text else item for item in row) for row in held if None not in row]

    def fails(row: Row, _: list[Row]) -> bool:
        mine = tuple(row[name] for name in columns)
        return None not in mine and mine not in held

    return checks.references(columns, [f"known.{name}" for name in targets]), fails


@st.composite
def expression(draw: st.DrawFn) -> Case:
    cases: list[tuple[str, Callable[[Row], bool | None]]] = [
        ("i > 0", lambda row: None if row["i"] is None else row["i"] > 0),
        ("flights.i > 0 -- why not", lambda row: None if row["i"] is None else row["i"] > 0),
        (
            "S = 'it''s' OR b",
            lambda row: True if row["s"] == "it's" or row["b"] else None if None in (row["s"], row["b"]) else False,
        ),
        (
            "i IN (SELECT k FROM known WHERE k IS NOT NULL)",
            lambda row: None if row["i"] is None else row["i"] in (1, 2),
        ),
        ("moment < :now", lambda row: None if row["moment"] is None else True),
        ("list_contains([1, 2], i)", lambda row: None if row["i"] is None else row["i"] in (1, 2)),
        ("len(list_filter([i], lambda v: v > 0)) = 1", lambda row: row["i"] is not None and row["i"] > 0),
    ]
    text, rule = draw(st.sampled_from(cases))
    return checks.expression(text), lambda row, _: rule(row) is False


@st.composite
def mask(draw: st.DrawFn) -> Case:
    worst = draw(st.integers(-3, 3))

    def good(rows: pa.Table) -> pa.ChunkedArray:
        return pc.less(rows["i"], worst)

    return checks.function(good), lambda row, _: row["i"] is not None and row["i"] >= worst


case = st.one_of(
    between(),
    between_moments(),
    between_texts(),
    in_set(),
    matches(),
    not_null(),
    unique(),
    references(),
    expression(),
    mask(),
)
conditions: list[tuple[str | None, Callable[[Row], bool]]] = [
    (None, lambda _: True),
    ("b", lambda row: row["b"] is True),
    ("i >= 0 OR i IS NULL", lambda row: row["i"] is None or row["i"] >= 0),
]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=rows_of,
    cases=st.lists(
        st.tuples(case, st.sampled_from(conditions), st.sampled_from(["warn", "quarantine", "error"])),
        min_size=1,
        max_size=6,
    ),
    cut=st.integers(0, 25),
)
def test_counts_and_quarantine_agree_with_python(
    fresh_bench: Any, rows: list[Row], cases: list[tuple[Case, Any, str]], cut: int
) -> None:
    bench = fresh_bench().land(pa.Table.from_pylist(rows, SCHEMA), [min(cut, len(rows)), max(0, len(rows) - cut)])
    asked, expected, reasons = [], {}, dict[int, list[str]]()
    for index, ((spec, fails), (where, applies), severity) in enumerate(cases):
        name = f"{index} it's {spec.name}"
        parameters = {**spec.parameters, **({} if where is None else {"where": where})}
        asked.append(
            CheckSpec(
                **{
                    **{field: getattr(spec, field) for field in CheckSpec.__slots__},
                    "name": name,
                    "severity": Severity(severity),
                    "parameters": parameters,
                }
            )
        )
        looked = [row for row in rows if applies(row)]
        failing = [position for position, row in enumerate(rows) if applies(row) and fails(row, looked)]
        if failing:
            expected[name] = (severity, len(failing))
        if severity == "quarantine":
            for position in failing:
                reasons.setdefault(position, []).append(name)
    receipt = bench.check(*asked, tables={**TABLES, "flights": "(SELECT unnest([1, 2, NULL]::INTEGER[]) AS i)"})
    assert {item.check: (item.severity, item.count) for item in receipt.report.failures} == expected
    assert set(receipt.report.passed) == {spec.name for spec in asked} - set(expected)
    assert receipt.report.rows == len(rows)
    assert receipt.report.rejects == any(severity == "error" for severity, _ in expected.values())
    assert bench.set_aside(receipt) == reasons
