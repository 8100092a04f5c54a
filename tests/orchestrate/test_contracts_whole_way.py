"""Contracts from source to warehouse: raw zone and warehouse agree, whatever the schemas do from load to load."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from penstock import Pipeline, checks, sources
from penstock.catalog.opening import open_catalog
from penstock.errors import ConfigurationError
from penstock.model.receipts import RunReceipt, State
from penstock.model.specs import EnvironmentSpec, PipelineSpec
from penstock.orchestrate import asking, compacting, rebuilding, replaying, running
from penstock.orchestrate.workspace import Workspace
from penstock.validate.editing import Edit

WHOLE = st.one_of(st.none(), st.integers(-5, 5), st.integers(2**40, 2**41))
BROKEN = st.one_of(st.none(), st.sampled_from([0.5, 2.0, -1.25, 2.0**40]))
TEXT = st.one_of(st.none(), st.sampled_from(["", "x", "é"]))
CELLS = {"a": st.one_of(WHOLE, BROKEN), "b": st.one_of(WHOLE, BROKEN), "t": TEXT}


@st.composite
def loads(draw):
    """Loads of rows with a key and some of the columns, at least one row each."""
    found = []
    for _ in range(draw(st.integers(1, 4))):
        names = sorted(draw(st.sets(st.sampled_from(sorted(CELLS)))))
        keys = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3, unique=True))
        found.append([{"id": key, **{name: draw(CELLS[name]) for name in names}} for key in keys])
    return found


class Shop:
    """A source that gives one load at each run, and what a user sees of it."""

    def __init__(self, root: Path, **reading: object) -> None:
        self.given: list = []
        self.root = root
        self._reading = reading
        lake = root / "lake"
        lake.mkdir()
        self.workspace = Workspace(
            name="shop",
            root=str(root),
            staging=EnvironmentSpec(name="staging", lake=str(lake), warehouse=str(root / "w.duckdb")),
            production=None,
            catalog=open_catalog(f"sqlite:///{root / 'catalog.db'}"),
            connections={},
            workers=1,
        )

    def spec(self, rows: object = ()) -> PipelineSpec:
        source = sources.python(lambda: rows, table="t", **self._reading)
        return Pipeline("shop", sources=[source], checks={"t": [checks.not_null("id", severity="quarantine")]}).spec

    def run(self, rows: object) -> RunReceipt:
        return running.run(self.workspace, self.spec(rows), running.Asked())

    def replay(self, *sets: str) -> RunReceipt:
        return replaying.replay(self.workspace, {"shop": self.spec()}, "t", Edit(sets=sets))

    def served(self, what: str) -> list:
        with duckdb.connect(str(self.root / "w.duckdb"), read_only=True) as connection:
            return connection.execute(f"SELECT {what} FROM raw_t").fetchall()

    def columns(self) -> set[str]:
        with duckdb.connect(str(self.root / "w.duckdb"), read_only=True) as connection:
            return {name for name, *_ in connection.execute("DESCRIBE raw_t").fetchall()}

    def raw(self) -> list[dict]:
        return DeltaTable(str(self.root / "lake" / "raw_t")).to_pyarrow_table().to_pylist()


def shown(rows: list, names: list[str]) -> list:
    return alike([tuple(row.get(name) for name in names) for row in rows])


def alike(rows: list) -> list:
    """Rows in one order, with 2 and 2.0 as one number."""
    return sorted((tuple(float(cell) if isinstance(cell, int) else cell for cell in row) for row in rows), key=repr)


INTEGERS_THEN_BROKEN = [[{"id": 1, "a": None}], [{"id": 1, "a": 5}], [{"id": 2, "a": 0.5, "b": 1}], [{"id": 2, "b": 2}]]


@given(history=loads())
@example(history=INTEGERS_THEN_BROKEN)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_raw_zone_and_warehouse_agree_whatever_the_schemas_do(history) -> None:
    for write in ("append", "merge"):
        with tempfile.TemporaryDirectory() as folder:
            shop = Shop(Path(folder), write=write, key="id" if write == "merge" else ())
            for rows in history:
                run = shop.run(rows)
                assert (run.state, run.error) == (State.DONE, "")
            every = [row for rows in history for row in rows]
            names = sorted({name for row in every for name in row})
            assert shown(shop.raw(), names) == shown(every, names)
            if write == "merge":
                known: dict = {}
                for row in every:
                    known.setdefault(row["id"], {}).update(row)
                every = list(known.values())
            cells = ", ".join(name if name in shop.columns() else "NULL" for name in names)
            assert alike(shop.served(cells)) == shown(every, names)
            shop.workspace.close()


@pytest.fixture
def shop_of(tmp_path: Path):
    made = []

    def make(**reading):
        made.append(Shop(tmp_path, **reading))
        return made[-1]

    yield make
    for shop in made:
        shop.workspace.close()


def test_what_a_contract_leaves_out_is_in_the_quarantine_with_its_reason(shop_of) -> None:
    shop = shop_of(contract="discard")
    shop.run([{"id": 1, "amount": 5}])
    run = shop.run([{"id": 2, "amount": "6", "extra": "kept"}, {"id": 3, "amount": "a lot", "extra": None}])
    assert run.state is State.DONE
    (step,) = [step for step in run.steps if step.step == "extract t"]
    assert (step.rows, step.quarantined) == (2, 1)
    assert {left.column: (left.values, left.whole) for left in step.change.discarded} == {
        "extra": (1, True),
        "amount": (1, False),
    }
    assert shop.columns() == {"id", "amount", "_load", "_created_at", "_updated_at"}
    assert sorted(shop.served("id, amount")) == [(1, 5), (2, 6)]
    (aside,) = asking.quarantine(shop.workspace, "t")
    assert dict(aside.reasons) == {"contract of amount": 1}
    (row,) = asking.quarantine_rows(shop.workspace, "t", aside.number, 9).rows
    assert json.loads(row["_discarded"]) == {"values": {"amount": "a lot"}}
    kept = [json.loads(row["_discarded"]) for row in shop.raw() if row["_discarded"]]
    assert {"columns": {"extra": "kept"}} in kept
    load = next(entry for entry in asking.versions(shop.workspace, "t", 9) if entry.change and entry.change.discarded)
    assert load.change.contract.columns.value == "discard"


def test_a_row_that_was_left_out_comes_in_once_its_value_is_mended(shop_of) -> None:
    shop = shop_of(contract={"types": "discard", "columns": "discard"})
    shop.run([{"id": 1, "amount": 5, "later": None}])
    shop.run([{"id": 2, "amount": "a lot", "extra": "kept"}])
    # The table widens while the row waits.
    shop._reading["contract"] = {"types": "evolve", "columns": "discard"}
    shop.run([{"id": 3, "amount": 0.5}])
    again = shop.replay()
    assert [step.quarantined for step in again.steps if step.step == "replay t"] == [1]
    assert sorted(shop.served("id, amount")) == [(1, 5), (3, 0.5)]
    preview = replaying.preview(shop.workspace, {"shop": shop.spec()}, "t", Edit(sets=("amount = 6",)))
    assert (preview.rows, preview.failures) == (1, ())
    (failure,) = replaying.preview(shop.workspace, {"shop": shop.spec()}, "t", Edit()).failures
    assert failure.check == "contract"
    done = shop.replay("amount = 6")
    assert [step.quarantined for step in done.steps if step.step == "replay t"] == [0]
    assert sorted(shop.served("id, amount, typeof(amount)")) == [
        (n, x, "DOUBLE") for n, x in ((1, 5), (2, 6), (3, 0.5))
    ]
    told = [json.loads(row["_discarded"] or "{}").get("values") for row in shop.raw() if row["amount"] == 6]
    assert told in ([None], [{}])
    assert shop.run([{"id": 4, "later": 7}]).state is State.DONE
    assert [row["later"] for row in shop.raw() if row["id"] == 4] == [7]


def test_discarded_rows_leave_the_columns_of_the_table_as_they_are(shop_of) -> None:
    shop = shop_of()
    shop.run([{"id": None, "amount": 5}])
    shop.run([{"id": 2, "amount": 0.5, "note": "x"}])
    replaying.discard(shop.workspace, {"shop": shop.spec()}, "t", Edit(), reason="no id", by="ada")
    table = shop.workspace.lake.table("raw_t")
    assert [(column.name, column.type) for column in table.columns()] == [
        ("id", "BIGINT"),
        ("amount", "DOUBLE"),
        ("note", "VARCHAR"),
    ]
    assert shop.run([{"id": 3, "amount": 1.5, "note": "y"}]).state is State.DONE
    assert sorted(shop.served("id, amount, note")) == [(2, 0.5, "x"), (3, 1.5, "y")]


def test_merges_of_nested_values_keep_what_a_load_lacks(shop_of) -> None:
    shop = shop_of(write="merge", key="id", nested="tables")
    shop.run([{"id": 1, "who": {"name": "Ann", "age": 5}, "items": [{"n": 1}, {"n": 2}], "v": "x"}])
    shop.run([{"id": 1, "items": [{"n": 0.5}]}, {"id": 2, "items": []}])
    assert sorted(shop.served("id, who__name, who__age, v, items__length")) == [
        (1, "Ann", 5, "x", 1),
        (2, *[None] * 3, 0),
    ]
    run = shop.run([{"id": 1, "who": {"name": None, "age": 6.5}, "v": "y"}])
    assert (run.state, run.error) == (State.DONE, "")
    # A list of objects belongs to its row: it does not go over to another one.
    assert sorted(shop.served("id, who__name, who__age, v, items__length")) == [
        (1, None, 6.5, "y", None),
        (2, *[None] * 3, 0),
    ]


@pytest.mark.parametrize("write", ["append", "merge", "replace", "scd2"])
def test_rebuild_and_compaction_over_loads_of_before_and_after_give_the_same_table(shop_of, write) -> None:
    shop = shop_of(write=write, key="id" if write in ("merge", "scd2") else ())
    day, later = dt.date(2026, 1, 2), dt.datetime.fromisoformat("2026-01-03T04:05")
    given_ = [
        {"id": 1, "n": 5, "f": 0.5, "d": day, "m": Decimal("1.50"), "nest": {"a": 1}, "l": [1], "gone": "x"},
        {
            "id": 2,
            "n": 2**40,
            "f": float("nan"),
            "d": later,
            "m": Decimal("12345678901.125"),
            "nest": {"a": 2, "b": "y"},
        },
        {"id": 1, "n": 0.25, "l": [2.5], "new": True},
    ]
    exact = {"whole": pa.array([12345]), "text": pa.array([0.1]), "moment": pa.array([7], pa.timestamp("us"))}
    finer = {"whole": [Decimal("1.25")], "text": ["word"], "moment": pa.array([7_001], pa.timestamp("ns"))}
    tables = [
        pa.table({"id": [7], "big": pa.array([2**63], pa.uint64()), **exact}),
        pa.table({"id": [8], "big": [-1]} | finer),
    ]
    shop._reading["contract"] = {"each": {"text": "VARCHAR"}}
    for rows in ([given_[0]], tables[0], [given_[1]], tables[1], [given_[2]]):
        run = shop.run(rows)
        assert (run.state, run.error) == (State.DONE, "")
    names = sorted(shop.columns() - {"_updated_at"})
    cells = ", ".join(f'"{name}"' for name in names)
    before = sorted(map(repr, shop.served(cells)))
    types = shop.served(", ".join(f'typeof("{name}")' for name in names))
    for compact in (False, True):
        if compact:
            (report,) = compacting.compact(shop.workspace, "t", open_too=True)
            assert report.entries
        assert rebuilding.rebuild(shop.workspace, {"shop": shop.spec()}, rebuilding.Rebuild()).replaced
        assert sorted(map(repr, shop.served(cells))) == before
        assert shop.served(", ".join(f'typeof("{name}")' for name in names)) == types


def test_a_frozen_load_changes_nothing_and_can_be_let_in(shop_of) -> None:
    shop = shop_of(contract="freeze")
    shop.run([{"id": 1, "amount": 5}])
    run = shop.run([{"id": 2, "amount": 6, "note": "new"}])
    assert run.state is State.FAILED
    assert run.exit_code == 3
    assert "new column 'note'" in run.error
    assert shop.served("id, amount") == [(1, 5)]
    assert len(shop.raw()) == 1
    shop._reading["contract"] = {"columns": "freeze", "each": {"note": "evolve"}}
    assert shop.run([{"id": 2, "amount": 6, "note": "new"}]).state is State.DONE
    assert sorted(shop.served("id, amount, note")) == [(1, 5, None), (2, 6, "new")]


def test_a_cursor_that_widens_still_decides_which_row_is_newer(shop_of) -> None:
    shop = shop_of(write="merge", key="id", cursor="seq")
    narrow = {"id": pa.array([1, 2]), "seq": pa.array([5, 5], pa.int32()), "v": ["old", "kept"]}
    shop.run(pa.table(narrow))
    run = shop.run(pa.table({"id": [1, 2, 3], "seq": [2**40, 4, 6], "v": ["new", "late", "third"]}))
    assert (run.state, run.error) == (State.DONE, "")
    assert sorted(shop.served("id, seq, v")) == [(1, 2**40, "new"), (2, 5, "kept"), (3, 6, "third")]
    with duckdb.connect(str(shop.root / "w.duckdb"), read_only=True) as connection:
        assert connection.execute("SELECT typeof(_order.cursor), typeof(seq) FROM raw_t LIMIT 1").fetchall() == [
            ("BIGINT", "BIGINT")
        ]


@pytest.mark.parametrize(
    ("contract", "said"),
    [
        ("freze", "Did you mean 'freeze'"),
        ({"colums": "freeze"}, "Did you mean 'columns'"),
        ({"types": "discrad"}, "Did you mean 'discard'"),
        ({"each": {"amount": "frezee"}}, "column 'amount' of the contract of source 't'.*Did you mean 'freeze'"),
        ({"each": {"amount": "VARCHR"}}, "Did you mean 'VARCHAR'"),
        ({"each": ["amount"]}, "each of the contract of source 't' is no mapping"),
        (7, "neither a word nor a mapping"),
    ],
)
def test_a_bad_contract_gets_a_sentence_with_the_nearest_word(contract, said) -> None:
    with pytest.raises(ConfigurationError, match=said):
        sources.python([], table="t", contract=contract)
