"""Rebuilds of the staging warehouse from the lake alone, through the facade, on real files."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import duckdb
import pytest
from shop_runs import KILLED, SETTINGS, contents, served, warehouse

from penstock.errors import ConfigurationError, DataError, LeaseHeldError
from penstock.model.interval import Interval
from penstock.model.receipts import State
from penstock.orchestrate.context import leased
from penstock.project import Project

PIPELINES = """
from penstock import Pipeline, checks, sources, sql
shop = Pipeline(
    name="shop", schedule="@daily", start="2024-01-01", end="2024-01-05",
    sources=[
        sources.sql("ops", table="orders", interval="placed", key="id", write="merge"),
        sources.sql("ops", table="events", cursor="at", write="append"),
        sources.sql("ops", table="clients", cursor="seen", key="id", write="merge"),
        sources.sql("ops", table="goods", write="replace"),
    ],
    checks={"orders": [checks.between("amount", 0, 100, severity="quarantine")],
            "events": [checks.between("value", 0, 5, severity="quarantine")]},
    transforms=[
        sql("sales", table="sales", interval="placed", text="SELECT id, placed, amount FROM orders "
            "WHERE placed >= :interval_start AND placed < :interval_end"),
        sql("total", table="total", text="SELECT count(*) AS orders, sum(amount) AS amount FROM sales"),
    ],
    promote=["sales", "total"],
)
other = Pipeline(name="other", sources=[sources.sql("ops", table="notes", write="replace")])
"""


@pytest.fixture
def shop(tmp_path: Path, ran: Path) -> Path:
    """The project in a folder of the test's own."""
    return shutil.copytree(ran, tmp_path / "shop", copy_function=shutil.copy2)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that has run five times: merged, appended and replaced tables, an interval read again."""
    tmp_path = tmp_path_factory.mktemp("ran")
    (tmp_path / "penstock.toml").write_text(SETTINGS.replace('"pipeline:shop"', '"pipeline:shop", "pipeline:other"'))
    (tmp_path / "pipeline.py").write_text(textwrap.dedent(PIPELINES))
    ops = sqlite3.connect(tmp_path / "ops.db")
    ops.execute("CREATE TABLE orders (id INTEGER, placed TIMESTAMP, amount REAL)")
    rows = [(n, f"2024-01-0{1 + n % 4}T0{n % 10}:00:00Z", 10.0 * n) for n in range(12)]
    ops.executemany("INSERT INTO orders VALUES (?, ?, ?)", rows)
    ops.execute("CREATE TABLE events (at INTEGER, value INTEGER)")
    ops.execute("CREATE TABLE clients (id INTEGER, seen INTEGER, name TEXT)")
    ops.execute("CREATE TABLE goods (id INTEGER, price REAL)")
    ops.execute("CREATE TABLE notes (text TEXT)")
    ops.execute("INSERT INTO notes VALUES ('one'), ('two')")
    with Project(tmp_path) as project:
        for turn in range(4):
            ops.execute("INSERT INTO events VALUES (?, ?)", (turn * 2, turn * 2))
            ops.execute("INSERT INTO clients (id, seen, name) VALUES (?, ?, ?)", (turn, turn, f"c{turn}"))
            ops.execute("UPDATE clients SET seen = ?, name = ? WHERE id = 0", (turn, f"turn {turn}"))
            ops.execute("INSERT INTO goods VALUES (?, ?)", (turn, 1.5 * turn))
            if turn == 2:
                ops.execute("ALTER TABLE clients ADD COLUMN city TEXT DEFAULT 'Ulm'")
            ops.commit()
            assert project.run("shop").state is State.DONE
        ops.execute("UPDATE orders SET amount = 1 WHERE id = 5")
        ops.execute("DELETE FROM orders WHERE id = 1")
        ops.commit()
        project.backfill("shop", Interval.parse("2024-01-02"), again=True)
        project.run("other")
    ops.close()
    # From here on there is no source: whoever opened one would fail.
    (tmp_path / "ops.db").unlink()
    return tmp_path


def test_a_rebuild_without_sources_gives_the_same_tables(shop: Path) -> None:
    before = contents(shop)
    assert len(before) == 7
    with Project(shop) as project:
        receipt = project.rebuild()
        assert receipt.replaced
        assert {run.state for run in receipt.runs} == {State.DONE}
        assert {each.table: each.rows for each in receipt.tables}["raw_clients"] == 4
    assert contents(shop) == before
    assert [path.name for path in sorted(warehouse(shop).parent.glob("warehouse*"))] == [
        "warehouse.duckdb",
        "warehouse.duckdb.lock",
    ]


@pytest.mark.parametrize("loss", ["gone", "header", "middle", "short", "empty", "with a foreign log"])
def test_a_warehouse_that_is_gone_or_damaged_is_made_anew(shop: Path, loss: str) -> None:
    before = contents(shop)
    path = warehouse(shop)
    whole = path.read_bytes()
    damaged = {
        "gone": None,
        "header": whole[:4096] + bytes(8192) + whole[12288:],
        "middle": whole[:12288] + bytes(len(whole) - 12288),
        "short": whole[:20_000],
        "empty": b"",
        "with a foreign log": b"",
    }[loss]
    path.unlink()
    if damaged is not None:
        path.write_bytes(damaged)
    if loss == "with a foreign log":
        path.with_name(path.name + ".wal").write_bytes(b"nothing that could be played back")
    with Project(shop) as project:
        if damaged is not None:
            # There are no sources any more, but a run would look at the warehouse before it said so.
            with pytest.raises(DataError, match="penstock rebuild"), project._workspace.warehouse.reading() as reading:
                reading.execute("FROM raw_orders")
            with pytest.raises(DataError, match="without a pipeline or table"):
                project.rebuild(table="orders")
        receipt = project.rebuild()
    assert receipt.replaced
    assert contents(shop) == before
    kept = [path.name for path in path.parent.glob("*.damaged-*") if not path.name.endswith(".wal")]
    assert len(kept) == (0 if damaged is None else 1)
    assert not path.with_name(path.name + ".wal").exists()


def test_after_the_catalog_is_lost_as_well(shop: Path) -> None:
    before = contents(shop)
    for leftover in (shop / ".penstock").glob("catalog.db*"):
        leftover.unlink()
    warehouse(shop).unlink()
    with Project(shop) as project:
        project.rebuild_catalog()
        project.rebuild()
    assert contents(shop) == before


def test_what_others_made_in_the_warehouse_is_carried_over(shop: Path) -> None:
    with duckdb.connect(str(warehouse(shop))) as connection:
        connection.execute("CREATE SCHEMA mine; CREATE TABLE mine.marks (id INTEGER PRIMARY KEY, note TEXT)")
        connection.execute("INSERT INTO mine.marks VALUES (1, 'kept')")
        connection.execute("CREATE VIEW dear AS SELECT id FROM raw_orders WHERE amount > 50")
        connection.execute("CREATE MACRO doubled(a) AS a * 2")
    with Project(shop) as project:
        assert project.rebuild().carried == ("mine.marks",)
        assert project.rebuild("other").replaced
    query = "SELECT doubled(id), note, (SELECT count(*) FROM dear) FROM mine.marks"
    assert served(shop, query) == [(2, "kept", 5)]
    with duckdb.connect(str(warehouse(shop))) as connection, pytest.raises(duckdb.ConstraintException):
        connection.execute("INSERT INTO mine.marks VALUES (1, 'twice')")


@pytest.mark.parametrize("table", ["raw_orders", "events", "sales", "total"])
def test_a_table_dropped_by_hand_comes_back(shop: Path, table: str) -> None:
    before = contents(shop)
    dropped = {"events": "raw_events"}.get(table, table)
    with duckdb.connect(str(warehouse(shop))) as connection:
        connection.execute(f"DROP TABLE {dropped}")
    with Project(shop) as project:
        receipt = project.rebuild(table=table)
        assert [each.table for each in receipt.tables] == [dropped]
        assert len(receipt.carried) == 6
    assert contents(shop) == before


def test_recomputing_computes_and_finds_the_same(shop: Path) -> None:
    before = contents(shop)
    with Project(shop) as project:
        versions = project.versions("sales"), project.versions("total")
        receipt = project.rebuild("shop", recompute=True)
        steps = [step for step in receipt.runs[0].steps if step.step.startswith("transform ")]
        assert {step.table for step in steps} == {"sales", "total"}
        assert {step.state for step in steps} == {State.UNCHANGED}
        assert (project.versions("sales"), project.versions("total")) == versions
    assert contents(shop) == before


def test_changed_code_is_computed_by_the_rebuild(shop: Path) -> None:
    pipeline = shop / "pipeline.py"
    pipeline.write_text(pipeline.read_text().replace("count(*) AS orders", "count(*) + 100 AS orders"))
    with Project(shop) as project:
        project.rebuild()
    assert served(shop, "SELECT orders FROM total") == [(110,)]


def test_who_holds_the_old_file_keeps_it(shop: Path) -> None:
    script = (
        "import duckdb, sys; c = duckdb.connect(sys.argv[1], read_only=True); print('open', flush=True); "
        "sys.stdin.readline(); print(c.execute('SELECT count(*) FROM raw_orders').fetchone()[0])"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", script, str(warehouse(shop))], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        with Project(shop) as project:
            assert project.rebuild().replaced
        said, _ = reader.communicate("\n", timeout=30)
    finally:
        reader.kill()
    assert said.strip() == "10"


def test_nobody_else_may_be_at_work(shop: Path) -> None:
    with (
        Project(shop) as project,
        Project(shop) as rival,
        leased(rival._workspace, "other"),
        pytest.raises(LeaseHeldError),
    ):
        project.rebuild("shop")


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"pipeline": "shup"}, "no pipeline 'shup'.*Did you mean 'shop'"),
        ({"table": "order"}, "no table 'order'.*Did you mean 'orders'"),
        ({"pipeline": "other", "table": "orders"}, "no table 'orders' .pipeline 'other'"),
    ],
)
def test_what_is_not_there_is_said(shop: Path, asked: dict[str, str], sentence: str) -> None:
    before = warehouse(shop).read_bytes()
    with Project(shop) as project, pytest.raises(ConfigurationError, match=sentence):
        project.rebuild(**asked)
    assert warehouse(shop).read_bytes() == before


DRIVER = f"""{KILLED}
from penstock.project import Project
from penstock.stores import remaking, warehouse
around(warehouse.DuckDBTransaction, "execute")
for name in ("replace", "link", "remove"):
    around(remaking.os, name)
around(remaking, "sync_file")
with Project(sys.argv[1]) as project:
    project.rebuild()
print(passed)
"""


def rebuild_killed(folder: Path, at: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", DRIVER, str(folder), str(at)], capture_output=True, text=True, timeout=120, check=False
    )


def test_a_kill_leaves_the_old_file_or_the_new_and_the_next_rebuild_ends(shop: Path) -> None:
    before = contents(shop)
    whole = rebuild_killed(shop, 0)
    assert whole.returncode == 0, whole.stderr
    writes = int(whole.stdout)
    resumed = 0
    # Steps within one transaction are alike: some of the middle, and all of the end, where the files are exchanged.
    for at in sorted({1, writes // 3, writes * 4 // 5, *range(writes - 5, writes + 1)}):
        assert rebuild_killed(shop, at).returncode == -signal.SIGKILL
        assert contents(shop) == before, at
        if at in (writes * 4 // 5, writes - 4):
            with Project(shop) as project:
                resumed += any("went on" in note for note in project.rebuild().notes)
            assert contents(shop) == before, at
        for leftover in warehouse(shop).parent.glob("*.rebuilt*"):
            leftover.unlink()
    assert os.path.exists(warehouse(shop))
    with Project(shop) as project:
        assert project.rebuild().replaced
        assert project.examine().orphans == ()
    assert contents(shop) == before
    assert resumed
