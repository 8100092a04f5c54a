"""The warehouse against the raw zone: a transaction that loses, doubles or changes a row is rolled back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import duckdb
import pytest
from landed_folder import Counted, FolderTable, counted, source

from penstock.errors import DataError
from penstock.load.loading import apply_loads
from penstock.load.spec import AcceptedLoad, Loading, LoadPorts
from penstock.model.figures import Figures, Reconciliation
from penstock.model.specs import Reconcile, SourceSpec, WriteMode
from penstock.queries.relations import parquet
from penstock.queries.text import identifier
from penstock.schema import restore
from penstock.stores.measures import Measured, aggregates, measure
from penstock.stores.warehouse import DuckDBWarehouse

THREE = "SELECT * FROM (VALUES (1, 'a', 1.5), (2, 'b', 2.5), (3, 'c', NULL)) t(id, name, amount)"
MODES = [WriteMode.APPEND, WriteMode.REPLACE, WriteMode.MERGE]


class Faulty:
    """A real transaction in which something happens to the table after rows were inserted."""

    def __init__(self, transaction: Any, fault: str) -> None:
        self._transaction = transaction
        self._fault = fault

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transaction, name)

    def execute(self, sql: str, values: Any = ()) -> list[tuple[Any, ...]]:
        found = self._transaction.execute(sql, values)
        if sql.startswith('INSERT INTO "raw_t"'):
            self._transaction.execute(self._fault)
        return found


def measured(lake: FolderTable, load: AcceptedLoad, mode: Reconcile = Reconcile.SUMS) -> AcceptedLoad:
    """Add the figures that landing keeps."""
    columns = [Measured(c.name, c.type, restore(identifier(c.name), c.type)) for c in load.entry.schema]
    asked = aggregates(columns, mode, {"id"})
    uris = [lake.uri(file.path) for file in load.entry.files]
    found = measure(duckdb.connect(), asked, parquet(uris)) if uris else Figures(rows=0)
    told = Reconciliation(mode=mode.value, landed=found, read=found.rows)
    return replace(load, entry=replace(load.entry, reconciliation=told))


def spec_of(write: WriteMode, **more: Any) -> SourceSpec:
    made = source(write, key=("id",) if write is WriteMode.MERGE else ())
    return replace(made, **{"reconcile": Reconcile.SUMS, **more})


def apply(
    warehouse: DuckDBWarehouse,
    lake: FolderTable,
    spec: SourceSpec,
    loads: list[AcceptedLoad],
    fault: str = "",
    prepare: str | None = None,
) -> Counted:
    with warehouse.writing() as real:
        transaction = Faulty(real, fault) if fault else real
        ports = LoadPorts(transaction=transaction, lake_table=lake, live=lambda: loads)
        loading = Loading(source=spec, table="raw_t", loads=tuple(loads), prepare=prepare)
        return counted(apply_loads(loading, ports), transaction)


def rows(warehouse: DuckDBWarehouse) -> int:
    with warehouse.reading() as transaction:
        return int(transaction.execute("SELECT count(*) FROM raw_t")[0][0])


@pytest.mark.parametrize("write", MODES)
@pytest.mark.parametrize(
    ("fault", "named"),
    [
        ("DELETE FROM raw_t WHERE id = 3", "rows: the raw zone holds 3, the warehouse 2"),
        ("INSERT INTO raw_t SELECT * FROM raw_t WHERE id = 3", "rows: the raw zone holds 3, the warehouse 4"),
        ("UPDATE raw_t SET amount = 9 WHERE id = 1", "the sum of amount: the raw zone holds 4, the warehouse 11.5"),
        ("UPDATE raw_t SET name = NULL WHERE id = 1", "values that are not null of name: the raw zone holds 3, the"),
        ("UPDATE raw_t SET name = 'aa' WHERE id = 1", "bytes of text of name: the raw zone holds 3, the warehouse 4"),
    ],
)
def test_a_row_lost_doubled_or_changed_in_the_transaction_undoes_it(
    warehouse: DuckDBWarehouse, lake: FolderTable, write: WriteMode, fault: str, named: str
) -> None:
    spec = spec_of(write)
    first = measured(lake, lake.load(1, "SELECT 10 AS id, 'z' AS name, 1.0 AS amount"))
    assert apply(warehouse, lake, spec, [first]).reconciled == "reconciled"
    second = measured(lake, lake.load(2, THREE))
    with pytest.raises(DataError, match=f"Load 2 does not stand in the warehouse table raw_t as it landed: {named}"):
        apply(warehouse, lake, spec, [first, second], fault)
    assert rows(warehouse) == 1
    assert apply(warehouse, lake, spec, [first, second]).reconciled == "reconciled"


@pytest.mark.parametrize("write", MODES)
@pytest.mark.parametrize("manifest", [True, False])
def test_rows_that_were_set_aside_are_accounted_for(
    warehouse: DuckDBWarehouse, lake: FolderTable, write: WriteMode, manifest: bool
) -> None:
    load = lake.load(1, THREE, quarantined=[(0, 1)])
    load = measured(lake, load) if manifest else load
    receipt = apply(warehouse, lake, spec_of(write), [load])
    assert (receipt.rows, receipt.reconciled) == (2, "reconciled")
    with pytest.raises(DataError, match="rows: the raw zone holds 1, the warehouse 0"):
        apply(
            warehouse, lake, spec_of(write), [load, lake.load(2, THREE, quarantined=[(0, 0), (0, 1)])],
            "DELETE FROM raw_t WHERE _load = 2",
        )  # fmt: skip


def test_a_merge_in_which_rows_lose_is_compared_with_those_that_won(
    warehouse: DuckDBWarehouse, lake: FolderTable
) -> None:
    spec = replace(spec_of(WriteMode.MERGE), cursor="moment")
    late = measured(lake, lake.load(2, "SELECT * FROM (VALUES (1, 9, 'new'), (2, 9, 'new')) t(id, moment, name)"))
    assert apply(warehouse, lake, spec, [late]).reconciled
    early = "SELECT * FROM (VALUES (1, 1, 'old'), (3, 1, 'old'), (3, 2, 'newer'), (4, 1, 'only')) t(id, moment, name)"
    old = measured(lake, lake.load(1, early))
    receipt = apply(warehouse, lake, spec, [old, late])
    assert (receipt.rows, receipt.reconciled) == (4, "reconciled")
    more = measured(lake, lake.load(3, early.replace(", 1, '", ", 10, '")))
    with pytest.raises(DataError, match=r"Load 3 .* rows: the raw zone holds 3, the warehouse 2"):
        apply(warehouse, lake, spec, [old, late, more], "DELETE FROM raw_t WHERE id = 4")


def test_a_key_that_stands_twice_in_the_table_is_found_when_it_is_met(
    warehouse: DuckDBWarehouse, lake: FolderTable
) -> None:
    spec = spec_of(WriteMode.MERGE)
    first = measured(lake, lake.load(1, THREE))
    apply(warehouse, lake, spec, [first])
    with warehouse.writing() as transaction:
        transaction.execute("INSERT INTO raw_t SELECT * FROM raw_t WHERE id = 2")
    with pytest.raises(DataError, match="1 keys stood more than once in raw_t"):
        apply(warehouse, lake, spec, [first, measured(lake, lake.load(2, THREE))])


@pytest.mark.parametrize("write", MODES)
def test_what_a_preparation_made_is_what_must_be_there(
    warehouse: DuckDBWarehouse, lake: FolderTable, write: WriteMode
) -> None:
    prepare = "SELECT id, upper(name) AS name, random() AS chance FROM new_rows WHERE id > 1"
    load = measured(lake, lake.load(1, THREE))
    with pytest.raises(DataError, match="rows: the raw zone holds 2, the warehouse 1"):
        apply(warehouse, lake, spec_of(write), [load], "DELETE FROM raw_t WHERE id = 3", prepare)
    assert apply(warehouse, lake, spec_of(write), [load], prepare=prepare).reconciled == "reconciled"


@pytest.mark.parametrize("write", [WriteMode.APPEND, WriteMode.MERGE])
def test_superseded_rows_that_stay_are_found(warehouse: DuckDBWarehouse, lake: FolderTable, write: WriteMode) -> None:
    spec = spec_of(write)
    first = measured(lake, lake.load(1, THREE))
    apply(warehouse, lake, spec, [first])
    again = measured(lake, lake.load(2, "SELECT 4 AS id, 'd' AS name, 1.5 AS amount", supersedes=[1]))
    with pytest.raises(DataError, match="1 rows of superseded loads are still in raw_t"):
        apply(warehouse, lake, spec, [again], "UPDATE raw_t SET _load = 1")
    assert apply(warehouse, lake, spec, [again]).rows == 1


@pytest.mark.parametrize("write", MODES)
def test_loads_of_several_types_in_one_go_are_compared_each_by_itself(
    warehouse: DuckDBWarehouse, lake: FolderTable, write: WriteMode
) -> None:
    queries = [
        "SELECT 1::TINYINT AS id, 1::DECIMAL(4,1) AS n, DATE '2013-01-05' AS d, 0.1::FLOAT AS f, 'x' AS \"Name\"",
        "SELECT 2::BIGINT AS id, 1.25::DECIMAL(5,2) AS n, DATE '2013-01-06' AS d, 'NaN'::DOUBLE AS f, 'y' AS \"Name\"",
        "SELECT 3::BIGINT AS id, 1.5::DECIMAL(38,9) AS n, NULL::DATE AS d, NULL::DOUBLE AS f, uuid() AS u, [1] AS l",
        "SELECT 4::BIGINT AS id, TIMESTAMPTZ '2013-01-05 10:00+02' AS t, '\\xff'::BLOB AS b, 7::UBIGINT AS _load",
    ]
    loads = [measured(lake, lake.load(n, query)) for n, query in enumerate(queries, start=1)]
    receipt = apply(warehouse, lake, spec_of(write), loads)
    assert receipt.reconciled == "reconciled"
    assert receipt.rows == (1 if write is WriteMode.REPLACE else 4)


def test_nothing_is_compared_where_it_is_off_and_nothing_told_of_personal_columns(
    warehouse: DuckDBWarehouse, lake: FolderTable
) -> None:
    load = measured(lake, lake.load(1, THREE))
    off = spec_of(WriteMode.APPEND, reconcile=Reconcile.OFF)
    fault = "UPDATE raw_t SET name = 'secret name' WHERE id = 1"
    assert apply(warehouse, lake, off, [load], fault).reconciled == ""
    personal = spec_of(WriteMode.APPEND, personal={"name": "mask"})
    assert apply(warehouse, lake, personal, [lake.load(2, THREE)], fault).reconciled == "reconciled"
    columns = tuple(replace(c, personal="mask") if c.name == "name" else c for c in load.entry.schema)
    marked = measured(lake, lake.load(3, THREE))
    marked = replace(marked, entry=replace(marked.entry, schema=columns))
    assert apply(warehouse, lake, spec_of(WriteMode.APPEND), [marked], fault).reconciled == "reconciled"
