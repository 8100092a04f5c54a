"""Deletes and histories in whole runs, from SQLite to the staging warehouse."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from shop_runs import SETTINGS, served

from penstock.model.receipts import State
from penstock.project import Project

PIPELINE = """
from penstock import Pipeline, checks, sources
shop = Pipeline(
    name="shop",
    sources=[
        sources.sql("ops", table="orders", key="id", cursor="changed", write="merge",
                    deletes={"column": "gone", "values": [1]}),
        sources.sql("ops", table="orders", name="kept", key="id", write="scd2", deletes="snapshot"),
    ],
    checks={"kept": [checks.between("amount", 0, 100, severity="quarantine"),
                     checks.row_count(max=10)]},
)
"""


CURRENT = "SELECT id, amount FROM raw_kept WHERE _valid_to IS NULL ORDER BY id"


def test_deletes_go_the_whole_way_and_back(tmp_path: Path) -> None:
    (tmp_path / "penstock.toml").write_text(SETTINGS)
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    ops = sqlite3.connect(tmp_path / "ops.db")
    ops.execute("CREATE TABLE orders (id INTEGER, changed INTEGER, amount INTEGER, gone INTEGER)")
    ops.executemany("INSERT INTO orders VALUES (?, 1, ?, 0)", [(1, 10), (2, 20), (3, 30)])
    ops.commit()
    with Project(tmp_path) as project:
        run = project.run()
        assert (run.state, run.error) == (State.DONE, "")
        assert {step.why for step in project.plan().steps if step.action == "load"} == {
            "what is accepted enters the warehouse: merge by id, deletes by gone in (1)",
            "what is accepted enters the warehouse: scd2 by id, deletes by snapshot",
        }
        assert [table.mode for table in project.status().pipelines[0].tables] == [
            "merge by id, deletes by gone in (1)",
            "scd2 by id, deletes by snapshot",
        ]
        ops.execute("UPDATE orders SET gone = 1, changed = 2 WHERE id = 1")
        ops.execute("UPDATE orders SET amount = 500 WHERE id = 2")
        ops.execute("DELETE FROM orders WHERE id = 3")
        ops.commit()
        run = project.run()
        assert {step.table: step.deleted for step in run.steps if step.step.startswith("load")} == {
            "raw_orders": 1,
            "raw_kept": 1,
        }
        assert any("set aside in snapshot" in note for step in run.steps for note in step.notes)
        assert served(tmp_path, "SELECT id FROM raw_orders ORDER BY id") == [(2,), (3,)]
        assert served(tmp_path, CURRENT) == [(1, 10), (2, 20)]
        assert project.run().state is State.UNCHANGED
        ops.executemany("INSERT INTO orders VALUES (?, 3, 1, 0)", [(n,) for n in range(10, 40)])
        ops.execute("DELETE FROM orders WHERE id = 2")
        ops.commit()
        assert project.run().state is State.REJECTED
        assert served(tmp_path, CURRENT) == [(1, 10), (2, 20)], "a rejected snapshot deletes nothing"
    ops.close()
