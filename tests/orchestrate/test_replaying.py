"""Quarantined rows edited, replayed and discarded, in small projects on real files."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest
from shop_runs import KILLED, SETTINGS, contents, served, warehouse

from penstock.errors import ConfigurationError, ConflictError, DataError, NotFoundError, PenstockError
from penstock.model.interval import Interval
from penstock.model.receipts import State
from penstock.project import Project
from typed import typed

PIPELINE = """
from penstock import Pipeline, checks, sources, sql
shop = Pipeline(
    name="shop", schedule="@daily", start="2024-01-01", end="2024-01-05",
    sources=[
        sources.sql("ops", table="orders", interval="placed", key="id", write="merge"),
        sources.sql("ops", table="events", cursor="seen", write="append"),
        sources.sql("ops", table="goods", write="replace"),
        sources.sql("ops", table="clients", cursor="seen", write="append"),
    ],
    checks={
        "orders": [checks.between("amount", 0, 100, severity="quarantine"), checks.row_count(min=2)],
        "events": [checks.between("value", 0, 5, severity="quarantine"), checks.not_null("seen")],
        "goods": [checks.between("price", 0, 5, severity="quarantine")],
    },
    transforms=[sql("total", table="total", text="SELECT count(*) AS n, sum(amount) AS amount FROM orders")],
)
"""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ran")
    (folder / "penstock.toml").write_text(SETTINGS)
    (folder / "pipeline.py").write_text(PIPELINE)
    with closing(sqlite3.connect(folder / "ops.db")) as ops, ops:
        ops.execute("CREATE TABLE orders (id INTEGER, placed TIMESTAMP, amount REAL, note TEXT)")
        rows = [(n, f"2024-01-0{1 + n % 4}T0{n % 10}:00:00Z", 10.0 * n, None) for n in range(8)]
        # Order 3 of the first day is too much; the same order comes again on the second, and is newer.
        rows += [(3, "2024-01-01T12:00:00Z", 300.0, ""), (90, "2024-01-01T13:00:00Z", 900.0, 'a "b", c')]
        ops.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)
        ops.execute("CREATE TABLE events (seen INTEGER, value INTEGER)")
        ops.executemany("INSERT INTO events VALUES (?, ?)", [(n, n) for n in range(10)])
        ops.execute("CREATE TABLE goods (id INTEGER, price REAL)")
        ops.executemany("INSERT INTO goods VALUES (?, ?)", [(1, 1), (2, 2), (3, 30), (4, 40)])
        ops.execute("CREATE TABLE clients (seen INTEGER)")
    ops.close()
    with Project(folder) as project:
        assert project.run().state is State.DONE
    return folder


@pytest.fixture
def shop(tmp_path: Path, ran: Path) -> Path:
    return shutil.copytree(ran, tmp_path / "shop")


def standing(project: Project, table: str) -> list[tuple[int, int, int, int]]:
    found = [(item.rows, item.open, item.replayed, item.discarded) for item in project.quarantine.summaries(table)]
    for rows, left, replayed, discarded in found:
        assert rows == left + replayed + discarded
    return found


def test_rows_are_edited_and_come_in_once(shop: Path) -> None:
    with Project(shop) as project:
        assert standing(project, "events") == [(4, 4, 0, 0)]
        run = project.quarantine.replay("events", sets=["value = value - 5"], where="value < 9")
        assert (run.state, run.command) == (State.DONE, "replay")
        assert served(shop, "SELECT seen, value FROM raw_events WHERE seen > 5 ORDER BY 1") == [(6, 1), (7, 2), (8, 3)]
        assert standing(project, "events") == [(4, 1, 3, 0)]
        with pytest.raises(NotFoundError, match="1 rows of its quarantine are open"):
            project.quarantine.replay("events", sets=["value = value - 5"], where="value < 9")
        # The rows of the source are extracted no more than before: the position is untouched.
        assert project.run().state is State.UNCHANGED
        assert served(shop, "SELECT count(*) FROM raw_events") == [(9,)]
        status = {table.table: table for table in project.status().pipelines[0].tables}
        assert (status["raw_events"].rows, status["raw_events"].quarantined) == (9, 1)


def test_a_row_that_fails_again_is_counted_once_and_keeps_its_origin(shop: Path) -> None:
    with Project(shop) as project:
        before = {row["_origin_detail"] for row in project.quarantine.rows("events").rows}
        project.quarantine.replay("events", sets=["value = value - 3"])
        # 6, 7, 8 became 3, 4, 5; 9 became 6 and fails again.
        assert standing(project, "events") == [(1, 1, 0, 0), (4, 0, 4, 0)]
        (row,) = project.quarantine.rows("events").rows
        assert row["value"] == 6
        assert row["_origin_detail"] in before
        project.quarantine.replay("events", sets=["value = 0"])
        assert sum(item.open for item in project.quarantine.summaries("events")) == 0
        assert served(shop, "SELECT count(*), sum(value) FROM raw_events") == [(10, 27)]


def test_an_old_row_does_not_overwrite_a_newer_one_of_its_key(shop: Path) -> None:
    with closing(sqlite3.connect(shop / "ops.db")) as ops, ops:
        ops.execute("UPDATE orders SET amount = 33 WHERE id = 3 AND placed LIKE '2024-01-04%'")
    ops.close()
    with Project(shop) as project:
        assert served(shop, "SELECT amount, _order.load FROM raw_orders WHERE id = 3")[0][0] == 30
        (load,) = {item.number for item in project.quarantine.summaries("orders")}
        project.quarantine.replay("orders", sets=["amount = amount / 10"])
        # Load 3 of the same key came from a later day, so it stands; 90 has nobody to compete with.
        assert served(shop, "SELECT amount FROM raw_orders WHERE id = 3") == [(30.0,)]
        assert served(shop, "SELECT amount, _order.load, _load > _order.load FROM raw_orders WHERE id = 90") == [
            (90.0, load, True)
        ]
        assert served(shop, "SELECT n FROM total") == [(9,)]
        after = contents(shop)
        assert project.rebuild().replaced
        assert contents(shop) == after


def test_an_interval_read_again_takes_the_replayed_rows_along(shop: Path) -> None:
    with Project(shop) as project:
        project.quarantine.replay("orders", sets=["amount = amount / 10"])
        with closing(sqlite3.connect(shop / "ops.db")) as ops, ops:
            ops.execute("DELETE FROM orders WHERE id = 90")
            ops.execute("UPDATE orders SET amount = 1 WHERE id = 4")
        ops.close()
        project.backfill(None, Interval.parse("2024-01-01"), again=True)
        assert served(shop, "SELECT count(*) FROM raw_orders WHERE id = 90") == [(0,)]
        assert [item.open for item in project.quarantine.summaries("orders")] == [1, 0]
        after = contents(shop)
        project.rebuild()
        assert contents(shop) == after


def test_a_replaced_table_gains_its_rows_until_it_is_replaced(shop: Path) -> None:
    with Project(shop) as project:
        project.quarantine.replay("goods", sets=["price = price / 10"], where="id = 3")
        project.quarantine.replay("goods", sets=["price = price / 10"], where="id = 4")
        assert served(shop, "SELECT id, price FROM raw_goods ORDER BY 1") == [(1, 1), (2, 2), (3, 3), (4, 4)]
        after = contents(shop)
        assert project.run().state is State.UNCHANGED
        project.rebuild()
        assert contents(shop) == after
        with closing(sqlite3.connect(shop / "ops.db")) as ops, ops:
            ops.execute("INSERT INTO goods VALUES (5, 5)")
        ops.close()
        project.run()
        assert served(shop, "SELECT id FROM raw_goods ORDER BY 1") == [(1,), (2,), (5,)]
        assert [item.open for item in project.quarantine.summaries("goods")] == [2, 0]


def test_discarded_rows_stay_ended_after_rebuilds_of_warehouse_and_catalog(shop: Path) -> None:
    with Project(shop) as project:
        with pytest.raises(ConfigurationError, match="needs a reason"):
            project.quarantine.discard("events", " ")
        (entry,) = project.quarantine.discard("events", "a broken counter", where="value >= 8")
        assert (entry.kind, entry.reason) == ("discard", "a broken counter")
        project.quarantine.replay("events", sets=["value = 5"], where="value = 6")
        assert standing(project, "events") == [(4, 1, 1, 2)]
        after = contents(shop)
    for leftover in (shop / ".penstock").glob("catalog.db*"):
        leftover.unlink()
    warehouse(shop).unlink()
    with Project(shop) as project:
        project.rebuild_catalog()
        project.rebuild()
        assert contents(shop) == after
        assert standing(project, "events") == [(4, 1, 1, 2)]
        assert project.examine().orphans == ()


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_an_exported_file_comes_back_as_it_was_edited(shop: Path, ending: str, tmp_path: Path) -> None:
    file, edited = tmp_path / f"orders.{ending}", tmp_path / f"edited.{ending}"
    with Project(shop) as project:
        assert project.quarantine.export("orders", str(file)).rows == 2
        with pytest.raises(ConfigurationError, match="there already"):
            project.quarantine.export("orders", str(file))
        text = {
            "csv": f"read_csv('{file}', all_varchar=true, nullstr='', allow_quoted_nulls=false)",
            "jsonl": f"read_json('{file}')",
            "parquet": f"read_parquet('{file}')",
        }[ending]
        options = {"csv": "FORMAT csv, HEADER", "jsonl": "FORMAT json", "parquet": "FORMAT parquet"}[ending]
        duckdb.sql(
            f"COPY (SELECT * REPLACE (CASE WHEN id = 90 THEN 9.5 ELSE 950 END AS amount) FROM {text}) "
            f"TO '{edited}' ({options})"
        )
        seen = project.quarantine.preview("orders", file=str(edited))
        assert (seen.rows, [failure.count for failure in seen.failures]) == (2, [1])
        assert standing(project, "orders") == [(2, 2, 0, 0)]
        project.quarantine.replay("orders", file=str(edited))
        assert served(shop, "SELECT amount, note FROM raw_orders WHERE id = 90") == [(9.5, 'a "b", c')]
        (row,) = project.quarantine.rows("orders").rows
        assert (row["amount"], row["note"]) == (950, "")
        with pytest.raises(NotFoundError, match="1 rows of its quarantine are open"):
            project.quarantine.replay("orders", file=str(edited))


def test_a_load_that_checks_reject_stays_in_the_quarantine(shop: Path) -> None:
    with Project(shop) as project:
        run = project.quarantine.replay("events", sets=["seen = NULL", "value = 1"])
        assert run.state is State.REJECTED
        assert standing(project, "events") == [(4, 4, 0, 0)]
        assert project.status().pipelines[0].tables[1].rejected == ()
        assert project.run().state is State.UNCHANGED
        project.quarantine.replay("events", sets=["value = 1"])
        assert served(shop, "SELECT count(*), count(seen) FROM raw_events") == [(10, 10)]


def test_rows_that_a_waiting_load_would_replace_wait_as_well(shop: Path) -> None:
    with closing(sqlite3.connect(shop / "ops.db")) as ops, ops:
        ops.execute("DELETE FROM orders WHERE placed LIKE '2024-01-01%' AND id <> 90")
    ops.close()
    with Project(shop) as project:
        assert project.backfill(None, Interval.parse("2024-01-01"), again=True).state is State.REJECTED
        with pytest.raises(ConflictError, match="penstock retry --table orders"):
            project.quarantine.replay("orders", sets=["amount = 1"])


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"table": "order"}, "no source 'order'"),
        ({"sets": ["valu = 1"]}, "no column 'valu'.*Did you mean 'value'"),
        ({"sets": ["value"]}, "changes one column.*Got: value"),
        ({"sets": ["value = valu + 1"]}, "--set is nothing that DuckDB understands.*valu"),
        ({"sets": ["value = 1), (2"]}, "--set"),
        ({"sets": ["value = 1, 2"]}, "must be one SQL expression"),
        ({"sets": ["value = random()"]}, "clock or chance"),
        ({"sets": ["value = max(value)"]}, "more than one row"),
        ({"sets": ["value = 1", "VALUE = 2"]}, "set twice"),
        ({"where": "value >"}, "--where"),
        ({"where": "nothing > 1"}, "--where is nothing that DuckDB understands"),
        ({"where": "value > 100"}, "No row of raw_events is meant: 4 rows"),
        ({"file": "missing.csv"}, "no file missing.csv"),
        ({"file": "rows.xlsx"}, "three formats"),
        ({"table": "clients"}, "No row of raw_clients is meant: 0 rows"),
    ],
)
def test_bad_input_gets_a_sentence_and_changes_nothing(shop: Path, asked: dict[str, Any], sentence: str) -> None:
    with Project(shop) as project:
        before = project.versions("events")
        with pytest.raises(PenstockError, match=sentence):
            project.quarantine.replay(asked.pop("table", "events"), **asked)
        assert project.versions("events") == before


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ("SELECT * EXCLUDE (value) FROM f", ConfigurationError, "value is missing"),
        ("SELECT *, 1 AS extra FROM f", ConfigurationError, "extra is no column of it"),
        ("SELECT * EXCLUDE (_position) FROM f", ConfigurationError, "no column _position"),
        ("FROM f UNION ALL FROM f", DataError, "holds a row twice"),
        ("SELECT * REPLACE ('999' AS _position) FROM f LIMIT 1", DataError, "not in the quarantine"),
        ("SELECT * REPLACE ('' AS _position) FROM f LIMIT 1", DataError, "not in the quarantine"),
        ("SELECT * REPLACE ('77' AS _load) FROM f", NotFoundError, "_load 77"),
        ("SELECT * REPLACE ('many' AS value) FROM f LIMIT 1", DataError, "'value' that is no BIGINT"),
    ],
)
def test_a_file_that_cannot_be_gets_a_sentence(
    shop: Path, tmp_path: Path, change: str, error: type[PenstockError], sentence: str
) -> None:
    file, edited = tmp_path / "events.csv", tmp_path / "edited.csv"
    with Project(shop) as project:
        project.quarantine.export("events", str(file))
        source = f"read_csv('{file}', all_varchar=true)"
        duckdb.sql(f"COPY (WITH f AS (FROM {source}) {change}) TO '{edited}' (HEADER)")
        with pytest.raises(error, match=sentence) as caught:
            project.quarantine.replay("events", file=str(edited))
        assert "many" not in str(caught.value)
        assert standing(project, "events") == [(4, 4, 0, 0)]


DRIVER = f"""{KILLED}
from penstock.project import Project
from penstock.stores import delta, objects, parquet
for name in ("create", "adopt"):
    around(objects.LocalObjects, name)
around(delta.DeltaLog, "append")
around(parquet, "seal")
with Project(sys.argv[1]) as project:
    project.quarantine.replay("orders", sets=["amount = amount / 10"])
print(passed)
"""


def test_a_kill_during_a_replay_loses_and_doubles_nothing(shop: Path, tmp_path: Path) -> None:
    def driven(folder: Path, at: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", DRIVER, str(folder), str(at)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    whole = driven(shutil.copytree(shop, tmp_path / "whole"), 0)
    assert whole.returncode == 0, whole.stderr
    for at in range(1, int(whole.stdout) + 1):
        folder = shutil.copytree(shop, tmp_path / str(at))
        assert driven(folder, at).returncode == -signal.SIGKILL
        with Project(folder) as project:
            project.run()
            if sum(item.open for item in project.quarantine.summaries("orders")):
                project.quarantine.replay("orders", sets=["amount = amount / 10"])
            assert sum(item.open for item in project.quarantine.summaries("orders")) == 0
            assert served(folder, "SELECT n FROM total") == [(9,)]
            assert served(folder, "SELECT count(*), sum(amount) FROM raw_orders") == [(9, 370.0)]
            after = contents(folder)
            project.rebuild()
            assert contents(folder) == after
        shutil.rmtree(folder)


def test_the_command_line(shop: Path) -> None:
    def penstock(*arguments: str) -> tuple[int, str]:
        done = typed(shop, "quarantine", *arguments, "--json", PENSTOCK_USER="ada")
        return done.returncode, done.stdout or done.stderr

    assert json.loads(penstock("replay", "events", "--set", "value = 1", "--dry-run")[1])["rows"] == 4
    assert json.loads(penstock("export", "events")[1])["rows"] == 4
    assert (shop / "events-quarantine.csv").exists()
    assert penstock("replay", "events", "--set", "value = 1", "--where", "value < 8")[0] == 0
    assert penstock("discard", "events", "--reason", "noise")[0] == 0
    code, said = penstock("discard", "events", "--reason", "noise")
    assert (code, "0 rows of its quarantine are open" in said) == (6, True)
    (listed,) = json.loads(penstock("list", "events")[1])
    assert (listed.get("open", 0), listed["replayed"], listed["discarded"]) == (0, 2, 2)
