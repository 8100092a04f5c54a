"""Types taken apart, stored, spelled again, and given to Delta; differences between schemas."""

from datetime import UTC, datetime

import duckdb
import pytest
from deltalake import DeltaTable, Schema
from deltalake.transaction import AddAction, create_table_with_add_actions
from hypothesis import given
from hypothesis import strategies as st

from penstock.errors import ConflictError, DataError
from penstock.model.entries import Column, DataFile
from penstock.schema import Type, parse, spell, storage
from penstock.stores.delta import DeltaLog
from penstock.stores.delta_actions import APPLICATION, DeltaCommit
from penstock.stores.delta_types import Difference, delta_field, difference, spelled
from penstock.stores.objects import LocalObjects

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


@pytest.mark.parametrize("settings", [{}, {"delta.appendOnly": "true"}])
@pytest.mark.parametrize(
    "columns",
    [
        {"a": "BIGINT"},
        {"a b,c": "VARCHAR", "é": "DECIMAL(12,2)"},
        {"at": "TIMESTAMP", "inside": "STRUCT(a INTEGER[], m MAP(VARCHAR, DATE))"},
        {"inside": "STRUCT(at TIMESTAMP)[]", "p": "VARCHAR"},
        {"at": "TIMESTAMP WITH TIME ZONE", "p": "VARCHAR"},
    ],
)
def test_a_table_is_made_as_deltalake_makes_it(tmp_path, columns, settings):
    schema = Schema([delta_field(Column(name=name, type=type_)) for name, type_ in columns.items()])
    parts = [name for name in columns if name == "p"]
    at = datetime(2026, 11, 22, tzinfo=UTC)
    file = DataFile(path="a=1/b c.parquet", rows=3, bytes=100, partition=dict.fromkeys(parts, "x"))
    commit = DeltaCommit(number=4, at=at, added=[file], removed=(), schema=schema, partition_by=parts)
    log = DeltaLog(LocalObjects(tmp_path), "ours")
    log.create(commit, dict(settings))
    added = AddAction("a=1/b c.parquet", 100, file.partition, 0, True, '{"numRecords":3}')
    create_table_with_add_actions(str(tmp_path / "theirs"), schema, [added], "error", parts, configuration=settings)
    ours, theirs = DeltaTable(tmp_path / "ours"), DeltaTable(tmp_path / "theirs")
    assert ours.schema() == theirs.schema()
    assert ours.metadata().partition_columns == theirs.metadata().partition_columns
    kept = {name: value for name, value in ours.metadata().configuration.items() if "Stats" not in name}
    assert kept == theirs.metadata().configuration == settings
    one, other = ours.protocol(), theirs.protocol()
    assert (one.min_reader_version, one.min_writer_version) == (other.min_reader_version, other.min_writer_version)
    assert one.reader_features == other.reader_features
    assert set(other.writer_features or ()) <= set(one.writer_features or ())
    assert ours.file_uris()[0].removeprefix(str(tmp_path / "ours")) == theirs.file_uris()[0].removeprefix(
        str(tmp_path / "theirs")
    )
    assert ours.transaction_version(APPLICATION) == log.number == 4
    assert log.schema == schema
    with pytest.raises(ConflictError):
        DeltaLog(LocalObjects(tmp_path), "ours").create(commit, dict(settings))
