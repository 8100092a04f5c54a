from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from landed_folder import START, FolderTable, apply, source

from penstock.errors import ConfigurationError, DataError, PenstockError
from penstock.load.ledger import held
from penstock.load.spec import AcceptedLoad
from penstock.model.specs import WriteMode
from penstock.stores.warehouse import DuckDBWarehouse

APPEND = source(WriteMode.APPEND)
REPLACE = source(WriteMode.REPLACE)
MERGE = source(WriteMode.MERGE, ("id",), "updated")


def table(warehouse: DuckDBWarehouse, columns: str = "*", name: str = "raw_t") -> list[tuple[object, ...]]:
    with warehouse.reading() as transaction:
        return transaction.execute(f"SELECT {columns} FROM {name} ORDER BY ALL")


def types(warehouse: DuckDBWarehouse) -> dict[str, str]:
    with warehouse.reading() as transaction:
        return {column.name: column.type for column in transaction.columns("raw_t") or ()}


def load(warehouse: DuckDBWarehouse, lake: FolderTable, spec, loads, live=None, prepare=None):
    with warehouse.writing() as transaction:
        return apply(transaction, lake, spec, loads, live, prepare)


def test_append_adds_the_rows_of_each_load_once(warehouse: DuckDBWarehouse, lake: FolderTable) -> None:
    one, two = lake.load(1, "SELECT 1 AS id"), lake.load(2, ["SELECT 2 AS id", "SELECT 1 AS id"])
    first = load(warehouse, lake, APPEND, [one])
    again = load(warehouse, lake, APPEND, [two, one])
    nothing = load(warehouse, lake, APPEND, [one, two])
    assert (first.loads, first.inserted, first.deleted, first.rows) == ((1,), 1, 0, 1)
    assert (again.loads, again.inserted, again.rows) == ((2,), 2, 3)
    assert (nothing.loads, nothing.inserted, nothing.rows) == ((), 0, 3)
    one_at, two_at = START + timedelta(hours=1), START + timedelta(hours=2)
    assert table(warehouse) == [(1, 1, one_at, one_at), (1, 2, two_at, two_at), (2, 2, two_at, two_at)]
    with warehouse.reading() as transaction:
        assert transaction.applied("raw_t") == 2
        assert held(transaction, ["raw_t"])["raw_t"] == {1, 2}
        assert transaction.tables() == ("raw_t",)


def test_append_replaces_superseded_loads_in_any_order(
    warehouse: DuckDBWarehouse, lake: FolderTable, tmp_path: Path, engine
) -> None:
    loads = [
        lake.load(1, "SELECT 'first' AS v"),
        lake.load(2, "SELECT 'again' AS v", supersedes=[1]),
        lake.load(3, "SELECT 'other' AS v"),
        lake.load(4, "SELECT 'third' AS v WHERE false", supersedes=[2]),
    ]
    for number, order in enumerate(list(itertools.permutations(loads))[::3]):
        fresh = DuckDBWarehouse(str(tmp_path / f"{number}.duckdb"), engine)
        with fresh.writing() as transaction:
            for one in order:
                apply(transaction, lake, APPEND, [one])
        assert table(fresh, "v, _load") == [("other", 3)], order


def test_replace_keeps_the_newest_load_whatever_comes_later(
    warehouse: DuckDBWarehouse, lake: FolderTable, tmp_path: Path, engine
) -> None:
    loads = [
        lake.load(1, "SELECT 1 AS a, 'x' AS gone"),
        lake.load(2, "SELECT 'two' AS a UNION ALL SELECT 'zwei'"),
        lake.load(3, "SELECT DATE '2026-01-01' AS a, 3 AS came"),
    ]
    for number, order in enumerate(itertools.permutations(loads)):
        fresh = DuckDBWarehouse(str(tmp_path / f"{number}.duckdb"), engine)
        for one in order:
            load(fresh, lake, REPLACE, [one])
        assert types(fresh).keys() == {"a", "came", "_load", "_created_at", "_updated_at"}
        assert table(fresh, "a::VARCHAR, came, _load") == [("2026-01-01", 3, 3)]
    receipt = load(warehouse, lake, REPLACE, loads)
    assert (receipt.loads, receipt.inserted, receipt.deleted, receipt.rows) == ((3,), 1, 0, 1)
    empty = load(warehouse, lake, REPLACE, [lake.load(4, "SELECT 'two' AS a WHERE false")])
    assert (empty.inserted, empty.deleted, empty.rows) == (0, 1, 0)
    assert types(warehouse)["a"] == "VARCHAR"


def test_a_failed_replace_leaves_the_old_rows(warehouse: DuckDBWarehouse, lake: FolderTable) -> None:
    load(warehouse, lake, REPLACE, [lake.load(1, "SELECT 1 AS a")])
    torn = lake.load(2, "SELECT range AS a FROM range(10000)")
    file = Path(lake.uri(torn.entry.files[0].path))
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(PenstockError, match="raw_t"):
        load(warehouse, lake, REPLACE, [torn])
    assert table(warehouse, "a, _load") == [(1, 1)]


@pytest.mark.parametrize("spec", [APPEND, REPLACE, MERGE])
def test_an_empty_first_load_makes_the_typed_table(warehouse: DuckDBWarehouse, lake: FolderTable, spec) -> None:
    empty = lake.load(1, "SELECT 1 AS id, DATE '2026-01-01' AS updated, 1.5::DECIMAL(9,2) AS price WHERE false")
    assert empty.entry.files == ()
    receipt = load(warehouse, lake, spec, [empty])
    assert (receipt.loads, receipt.inserted, receipt.rows) == ((1,), 0, 0)
    assert dict(list(types(warehouse).items())[:3]) == {"id": "INTEGER", "updated": "DATE", "price": "DECIMAL(9,2)"}
    load(
        warehouse,
        lake,
        spec,
        [lake.load(2, "SELECT 7 AS id, DATE '2026-01-01' AS updated, 1.5::DECIMAL(9,2) AS price")],
    )
    assert table(warehouse, "id") == [(7,)]


@pytest.mark.parametrize("spec", [APPEND, REPLACE, MERGE])
def test_an_empty_load_without_columns_makes_a_table_that_the_next_load_fills(
    warehouse: DuckDBWarehouse, lake: FolderTable, spec
) -> None:
    entry = replace(lake.load(1, "SELECT 1 AS id WHERE false").entry, schema=())
    assert load(warehouse, lake, spec, [AcceptedLoad(entry)]).loads == (1,)
    assert table(warehouse) == []
    rows = lake.load(2, "SELECT 7 AS id, DATE '2026-01-01' AS updated")
    again = AcceptedLoad(replace(entry, number=3))
    assert load(warehouse, lake, spec, [rows]).inserted == 1
    load(warehouse, lake, spec, [again])
    assert table(warehouse) == [] if spec is REPLACE else table(warehouse, "id, _load") == [(7, 2)]


def test_several_replacing_loads_in_one_transaction(warehouse: DuckDBWarehouse, lake: FolderTable) -> None:
    with warehouse.writing() as transaction:
        for number, query in ((1, "SELECT 1 AS a"), (3, "SELECT 'x' AS a"), (2, "SELECT 2 AS b")):
            apply(transaction, lake, REPLACE, [lake.load(number, query)])
        assert held(transaction, ["raw_t"])["raw_t"] == {1, 2, 3}
    assert table(warehouse, "a, _load") == [("x", 3)]


@pytest.mark.parametrize("spec", [APPEND, REPLACE, MERGE])
def test_quarantined_rows_stay_outside(warehouse: DuckDBWarehouse, lake: FolderTable, spec) -> None:
    query = "SELECT range AS id, DATE '2026-01-01' AS updated FROM range({}, {})"
    mixed = lake.load(1, [query.format(0, 3), query.format(3, 6)], quarantined=[(0, 1), (1, 0), (1, 2)])
    receipt = load(warehouse, lake, spec, [mixed])
    assert (receipt.inserted, receipt.rows) == (3, 3)
    assert table(warehouse, "id") == [(0,), (2,), (4,)]
    if spec is MERGE:
        assert table(warehouse, "id, _order.position") == [(0, 0), (2, 2), (4, 4)]


@pytest.mark.parametrize("spec", [APPEND, REPLACE, MERGE])
def test_files_that_disagree_with_their_manifest_are_refused(
    warehouse: DuckDBWarehouse, lake: FolderTable, spec
) -> None:
    query = "SELECT range AS id, DATE '2026-01-01' AS updated FROM range({})"
    one, other = lake.load(1, query.format(5)), lake.load(2, query.format(4))
    Path(lake.uri(one.entry.files[0].path)).write_bytes(Path(lake.uri(other.entry.files[0].path)).read_bytes())
    with pytest.raises(DataError, match="hold 4 rows outside the quarantine, their manifests say 5"):
        load(warehouse, lake, spec, [one])
    with warehouse.reading() as transaction:
        assert transaction.tables() == ()


def test_the_last_of_a_key_by_cursor_wins_in_a_batch_and_across_batches(
    warehouse: DuckDBWarehouse, lake: FolderTable
) -> None:
    row = "({}, DATE '2026-01-0{}', '{}')"
    values = "SELECT * FROM (VALUES {}) v(id, updated, value)"
    first = lake.load(
        1, values.format(", ".join([row.format(1, 3, "a"), row.format(1, 5, "b"), row.format(1, 4, "c")]))
    )
    receipt = load(warehouse, lake, MERGE, [first])
    assert (receipt.inserted, receipt.deleted, receipt.rows) == (1, 0, 1)
    late = lake.load(2, values.format(", ".join([row.format(1, 4, "late"), row.format(2, 1, "new")])))
    receipt = load(warehouse, lake, MERGE, [late])
    assert (receipt.inserted, receipt.deleted, receipt.rows) == (1, 0, 2)
    equal = lake.load(3, values.format(row.format(1, 5, "equal cursor, later load")))
    receipt = load(warehouse, lake, MERGE, [equal])
    assert (receipt.inserted, receipt.deleted, receipt.rows) == (1, 1, 2)
    hours = "date_diff('hour', TIMESTAMPTZ '2026-01-01 00:00:00+00', {})"
    assert table(
        warehouse, f"id, value, _load, {hours.format('_created_at')}, {hours.format('_updated_at')}, _order::VARCHAR"
    ) == [
        (1, "equal cursor, later load", 3, 1, 3, "{'cursor': 2026-01-05, 'load': 3, 'position': 0}"),
        (2, "new", 2, 2, 2, "{'cursor': 2026-01-01, 'load': 2, 'position': 1}"),
    ]


def test_without_a_cursor_the_order_of_landing_decides(warehouse: DuckDBWarehouse, lake: FolderTable) -> None:
    spec = source(WriteMode.MERGE, ("id",))
    one = lake.load(1, ["SELECT 1 AS id, 'a' AS v", "SELECT 1 AS id, 'b' AS v"])
    two = lake.load(2, "SELECT 1 AS id, 'c' AS v")
    load(warehouse, lake, spec, [two])
    load(warehouse, lake, spec, [one])
    assert table(warehouse, "v, _order::VARCHAR") == [("c", "{'load': 2, 'position': 0}")]
    assert table(warehouse, "_created_at") == [(START + timedelta(hours=1),)]


def test_a_table_whose_every_column_is_the_key_grows_by_new_keys_only(
    warehouse: DuckDBWarehouse, lake: FolderTable
) -> None:
    spec = source(WriteMode.MERGE, ("a", "b"))
    query = "SELECT * FROM (VALUES ('x', NULL), (NULL, 1), (NULL, NULL), ('x ', NULL), ('X', NULL)) v(a, b)"
    for number in (1, 2, 3):
        receipt = load(warehouse, lake, spec, [lake.load(number, query)])
        assert receipt.rows == 5
    assert table(warehouse, "DISTINCT _load") == [(3,)]


def test_keys_of_superseded_loads_fall_back_or_vanish(warehouse: DuckDBWarehouse, lake: FolderTable) -> None:
    values = "SELECT * FROM (VALUES {}) v(id, updated, value)"
    old = lake.load(1, values.format("(1, 1, 'old'), (2, 1, 'old')"))
    day = lake.load(2, values.format("(1, 2, 'wrong'), (3, 2, 'wrong')"))
    again = lake.load(3, values.format("(4, 2, 'right')"), supersedes=[2])
    load(warehouse, lake, MERGE, [old, day])
    assert table(warehouse, "id, value") == [(1, "wrong"), (2, "old"), (3, "wrong")]
    receipt = load(warehouse, lake, MERGE, [again], live=[old, again])
    assert table(warehouse, "id, value, _load") == [(1, "old", 1), (2, "old", 1), (4, "right", 3)]
    assert (receipt.loads, receipt.inserted, receipt.deleted) == ((3,), 2, 2)


def test_a_row_is_as_old_as_the_oldest_live_load_that_has_its_key(
    warehouse: DuckDBWarehouse, lake: FolderTable
) -> None:
    first, second, third = (lake.load(number, f"SELECT 1 AS id, {number} AS updated") for number in (1, 2, 3))
    load(warehouse, lake, MERGE, [first, second, third])
    assert table(warehouse, "_load, _created_at") == [(3, START + timedelta(hours=1))]
    again = lake.load(4, "SELECT 2 AS id, 1 AS updated", supersedes=[1])
    load(warehouse, lake, MERGE, [again], live=[second, third, again])
    assert table(warehouse, "id, _load, _created_at") == [
        (1, 3, START + timedelta(hours=2)),
        (2, 4, START + timedelta(hours=4)),
    ]


def test_a_fallback_whose_loads_are_not_at_hand_is_refused(warehouse: DuckDBWarehouse, lake: FolderTable) -> None:
    loads = [lake.load(number, f"SELECT {number} AS id, 1 AS updated") for number in (1, 2)]
    load(warehouse, lake, MERGE, loads)
    with pytest.raises(DataError, match="load 1 is not at hand"):
        load(warehouse, lake, MERGE, [lake.load(3, "SELECT 3 AS id, 1 AS updated", supersedes=[2])])
    assert table(warehouse, "id") == [(1,), (2,)]


def test_a_merge_needs_a_key_that_is_there(warehouse: DuckDBWarehouse, lake: FolderTable) -> None:
    one = lake.load(1, "SELECT 1 AS id, 2 AS other")
    with pytest.raises(ConfigurationError, match="has no key"):
        load(warehouse, lake, source(WriteMode.MERGE), [one])
    with pytest.raises(DataError, match=r"'ident' of raw_t is missing in load 1.* Valid: id, other"):
        load(warehouse, lake, source(WriteMode.MERGE, ("ident",)), [one])
    with pytest.raises(ConfigurationError, match="no column 'updatd'"):
        load(warehouse, lake, source(WriteMode.MERGE, ("id",), "updatd"), [one])
    with warehouse.reading() as transaction:
        assert transaction.tables() == ()


def test_names_of_the_source_come_back_where_they_can(warehouse: DuckDBWarehouse, lake: FolderTable) -> None:
    spec = source(WriteMode.MERGE, ("created_at", "_load"), "select")
    query = (
        'SELECT 1 AS created_at, 2 AS _load, 3 AS _order, 4 AS "select", 5 AS "a""b c", 6 AS _penstock_row2, '
        "7 AS _interval"
    )
    load(warehouse, lake, spec, [lake.load(1, query)])
    load(warehouse, lake, spec, [lake.load(2, query)])
    names = list(types(warehouse))
    assert names == [
        "created_at", "_load__source", "_order__source", "select", 'a"b c', "_penstock_row2__source", "_interval",
        "_load", "_created_at", "_updated_at", "_order",
    ]  # fmt: skip
    assert table(warehouse, "created_at, _load__source, _load") == [(1, 2, 2)]


def test_types_that_the_lake_lacks_come_back_as_they_were(warehouse: DuckDBWarehouse, lake: FolderTable) -> None:
    query = (
        "SELECT TIME '12:34:56.789012' AS t, '123e4567-e89b-12d3-a456-426614174000'::UUID AS u, "
        "18446744073709551615::UBIGINT AS big, (-170141183460469231731687303715884105728)::HUGEINT AS huge, "
        "INTERVAL '14 months 3 days 4 seconds' AS i, TIMESTAMP_NS '2026-01-01 00:00:00.123456789' AS ns, "
        "'a'::ENUM('a', 'b') AS e, '{\"x\": [1]}'::JSON AS j, TIMESTAMPTZ '2026-01-01 00:00:00+00' AS tz, "
        "{'x': [1, NULL]} AS s, '\\xAA'::BLOB AS b, 255::UTINYINT AS small, '0101'::BIT AS bits, NULL AS nothing"
    )
    load(warehouse, lake, APPEND, [lake.load(1, query)])
    found = types(warehouse)
    names = ("t", "u", "big", "huge", "i", "ns", "e", "j", "tz", "s", "b", "small", "bits")
    assert [found[name] for name in names] == [
        "TIME", "UUID", "UBIGINT", "HUGEINT", "INTERVAL", "TIMESTAMP_NS", "VARCHAR", "JSON",
        "TIMESTAMP WITH TIME ZONE", "STRUCT(x INTEGER[])", "BLOB", "UTINYINT", "BIT",
    ]  # fmt: skip
    columns = "t::VARCHAR, u::VARCHAR, big, huge, i::VARCHAR, ns::VARCHAR, e, j, b, small, bits::VARCHAR"
    assert table(warehouse, columns) == [
        (
            "12:34:56.789012", "123e4567-e89b-12d3-a456-426614174000", 2**64 - 1, -(2**127),
            "1 year 2 months 3 days 00:00:04", "2026-01-01 00:00:00.123456789", "a", '{"x": [1]}', b"\xaa", 255, "0101",
        )
    ]  # fmt: skip


@pytest.mark.parametrize("one_transaction", [True, False])
@pytest.mark.parametrize("spec", [APPEND, source(WriteMode.MERGE, ("id",), "updated")])
def test_columns_come_widen_and_stay_away_in_any_order(
    tmp_path: Path, lake: FolderTable, engine, spec, one_transaction: bool
) -> None:
    loads = [
        lake.load(1, "SELECT 1::SMALLINT AS id, 1::INTEGER AS updated, 1.5::FLOAT AS f, 1.25::DECIMAL(5,2) AS d"),
        lake.load(2, "SELECT 1.125::DECIMAL(6,3) AS d, 2::BIGINT AS updated, 2::BIGINT AS id, 'new' AS n"),
        lake.load(3, "SELECT 3::INTEGER AS ID, 2.5::DOUBLE AS F, 3::SMALLINT AS updated, {'a': 1} AS s"),
        lake.load(4, "SELECT 4 AS id, 4 AS updated, {'b': 'x', 'a': 5::BIGINT} AS s, NULL AS f, 7::UINTEGER AS n2"),
    ]
    seen = set()
    for number, order in enumerate(itertools.permutations(loads)):
        if number % 6:
            continue
        fresh = DuckDBWarehouse(str(tmp_path / f"{number}.duckdb"), engine)
        if one_transaction:
            with fresh.writing() as transaction:
                for one in order:
                    apply(transaction, lake, spec, [one])
        else:
            for one in order:
                load(fresh, lake, spec, [one])
        found = {name.lower(): type_ for name, type_ in types(fresh).items()}
        assert [found[name] for name in ("id", "updated", "f", "d")] == ["BIGINT", "BIGINT", "DOUBLE", "DECIMAL(6,3)"]
        seen.add(repr(table(fresh, "id, updated, f, d, n, n2, s.a, s.b, _load")))
    assert len(seen) == 1
    assert "(1, 1, 1.5, Decimal('1.250'), None, None, None, None, 1)" in seen.pop()


def test_a_type_that_would_lose_values_is_refused_with_both_types(
    warehouse: DuckDBWarehouse, lake: FolderTable
) -> None:
    load(warehouse, lake, APPEND, [lake.load(1, "SELECT 1 AS id, 'x' AS v")])
    with pytest.raises(
        DataError, match="Column 'id' of raw_t has the type INTEGER in the warehouse; load 2 brings VARCHAR"
    ):
        load(warehouse, lake, APPEND, [lake.load(2, "SELECT 'one' AS id, 'x' AS v")])
    with pytest.raises(DataError, match="'id' of raw_t has the type INTEGER in one load and DOUBLE in load 4"):
        load(warehouse, lake, APPEND, [lake.load(3, "SELECT 3 AS id"), lake.load(4, "SELECT 1.5::DOUBLE AS id")])
    assert table(warehouse, "id, v, _load") == [(1, "x", 1)]


def test_a_column_that_held_only_nulls_takes_its_type_later(warehouse: DuckDBWarehouse, lake: FolderTable) -> None:
    load(warehouse, lake, APPEND, [lake.load(1, "SELECT 1 AS id, NULL AS v")])
    load(warehouse, lake, APPEND, [lake.load(2, "SELECT 2 AS id, DATE '2026-01-01' AS v")])
    load(warehouse, lake, APPEND, [lake.load(3, "SELECT 3 AS id, NULL AS v")])
    assert types(warehouse)["v"] == "DATE"
    assert table(warehouse, "id, v::VARCHAR") == [(1, None), (2, "2026-01-01"), (3, None)]


def test_a_column_that_a_load_lacks_keeps_what_the_table_has_and_null_does_not(
    warehouse: DuckDBWarehouse, lake: FolderTable
) -> None:
    loads = [
        lake.load(1, "SELECT 1 AS id, 1 AS updated, 'x' AS v"),
        lake.load(2, "SELECT 1 AS id, 2 AS updated"),
        lake.load(3, "SELECT 1 AS id, 'unordered' AS v"),
        lake.load(4, "SELECT 1 AS id, 3 AS updated, NULL::VARCHAR AS v"),
    ]
    for place, one in enumerate(loads[:3], start=1):
        load(warehouse, lake, MERGE, [one], live=loads[:place])
    assert table(warehouse, "id, updated, v") == [(1, 2, "x")]
    load(warehouse, lake, MERGE, loads[3:], live=loads)
    assert table(warehouse, "id, updated, v") == [(1, 3, None)]


def test_another_write_mode_makes_the_table_anew_from_all_live_loads(
    warehouse: DuckDBWarehouse, lake: FolderTable
) -> None:
    loads = [lake.load(number, f"SELECT 1 AS id, {number} AS updated") for number in (1, 2, 3)]
    load(warehouse, lake, APPEND, loads[:2])
    with pytest.raises(DataError, match="written in another way before"):
        load(warehouse, lake, MERGE, loads[2:])
    receipt = load(warehouse, lake, MERGE, loads[2:], live=loads)
    assert receipt.loads == (1, 2, 3)
    assert table(warehouse, "id, updated, _order.load") == [(1, 3, 3)]
    assert table(warehouse, "_created_at") == [(START + timedelta(hours=1),)]


def test_a_table_that_somebody_dropped_is_made_anew(warehouse: DuckDBWarehouse, lake: FolderTable) -> None:
    loads = [lake.load(number, f"SELECT {number} AS id") for number in (1, 2, 3)]
    load(warehouse, lake, APPEND, loads[:2])
    with warehouse.writing() as transaction:
        transaction.execute("DROP TABLE raw_t")
        assert held(transaction, ["raw_t"])["raw_t"] == set()
    with pytest.raises(DataError, match="gone from the warehouse"):
        load(warehouse, lake, APPEND, loads[2:])
    load(warehouse, lake, APPEND, loads[2:], live=loads)
    assert table(warehouse, "id") == [(1,), (2,), (3,)]


def test_a_table_that_penstock_did_not_make_is_left_alone(warehouse: DuckDBWarehouse, lake: FolderTable) -> None:
    with warehouse.writing() as transaction:
        transaction.execute("CREATE TABLE raw_t AS SELECT 'mine' AS a")
    with pytest.raises(DataError, match="Penstock did not make"):
        load(warehouse, lake, REPLACE, [lake.load(1, "SELECT 1 AS a")])
    assert table(warehouse) == [("mine",)]


@pytest.mark.parametrize("grouped", [True, False])
def test_a_prepare_step_stands_between_the_lake_and_the_table(
    warehouse: DuckDBWarehouse, lake: FolderTable, grouped: bool
) -> None:
    prepare = "SELECT lower(id) AS id, sum(v)::INTEGER AS v, count(*) AS n FROM new_rows WHERE v > 0 GROUP BY 1;"
    loads = [
        lake.load(1, "SELECT * FROM (VALUES ('A', 1), ('a', 2), ('b', -1)) t(id, v)"),
        lake.load(2, "SELECT * FROM (VALUES ('A', 5), ('c', 2)) t(id, v)"),
        lake.load(3, "SELECT 'x' AS id, 1 AS v WHERE false"),
    ]
    spec = source(WriteMode.MERGE, ("id",))
    for part in [loads] if grouped else [[one] for one in reversed(loads)]:
        load(warehouse, lake, spec, part, prepare=prepare)
    assert table(warehouse, "id, v, n, _order::VARCHAR") == [
        ("a", 5, 1, "{'load': 2, 'position': 0}"),
        ("c", 2, 1, "{'load': 2, 'position': 1}"),
    ]


def test_a_prepare_step_that_fails_is_a_sentence(warehouse: DuckDBWarehouse, lake: FolderTable) -> None:
    with pytest.raises(ConfigurationError, match=r"prepare step of raw_t failed on load 1.*columns are id, v"):
        load(warehouse, lake, APPEND, [lake.load(1, "SELECT 1 AS id, 2 AS v")], prepare="SELECT ident FROM new_rows")


def test_nothing_temporary_is_left_in_the_session(warehouse: DuckDBWarehouse, lake: FolderTable) -> None:
    with warehouse.writing() as transaction:
        one = lake.load(1, ["SELECT 1 AS id, 1 AS updated", "SELECT 1 AS id, 2 AS updated"])
        two = lake.load(2, "SELECT 2 AS id, 1 AS updated", supersedes=[1])
        apply(transaction, lake, MERGE, [one], prepare="SELECT * FROM new_rows")
        apply(transaction, lake, MERGE, [two], [two], prepare="SELECT * FROM new_rows")
        found = transaction.execute(
            "SELECT table_name FROM duckdb_tables() WHERE temporary "
            "UNION ALL SELECT view_name FROM duckdb_views() WHERE temporary AND NOT internal"
        )
    assert found == []
