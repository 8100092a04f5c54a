"""Types taken apart, stored, spelled again, and given to Delta; differences between schemas."""

import duckdb
import pytest
from deltalake import Schema
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import DataError
from penstock.model.entries import Column
from penstock.schema import Type, parse, spell, storage
from penstock.stores.delta_types import Difference, delta_field, difference, spelled

PLAIN = [
    "BOOLEAN",
    "BIGINT",
    "UBIGINT",
    "HUGEINT",
    "VARCHAR",
    "TIME",
    "TIMESTAMP WITH TIME ZONE",
    "DECIMAL(38,10)",
    "UUID",
]


def _nested(inner):
    names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=5)
    fields = st.dictionaries(names, inner, min_size=1, max_size=3).filter(
        lambda found: len({name.lower() for name in found}) == len(found)
    )
    return st.one_of(
        inner.map(lambda type_: Type("LIST", "", (("element", type_),))),
        inner.map(lambda type_: Type("ARRAY", "3", (("element", type_),))),
        inner.map(lambda type_: Type("MAP", "", (("", Type("VARCHAR")), ("", type_)))),
        fields.map(lambda found: Type("STRUCT", "", tuple(found.items()))),
    )


TYPES = st.recursive(st.sampled_from(PLAIN).map(parse), _nested, max_leaves=6)


@given(TYPES)
def test_a_type_is_spelled_as_it_was_taken_apart(type_):
    assert parse(spell(type_)) == type_


@given(TYPES)
def test_every_stored_form_is_one_that_delta_has(type_):
    how = storage(spell(type_))
    delta_field(Column(name="x", type=spell(type_), stored=how.stored if how else None))


@given(TYPES)
def test_what_duckdb_prints_is_taken_apart(type_):
    printed = duckdb.sql(f"SELECT typeof(CAST(NULL AS {spell(type_)}))").fetchall()[0][0]
    assert parse(printed) == type_


@pytest.mark.parametrize(
    "text", ["", "STRUCT(", "STRUCT(INTEGER)x", "MAP(VARCHAR)", "UNION(a INTEGER)", "INTEGER[", "1"]
)
def test_what_is_no_type_is_refused(text):
    with pytest.raises(ValueError, match=""[:0] or r"^"):
        parse(text)


def test_a_type_that_delta_lacks_is_named():
    with pytest.raises(DataError, match=r"'x' has a stored type that a Delta table cannot hold. Got: UBIGINT"):
        delta_field(Column(name="x", type="UBIGINT"))


def test_differences_ignore_case_and_order():
    table = Schema(
        [delta_field(Column(name=name, type=type_)) for name, type_ in [("A", "BIGINT"), ("b", "STRUCT(x DATE)")]]
    )
    wanted = [("b", "STRUCT(x DATE)"), ("a", "DOUBLE"), ("c", "DATE")]
    found = difference(table, [delta_field(Column(name=name, type=type_)) for name, type_ in wanted])
    assert [field.name for field in found.added] == ["c"]
    assert found.changed == (("a", "long", "double"),)
    assert found.dropped == ()


@pytest.mark.parametrize(
    ("had", "wanted", "met"),
    [
        ("STRUCT(x DATE)", "STRUCT(x DATE, y BIGINT)", "STRUCT(x DATE, y BIGINT)"),
        (
            "STRUCT(x DATE, z DATE)[]",
            "STRUCT(y STRUCT(z DATE), X DATE)[]",
            "STRUCT(x DATE, z DATE, y STRUCT(z DATE))[]",
        ),
        ("MAP(VARCHAR, STRUCT(x DATE))", "MAP(VARCHAR, STRUCT(y DATE))", "MAP(VARCHAR, STRUCT(x DATE, y DATE))"),
    ],
)
def test_a_nested_type_that_gets_members_is_no_change(had: str, wanted: str, met: str):
    table = Schema([delta_field(Column(name="b", type=had))])
    found = difference(table, [delta_field(Column(name="B", type=wanted))])
    assert not found.changed
    assert [(field.name, spelled(field)) for field in found.added] == [
        ("b", spelled(delta_field(Column(name="b", type=met))))
    ]
    assert difference(Schema(list(found.added)), [delta_field(Column(name="b", type=wanted))]) == Difference((), (), ())


def test_a_nested_type_whose_member_changes_is_a_change():
    table = Schema([delta_field(Column(name="b", type="STRUCT(x DATE)[]"))])
    found = difference(table, [delta_field(Column(name="b", type="STRUCT(x BIGINT, y DATE)[]"))])
    assert [name for name, _, _ in found.changed] == ["b"]
    assert not found.added
