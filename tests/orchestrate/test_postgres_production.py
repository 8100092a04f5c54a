"""A project whose production is served from PostgreSQL: all commands do what they do with a DuckDB file."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from shop_runs import SETTINGS

from penstock.errors import ConfigurationError, TransientError
from penstock.project import Project
from servers.postgres import GUARDED, PASSWORD, PostgresServer
from typed import typed

pytestmark = pytest.mark.postgres

PIPELINE = """
from penstock import Pipeline, checks, sources, sql, split_by, training_set
shop = Pipeline("shop",
    sources=[sources.files("orders.csv", table="orders", write="replace")],
    transforms=[sql("revenue.sql")],
    checks={"revenue": [checks.unique("country")]},
    profiled=["revenue"], approve="automatic", promote=["revenue"],
    datasets=[training_set("sums", from_="revenue", label="amount", split=split_by("country", train=0.5, test=0.5))])
"""
CONNECTED = SETTINGS.replace('"data/production/warehouse.duckdb"', '"reporting"\npostgres_schema = "marts"')


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    for statement in ('DROP DATABASE IF EXISTS "production" WITH (FORCE)', 'CREATE DATABASE "production"'):
        with psycopg.connect(postgres.url(), autocommit=True) as connection:
            connection.execute(statement.encode())
    with psycopg.connect(postgres.url(database="production"), autocommit=True) as connection:
        connection.execute(f"GRANT CREATE ON DATABASE production TO {GUARDED}".encode())
    return postgres.url(GUARDED, database="production")


@pytest.fixture
def shop(tmp_path: Path, url: str) -> Path:
    (tmp_path / "penstock.toml").write_text(
        f'{CONNECTED}[connections.reporting]\nurl = "{url}"\npassword = "${{REPORTING}}"\n'
    )
    (tmp_path / ".env").write_text(f"REPORTING={PASSWORD}\n")
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "revenue.sql").write_text("SELECT country, amount FROM orders")
    return tmp_path


def released(shop: Path, *amounts: int) -> int:
    rows = "".join(f"c{i},{amount}\n" for i, amount in enumerate(amounts))
    (shop / "orders.csv").write_text("country,amount\n" + rows)
    with Project(shop) as project:
        assert project.run("shop").state.value in ("done", "unchanged")
        return project.promote(project.diff().id).number


def ask(postgres: PostgresServer, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(postgres.url(database="production")) as connection:
        return connection.execute(query.encode()).fetchall()


def command(shop: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return typed(shop, *arguments, PENSTOCK_USER="ada", **variables)


def test_every_command_works_with_production_in_postgresql(shop: Path, postgres: PostgresServer) -> None:
    assert released(shop, 1, 2) == 1
    assert released(shop, 1, 2, 3) == 2
    assert ask(postgres, "SELECT count(*), sum(amount) FROM marts.revenue") == [(3, 6)]
    with Project(shop) as project:
        status = project.status()
        assert status.release == 2
        assert status.places["production warehouse"].startswith("PostgreSQL 127.0.0.1:")
        assert PASSWORD not in repr(status)
        back = project.rollback(reason="wrong")
        assert (back.number, back.rollback_to) == (3, 1)
        assert ask(postgres, "SELECT count(*) FROM marts.revenue") == [(2,)]
        # What was rolled back does not return by itself.
        again = project.diff()
        assert "was rolled back" in again.gate[0]
        decisions = project._workspace.catalog.decisions("release 3")
        assert [(made.kind, made.reason) for made in decisions] == [("rollback", "wrong")]
        project.build_dataset("sums")
        assert [made.release for made in project.datasets()] == [3]
        assert project.drift("revenue") is not None
        report = project.examine(clean=True)
        assert report.orphans == ()
        assert project.vacuum("0s").removed
    assert ask(postgres, "SELECT release FROM marts.penstock_release") == [(3,)]
    assert not (shop / "data/production").joinpath("reporting.releases").exists()
    assert {path.name for path in (shop / "data/production").iterdir()} == {"lake"}


def test_the_command_line_says_who_is_waited_for_and_ends_with_4(shop: Path, postgres: PostgresServer) -> None:
    released(shop, 1)
    (shop / "orders.csv").write_text("country,amount\nc0,7\n")
    with Project(shop) as project:
        project.run("shop")
        project.diff()
    with psycopg.connect(postgres.url(database="production")) as reader:
        reader.execute("SELECT amount FROM marts.revenue WHERE country <> 'geheim'")
        promoted = command(shop, "promote", "--json", PENSTOCK__ENVIRONMENTS__PRODUCTION__LOCK_WAIT="1")
        assert promoted.returncode == 4, promoted.stderr
        assert f"session {reader.info.backend_pid} of tester" in promoted.stderr + promoted.stdout
        assert "geheim" not in promoted.stderr + promoted.stdout
        asked = command(shop, "status", "--json")
        assert asked.returncode == 0, asked.stderr
        assert any("Release 2 is committed" in line for line in json.loads(asked.stdout)["waiting"])
    assert command(shop, "doctor").returncode == 0
    assert ask(postgres, "SELECT amount FROM marts.revenue") == [(7,)]
    status = json.loads(command(shop, "status", "--json").stdout)
    assert (status["release"], status["waiting"]) == (2, [])
    assert "schema marts" in command(shop, "status").stdout


def test_questions_are_answered_while_the_server_is_away(shop: Path, postgres: PostgresServer) -> None:
    released(shop, 1)
    text = (shop / "penstock.toml").read_text().replace(f":{postgres.port}/", ":1/")
    (shop / "penstock.toml").write_text(text)
    with Project(shop) as project:
        assert project.status().release == 1
        assert [release.number for release in project.releases()] == [1]
        project.build_dataset("sums")
        assert [made.release for made in project.datasets()] == [1]
        with pytest.raises(TransientError, match=r"The production warehouse \(PostgreSQL 127.0.0.1:1/production"):
            project.diff()


def test_a_server_that_lets_the_user_in_or_write_too_little_is_said_so(shop: Path, postgres: PostgresServer) -> None:
    (shop / ".env").write_text("REPORTING=geheim\n")
    with pytest.raises(ConfigurationError, match="The server refuses the production warehouse") as refused:
        released(shop, 1)
    assert "geheim" not in str(refused.value)
    (shop / ".env").write_text(f"REPORTING={PASSWORD}\n")
    with psycopg.connect(postgres.url(database="production"), autocommit=True) as connection:
        connection.execute(f"REVOKE CREATE ON DATABASE production FROM {GUARDED}".encode())
        with pytest.raises(
            ConfigurationError, match=r"does not let this user write .* schemas marts and penstock_marts"
        ):
            released(shop, 1)
        for schema in ("marts", "penstock_marts"):
            connection.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {GUARDED}".encode())
    assert released(shop, 1) == 1
    assert ask(postgres, "SELECT amount FROM marts.revenue") == [(1,)]
