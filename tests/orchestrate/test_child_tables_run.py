"""Child tables the whole way: landed, served, read by transforms, told of, made anew from the lake."""

from __future__ import annotations

import json
from pathlib import Path

import deltalake
import duckdb
import pytest

import penstock
from penstock.errors import PenstockError
from penstock.model.receipts import State

PIPELINE = """
from penstock import Pipeline, sources, sql, checks

def qty_by_order(orders__items):
    return orders__items.aggregate('_key_id AS id, sum(qty) AS qty', '_key_id')

shop = Pipeline(
    name="shop",
    sources=[sources.files("orders*.jsonl", table="orders", write="merge", key="id", cursor=None, nested="tables")],
    transforms=[
        sql("skus.sql", text="SELECT sku, count(*) AS n, max(o.customer__name) AS who FROM orders__items i "
            "JOIN orders o ON o._row = i._parent GROUP BY sku"),
        qty_by_order,
    ],
)
"""
FIRST = [
    {"id": 1, "customer": {"name": "Ann"}, "items": [{"sku": "a", "qty": 1}, {"sku": "b", "qty": 2, "gifts": []}]},
    {"id": 2, "customer": {"name": "Bo"}, "items": [{"sku": "d", "qty": 4, "gifts": [{"n": 0}]}]},
]
LOTS = [{"n": 1}]
SECOND = [{"id": 1, "customer": {"name": "Ann"}, "items": [{"sku": "c", "qty": 5, "gifts": [{"n": 1}]}]}]


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "penstock.toml").write_text(
        '[project]\nname = "shop"\npipelines = ["pipeline:shop"]\n'
        '[environments.staging]\nlake = "lake"\nwarehouse = "w.duckdb"\n'
        '[environments.production]\nlake = "production"\nwarehouse = "p.duckdb"\n'
    )
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    return tmp_path


def write(path: Path, records: list) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def served(folder: Path, query: str) -> list[tuple]:
    with duckdb.connect(str(folder / "w.duckdb"), read_only=True) as connection:
        return connection.execute(query).fetchall()


def test_child_tables_the_whole_way(shop: Path) -> None:
    write(shop / "orders1.jsonl", FIRST)
    with penstock.Project(shop) as project:
        assert project.run().state is State.DONE
        assert served(shop, "SELECT sku, n, who FROM skus ORDER BY 1") == [
            ("a", 1, "Ann"),
            ("b", 1, "Ann"),
            ("d", 1, "Bo"),
        ]
        assert served(shop, "SELECT * FROM qty_by_order ORDER BY 1") == [(1, 3), (2, 4)]
        write(shop / "orders2.jsonl", SECOND)
        assert project.run().state is State.DONE
        assert served(shop, "SELECT sku, n, who FROM skus ORDER BY 1") == [("c", 1, "Ann"), ("d", 1, "Bo")]
        assert served(shop, "SELECT _parent, n FROM raw_orders__items__gifts ORDER BY 1") == [
            ("1-1-0", 0),
            ("3-0-0", 1),
        ]
        (orders, *_) = project.status().pipelines[0].tables
        assert orders.children == ("raw_orders__items", "raw_orders__items__gifts")
        assert [entry.number for entry in project.versions("orders__items")] == [
            entry.number for entry in project.versions("orders")
        ]
        with pytest.raises(PenstockError, match="nothing__items"):
            project.versions("nothing__items")

        before = served(shop, "SELECT COLUMNS(* EXCLUDE (_load)) FROM raw_orders__items ORDER BY _row")
        for table in ("orders", None):
            project.rebuild(table=table)
            after = served(shop, "SELECT COLUMNS(* EXCLUDE (_load)) FROM raw_orders__items ORDER BY _row")
            assert after == before
            assert served(shop, "SELECT count(*) FROM raw_orders__items__gifts") == [(2,)]


def test_new_members_of_nested_values_come_into_the_lake_and_the_tables(shop: Path) -> None:
    loads = [
        [{"id": 1, "customer": {"name": "Ann"}, "items": [{"sku": "a", "qty": 1}]}],
        [{"id": 2, "customer": {"name": "Bo", "vip": True}, "items": [{"sku": "b", "qty": 2, "gifts": [{"n": 7}]}]}],
        [{"id": 3, "customer": {"vip": False}, "items": [{"sku": "c", "qty": 3}]}],
    ]
    with penstock.Project(shop) as project:
        for place, records in enumerate(loads):
            write(shop / f"orders{place}.jsonl", records)
            assert project.run().state is State.DONE
        query = "SELECT id, customer__name, customer__vip, items__length FROM raw_orders ORDER BY 1"
        orders = [(1, "Ann", None, 1), (2, "Bo", True, 1), (3, None, False, 1)]
        items = [("a", 1, None), ("b", 2, 1), ("c", 3, None)]
        for work in (None, lambda: project.compact("orders", open_too=True), project.rebuild):
            if work is not None:
                work()
            assert served(shop, query) == orders
            assert served(shop, "SELECT sku, qty, gifts__length FROM raw_orders__items ORDER BY 1") == items
            assert served(shop, "SELECT _parent, n FROM raw_orders__items__gifts") == [("3-0-0", 7)]
    found = deltalake.DeltaTable(shop / "lake" / "raw_orders").to_pyarrow_table().sort_by("id").to_pylist()
    assert [row["customer"] for row in found] == [
        {"name": "Ann", "vip": None}, {"name": "Bo", "vip": True}, {"name": None, "vip": False}
    ]  # fmt: skip
    assert found[1]["items"] == [{"sku": "b", "qty": 2, "gifts": [{"n": 7}]}]


def test_fifty_levels_come_whole(tmp_path: Path) -> None:
    objects, lists = {"v": 1}, {"v": 2}
    for _ in range(50):
        objects, lists = {"a": objects}, {"l": [lists]}
    write(tmp_path / "deep.jsonl", [{"id": 1, "objects": objects, "lists": lists}])
    penstock.ingest(
        str(tmp_path / "deep.jsonl"), to=str(tmp_path / "w.duckdb"), table="t", nested="tables", max_depth=5
    )
    (found,) = served(tmp_path, "SELECT objects__a__a__a__a__a FROM t")[0]
    for _ in range(5):
        objects = objects["a"]
    assert json.loads(found) == objects
    (found,) = served(tmp_path, "SELECT l FROM t__lists__l__l__l__l")[0]
    for _ in range(4):
        lists = lists["l"][0]
    assert json.loads(found) == lists["l"]


def test_ten_thousand_keys_are_a_map(tmp_path: Path) -> None:
    records = [
        {"id": n, "tags": {f"k{n * 5 + i}": n for i in range(5)}, "items": [{"rare": {f"o{n}": 1.5}}]}
        for n in range(2000)
    ]
    write(tmp_path / "keys.jsonl", records)
    penstock.ingest(str(tmp_path / "keys.jsonl"), to=str(tmp_path / "w.duckdb"), table="t", nested="tables")
    assert served(tmp_path, "SELECT typeof(tags), tags FROM t WHERE id = 7") == [
        ("MAP(VARCHAR, BIGINT)", records[7]["tags"])
    ]
    assert served(tmp_path, "SELECT sum(map_values(rare)[1]), count(DISTINCT map_keys(rare)) FROM t__items") == [
        (3000.0, 2000)
    ]


def test_values_of_several_kinds_stay_one_column(tmp_path: Path) -> None:
    records = [
        {"id": 1, "n": 1, "x": 1, "e": {}, "l": [], "tags": ["a", None], "items": [{"q": 1, "m": 1}]},
        {"id": 2, "n": 1.5, "x": "a", "e": None, "l": None, "tags": [], "items": [None, {"q": 2.5, "m": "s"}]},
        {"id": 3, "items": []},
        {"id": 4, "items": None},
    ]
    write(tmp_path / "mixed.jsonl", records)
    penstock.ingest(str(tmp_path / "mixed.jsonl"), to=str(tmp_path / "w.duckdb"), table="t", nested="tables")
    assert served(tmp_path, "SELECT id, n, x, e, l, tags, items__length FROM t ORDER BY id") == [
        (1, 1.0, "1", "{}", [], ["a", None], 1),
        (2, 1.5, '"a"', None, None, [], 2),
        (3, None, None, None, None, None, 0),
        (4, None, None, None, None, None, None),
    ]
    assert served(tmp_path, "SELECT _parent, _index, q, m FROM t__items ORDER BY 1, 2") == [
        ("1-0", 0, 1.0, "1"),
        ("1-1", 0, None, None),
        ("1-1", 1, 2.5, '"s"'),
    ]


def test_scope_tells_the_child_tables(shop: Path) -> None:
    write(shop / "orders1.jsonl", FIRST)
    with penstock.Project(shop) as project:
        (found,) = project.scope(str(shop / "orders1.jsonl"))
    assert found.children == ("__items", "__items__gifts")


def without_transforms(shop: Path, more: str = "") -> None:
    pipeline = (shop / "pipeline.py").read_text()
    (shop / "pipeline.py").write_text(pipeline.split("    transforms=")[0] + more + ")\n")


def test_whole_and_fractional_numbers_stay_one_column_from_load_to_load(shop: Path) -> None:
    without_transforms(shop)
    loads = [
        [{"id": 1, "price": 1, "items": [{"sku": "a", "qty": 1}]}],
        [{"id": 2, "price": 2.5, "items": [{"sku": "b", "qty": 1.5, "gifts": [{"n": 7}]}]}],
        [{"id": 3, "price": 3, "items": [{"sku": "c", "qty": 2}]}],
    ]
    with penstock.Project(shop) as project:
        for place, records in enumerate(loads):
            write(shop / f"orders{place}.jsonl", records)
            assert project.run().state is State.DONE
        for work in (None, lambda: project.compact("orders", open_too=True), project.rebuild):
            if work is not None:
                work()
            query = "SELECT id, price, items__length FROM raw_orders ORDER BY id"
            assert served(shop, query) == [(1, 1.0, 1), (2, 2.5, 1), (3, 3.0, 1)]
            query = "SELECT sku, qty FROM raw_orders__items ORDER BY sku"
            assert served(shop, query) == [("a", 1.0), ("b", 1.5), ("c", 2.0)]
            assert served(shop, "SELECT _key_id, n FROM raw_orders__items__gifts") == [(2, 7)]


def test_rows_set_aside_come_in_again_with_their_children(shop: Path) -> None:
    without_transforms(shop, 'checks={"orders": [checks.between("score", 0, 10, severity="quarantine")]},')
    items = [{"sku": "a", "qty": 1, "gifts": [{"n": 1}]}]
    with penstock.Project(shop) as project:
        write(shop / "orders1.jsonl", [{"id": 1, "score": 99, "items": items}, {"id": 2, "score": 1, "items": items}])
        project.run()
        assert served(shop, "SELECT _key_id FROM raw_orders__items") == [(2,)]
        write(shop / "orders2.jsonl", [{"id": 2, "score": 2, "items": [{"sku": "b", "qty": 2}]}])
        project.run()
        project.quarantine.replay("orders", sets=["score = 9"])
        assert served(shop, "SELECT _row, id, score FROM raw_orders ORDER BY id") == [("1-0", 1, 9), ("3-0", 2, 2)]
        query = "SELECT _parent, _key_id, sku, qty FROM raw_orders__items ORDER BY 1"
        assert served(shop, query) == [("1-0", 1, "a", 1), ("3-0", 2, "b", 2)]
        assert served(shop, "SELECT _parent, n FROM raw_orders__items__gifts") == [("1-0-0", 1)]
        project.rebuild()
        assert served(shop, query) == [("1-0", 1, "a", 1), ("3-0", 2, "b", 2)]


def test_lists_and_objects_that_are_empty_for_a_whole_load_change_no_type(shop: Path) -> None:
    without_transforms(shop)
    full = {"c": {"a": 1}, "m": {}, "items": [{"sku": "a", "qty": 1, "gifts": [{"n": 1}]}]}
    loads = [
        {"id": 1, **full},
        {"id": 2, "c": {}, "m": {"k": 1}, "items": []},
        {"id": 3, "c": {"a": 2}, "m": {}, "items": [{"sku": "b", "qty": 2, "gifts": []}]},
    ]
    with penstock.Project(shop) as project:
        for place, record in enumerate(loads):
            write(shop / f"orders{place}.jsonl", [record])
            assert project.run().state is State.DONE
    assert served(shop, "SELECT id, c__a, m, items__length FROM raw_orders ORDER BY id") == [
        (1, 1, "{}", 1), (2, None, '{"k":1}', 0), (3, 2, "{}", 1)
    ]  # fmt: skip
    assert served(shop, "SELECT _key_id, sku, gifts__length FROM raw_orders__items ORDER BY 1") == [
        (1, "a", 1), (3, "b", 0)
    ]  # fmt: skip


def test_an_object_that_is_a_text_in_another_load_becomes_json_and_stays_so(shop: Path) -> None:
    without_transforms(shop)
    wanted = [(1, '{"a":1}'), (2, "{}"), (3, '"x"'), (4, '{"a":5}'), (5, '"{}"')]
    with penstock.Project(shop) as project:
        write(shop / "orders1.jsonl", [{"id": 1, "c": {"a": 1}}])
        project.run()
        assert served(shop, "SELECT id, c__a FROM raw_orders") == [(1, 1)]
        write(shop / "orders2.jsonl", [{"id": 2, "c": {}}, {"id": 3, "c": "x"}])
        receipt = project.run()
        assert any("column 'c' is JSON now" in note for step in receipt.steps for note in step.notes)
        write(shop / "orders3.jsonl", [{"id": 4, "c": {"a": 5}}])
        project.run()
        write(shop / "orders4.jsonl", [{"id": 5, "c": "{}"}])
        for work in (project.run, lambda: project.compact("orders", open_too=True), project.rebuild, project.run):
            work()
            assert served(shop, "SELECT id, c FROM raw_orders ORDER BY id") == wanted


def test_what_held_nothing_at_first_becomes_what_comes(shop: Path) -> None:
    without_transforms(shop)
    empty = {"n": None, "tags": [], "c": {"z": None, "y": []}, "items": [{"sku": "a", "lots": []}]}
    loads = [
        {"id": 1, **empty},
        {"id": 2, "n": 5, "tags": [3], "c": {"z": {"k": 1}, "y": [{"w": 2}]}, "items": [{"sku": "b", "lots": LOTS}]},
        {"id": 3, **empty},
    ]
    with penstock.Project(shop) as project:
        for place, record in enumerate(loads):
            write(shop / f"orders{place}.jsonl", [record])
            assert project.run().state is State.DONE
        for work in (None, lambda: project.compact("orders", open_too=True), project.rebuild):
            if work is not None:
                work()
            assert served(shop, "SELECT id, n, tags, c__z__k, c__y__length FROM raw_orders ORDER BY id") == [
                (1, None, [], None, 0), (2, 5, [3], 1, 1), (3, None, [], None, 0)
            ]  # fmt: skip
            assert served(shop, "SELECT _key_id, w FROM raw_orders__c__y") == [(2, 2)]
            assert served(shop, "SELECT _key_id, sku, lots__length FROM raw_orders__items ORDER BY 1") == [
                (1, "a", 0), (2, "b", 1), (3, "a", 0)
            ]  # fmt: skip
            assert served(shop, "SELECT _key_id, n FROM raw_orders__items__lots") == [(2, 1)]
