"""Whole schemas with one line: patterns, overrides, new and vanished tables, over real databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

import penstock
from penstock.errors import ConfigurationError
from penstock.model.receipts import State
from penstock.model.specs import SchemaSpec, SourceTable, WriteMode
from penstock.orchestrate.expanding import sources_of
from servers.mariadb import MariaServer
from servers.postgres import PostgresServer

TABLES = (
    "CREATE TABLE customers (id INT PRIMARY KEY, name VARCHAR(20), updated_at TIMESTAMP)",
    "INSERT INTO customers VALUES (1, 'Ada', '2026-01-01 00:00:00'), (2, 'Bo', '2026-01-02 00:00:00')",
    "CREATE TABLE orders (customer INT, place INT, amount DECIMAL(10,2), PRIMARY KEY (customer, place))",
    "INSERT INTO orders VALUES (1, 1, 10.50), (2, 1, 7.25)",
    "CREATE TABLE audit_log (said VARCHAR(20))",
    "INSERT INTO audit_log VALUES ('a'), ('a')",
)
PIPELINE = '''from penstock import Pipeline, sources, sql
shop = Pipeline(name="shop", sources=[sources.database("ops", {arguments})],
    transforms=[sql("spent", text="""SELECT name, sum(amount) AS spent
        FROM customers JOIN orders ON customer = id GROUP BY 1""")],
    promote=["spent"])
'''
Say = Callable[[str], None]


@pytest.fixture(params=["sqlite", "postgres", "mariadb", "mysql"])
def ops(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Say]:
    """A database with three tables: its URL, and a way to change it."""
    if request.param == "sqlite":
        path = tmp_path / "ops.db"

        def say(statement: str) -> None:
            connection = sqlite3.connect(path)
            connection.execute(statement)
            connection.commit()
            connection.close()

        url = f"sqlite:///{path}"
    elif request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        # Whatever other tests left would be part of the whole.
        for (schema,) in server.execute(
            "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' AND nspname <> 'information_schema'"
        ):
            server.execute(f'DROP SCHEMA "{schema}" CASCADE')
        server.execute("CREATE SCHEMA public")
        say, url = lambda statement: void(server.execute(statement)), server.url()
    else:
        maria: MariaServer = request.getfixturevalue(request.param)
        maria.execute("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop", "DROP DATABASE IF EXISTS other")
        say, url = lambda statement: void(maria.execute(statement)), maria.url()
    for statement in TABLES:
        say(statement)
    return url, say


def void(_: object) -> None:
    """Return nothing."""


def project(folder: Path, url: str, arguments: str = 'cursor="updated_at"') -> Path:
    (folder / "penstock.toml").write_text(
        f'[project]\nname = "shop"\npipelines = ["pipeline:shop"]\n[connections.ops]\nurl = "{url}"\n'
    )
    (folder / "pipeline.py").write_text(PIPELINE.format(arguments=arguments))
    return folder


def counted(folder: Path) -> dict[str, int]:
    with duckdb.connect(str(folder / "data/staging/warehouse.duckdb"), read_only=True) as warehouse:
        listed = warehouse.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'main'").fetchall()
        return {name: warehouse.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for (name,) in listed}


def test_one_line_reads_all_tables_and_follows_the_database(ops: tuple[str, Say], tmp_path: Path) -> None:
    url, say = ops
    folder = project(tmp_path, url)
    with penstock.Project(folder) as opened:
        assert opened.run().state is State.DONE
    assert counted(folder) == {"raw_customers": 2, "raw_orders": 2, "raw_audit_log": 2, "spent": 2}
    say("UPDATE customers SET name = 'Beau', updated_at = '2026-01-03 00:00:00' WHERE id = 2")
    say("INSERT INTO audit_log VALUES ('b')")
    say("CREATE TABLE returns (id INT PRIMARY KEY)")
    say("INSERT INTO returns VALUES (1)")
    with penstock.Project(folder) as opened:
        # What stands in the catalog serves whoever only asks.
        assert [source.table for source in opened.pipeline().sources] == ["audit_log", "customers", "orders"]
        assert opened.run().state is State.DONE
    assert counted(folder) == {"raw_customers": 2, "raw_orders": 2, "raw_audit_log": 3, "raw_returns": 1, "spent": 2}
    say("DROP TABLE returns")
    with penstock.Project(folder) as opened:
        receipt = opened.run()
    assert receipt.state is not State.DONE
    assert "returns" in "".join(note for step in receipt.steps for note in step.notes) + receipt.error
    project(folder, url, 'cursor="updated_at", exclude="returns"')
    with penstock.Project(folder) as opened:
        assert opened.run().exit_code == 0
    assert counted(folder)["raw_returns"] == 1


def test_patterns_prefixes_and_overrides(ops: tuple[str, Say], tmp_path: Path) -> None:
    url, _ = ops
    arguments = 'tables=["c*", "orders"], overrides={"orders": {"write": "append"}}, cursor="updated_at"'
    with penstock.Project(project(tmp_path, url, arguments)) as opened:
        sources = {source.table: source for source in opened.pipeline().sources}
    assert sorted(sources) == ["customers", "orders"]
    assert (sources["customers"].write, sources["customers"].key) == (WriteMode.MERGE, ("id",))
    assert (sources["customers"].cursor, sources["orders"].cursor) == ("updated_at", None)
    assert (sources["orders"].write, sources["orders"].key) == (WriteMode.APPEND, ("customer", "place"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"tables": ("order",)}, "Did you mean 'orders'"),
        ({"exclude": ("custmers",)}, "Did you mean 'customers'"),
        ({"overrides": {"ordrs": {}}}, "Did you mean 'orders'"),
        ({"tables": ("x*",)}, "No table of connection 'ops' fits"),
        ({"reading": {"write": "merge"}}, "audit_log"),
        ({"overrides": {"audit_log": {"write": "upsert"}}}, "upsert"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, object], words: str) -> None:
    listed = (
        SourceTable(name="audit_log", columns=("said",)),
        SourceTable(name="customers", columns=("id",), key=("id",)),
        SourceTable(name="orders", columns=("id",), key=("id",)),
    )
    with pytest.raises(ConfigurationError) as refused:
        sources_of(SchemaSpec(connection="ops", **given), listed)
    assert words in str(refused.value)


def test_tables_of_one_name_in_two_schemas_keep_their_schema() -> None:
    listed = tuple(SourceTable(name=name, columns=("id",)) for name in ("a.orders", "b.orders", "b.2 odd-names", "x"))
    names = [source.table for source in sources_of(SchemaSpec(connection="ops", prefix="crm_"), listed)]
    assert names == ["crm_a_orders", "crm_b_orders", "crm__2_odd_names", "crm_x"]
    clash = tuple(SourceTable(name=name, columns=("id",)) for name in ("a-b", "a_b"))
    with pytest.raises(ConfigurationError, match="would get one name"):
        sources_of(SchemaSpec(connection="ops"), clash)


def test_a_misspelt_connection_is_named(tmp_path: Path) -> None:
    folder = project(tmp_path, f"sqlite:///{tmp_path}/ops.db")
    (folder / "pipeline.py").write_text(PIPELINE.replace('"ops"', '"opps"').format(arguments=""))
    with penstock.Project(folder) as opened, pytest.raises(ConfigurationError, match="Did you mean 'ops'"):
        opened.pipeline()
