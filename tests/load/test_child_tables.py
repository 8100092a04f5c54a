"""Nested values as child tables: what stands in them after loads in any order, and what stays JSON."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from landed_folder import FolderTable, apply, source

from penstock.errors import ConfigurationError, DataError
from penstock.model.reading import read_as
from penstock.model.specs import Deletes, Nested, SourceSpec, WriteMode
from penstock.stores.engine import LocalEngine
from penstock.stores.warehouse import DuckDBWarehouse

ORDERS = """SELECT * FROM (VALUES
    (1, {'name': 'Ann', 'address': {'city': 'Oslo', 'zip': '0150'}},
        [{'sku': 'a', 'qty': 2, 'lots': [{'n': 1}, {'n': 2}]}, {'sku': 'b', 'qty': 1, 'lots': []}], ['x', 'y']),
    (2, NULL, [], []),
    (3, {'name': 'Bo', 'address': NULL}, NULL, NULL)) o(id, customer, items, tags)"""


def tables(kind: WriteMode = WriteMode.APPEND, key: tuple[str, ...] = (), **more) -> SourceSpec:
    return source(kind, key, nested=Nested.TABLES, **more)


def rows(transaction, table: str) -> list[dict]:
    """The rows of a table as a reader sees them, in an order of their own; moments left out."""
    names = [column.name for column in transaction.columns(table)]
    found = [dict(zip(names, row, strict=True)) for row in transaction.execute(f'SELECT * FROM "{table}"')]
    kept = [{name: value for name, value in row.items() if name not in ("_created_at", "_updated_at")} for row in found]
    return sorted(kept, key=lambda row: row["_row"])


def everything(transaction) -> dict[str, list[str]]:
    """All tables of the warehouse, without regard to the order of columns."""
    return {
        name: [
            json.dumps({k: v for k, v in sorted(row.items()) if v is not None}, default=str)
            for row in rows(transaction, name)
        ]
        for name in transaction.tables()
    }


def test_objects_become_columns_and_lists_of_objects_child_tables(warehouse, lake):
    with warehouse.writing() as transaction:
        receipt = apply(transaction, lake, tables(), [lake.load(1, ORDERS)])
        assert receipt.rows == 3
        assert transaction.tables() == ("raw_t", "raw_t__items", "raw_t__items__lots")
        parents = rows(transaction, "raw_t")
        assert [(row["customer__name"], row["customer__address__city"]) for row in parents] == [
            ("Ann", "Oslo"), (None, None), ("Bo", None)
        ]  # fmt: skip
        assert [row["tags"] for row in parents] == [["x", "y"], [], None]
        assert [row["items__length"] for row in parents] == [2, 0, None]
        items = rows(transaction, "raw_t__items")
        assert items == [
            {"_parent": "1-0", "_index": 0, "_row": "1-0-0", "sku": "a", "qty": 2, "lots__length": 2, "_load": 1},
            {"_parent": "1-0", "_index": 1, "_row": "1-0-1", "sku": "b", "qty": 1, "lots__length": 0, "_load": 1},
        ]
        assert [(row["_parent"], row["_index"], row["n"]) for row in rows(transaction, "raw_t__items__lots")] == [
            ("1-0-0", 0, 1), ("1-0-0", 1, 2)
        ]  # fmt: skip


def test_quarantined_and_superseded_parents_have_no_children(warehouse, lake):
    first = lake.load(1, ORDERS, quarantined=[(0, 0)])
    second = lake.load(2, "SELECT 9 AS id, [{'sku': 'z'}] AS items", supersedes=[1])
    with warehouse.writing() as transaction:
        apply(transaction, lake, tables(), [first])
        assert rows(transaction, "raw_t__items") == []
    with warehouse.writing() as transaction:
        apply(transaction, lake, tables(), [lake.load(3, ORDERS)])
        assert len(rows(transaction, "raw_t__items")) == 2
        apply(transaction, lake, tables(), [second])
        assert {row["_load"] for row in rows(transaction, "raw_t__items")} == {2, 3}


def test_replace_leaves_the_children_of_the_newest_load_alone(warehouse, lake):
    with warehouse.writing() as transaction:
        apply(transaction, lake, tables(WriteMode.REPLACE), [lake.load(1, ORDERS)])
        apply(transaction, lake, tables(WriteMode.REPLACE), [lake.load(2, "SELECT 1 AS id, [{'sku': 'z'}] AS items")])
        assert transaction.tables() == ("raw_t", "raw_t__items")
        assert [row["sku"] for row in rows(transaction, "raw_t__items")] == ["z"]


def test_a_merge_replaces_the_children_of_a_key_and_a_delete_takes_them_along(warehouse, lake):
    spec = tables(WriteMode.MERGE, ("id",), deletes=Deletes(column="gone"))
    made = "SELECT {id} AS id, {gone} AS gone, [{{'sku': s}} for s in {skus}] AS items"
    first = [made.format(id=1, gone="false", skus="['a', 'b']"), made.format(id=2, gone="false", skus="['c']")]
    loads = [
        lake.load(1, " UNION ALL ".join(first)),
        lake.load(2, made.format(id=1, gone="false", skus="['d']")),
        lake.load(3, made.format(id=2, gone="true", skus="['c']")),
    ]  # fmt: skip
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        with warehouse.writing() as transaction:
            for table in ("raw_t", "raw_t__items"):
                transaction.execute(f'DROP TABLE IF EXISTS "{table}"')
            transaction.execute("DROP SCHEMA IF EXISTS _penstock CASCADE")
            for place in order:
                apply(transaction, lake, spec, [loads[place]], loads)
            found = rows(transaction, "raw_t__items")
            assert [(row["_parent"], row["_key_id"], row["sku"]) for row in found] == [("2-0", 1, "d")]


VALUES = st.none() | st.lists(st.integers(0, 9), max_size=3)
LOADS = st.lists(
    st.tuples(st.lists(st.tuples(st.integers(1, 3), VALUES), max_size=4), st.booleans()), min_size=1, max_size=5
)
TYPE = "STRUCT(v INT, w STRUCT(x INT)[])[]"


def query(content: list) -> str:
    listed = [
        f"({key}, {'NULL' if values is None else [{'v': v, 'w': [{'x': v}]} for v in values]}::{TYPE})"
        for key, values in content
    ]
    return f"SELECT * FROM (VALUES {', '.join(listed or [f'(1, NULL::{TYPE})'])}) r(id, vs) WHERE {bool(listed)}"


def model(history: list, write: WriteMode) -> list:
    """Parent, place and value of each child row, said in Python."""
    found = {}
    for number, (content, _) in enumerate(history, start=1):
        if number < len(history) and history[number][1]:
            continue  # The load after it supersedes it.
        for place, (key, values) in enumerate(content):
            found[key if write is WriteMode.MERGE else (number, place)] = (f"{number}-{place}", values or [])
    return sorted((name, place, value) for name, values in found.values() for place, value in enumerate(values))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    history=LOADS,
    random=st.randoms(use_true_random=False),
    write=st.sampled_from([WriteMode.APPEND, WriteMode.MERGE, WriteMode.MERGE]),
)
def test_any_order_of_loads_gives_the_children_of_the_rows_that_stand(
    engine: LocalEngine, history: list, random, write: WriteMode
) -> None:
    spec = tables(write, ("id",) if write is WriteMode.MERGE else ())
    with tempfile.TemporaryDirectory() as folder:
        lake = FolderTable(Path(folder) / "lake")
        warehouse = DuckDBWarehouse(f"{folder}/w.duckdb", engine, patience=10)
        order = [
            lake.load(number, query(content), supersedes=[number - 1] if supersedes and number > 1 else [])
            for number, (content, supersedes) in enumerate(history, start=1)
        ]
        random.shuffle(order)
        seen: list = []
        with warehouse.writing() as transaction:
            while order:
                count = random.randint(1, 3)
                some, order = order[:count], order[count:]
                seen += some
                dead = {old for load in seen for old in load.entry.supersedes}
                live = sorted((x for x in seen if x.entry.number not in dead), key=lambda load: load.entry.number)
                apply(transaction, lake, spec, some, live)
            found = rows(transaction, "raw_t__vs")
            assert [(row["_parent"], row["_index"], row["v"]) for row in found] == model(history, write)
            deeper = rows(transaction, "raw_t__vs__w")
            assert [(row["_parent"], row["x"]) for row in deeper] == [(row["_row"], row["v"]) for row in found]


def test_types_that_differ_between_loads_stay_one_column_in_any_order(warehouse, lake):
    loads = [
        lake.load(1, "SELECT 1 AS id, {'name': 'Ann', 'age': 7} AS customer, [{'sku': 'a'}] AS items"),
        lake.load(2, "SELECT 2 AS id, {'name': 'Bo', 'age': 7::BIGINT, 'vip': true} AS customer, NULL AS items"),
        lake.load(3, "SELECT 3 AS id, 'Cy' AS customer, ['b', 'c'] AS items"),
    ]
    results = []
    for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
        with warehouse.writing() as transaction:
            for table in transaction.tables():
                transaction.execute(f'DROP TABLE "{table}"')
            transaction.execute("DROP SCHEMA IF EXISTS _penstock CASCADE")
            for place in order:
                apply(transaction, lake, tables(), [loads[place]], loads)
            results.append(everything(transaction))
            customers = [json.loads(row["customer"]) for row in rows(transaction, "raw_t")]
            assert customers == [
                {"name": "Ann", "age": 7}, {"name": "Bo", "age": 7, "vip": True}, "Cy"
            ]  # fmt: skip
            assert [row["items"] for row in rows(transaction, "raw_t")] == ['[{"sku":"a"}]', None, '["b","c"]']
    assert results[0] == results[1] == results[2]
    assert set(results[0]) == {"raw_t"}


def test_new_fields_and_new_lists_widen_the_tables_without_making_them_anew(warehouse, lake):
    loads = [
        lake.load(1, "SELECT 1 AS id, [{'qty': 1}] AS items"),
        lake.load(
            2, "SELECT 2 AS id, [{'qty': 5000000000, 'note': 'x', 'lots': [{'n': 1}]}] AS items, [{'a': 1}] AS more"
        ),
    ]
    with warehouse.writing() as transaction:
        for load in loads:
            apply(transaction, lake, tables(), [load])  # Without the live loads nothing could be made anew.
        assert [(row["qty"], row["note"]) for row in rows(transaction, "raw_t__items")] == [
            (1, None),
            (5000000000, "x"),
        ]
        assert transaction.tables() == ("raw_t", "raw_t__items", "raw_t__items__lots", "raw_t__more")


def test_names_that_would_meet_are_told_apart(warehouse, lake):
    query = """SELECT 1 AS "a__b", {'b': 2, '_row': 3} AS a, 4 AS "_row", 5 AS "a.b", {'length': 6} AS items__x,
        [{'_parent': 7, '_index': 8}] AS items, 9 AS "_key_id" """
    with warehouse.writing() as transaction:
        apply(transaction, lake, tables(WriteMode.MERGE, ("a.b",)), [lake.load(1, query)])
        (row,) = rows(transaction, "raw_t")
        values = {name: value for name, value in row.items() if not name.startswith("_order") and name != "_load"}
        assert values.pop("a__b") == 1
        assert values.pop("a.b") == 5
        assert values.pop("_row") == "1-0"
        assert sorted(str(value) for value in values.values()) == ["1", "2", "3", "4", "6", "9"]
        (item,) = rows(transaction, "raw_t__items")
        assert (item["_parent"], item["_index"], item["_key_a.b"]) == ("1-0", 0, 5)
        assert {7, 8} <= set(item.values())


def test_limits_leave_json_and_say_so(warehouse, lake):
    query = "SELECT 1 AS id, [{'a': 1}] AS one, [{'b': 2}] AS two, {'x': {'y': {'z': 3}}} AS deep"
    with warehouse.writing() as transaction:
        receipt = apply(transaction, lake, tables(max_child_tables=1, max_depth=2), [lake.load(1, query)])
        assert transaction.tables() == ("raw_t", "raw_t__one")
        (row,) = rows(transaction, "raw_t")
        assert (row["two"], row["deep__x__y"]) == ('[{"b":2}]', '{"z":3}')
        (note,) = receipt.notes
        assert "two" in note
        assert "deep.x.y" in note
        again = apply(transaction, lake, tables(max_child_tables=1, max_depth=2), [lake.load(2, query)])
        assert again.notes == ()


def test_fifty_levels_and_maps_and_lists_of_lists(warehouse, lake):
    deep = "1"
    for _ in range(50):
        deep = f"{{'a': {deep}}}"
    query = f"""SELECT {deep} AS d, MAP {{'k': 1, 'l': 2}} AS m, [[1, 2], [3]] AS plain, [[{{'a': 1}}]] AS odd"""
    with warehouse.writing() as transaction:
        apply(transaction, lake, tables(max_depth=60), [lake.load(1, query)])
        (row,) = rows(transaction, "raw_t")
        assert row["d" + "__a" * 50] == 1
        assert (row["m"], row["plain"], row["odd"]) == ({"k": 1, "l": 2}, [[1, 2], [3]], '[[{"a":1}]]')


def test_nested_values_as_json(warehouse, lake):
    with warehouse.writing() as transaction:
        apply(transaction, lake, source(WriteMode.APPEND, nested=Nested.JSON), [lake.load(1, ORDERS)])
        assert transaction.tables() == ("raw_t",)
        found = transaction.execute("SELECT items->>'$[0].sku', items IS NULL, tags FROM raw_t ORDER BY id")
        assert found == [("a", False, '["x","y"]'), (None, False, "[]"), (None, True, None)]


def test_asking_otherwise_makes_the_tables_anew(warehouse, lake):
    load = lake.load(1, ORDERS)
    with warehouse.writing() as transaction:
        apply(transaction, lake, tables(), [load], [load])
        apply(transaction, lake, source(WriteMode.APPEND), [load], [load])
        assert transaction.tables() == ("raw_t",)
        apply(transaction, lake, tables(), [load], [load])
        assert len(rows(transaction, "raw_t__items__lots")) == 2


def test_a_table_of_somebody_else_is_not_taken(warehouse, lake):
    with warehouse.writing() as transaction:
        transaction.execute("CREATE TABLE raw_t__items (a INT)")
        with pytest.raises(DataError, match="raw_t__items of raw_t would take the name of another table"):
            apply(transaction, lake, tables(), [lake.load(1, ORDERS)])


def test_what_cannot_be_asked_for():
    spec = SourceSpec(table="t", kind="python")
    with pytest.raises(ConfigurationError, match="keeps a history, whose versions cannot have child tables"):
        read_as(spec, {"nested": "tables", "write": "scd2", "key": "id"})
    with pytest.raises(ConfigurationError, match="nested of source 't' is not known"):
        read_as(spec, {"nested": "deep"})
    with pytest.raises(ConfigurationError, match="max_depth of source 't' is no number"):
        read_as(spec, {"nested": "tables", "max_depth": 0})
