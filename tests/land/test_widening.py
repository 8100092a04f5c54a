"""Types that meet: what holds the values of both, and what is refused."""

import duckdb
import pytest

from penstock.errors import DataError
from penstock.land.columns import Columns, Incoming
from penstock.model.entries import Column
from penstock.queries.widening import convert, grown, lacks, widest

MEETINGS = [
    ("BIGINT", "BIGINT", "BIGINT"),
    ('"NULL"', "DATE", "DATE"),
    ("INTEGER", "BIGINT", "BIGINT"),
    ("UTINYINT", "TINYINT", "SMALLINT"),
    ("UINTEGER", "INTEGER", "BIGINT"),
    ("UBIGINT", "BIGINT", "HUGEINT"),
    ("UBIGINT", "TINYINT", "HUGEINT"),
    ("USMALLINT", "UBIGINT", "UBIGINT"),
    ("BIGINT", "DOUBLE", "DOUBLE"),
    ("FLOAT", "DOUBLE", "DOUBLE"),
    ("FLOAT", "INTEGER", "DOUBLE"),
    ("DECIMAL(10,2)", "DECIMAL(8,4)", "DECIMAL(12,4)"),
    ("DECIMAL(10,2)", "BIGINT", "DECIMAL(21,2)"),
    ("DATE", "TIMESTAMP", "TIMESTAMP"),
    ("TIMESTAMP_MS", "TIMESTAMP_NS", "TIMESTAMP_NS"),
    ("BIGINT[]", '"NULL"[]', "BIGINT[]"),
    ("INTEGER[3]", "BIGINT[]", "BIGINT[]"),
    ("STRUCT(a INTEGER)", "STRUCT(a BIGINT, b DATE)", 'STRUCT("a" BIGINT, "b" DATE)'),
    ("MAP(VARCHAR, INTEGER)", "MAP(VARCHAR, DOUBLE)", "MAP(VARCHAR, DOUBLE)"),
    ("JSON", "VARCHAR", "VARCHAR"),
    ("BIGINT", "VARCHAR", None),
    ("BOOLEAN", "INTEGER", None),
    ("DECIMAL(10,2)", "DOUBLE", None),
    ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE", None),
    ("STRUCT(a INTEGER)", "STRUCT(a VARCHAR)", None),
    ("VARCHAR", "BLOB", None),
    ("INTEGER[]", "INTEGER", None),
]


@pytest.mark.parametrize(("one", "other", "met"), MEETINGS)
def test_two_types_meet_the_same_whichever_comes_first(one, other, met):
    assert widest(one, other) == met
    turned = widest(other, one)
    assert turned == met
    if met is not None:
        duckdb.sql(f"SELECT CAST(NULL AS {met})").fetchall()


CONVERSIONS = [
    ("BIGINT", "DOUBLE", "9007199254740992", 9007199254740992.0),
    ("BIGINT", "DOUBLE", "9007199254740993", None),
    ("DOUBLE", "BIGINT", "3", 3),
    ("DOUBLE", "BIGINT", "3.5", None),
    ("DOUBLE", "BIGINT", "'nan'", None),
    ("BIGINT", "INTEGER", "2147483648", None),
    ("VARCHAR", "BIGINT", "'12'", 12),
    ("VARCHAR", "BIGINT", "'012'", None),
    ("VARCHAR", "BIGINT", "' 1'", None),
    ("VARCHAR", "BIGINT", "'N1'", None),
    ("BIGINT", "VARCHAR", "12", "12"),
    ("DECIMAL(12,4)", "DECIMAL(10,2)", "1.25", 1.25),
    ("DECIMAL(12,4)", "DECIMAL(10,2)", "1.2501", None),
    ("TIMESTAMP", "DATE", "'2013-01-01 00:00:01'", None),
    ("STRUCT(a BIGINT, b INTEGER)", "STRUCT(a INTEGER)", "{'a': 1, 'b': NULL}", {"a": 1}),
    ("STRUCT(a BIGINT, b INTEGER)", "STRUCT(a INTEGER)", "{'a': 1, 'b': 2}", None),
    ("DOUBLE[]", "BIGINT[]", "[1.0, NULL]", [1, None]),
    ("DOUBLE[]", "BIGINT[]", "[1.5]", None),
]


@pytest.mark.parametrize(("type_", "wanted", "value", "expected"), CONVERSIONS)
def test_a_conversion_keeps_a_value_or_stops(type_, wanted, value, expected):
    query = f"SELECT {convert('x', type_, wanted, 'x', 't')} FROM (SELECT CAST({value} AS {type_}) AS x)"
    with duckdb.connect() as connection:
        if expected is None:
            with pytest.raises(duckdb.Error, match="cannot keep a value of column x"):
                connection.execute(query).fetchall()
        else:
            assert connection.execute(query).fetchall() == [(expected,)]
        null = f"SELECT {convert('x', type_, wanted, 'x', 't')} FROM (SELECT CAST(NULL AS {type_}) AS x)"
        assert connection.execute(null).fetchall() == [(None,)]


@pytest.mark.parametrize(("type_", "wanted"), [("BOOLEAN", "BIGINT"), ("BLOB", "VARCHAR"), ("INTEGER[]", "VARCHAR")])
def test_types_of_different_kinds_are_refused_at_once(type_, wanted):
    with pytest.raises(DataError, match=r"'x' of raw_t changed its type: it was .* and now comes as"):
        convert("x", type_, wanted, "x", "raw_t")


def incoming(*names):
    return [Incoming(name, "BIGINT", f'"{name}"') for name in names]


def test_columns_that_differ_by_case_are_never_taken_for_one():
    columns = Columns("raw_t", [Column(name="id", type="BIGINT")])
    plan = columns.plan(incoming("ID", "Id"))
    assert [(column.name, select) for column, select in zip(plan.columns, plan.select, strict=True)] == [
        ("id", "CAST(NULL AS BIGINT)"),
        ("ID__2", '"ID"'),
        ("Id__3", '"Id"'),
    ]
    both = Columns("raw_t", [Column(name="id", type="BIGINT")]).plan(incoming("ID", "id"))
    assert dict(zip([column.name for column in both.columns], both.select, strict=True)) == {
        "id": '"id"',
        "ID__2": '"ID"',
    }


@pytest.mark.parametrize(
    ("one", "other", "met"),
    [
        ("STRUCT(a BIGINT)", "STRUCT(a BIGINT, b DATE)", 'STRUCT("a" BIGINT, "b" DATE)'),
        ("STRUCT(a BIGINT)", "STRUCT(b DATE)", 'STRUCT("a" BIGINT, "b" DATE)'),
        ("STRUCT(a DOUBLE)[]", "STRUCT(a BIGINT, b STRUCT(c DATE))[]", 'STRUCT("a" DOUBLE, "b" STRUCT("c" DATE))[]'),
        ("MAP(VARCHAR, STRUCT(a BIGINT))", "MAP(VARCHAR, STRUCT(A BIGINT, b DATE))",
         'MAP(VARCHAR, STRUCT("a" BIGINT, "b" DATE))'),
        ("STRUCT(a BIGINT, b DATE)", "STRUCT(a BIGINT)", None),
        ("STRUCT(a BIGINT)", "STRUCT(a DOUBLE, b DATE)", None),
        ("STRUCT(a BIGINT)", "VARCHAR", None),
        ("BIGINT", "DOUBLE", None),
    ],
)  # fmt: skip
def test_a_nested_type_gets_members_and_no_other_types(one, other, met):
    assert grown(one, other) == met


def test_a_cast_that_only_adds_members_needs_no_look_at_the_values():
    assert lacks("STRUCT(b DATE)[]", "STRUCT(a BIGINT, b DATE)[]")
    assert not lacks("STRUCT(a BIGINT, b DATE)", "STRUCT(b DATE)")
    assert not lacks("STRUCT(a BIGINT)", "STRUCT(a DOUBLE, b DATE)")
    assert not lacks("BIGINT", "DOUBLE")
    query = convert("x", "STRUCT(b DATE)", "STRUCT(a BIGINT, b DATE)", "x", "t")
    found = duckdb.sql(f"SELECT {query} FROM (VALUES ({{'b': DATE '2026-01-01'}}), (NULL)) v(x)").fetchall()
    assert [row[0] is None or str(row[0]["b"]) for row in found] == ["2026-01-01", True]
